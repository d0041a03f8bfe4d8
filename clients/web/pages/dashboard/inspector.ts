// The inspector of a room: its entities, whatever its game is, and its players.

import { element, make } from "../arena/dom.js";
import { Refused, request, roomPath } from "./api.js";
import type { RoomState, Table } from "./figures.js";
import { count, digits, micros } from "./format.js";
import { Plan } from "./plan.js";
import { button } from "./rooms.js";

/** Time between two requests. */
const LOOK = 200;
/** Most rows of a table. The plan shows all entities. */
const ROWS = 100;
/** Hues of the kinds of entity, far apart. */
const HUES = [215, 25, 140, 320, 50, 180, 270, 0];

export class Inspector {
  readonly #plan = new Plan(element("plan", HTMLCanvasElement));
  #room: string | null = null;
  /** What the lists currently show: they are rebuilt only when it changes. */
  #shape = "";
  #seats = "";
  /** Whose view is shown, in a room with zones. Empty: everything. */
  readonly #view = element("view-of", HTMLSelectElement);

  constructor(
    readonly kick: (room: string, player: number, name: string) => void,
    readonly chosen: (room: string | null) => void,
  ) {
    element("inspector-close").addEventListener("click", () => this.stop("Choose “Inspect” next to a room."));
  }

  open(room: string): void {
    this.#plan.clear();
    this.#shape = this.#seats = "";
    this.#view.replaceChildren();
    const running = this.#room !== null;
    this.#room = room;
    this.#reveal(true);
    this.chosen(room);
    if (!running) void this.#run();
    element("inspector").scrollIntoView({ block: "nearest" });
    element("inspector-close").focus({ preventScroll: true });
  }

  stop(why: string): void {
    this.#room = null;
    this.#reveal(false);
    element("inspector-about").textContent = why;
    this.chosen(null);
  }

  #reveal(open: boolean): void {
    element("inspector-body").hidden = !open;
    element("inspector-close").hidden = !open;
  }

  async #run(): Promise<void> {
    while (this.#room !== null) {
      const room = this.#room;
      try {
        if (!document.hidden) {
          const view = this.#view.value;
          const query = view === "" ? "" : `?player=${view}`;
          const state = (await (await request(`${roomPath(room)}/state${query}`)).json()) as RoomState;
          if (this.#room === room && this.#view.value === view) this.#show(state);
        }
      } catch (error) {
        if (error instanceof Refused && this.#room === room) {
          // The player may have left, and the room is still there.
          if (this.#view.value !== "") this.#view.value = "";
          else this.stop(error.message);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }

  #show(state: RoomState): void {
    element("inspector-about").textContent =
      `${state.room}, ${state.kind} at ${state.tick_rate} Hz, tick ${count(state.tick)}` +
      (state.truncated ? " (not all entities are shown)" : "");
    this.#plan.draw(state, colourOf);
    const shape = JSON.stringify(state.tables.map(({ kind, fields }) => [kind, fields, state.zoned]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      element("legend").replaceChildren(...state.tables.map(legend));
      element("tables").replaceChildren(...state.tables.map((table) => emptyTable(table, state.zoned)));
    }
    state.tables.forEach((table, kind) => {
      element("legend").children[kind]!.textContent = `${table.kind} ${count(table.count)}`;
      fill(element("tables").children[kind]!, table);
    });
    this.#showSeats(state);
  }

  /** In a room with zones: everything, or what one player sees of it. */
  #showViews({ seats, zoned }: RoomState): void {
    element("view").hidden = !zoned;
    const chosen = this.#view.value;
    this.#view.replaceChildren(
      new Option("everything", ""),
      ...seats.map(({ player, name }) => new Option(`what ${name} #${player} sees`, String(player))),
    );
    this.#view.value = seats.some(({ player }) => String(player) === chosen) ? chosen : "";
  }

  #showSeats(state: RoomState): void {
    const list = element("seats");
    const named = state.seats.map(({ player, name, user }) => [player, name, user]);
    const seats = JSON.stringify([named, state.zoned]);
    if (seats !== this.#seats) {
      this.#seats = seats;
      this.#showViews(state);
      list.replaceChildren(
        ...state.seats.map(({ player, name, user }) => {
          const item = make("li");
          const who = make("span", `${name} `);
          who.title = user;
          who.append(make("span", `#${player}`, "quiet"));
          const kick = button("Remove…", `Remove ${name}`, "small danger", () =>
            this.kick(state.room, player, name),
          );
          item.append(who, make("span", "", "quiet"), kick);
          return item;
        }),
      );
    }
    state.seats.forEach((seat, n) => {
      const rtt = seat.connected ? micros(seat.rtt_us) : "away";
      list.children[n]!.children[1]!.textContent = seat.npc ? "NPC" : rtt;
    });
  }
}

function colourOf(kind: number): string {
  return `hsl(${HUES[kind % HUES.length]} 75% 52%)`;
}

function legend(_: Table, kind: number): HTMLElement {
  const item = make("li");
  item.style.setProperty("--mark", colourOf(kind));
  return item;
}

function emptyTable({ kind, fields }: Table, zoned: boolean): HTMLElement {
  const box = make("div", "", "scroll");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `Entities of kind ${kind}`);
  const table = make("table");
  const head = make("tr");
  for (const name of ["id", ...fields.map((field) => field.name), ...(zoned ? ["zone"] : [])]) {
    const cell = make("th", name, "number");
    cell.scope = "col";
    head.append(cell);
  }
  const top = make("thead");
  top.append(head);
  table.append(make("caption"), top, make("tbody"));
  box.append(table);
  return box;
}

function fill(box: Element, { kind, fields, ids, zones, columns, count: all }: Table): void {
  const [table] = box.getElementsByTagName("table");
  const shown = Math.min(ids.length, ROWS);
  table!.caption!.textContent = shown < all ? `${kind}: ${shown} of ${count(all)}` : `${kind}: ${count(all)}`;
  const body = table!.tBodies[0]!;
  while (body.rows.length > shown) body.deleteRow(-1);
  while (body.rows.length < shown) {
    const row = body.insertRow();
    for (let n = table!.tHead!.rows[0]!.cells.length; n > 0; n--) row.insertCell().className = "number";
  }
  for (let n = 0; n < shown; n++) {
    const cells = body.rows[n]!.cells;
    put(cells[0]!, String(ids[n]));
    const zone = cells[fields.length + 1];
    if (zone) put(zone, String(zones[n] ?? 0));
    fields.forEach(({ quanta_per_unit: quanta }, field) => {
      const value = columns[field]![n]!;
      const text = typeof value === "string" || quanta === 1 ? String(value) : signed(value / quanta);
      put(cells[field + 1]!, text);
    });
  }
}

function signed(value: number): string {
  return value < 0 ? `−${digits(-value)}` : digits(value);
}

function put(cell: HTMLElement, text: string): void {
  if (cell.textContent !== text) cell.textContent = text;
}
