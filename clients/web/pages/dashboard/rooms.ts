// The table of rooms.

import { element, make } from "../arena/dom.js";
import { Sparkline } from "./charts.js";
import type { RoomFigures, RoomsFigures } from "./figures.js";
import { bytes, count, micros } from "./format.js";

/** Most rows that are shown. Each has two charts. */
const MOST = 50;

export interface RoomActions {
  inspect(room: string): void;
  close(room: string): void;
}

export class Rooms {
  readonly #rows = new Map<string, Row>();
  readonly #body = element("rooms-body");
  readonly #filter = element("filter", HTMLInputElement);
  #newest: RoomsFigures = { total: 0, rooms: [] };
  #chosen: string | null = null;

  constructor(readonly actions: RoomActions) {
    this.#filter.addEventListener("input", () => this.#arrange());
  }

  show(figures: RoomsFigures, seconds: number): void {
    this.#newest = figures;
    for (const room of figures.rooms) {
      const row = this.#rows.get(room.name);
      // A room that was made again under an old name begins at tick 0.
      if (row && room.tick >= row.tick) row.show(room, seconds);
      else {
        row?.remove();
        this.#rows.set(room.name, new Row(room, this.actions));
      }
    }
    const there = new Set(figures.rooms.map(({ name }) => name));
    for (const [name, row] of this.#rows) {
      if (!there.has(name)) {
        row.remove();
        this.#rows.delete(name);
      }
    }
    this.#arrange();
  }

  choose(room: string | null): void {
    this.#chosen = room;
    this.#arrange();
  }

  #arrange(): void {
    const wanted = this.#filter.value.trim().toLowerCase();
    const fits = ({ name, kind }: RoomFigures) => `${name} ${kind}`.toLowerCase().includes(wanted);
    const { total, rooms } = this.#newest;
    const shown = rooms.filter(fits).slice(0, MOST);
    shown.forEach(({ name }, n) => {
      const row = this.#rows.get(name)!.element;
      row.toggleAttribute("data-chosen", name === this.#chosen);
      // Only rows in the wrong place are moved, because a row that moves loses the focus of its buttons.
      if (this.#body.children[n] !== row) this.#body.insertBefore(row, this.#body.children[n] ?? null);
    });
    while (this.#body.children.length > shown.length) this.#body.lastElementChild!.remove();
    element("rooms-none").hidden = total > 0;
    element("rooms-count").textContent =
      shown.length === total
        ? `${count(total)}`
        : `the ${count(shown.length)} with the most players, of ${count(total)}`;
  }
}

class Row {
  readonly element = make("tr");
  tick = 0;
  readonly #players = make("td", "", "number");
  readonly #shown = make("span", "", "info");
  readonly #sent = make("td", "–", "number");
  readonly #stale = make("td", "–", "number");
  readonly #skipped = make("td", "", "number");
  readonly #duration = new SparkCell("--first");
  readonly #lateness = new SparkCell("--second");
  #before: RoomFigures;

  constructor(room: RoomFigures, actions: RoomActions) {
    this.#before = room;
    const name = make("th", `${room.name} `);
    name.scope = "row";
    name.append(make("span", room.kind, "kind"), this.#shown);
    const buttons = make("td", "", "actions");
    buttons.append(
      button("Inspect", `Inspect room ${room.name}`, "small", () => actions.inspect(room.name)),
      button("Close…", `Close room ${room.name}`, "small danger", () => actions.close(room.name)),
    );
    this.element.append(
      name,
      this.#players,
      make("td", String(room.tick_rate), "number"),
      this.#duration.element,
      this.#lateness.element,
      this.#sent,
      this.#stale,
      this.#skipped,
      buttons,
    );
    this.show(room, 0);
  }

  show(room: RoomFigures, seconds: number): void {
    const away = room.players - room.connected;
    const others: [number, string][] = [
      [away, "away"],
      [room.npcs, "NPC"],
      [room.spectators, "watch"],
    ];
    const besides = others.filter(([many]) => many > 0).map(([many, what]) => `${many} ${what}`);
    const some = besides.length > 0 ? ` (${besides.join(", ")})` : "";
    this.#players.textContent = `${room.players}/${room.max_players}${some}`;
    const shown = Object.entries(room.info).map(([key, value]) => `${key}: ${value}`);
    if (room.joins_closed) shown.unshift("joins closed");
    this.#shown.textContent = shown.join(" · ");
    if (seconds > 0) {
      this.#sent.textContent = `${bytes((room.sent_bytes - this.#before.sent_bytes) / seconds)}/s`;
      this.#stale.textContent = `${count((room.stale_states_dropped - this.#before.stale_states_dropped) / seconds)}/s`;
    }
    this.#skipped.textContent = count(room.ticks_skipped);
    this.#duration.add(room.tick_duration.mean_us);
    this.#lateness.add(room.tick_lateness.max_us);
    this.tick = room.tick;
    this.#before = room;
  }

  remove(): void {
    this.#duration.line.remove();
    this.#lateness.line.remove();
    this.element.remove();
  }
}

class SparkCell {
  readonly element = make("td", "", "spark");
  readonly line: Sparkline;
  readonly #text = make("span");

  constructor(colour: "--first" | "--second") {
    const box = make("div");
    const chart = make("div");
    chart.setAttribute("aria-hidden", "true");
    box.append(chart, this.#text);
    this.element.append(box);
    this.line = new Sparkline(chart, colour);
  }

  add(us: number): void {
    this.line.add(us);
    this.#text.textContent = micros(us);
  }
}

export function button(text: string, label: string, className: string, click: () => void): HTMLButtonElement {
  const made = make("button", text, className);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", click);
  return made;
}
