// The arena's movement here is the server's, to the unit: checked against sim/vectors/arena_movement.json.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { advance, type Body, bodyAt, type Obstacle, placeOf } from "../pages/arena/rules.js";

interface Walk {
  tick_rate: number;
  start: [number, number];
  obstacles: Obstacle[];
  /** Each held for 12 ticks. */
  sticks: [number, number][];
  places: [number, number][];
}

const file = new URL("../../../sim/vectors/arena_movement.json", import.meta.url);
const walks = JSON.parse(readFileSync(file, "utf8")) as Walk[];

it.each(walks.map((walk, n) => [n, walk.tick_rate, walk] as const))(
  "walk %i at %i ticks a second",
  (_, __, walk) => {
    let body: Body = bodyAt(...walk.start);
    const places = walk.places.map((_, tick) => {
      const [moveX, moveY] = walk.sticks[Math.floor(tick / 12)]!;
      body = advance(walk.obstacles, body, { moveX, moveY }, walk.tick_rate);
      const { x, y } = placeOf(body);
      return [x, y];
    });
    expect(places).toEqual(walk.places);
    // It did run.
    expect(new Set(places.map(String)).size).toBeGreaterThan(100);
  },
);
