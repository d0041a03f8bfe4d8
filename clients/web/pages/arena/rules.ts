// How a player of the arena moves: sim/src/games/arena/{rules,body,map}.rs in TypeScript, on the same integers, so that a
// prediction here is the server's own result to the unit. Places are 1/1024 cm, speeds 1/1024 cm a second.
import type { Snapshot } from "../../src/index.js";

/** Parts of a centimetre that are told apart. */
const UNITS = 1024;
/** Side of the square world, cm. */
export const WORLD_SIZE = 10_000;
const RUN_SPEED = 700;
const ACCELERATION = 4_000;
const FRICTION = 3_000;
/** Half the side of a player against walls, and its radius against projectiles, cm. */
export const PLAYER_RADIUS = 50;
/** Full stick. */
export const FULL_STICK = 127;
/** Directions that a snapshot tells apart, anticlockwise from the x axis. */
export const AIM_SECTORS = 64;
/** `ArenaInput.buttons`: fire. */
export const BUTTON_FIRE = 1;

/** A box that stands in the way, cm. */
export interface Obstacle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A moving player: place and speed. */
export interface Body {
  readonly x: number;
  readonly y: number;
  readonly vx: number;
  readonly vy: number;
}

/** The stick of an input, -127 to 127. */
export interface Stick {
  readonly moveX: number;
  readonly moveY: number;
}

/** The map that a snapshot shows. */
export function obstaclesOf(snapshot: Snapshot): Obstacle[] {
  const table = snapshot.table("obstacle");
  if (!table) return [];
  const [x, y, width, height] = table.columns as [Int32Array, Int32Array, Int32Array, Int32Array];
  return Array.from({ length: table.length }, (_, n) => ({
    x: x[n]!,
    y: y[n]!,
    width: width[n]!,
    height: height[n]!,
  }));
}

/** A body at rest, cm. */
export function bodyAt(x: number, y: number): Body {
  const units = (cm: number): number => clamp(cm, 0, WORLD_SIZE) * UNITS;
  return { x: units(x), y: units(y), vx: 0, vy: 0 };
}

/** Its place in quanta of the snapshot, cm, rounded down. */
export function placeOf(body: Body): { x: number; y: number } {
  return { x: Math.floor(body.x / UNITS), y: Math.floor(body.y / UNITS) };
}

/** Its place in metres. */
export function metresOf(body: Body): { x: number; y: number } {
  return { x: body.x / UNITS / 100, y: body.y / UNITS / 100 };
}

/** Moves for one tick of a room with `tickRate` ticks a second. */
export function advance(map: readonly Obstacle[], body: Body, stick: Stick, tickRate: number): Body {
  // So that a step is never longer than 1/20 s.
  const moves = Math.ceil(20 / tickRate);
  for (let n = 0; n < moves; n++) body = advanceOnce(map, body, stick, tickRate * moves);
  return body;
}

function advanceOnce(map: readonly Obstacle[], body: Body, stick: Stick, rate: number): Body {
  const moveX = clamp(stick.moveX, -FULL_STICK, FULL_STICK);
  const moveY = clamp(stick.moveY, -FULL_STICK, FULL_STICK);
  let { vx, vy } = body;
  if (moveX === 0 && moveY === 0) {
    [vx, vy] = accelerate(vx, vy, 0, 0, Math.trunc((FRICTION * UNITS) / rate));
  } else {
    const [x, y] = shorten(moveX, moveY, FULL_STICK);
    const speed = RUN_SPEED * UNITS;
    const [wantedX, wantedY] = [Math.trunc((x * speed) / FULL_STICK), Math.trunc((y * speed) / FULL_STICK)];
    [vx, vy] = accelerate(vx, vy, wantedX, wantedY, Math.trunc((ACCELERATION * UNITS) / rate));
  }
  // The way at the mean of the speed before and now: exact under a steady acceleration.
  const dx = Math.trunc((body.vx + vx) / (2 * rate));
  const dy = Math.trunc((body.vy + vy) / (2 * rate));
  const x = slide(body.x, body.x + dx, body.y, map, (b) => [b.x, b.width, b.y, b.height]);
  if (x - body.x !== dx) vx = 0;
  const y = slide(body.y, body.y + dy, x, map, (b) => [b.y, b.height, b.x, b.width]);
  if (y - body.y !== dy) vy = 0;
  return { x, y, vx, vy };
}

/** Brings the speed nearer to what is wanted, by at most `most`. */
function accelerate(
  vx: number,
  vy: number,
  wantedX: number,
  wantedY: number,
  most: number,
): [number, number] {
  const [x, y] = shorten(wantedX - vx, wantedY - vy, most);
  return [vx + x, vy + y];
}

/** The vector, no longer than `most`. */
function shorten(x: number, y: number, most: number): [number, number] {
  const square = x * x + y * y;
  // Rounded up, so that what is divided by it is never too long. Squares are below 2^53, where roots are exact enough.
  const length = Math.ceil(Math.sqrt(square));
  if (length <= most) return [x, y];
  return [Math.trunc((x * most) / length), Math.trunc((y * most) / length)];
}

/** Where the way along one axis ends: at `to`, at a wall, or at the first box that spans `across` on the other axis. */
function slide(
  from: number,
  to: number,
  across: number,
  map: readonly Obstacle[],
  sides: (box: Obstacle) => [start: number, extent: number, acrossStart: number, acrossExtent: number],
): number {
  const radius = PLAYER_RADIUS * UNITS;
  let end = clamp(to, radius, WORLD_SIZE * UNITS - radius);
  for (const box of map) {
    const [start, extent, acrossStart, acrossExtent] = sides(box);
    const spans =
      across > acrossStart * UNITS - radius && across < (acrossStart + acrossExtent) * UNITS + radius;
    if (!spans) continue;
    const near = start * UNITS - radius;
    const far = (start + extent) * UNITS + radius;
    if (from <= near && end > near) end = near;
    else if (from >= far && end < far) end = far;
  }
  return end;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
