// The other nodes and their rooms, if the server has any.

import { element, make } from "../arena/dom.js";
import { request } from "./api.js";
import type { NodeFigures, NodeList, NodeRoom, Quantiles, RoomsOfNode } from "./figures.js";
import { count, micros, span } from "./format.js";
import { button } from "./rooms.js";

/** Time between two looks. */
const LOOK_MS = 2000;
/** Most rooms that are shown. */
const MOST = 100;

export interface NodeActions {
  drain(node: string): void;
  move(room: string, from: string, to: string): void;
}

export class Nodes {
  readonly #section = element("nodes");
  readonly #body = element("nodes-body");
  readonly #rooms = element("nodes-rooms-body");
  readonly #filter = element("nodes-filter", HTMLInputElement);
  readonly #rowOf = new Map<string, HTMLTableRowElement>();
  #nodes: readonly NodeFigures[] = [];
  #of: readonly RoomsOfNode[] = [];
  #looking = false;

  constructor(readonly actions: NodeActions) {
    this.#filter.addEventListener("input", () => this.#showRooms());
  }

  /** How fast Redis has answered in the last second. */
  redis(redis: Quantiles | null): void {
    const p99 = redis ? `Redis: half within ${micros(redis.p50_us)}, p99 ${micros(redis.p99_us)}` : "";
    element("nodes-redis").textContent = p99;
  }

  /** Looks again and again, until the signal. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!document.hidden && !(await this.#look(signal))) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** False: there can be no other nodes. */
  async #look(signal: AbortSignal): Promise<boolean> {
    if (this.#looking) return true;
    this.#looking = true;
    try {
      const list = (await (await request("/v1/nodes", { signal })).json()) as NodeList;
      this.#section.hidden = !list.many;
      if (!list.many) return false;
      this.#nodes = list.nodes;
      this.#showNodes(list);
      const rooms = await (await request("/v1/nodes/rooms", { signal })).json();
      this.#of = (rooms as { nodes: RoomsOfNode[] }).nodes;
      this.#showRooms();
      element("nodes-error").textContent = "";
    } catch (error) {
      // The stream says what is wrong with the server; this, what is wrong with the others.
      if (!signal.aborted) element("nodes-error").textContent = error instanceof Error ? error.message : "";
    } finally {
      this.#looking = false;
    }
    return true;
  }

  #showNodes({ nodes, lease_ms }: NodeList): void {
    const all = nodes.reduce((sum, node) => sum + node.load.players, 0);
    element("nodes-count").textContent =
      `${count(nodes.length)}, ${count(all)} players, leases of ${span(lease_ms)}`;
    const versions = new Set(nodes.map((node) => node.version));
    // Whoever has a button under his finger is not to have it replaced.
    const focus = document.activeElement?.getAttribute("aria-label");
    this.#body.replaceChildren(...nodes.map((node) => this.#node(node, lease_ms, versions.size > 1)));
    refocus(this.#body, focus);
  }

