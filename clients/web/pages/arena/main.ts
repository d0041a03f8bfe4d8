// The demo: wires the SDK to the parts of the page.
import { connect, type Room, RoomError, SendError, type Status, wasm } from "../../src/index.js";
import { attract } from "./attract.js";
import { Chat } from "./chat.js";
import { Controls } from "./controls.js";
import { element } from "./dom.js";
import { Feed } from "./feed.js";
import { type ArenaRoom, ArenaGame } from "./game.js";
import { Hints } from "./hints.js";
import { Invite } from "./invite.js";
import { LocalPlayer } from "./local_player.js";
import { Match } from "./match.js";
import { Network } from "./network.js";
import { Painter } from "./painter.js";
import { People } from "./people.js";
import { nameOf, Quality } from "./quality.js";
import { Renderer } from "./renderer.js";
import { Scores } from "./scores.js";
import { chosenColour, chosenName, keepSeat, takeSeat } from "./settings.js";
import { Sounds } from "./sound.js";
import { StartCard } from "./start.js";
import { takeIdentity } from "../shared/identity.js";

const query = new URLSearchParams(location.search);
const identity = takeIdentity();
const canvas = element("world", HTMLCanvasElement);
const network = new Network();
const controls = new Controls(canvas);
const painter = new Painter(canvas);
const sounds = new Sounds();
let roomName = query.get("room") ?? "lobby";
/** `?spectate`: watches. */
const spectate = query.has("spectate");
let current: Room<never, never, never> | undefined;
/** The seat to resume, until there is a room. */
let seat = takeSeat();
let retry: ReturnType<typeof setTimeout> | undefined;
let leaveAttract: (() => void) | undefined;

/** The current player's name and colour. */
let me: { name: string; colour: number | undefined } | undefined;
new Invite(() => roomName);
const card = new StartCard(({ name, colour, apart }) => {
  const before = me;
  me = { name, colour };
  if (apart) moveApart();
  if (!before) return start();
  showMe();
  if (name === before.name) return choose(current as never as ArenaRoom | undefined);
  void (current?.leave() ?? Promise.resolve()).then(start);
});

async function play({ name, colour }: { name: string; colour: number | undefined }): Promise<void> {
  const room = await connect({
    room: roomName,
    kind: "arena",
    name,
    ...roomOptions(),
    ...(identity && { identity }),
    spectate,
    token: spectate ? undefined : seat,
    game: ArenaGame,
    transports: network.transports(query.get("transport")),
    // A respawn is a jump; nobody runs this far within two states.
    interpolation: { jump: 500 },
    prediction: wasm("/assets/arena.wasm"),
  });
  current = room as unknown as typeof current;
  seat = undefined;
  leaveAttract?.();
  leaveAttract = undefined;
  document.body.classList.remove("outside");
  const player = new LocalPlayer(room, controls);
  const people = new People(room);
  const scores = new Scores(room, people);
  const match = new Match(room, people, scores, sounds);
  const renderer = new Renderer(painter, room, people, player, controls, sounds);
  renderer.moments.onHurt = hurt;
  const parts = [new Chat(room, people), new Hints(controls), new Quality(room), scores, match, renderer];
  new Feed(room, people);
  network.watch(room, player);
  showStatus(room.status);
  room.on("status", (status) => {
    showStatus(status);
    if (status.phase === "joined" && !status.resumed) enter(room, colour);
    if (status.phase === "closed") parts.splice(0).forEach((part) => part.stop());
  });
  enter(room, colour);
  canvas.focus();
  // For the end-to-end tests, and for the curious.
  Object.assign(globalThis, { driftless: { room, player, network } });
}

/** What the address asks of the room, if this page makes it: a larger world, teams. */
function roomOptions(): { options?: { side_m?: number; teams?: boolean } } {
  const [side, teams] = [query.get("side_m"), query.get("teams")];
  if (side === null && teams === null) return {};
  return { options: { ...(side !== null && { side_m: Number(side) }), teams: (teams ?? "off") !== "off" } };
}

/** A new seat: asks for the colour, and for a match if there is none. */
function enter(room: ArenaRoom, colour: number | undefined): void {
  if (room.spectating) return;
  choose(room, colour);
  if (query.get("match") === "off") return;
  const number = (key: string, normal: number): number => Number(query.get(key) ?? normal);
  ask(room, { case: "match", value: { roundS: number("round_s", 180), bots: number("bots", 3) } });
}

function choose(room: ArenaRoom | undefined, colour = me?.colour): void {
  if (room && colour !== undefined) ask(room, { case: "colour", value: colour });
}

function ask(room: ArenaRoom, command: Parameters<ArenaRoom["command"]>[0]): void {
  try {
    room.command(command);
  } catch (error) {
    // The room has ended, or too much is waiting to be sent: neither is worth a message.
    if (!(error instanceof SendError)) throw error;
  }
}

/** Makes the edges of the screen flash. */
function hurt(): void {
  element("hurt")
    .getAnimations()
    .forEach((animation) => animation.cancel());
  element("hurt").animate({ opacity: [0.9, 0] }, { duration: 350, easing: "ease-out" });
}

function moveApart(): void {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const random = crypto.getRandomValues(new Uint8Array(8));
  roomName = [...random].map((byte) => letters[byte % letters.length]).join("");
  const url = new URL(location.href);
  url.searchParams.set("room", roomName);
  history.replaceState(null, "", url);
}

function showMe(): void {
  element("rename").textContent = me?.name ?? "";
}

function showStatus(status: Status): void {
  const [chip, banner] = [element("status"), element("banner")];
  document.body.classList.toggle("lost", status.phase !== "joined");
  chip.classList.toggle("lost", status.phase !== "joined");
  banner.hidden = status.phase === "joined";
  if (status.phase === "joined") {
    chip.textContent = nameOf(status.transport);
  } else if (status.phase === "reconnecting") {
    chip.textContent = "reconnecting…";
    banner.textContent = `Connection lost; reconnecting in ${Math.ceil(status.retryIn / 1000)} s. ${status.cause.advice}`;
  } else {
    chip.textContent = "closed";
    banner.textContent = status.cause.message;
    banner.hidden = status.cause.origin === "left";
  }
}

function start(): void {
  if (!me) return;
  clearTimeout(retry);
  showMe();
  play(me).catch((error: unknown) => {
    if (!(error instanceof RoomError)) throw error;
    element("status").textContent = "not connected";
    element("banner").hidden = false;
    element("banner").textContent = error.message;
    // The server or the network may come back: try again automatically where that can help.
    if (error.mayReconnect) retry = setTimeout(start, Math.max(3000, error.reconnectAfter));
  });
}

element("rename").addEventListener("click", () => card.open(roomName, me?.name ?? ""));
element("quality").addEventListener("click", () => {
  const panel = element("network", HTMLDetailsElement);
  panel.open = !panel.open;
  if (panel.open) panel.querySelector("summary")!.focus();
});
addEventListener("pagehide", () => keepSeat(current?.token ?? seat));
leaveAttract = attract(painter);
// A returning player continues, and one whose address has a name starts at once.
const name = query.get("name") ?? (seat ? chosenName() : spectate ? "" : undefined);
if (name !== undefined) {
  me = { name, colour: chosenColour() };
  start();
} else {
  card.open(roomName);
}
