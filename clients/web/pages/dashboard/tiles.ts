// The figures of the whole server.

import { make } from "../arena/dom.js";
import type { Rates, ServerFigures } from "./figures.js";
import { bytes, count, micros } from "./format.js";

type Text = readonly [value: string, note: string];

const TILES: readonly (readonly [string, (now: ServerFigures, rates: Rates | null) => Text])[] = [
  [
    "Players",
    (now) => [
      count(now.players),
      `in ${count(now.rooms)} rooms${now.spectators > 0 ? `, ${count(now.spectators)} watch` : ""}`,
    ],
  ],
  ["Connections", (now) => [count(sum(now.connections)), byTransport(now.connections)]],
  [
    "Tick, p99",
    (now) => [micros(now.tick_duration.p99_us), `half within ${micros(now.tick_duration.p50_us)}`],
  ],
  [
    "Late, p99",
    (now) => [micros(now.tick_lateness.p99_us), `half within ${micros(now.tick_lateness.p50_us)}`],
  ],
  [
    "Skipped ticks",
    (now, rates) => [count(now.ticks_skipped), `${rates ? count(rates.ticks) : "–"} ticks per second`],
  ],
  ["Sent", (now, rates) => [rates ? `${bytes(rates.sentBytes)}/s` : "–", `${bytes(now.sent_bytes)} in all`]],
  [
    "Received",
    (now, rates) => [rates ? `${bytes(rates.receivedBytes)}/s` : "–", `${bytes(now.received_bytes)} in all`],
  ],
  [
    "Stale, dropped",
    (now, rates) => [rates ? `${count(rates.stale)}/s` : "–", `${count(now.stale_states_dropped)} in all`],
  ],
  ["CPU", (_, rates) => [rates?.cpu == null ? "–" : `${Math.round(rates.cpu * 100)} %`, "of one core"]],
  ["Memory", (now) => [now.resident_bytes === null ? "–" : bytes(now.resident_bytes), "resident"]],
];

export class Tiles {
  readonly #cells: readonly (readonly [HTMLElement, HTMLElement])[];

  constructor(list: HTMLElement) {
    this.#cells = TILES.map(([name]) => {
      const [box, value, note] = [make("div"), make("dd", "–"), make("dd", "", "note")];
      box.append(make("dt", name), value, note);
      list.append(box);
      return [value, note] as const;
    });
  }

  show(now: ServerFigures, rates: Rates | null): void {
    TILES.forEach(([, text], n) => {
      const [value, note] = text(now, rates);
      const [valueCell, noteCell] = this.#cells[n]!;
      valueCell.textContent = value;
      noteCell.textContent = note;
    });
  }
}

export function sum(connections: Readonly<Record<string, number>>): number {
  return Object.values(connections).reduce((all, n) => all + n, 0);
}

const NAMES: Readonly<Record<string, string>> = {
  websocket: "WebSocket",
  quic: "QUIC",
  webtransport: "WebTransport",
};

function byTransport(connections: Readonly<Record<string, number>>): string {
  const used = Object.entries(connections).filter(([, n]) => n > 0);
  return used.map(([name, n]) => `${count(n)} ${NAMES[name] ?? name}`).join(", ") || "none";
}
