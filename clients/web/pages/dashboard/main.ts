// The dashboard: what the server does, live, and what an operator can do about it.

import { element } from "../arena/dom.js";
import { Activity } from "./activity.js";
import { type Refused, request, roomPath, setToken, takeToken } from "./api.js";
import { Chart } from "./charts.js";
import { type PresenceFigures, rates, type RoomsFigures, type ServerFigures } from "./figures.js";
import { bytes, count, micros, span } from "./format.js";
import { Inspector } from "./inspector.js";
import { drainNode, moveRoom, Nodes } from "./nodes.js";
import { Rooms } from "./rooms.js";
import { readStream } from "./stream.js";
import { sum, Tiles } from "./tiles.js";

const tiles = new Tiles(element("tiles"));
const activity = new Activity();
const charts = element("charts");
const people = new Chart(charts, "Players", [
  { label: "players", colour: "--first", show: count },
  { label: "connections", colour: "--second", show: count },
]);
const ticks = new Chart(charts, "Ticks, p99", [
  { label: "duration", colour: "--first", show: micros },
  { label: "late", colour: "--second", show: micros },
]);
const traffic = new Chart(charts, "Traffic", [
  { label: "sent", colour: "--first", show: (n) => `${bytes(n)}/s` },
  { label: "received", colour: "--second", show: (n) => `${bytes(n)}/s` },
]);
const drops = new Chart(charts, "Stale and skipped", [
  { label: "stale states", colour: "--first", show: (n) => `${count(n)}/s` },
  { label: "ticks skipped", colour: "--second", show: (n) => `${count(n)}/s` },
]);

const inspector = new Inspector(
  (room, player, name) =>
    void confirm(
      `Remove ${name}?`,
      `${name} is removed from ${room} with close code 4510.`,
      "Remove",
      async () => {
        await request(`${roomPath(room)}/players/${player}`, { method: "DELETE" });
        return `${name} was removed.`;
      },
    ),
  (room) => rooms.choose(room),
);
const rooms = new Rooms({
  inspect: (room) => inspector.open(room),
  close: (room) =>
    void confirm(`Close ${room}?`, "All its players get close code 4004.", "Close the room", async () => {
      await request(roomPath(room), { method: "DELETE" });
      return `${room} was closed.`;
    }),
});

const nodes = new Nodes({
  drain: (node) =>
    void confirm(
      `Drain node ${node}?`,
      "It makes no new rooms, gives those that it has to other nodes with all who play in them, and stops.",
      "Drain the node",
      () => drainNode(node),
    ),
  move: (room, from, to) =>
    void confirm(
      `Move ${room}?`,
      `It goes on at ${to}: its players are sent there from ${from}, and lose nothing.`,
      "Move the room",
      () => moveRoom(room, from, to),
    ),
});

element("drain").addEventListener(
  "click",
  () =>
    void confirm(
      "Drain the server?",
      "It makes no new rooms, lets matches end for as long as drain_wait says, says goodbye to everybody with close code 4000, and stops.",
      "Drain",
      async () => {
        await request("/v1/drain", { method: "POST" });
        return "The server is draining.";
      },
    ),
);

let process = "";
let version = "";
let last: ServerFigures | undefined;
let lastRooms = 0;

let reading: AbortController | undefined;

function start(): void {
  reading?.abort();
  reading = new AbortController();
  element("entry").hidden = true;
  let looks = false;
  const { signal } = reading;
  void readStream(reading.signal, {
    event(name, data) {
      if (name === "hello") hello(data as { version: string; process: string });
      else if (name === "server") server(data as ServerFigures);
      else if (name === "rooms") {
        const now = performance.now();
        rooms.show(data as RoomsFigures, lastRooms ? (now - lastRooms) / 1000 : 0);
        lastRooms = now;
      } else if (name === "presence") activity.add(data as PresenceFigures);
      else if (name === "missed") activity.note("some joins and leaves were missed here");
    },
    status(state, reason, refused) {
      if (state === "waiting") lastRooms = 0;
      status(
        state === "live" ? "live" : state === "waiting" ? "waiting" : "bad",
        state === "refused" ? "no access" : reason,
      );
      element("drain", HTMLButtonElement).disabled = state !== "live";
      if (state === "live" && !looks) {
        looks = true;
        void nodes.watch(signal);
      }
      if (refused) enter(refused);
    },
  });
}

function hello(said: { version: string; process: string }): void {
  if (process && process !== said.process) {
    for (const chart of [people, ticks, traffic, drops]) chart.clear();
    activity.note("the server was started again");
    last = undefined;
  }
  ({ process, version } = said);
}

function server(now: ServerFigures): void {
  const change = rates(last, now);
  last = now;
  tiles.show(now, change);
  nodes.redis(now.redis);
  const time = Math.round(now.at_unix_ms / 1000);
  people.add(time, [now.players, sum(now.connections)]);
  ticks.add(time, [now.tick_duration.p99_us, now.tick_lateness.p99_us]);
  traffic.add(time, [change?.sentBytes ?? null, change?.receivedBytes ?? null]);
  drops.add(time, [change?.stale ?? null, change?.skipped ?? null]);
  element("about").textContent = `${version}, up ${span(now.uptime_ms)}`;
  const wrong = Object.keys(now.failing);
  element("status").title = Object.values(now.failing).join("\n");
  element("status").dataset.well = String(wrong.length === 0);
  if (now.draining) status("waiting", draining(now));
  else status("live", wrong.length === 0 ? "live" : `live, not well: ${wrong.join(", ")}`);
}

function draining({ drain, drain_left_ms, players, connections }: ServerFigures): string {
  const left = drain_left_ms === null ? "" : `, at most ${span(drain_left_ms)}`;
  if (drain === "matches") return `draining: matches may end, ${count(players)} players${left}`;
  return `draining: ${count(sum(connections))} connections to go${left}`;
}

function status(state: "live" | "waiting" | "bad", text: string): void {
  const shown = element("status");
  shown.dataset.state = state;
  if (shown.textContent !== text) shown.textContent = text;
}

/** Asks for the token, if a token would help. */
function enter(refused: Refused): void {
  element("entry").hidden = false;
  element("entry-reason").textContent = refused.advice;
  element("entry-form").hidden = !refused.needsToken;
  if (refused.needsToken) element("token").focus();
}

element("entry-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(element("token", HTMLInputElement).value.trim());
  start();
});

// The address with a token was opened in a tab that already shows the page.
addEventListener("hashchange", () => takeToken() && start());

/** Asks for confirmation, acts, and shows the result. */
async function confirm(title: string, text: string, yes: string, act: () => Promise<string>): Promise<void> {
  const dialog = element("confirm", HTMLDialogElement);
  element("confirm-title").textContent = title;
  element("confirm-text").textContent = text;
  element("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  try {
    toast(await act());
  } catch (error) {
    toast(error instanceof Error ? error.message : String(error));
  }
}

let toastTimer: ReturnType<typeof setTimeout> | undefined;

function toast(text: string): void {
  element("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (element("toast").textContent = ""), 5000);
}

takeToken();
start();
