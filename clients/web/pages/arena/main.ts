// The demo: wires the SDK to the parts of the page.
import { connect, type Room, RoomError, type Status } from "../../src/index.js";
import { Chat } from "./chat.js";
import { Controls } from "./controls.js";
import { element } from "./dom.js";
import { ArenaGame } from "./game.js";
import { LocalPlayer } from "./local_player.js";
import { Network } from "./network.js";
import { Renderer } from "./renderer.js";
import { Scores } from "./scores.js";
import { chosenName, rememberName, takeSeat, keepSeat } from "./settings.js";

const query = new URLSearchParams(location.search);
const network = new Network();
const controls = new Controls(element("world", HTMLCanvasElement));
let current: Room<never, never, never> | undefined;
/** The seat to take again, until there is a room. */
let seat = takeSeat();
let retry: ReturnType<typeof setTimeout> | undefined;

async function play(name: string): Promise<void> {
  element("rename").textContent = name;
  const room = await connect({
    room: query.get("room") ?? "lobby",
    kind: "arena",
    name,
    token: seat,
    game: ArenaGame,
    transports: network.transports(query.get("transport")),
    // A respawn is a jump; nobody runs this far within two states.
    interpolation: { jump: 500 },
  });
  current = room as unknown as typeof current;
  seat = undefined;
  const player = new LocalPlayer(room, controls);
  const renderer = new Renderer(element("world", HTMLCanvasElement), room, player, controls);
  const scores = new Scores(room);
  const chat = new Chat(room, scores);
  network.watch(room, player);
  showStatus(room.status);
  room.on("status", showStatus);
  room.on("event", ({ event: { body } }) => {
    if (body.case === "kill")
      chat.note(`${scores.nameOf(body.value.killer)} hit ${scores.nameOf(body.value.victim)}`);
    if (body.case === "round") {
      const { number, playing, secondsLeft, winner, score } = body.value;
      const result = winner ? `${scores.nameOf(winner)} wins with ${score}` : "nobody wins";
      chat.note(
        playing
          ? `Round ${number}: ${secondsLeft} s left`
          : `Round ${number}: ${result}. The next one begins in ${secondsLeft} s`,
      );
    }
  });
  const stop = room.on("status", ({ phase }) => {
    if (phase === "closed") {
      renderer.stop();
      chat.stop();
      stop();
    }
  });
  // For the end-to-end tests, and for the curious.
  Object.assign(globalThis, { driftless: { room, player, network } });
}

function showStatus(status: Status): void {
  const [chip, banner] = [element("status"), element("banner")];
  chip.classList.toggle("lost", status.phase !== "joined");
  banner.hidden = status.phase === "joined";
  if (status.phase === "joined") {
    chip.textContent = status.transport;
  } else if (status.phase === "reconnecting") {
    chip.textContent = "reconnecting…";
    banner.textContent = `Connection lost; back in ${Math.ceil(status.retryIn / 1000)} s. ${status.cause.advice}`;
  } else {
    chip.textContent = "closed";
    banner.textContent = status.cause.message;
    banner.hidden = status.cause.origin === "left";
  }
}

function start(name: string): void {
  clearTimeout(retry);
  play(name).catch((error: unknown) => {
    if (!(error instanceof RoomError)) throw error;
    element("status").textContent = "not connected";
    element("banner").hidden = false;
    element("banner").textContent = error.message;
    // The server may come up, or the network: try again by itself, where that can help.
    if (error.mayReconnect) retry = setTimeout(() => start(name), Math.max(3000, error.reconnectAfter));
  });
}

element("rename").addEventListener("click", () => {
  element("name", HTMLInputElement).value = element("rename").textContent;
  element("name-dialog", HTMLDialogElement).showModal();
});
element("name-dialog").addEventListener("close", () => {
  const name = element("name", HTMLInputElement).value.trim().slice(0, 32);
  if (name === "" || name === element("rename").textContent) return;
  rememberName(name);
  void (current?.leave() ?? Promise.resolve()).then(() => start(name));
});

addEventListener("pagehide", () => keepSeat(current?.token ?? seat));
start(query.get("name") ?? chosenName());
