// Others are shown a little in the past, between two states.
import { describe, expect, it } from "vitest";
import { Schema } from "../src/codec/schema.js";
import { Snapshot } from "../src/codec/snapshot.js";
import { RenderDelay } from "../src/delay.js";
import { Interpolation } from "../src/interpolation.js";
import { cartSchema } from "./util/carts.js";
import { random } from "./util/random.js";

function state(tick: number, carts: [id: number, x: number, health: number][]): Snapshot {
  const snapshot = new Snapshot(cartSchema);
  snapshot.clear(tick);
  const table = snapshot.tables[0]!;
  table.resize(carts.length);
  carts.forEach(([id, x, health], row) => {
    table.ids[row] = id;
    table.columns[0]![row] = x;
    table.columns[1]![row] = health;
  });
  return snapshot;
}

/**
 * States that arrive exactly when due are shown a tick and half a tick's deviation late; with a delay of 0,
 * not at all late.
 */
const none = { maxDelay: 0 };

describe("between two states", () => {
  it("linear numbers move, and held ones stay as in the earlier", () => {
    const shown = new Interpolation(cartSchema, 20, 0, none);
    shown.push(0, state(0, [[7, 0, 100]]));
    shown.push(0, state(1, [[7, 100, 50]]));
    expect(shown.advance(25)!.get("cart", 7)).toEqual({ id: 7, x: 0.5, health: 100 });
    expect(shown.advance(50)!.get("cart", 7)).toEqual({ id: 7, x: 1, health: 50 });
  });

  it("entities are there from their first state on, and gone from the first without them", () => {
    const shown = new Interpolation(cartSchema, 20, 0, none);
    shown.push(0, state(0, [[1, 0, 1]]));
    shown.push(0, state(1, [[2, 0, 1]]));
    const ids = (now: number): number[] =>
      shown
        .advance(now)!
        .all("cart")
        .map(({ id }) => id);
    expect([ids(49), ids(50)]).toEqual([[1], [2]]);
  });

  it("a jump is not interpolated", () => {
    const shown = new Interpolation(cartSchema, 20, 0, { ...none, jump: 500 });
    shown.push(0, state(0, [[1, 0, 1]]));
    shown.push(0, state(1, [[1, 5000, 1]]));
    expect(shown.advance(25)!.get("cart", 1)!.x).toBe(0);
    expect(shown.advance(50)!.get("cart", 1)!.x).toBe(50);
  });

  it("an entity that begins another life jumps, however near, and does not go on from before it", () => {
    const schema = new Schema([{ ...cartSchema.kinds[0]!, life: 1 }]); // "health" counts lives here
    const shown = new Interpolation(schema, 20, 0, none);
    for (const [tick, x, lives] of [
      [0, 0, 1],
      [2, 50, 2],
    ] as const) {
      const snapshot = new Snapshot(schema);
      snapshot.copyFrom(
        state(tick, [
          [7, x, lives],
          [8, x, 1],
        ]),
      );
      shown.push(0, snapshot);
    }
    const xs = (now: number): number[] => {
      const view = shown.advance(now)!;
      const all = view.all("cart").map(({ x }) => x!);
      expect([7, 8].map((id) => view.get("cart", id)!.x)).toEqual(all);
      return all;
    };
    expect([xs(50), xs(100)]).toEqual([
      [0, 0.25],
      [0.5, 0.5],
    ]);
    expect(xs(150)).toEqual([0.5, 0.75]);
  });

  it("an unknown kind or entity is none", () => {
    const shown = new Interpolation(cartSchema, 20, 0, none);
    expect(shown.advance(0)).toBeUndefined();
    shown.push(0, state(0, [[1, 0, 1]]));
    expect(shown.advance(0)!.all("tree")).toEqual([]);
    expect(shown.advance(0)!.get("cart", 2)).toBeUndefined();
  });
});

it("without a new state entities go on for 100 ms, then stand", () => {
  const shown = new Interpolation(cartSchema, 20, 0, none);
  shown.push(0, state(0, [[1, 0, 1]]));
  shown.push(0, state(1, [[1, 100, 1]]));
  const x = (now: number): number => shown.advance(now)!.get("cart", 1)!.x!;
  expect([x(75), x(150), x(1000)]).toEqual([1.5, 3, 3]);
});

it("older states are ignored, and many do not grow memory", () => {
  const shown = new Interpolation(cartSchema, 20, 0);
  for (let tick = 0; tick < 500; tick++)
    expect(shown.push(tick * 50, state(tick, [[1, tick, 1]]))).toBe(true);
  expect(shown.push(25_000, state(498, []))).toBe(false);
  expect(shown.advance(25_000)!.tick).toBeGreaterThan(430);
});

it("the delay follows the jitter: later states are there in time", () => {
  for (const jitter of [0, 20, 80]) {
    const rng = random(5);
    const delay = new RenderDelay(0, 1000);
    let early = 0;
    for (let tick = 0; tick < 2000; tick++) {
      const age = 40 + jitter * rng();
      delay.state(age, 50);
      if (tick > 100 && age + 50 > delay.target) early++;
    }
    expect(early / 1900).toBeLessThan(0.06);
    expect(delay.target).toBeGreaterThanOrEqual(90);
    expect(delay.target).toBeLessThan(95 + 3 * jitter);
  }
});

it("the moment shown never goes back, and reaches its goal unseen", () => {
  const rng = random(6);
  const delay = new RenderDelay(0, 1000);
  delay.state(40, 50);
  let last = -Infinity;
  let now = 0;
  for (let n = 0; n < 5000; n++) {
    if (n % 3 === 0) delay.state(40 + 100 * rng(), 50);
    now += 16 * rng() - (n % 500 === 0 ? 30 : 0);
    const shown = delay.advance(now)!;
    expect(shown).toBeGreaterThanOrEqual(last);
    last = shown;
  }
  expect(Math.abs(now - last - delay.target)).toBeLessThan(60);
});
