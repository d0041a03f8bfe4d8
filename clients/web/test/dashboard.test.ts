import { describe, expect, test } from "vitest";
import { placeOf, rates, type ServerFigures, type Table } from "../pages/dashboard/figures.js";
import { bytes, count, micros, span } from "../pages/dashboard/format.js";

const quantiles = { p50_us: 100, p99_us: 200 };

function figures(seconds: number, more: Partial<ServerFigures> = {}): ServerFigures {
  return {
    at_unix_ms: 0,
    uptime_ms: seconds * 1000,
    draining: false,
    drain: "serving",
    drain_left_ms: null,
    failing: {},
    rooms: 1,
    players: 1,
    spectators: 0,
    connections: { websocket: 1 },
    received_bytes: 0,
    sent_bytes: 0,
    states_sent: 0,
    stale_states_dropped: 0,
    ticks: 0,
    ticks_skipped: 0,
    tick_duration: quantiles,
    tick_lateness: quantiles,
    redis: null,
    cpu_seconds: 0,
    resident_bytes: 0,
    ...more,
  };
}

function table(...fields: [name: string, group: string, predictor: "hold" | "linear"][]): Table {
  return {
    kind: "thing",
    fields: fields.map(([name, group, predictor]) => ({ name, group, predictor, quanta_per_unit: 1 })),
    count: 0,
    ids: [],
    zones: [],
    columns: fields.map(() => []),
  };
}

describe("rates", () => {
  test("are what grew, a second, also after a gap", () => {
    const now = rates(figures(10), figures(14, { sent_bytes: 4000, ticks: 80, cpu_seconds: 2 }));
    expect(now).toMatchObject({ sentBytes: 1000, ticks: 20, cpu: 0.5, stale: 0 });
  });

  test("are none of the first figures, of the same again, and across a restart", () => {
    expect(rates(undefined, figures(5))).toBeNull();
    expect(rates(figures(5), figures(5))).toBeNull();
    expect(rates(figures(500), figures(1))).toBeNull();
  });

  test("leave out what the system does not tell", () => {
    expect(rates(figures(1), figures(2, { cpu_seconds: null }))?.cpu).toBeNull();
  });
});

describe("the place of an entity", () => {
  test("is in fields named x and y, wherever they are", () => {
    expect(placeOf(table(["health", "a", "linear"], ["Y", "b", "hold"], ["X", "b", "hold"]))).toEqual({
      x: 2,
      y: 1,
    });
  });

  test("is on the ground of a world where y is up", () => {
    expect(placeOf(table(["x", "p", "linear"], ["z", "p", "linear"]))).toEqual({ x: 0, y: 1 });
  });

  test("is else what moves together", () => {
    const moving = table(["angle", "a", "linear"], ["lat", "b", "linear"], ["lon", "b", "linear"]);
    expect(placeOf(moving)).toEqual({ x: 1, y: 2 });
  });

  test("is none where nothing moves", () => {
    expect(placeOf(table(["steps", "a", "hold"], ["told", "a", "hold"]))).toBeNull();
  });
});

test("figures are shown with three digits and a unit", () => {
  expect([0, 999, 1000, 12_345, 999_600, 5e9].map(bytes)).toEqual([
    "0 B",
    "999 B",
    "1.00 kB",
    "12.3 kB",
    "1.00 MB",
    "5.00 GB",
  ]);
  expect([null, 0, 7.5, 150, 1500, 2_000_000].map(micros)).toEqual([
    "–",
    "0 µs",
    "7.50 µs",
    "150 µs",
    "1.50 ms",
    "2.00 s",
  ]);
  expect([0, 0.25, 3, 1234.4].map(count)).toEqual(["0", "0.3", "3", "1,234"]);
  expect([5_000, 65_000, 3_723_000, 200_000_000].map(span)).toEqual([
    "5 s",
    "1 min 5 s",
    "1 h 2 min",
    "2 d 7 h",
  ]);
});
