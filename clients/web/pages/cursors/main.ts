// Shared cursors: the whole client of sim/src/games/cursors.rs.
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { connect, rawGame } from "../../src/index.js";
import { colourFor, inkColour } from "../arena/colour.js";
import { element, make } from "../arena/dom.js";
import { takeIdentity } from "../shared/identity.js";

const field = element("field");
const identity = takeIdentity();
const room = await connect({
  room: new URLSearchParams(location.search).get("room") ?? "cursors",
  kind: "cursors",
  ...(identity && { identity }),
  game: {
    ...rawGame,
    encodeInput: ({ x, y }: { x: number; y: number }) =>
      new BinaryWriter().tag(1, 0).sint32(x).tag(2, 0).sint32(y).finish(),
  },
}).catch((error: Error) => {
  element("status").textContent = error.message;
  throw error;
});

let mine = { x: 300, y: 300 };
const move = (x: number, y: number): void => {
  mine = { x: Math.round(x), y: Math.round(y) };
  room.send(mine);
};
field.addEventListener("pointermove", ({ clientX, clientY }) => move(clientX, clientY));
field.addEventListener("keydown", ({ key }) => {
  const step = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] }[key];
  if (step) move(mine.x + step[0]!, mine.y + step[1]!);
});

const cursors = new Map<number, HTMLElement>();
function draw(): void {
  const entities = room.entities.all("cursor");
  for (const { id, x, y } of entities) {
    let cursor = cursors.get(id);
    if (!cursor) {
      cursors.set(id, (cursor = make("div", id === room.player ? "you" : `player ${id}`, "cursor")));
      cursor.style.color = inkColour(colourFor(id));
      field.append(cursor);
    }
    // The own cursor needs no server.
    const at = id === room.player ? mine : { x, y };
    cursor.style.transform = `translate(${at.x}px, ${at.y}px)`;
  }
  for (const [id, cursor] of cursors) {
    if (entities.some((entity) => entity.id === id)) continue;
    cursor.remove();
    cursors.delete(id);
  }
  requestAnimationFrame(draw);
}
draw();

const tell = (): void =>
  void (element("status").textContent = `${room.status.phase} · ${room.members.size} here`);
room.on("status", tell);
room.on("presence", tell);
tell();