  #node(node: NodeFigures, lease: number, differ: boolean): HTMLTableRowElement {
    const row = make("tr");
    const name = make("th", `${node.name} `);
    name.scope = "row";
    name.append(make("span", node.this ? "this one" : place(node), "info"));
    const load = make("td", "", "load");
    const bar = make("meter");
    [bar.min, bar.max, bar.high, bar.optimum] = [0, 1000, 800, 0];
    bar.value = node.load.used;
    bar.setAttribute("aria-hidden", "true");
    load.append(bar, make("span", `${Math.round(node.load.used / 10)} %`));
    const age = node.lease_age_ms + node.seen_ms;
    const lease_age = make("td", `${(age / 1000).toFixed(1)} s`, "number");
    // It is renewed each fifth of its length, and is looked at once a second.
    if (node.lease_age_ms > lease * 0.4) lease_age.dataset.mood = "bad";
    const version = make("td", node.version);
    if (differ) version.dataset.mood = "warn";
    const state = make("td", node.load.draining ? "draining" : "serving");
    state.dataset.mood = node.load.draining ? "warn" : "good";
    const actions = make("td", "", "actions");
    const drain = button("Drain…", `Drain node ${node.name}`, "small danger", () =>
      this.actions.drain(node.name),
    );
    drain.disabled = node.load.draining;
    actions.append(drain);
    row.append(
      name,
      load,
      make("td", count(node.load.rooms), "number"),
      make("td", count(node.load.players), "number"),
      lease_age,
      version,
      state,
      actions,
    );
    return row;
  }

  #showRooms(): void {
    const wanted = this.#filter.value.trim().toLowerCase();
    const all = this.#of.flatMap(({ node, rooms }) => rooms.map((room) => ({ node, room })));
    all.sort((a, b) => b.room.players - a.room.players || (a.room.name < b.room.name ? -1 : 1));
    const fits = ({ node, room }: (typeof all)[number]) =>
      `${room.name} ${room.kind} ${node}`.toLowerCase().includes(wanted);
    const shown = all.filter(fits).slice(0, MOST);
    const total = this.#of.reduce((sum, { total }) => sum + total, 0);
    element("nodes-rooms-count").textContent =
      shown.length === total
        ? count(total)
        : `the ${count(shown.length)} with the most players, of ${count(total)}`;
    element("nodes-rooms-none").hidden = total > 0;
    const there = new Set<string>();
    shown.forEach(({ node, room }, n) => {
      const key = `${node} ${room.name}`;
      there.add(key);
      const old = this.#rowOf.get(key);
      const row = old ?? this.#room(node, room);
      this.#rowOf.set(key, row);
      row.querySelector("[data-players]")!.textContent = players(room);
      this.#choices(row.querySelector("select")!, node);
      // Only rows in the wrong place are moved, because a row that moves loses the focus of its buttons.
      if (this.#rooms.children[n] !== row) this.#rooms.insertBefore(row, this.#rooms.children[n] ?? null);
    });
    while (this.#rooms.children.length > shown.length) this.#rooms.lastElementChild!.remove();
    for (const key of this.#rowOf.keys()) if (!there.has(key)) this.#rowOf.delete(key);
  }

  #room(node: string, room: NodeRoom): HTMLTableRowElement {
    const row = make("tr");
    const name = make("th", `${room.name} `);
    name.scope = "row";
    name.append(make("span", room.kind, "kind"));
    const seats = make("td", "", "number");
    seats.dataset.players = "";
    const to = make("select");
    to.setAttribute("aria-label", `Node that is to have room ${room.name}`);
    const actions = make("td", "", "actions");
    actions.append(
      to,
      button("Move…", `Move room ${room.name}`, "small", () => {
        if (to.value) this.actions.move(room.name, node, to.value);
      }),
    );
    row.append(name, seats, make("td", node), actions);
    return row;
  }

  /** The nodes that can have a room of this one. */
  #choices(select: HTMLSelectElement, from: string): void {
    const others = this.#nodes.filter(({ name, load }) => name !== from && !load.draining);
    const names = others.sort((a, b) => a.load.used - b.load.used).map(({ name }) => name);
    const had = [...select.options].map(({ value }) => value);
    // The order is that of their load, which changes all the time: only other names are other choices.
    if ([...had].sort().join() === [...names].sort().join()) return;
    const chosen = select.value;
    select.replaceChildren(...names.map((name) => new Option(name, name)));
    if (names.includes(chosen)) select.value = chosen;
    select.disabled = names.length === 0;
    select.nextElementSibling!.toggleAttribute("disabled", names.length === 0);
  }
}

/** Has a node drain. */
export async function drainNode(node: string): Promise<string> {
  await request(`/v1/nodes/${encodeURIComponent(node)}/drain`, { method: "POST" });
  return `Node ${node} is asked to drain.`;
}

/** Has a node give a room to another. */
export async function moveRoom(room: string, from: string, to: string): Promise<string> {
  const body = JSON.stringify({ room, to });
  const headers = { "content-type": "application/json" };
  await request(`/v1/nodes/${encodeURIComponent(from)}/move`, { method: "POST", headers, body });
  return `Node ${from} is asked to give ${room} to ${to}.`;
}

function players(room: NodeRoom): string {
  const watch = room.spectators > 0 ? ` (${count(room.spectators)} watch)` : "";
  return `${count(room.players)}/${count(room.max_players)}${watch}`;
}

/** Its address, if its name does not say that. */
function place({ name, url }: NodeFigures): string {
  const address = url.replace(/^wss?:\/\//, "");
  return address === name ? "" : address;
}

function refocus(within: HTMLElement, label: string | null | undefined): void {
  if (!label) return;
  const again = [...within.querySelectorAll("button")].find(
    (made) => made.getAttribute("aria-label") === label,
  );
  again?.focus();
}
