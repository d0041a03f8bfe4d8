// Entities come into view and leave it.
import { describe, expect, it, vi } from "vitest";
import type { Room } from "../src/index.js";
import { Prediction } from "../src/prediction.js";
import { encodeBody, encodeState, type Message, type ZoneEntry } from "./util/encoder.js";
import { LAYOUT, places } from "./util/fake_server.js";
import { world } from "./util/world.js";

type Places = Record<number, number>;

const body = (tick: number, xs: Places): Uint8Array =>
  encodeBody(LAYOUT, places(tick, new Map(Object.entries(xs).map(([id, x]) => [Number(id), x]))));
const zone = (zone: number, tick: number, xs: Places): ZoneEntry => ({
  zone,
  references: 1,
  body: body(tick, xs),
});

/** A room whose states a test writes. */
async function joined(delivery: "ordered" | "datagram" = "datagram") {
  const { timers, server, join } = world(delivery);
  server.silent = true;
  const room = await join();
  await timers.advance(100);
  const base = server.tick;
  /** Sends a state of the n-th tick, and lets half a tick pass, unless told otherwise. */
  const send = async (n: number, message: Partial<Message> = {}, wait = 50): Promise<void> => {
    const tick = base + n;
    const whole = message.apart ? {} : { body: body(tick, {}) };
    server.links.at(-1)!.sendRaw(encodeState({ tick, ...whole, ...message }), true);
    await timers.advance(wait);
  };
  const at = (zones: [number, Places][], n: number): ZoneEntry[] =>
    zones.map(([id, xs]) => zone(id, base + n, xs));
  return { timers, server, room, send, at, base };
}

/** What a room tells from now on: "+7" and "-7". */
function told(room: Room): string[] {
  const said: string[] = [];
  room.on("enter", ({ kind, id, entity }) => said.push(`+${kind} ${id} ${entity.x}`));
  room.on("leave", ({ kind, id }) => said.push(`-${kind} ${id}`));
  return said;
}

describe("enter and leave", () => {
  it("tell of all that a first listener finds, then of changes", async () => {
    const { room, send, at } = await joined();
    await send(1, { zones: at([[4, { 7: 10 }]], 1) });
    const said = told(room);
    await send(2, { zones: at([[4, { 7: 20, 8: 5 }]], 2) });
    expect(said.splice(0)).toEqual(["+player 7 2", "+player 8 0.5"]);
    await send(3, { zones: at([[4, { 9: 0 }]], 3) });
    expect(said.splice(0)).toEqual(["-player 7", "-player 8", "+player 9 0"]);
    await send(4, { left: [4] });
    expect(said.splice(0)).toEqual(["-player 9"]);
    await send(5, { zones: at([[4, { 9: 30 }]], 5) });
    expect(said).toEqual(["+player 9 3"]);
  });

  it("say nothing of what moves to another zone, even if that comes later", async () => {
    const { room, send, at } = await joined();
    const said = told(room);
    const zones: [number, Places][] = [
      [4, { 7: 10 }],
      [5, { 8: 5 }],
    ];
    await send(1, { zones: at(zones, 1) });
    said.length = 0;
    await send(2, { zones: at([[4, {}]], 2), deferred: [5] });
    await send(3, { zones: at([[5, { 7: 30, 8: 5 }]], 3) });
    expect(said).toEqual([]);
  });

  it("say nothing of a seat that is kept, and all of one that is new", async () => {
    const { timers, server, room, send, at } = await joined();
    const said = told(room);
    await send(1, { zones: at([[4, { 7: 10 }]], 1) });
    server.cut();
    await timers.advance(3000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: true });
    await send(90, { zones: at([[4, { 7: 10 }]], 90) });
    expect(said.splice(0)).toEqual(["+player 7 1"]);
    server.restart();
    await timers.advance(3000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
    expect(said.splice(0)).toEqual(["-player 7"]);
    await send(180, { zones: at([[4, { 7: 10 }]], 180) });
    expect(said).toEqual(["+player 7 1"]);
  });

  it("copy nothing while nobody listens", async () => {
    const { room, send } = await joined();
    const update = vi.spyOn((room as unknown as { sight: { update: () => void } }).sight, "update");
    await send(1);
    const off = room.on("leave", () => {});
    await send(2);
    off();
    await send(3);
    expect(update).toHaveBeenCalledTimes(1);
  });
});

describe("what is shown", () => {
  it("is all that the messages of a tick bring, however late one is", async () => {
    const { room, send, at, base } = await joined();
    const zones: [number, Places][] = [
      [4, { 7: 10 }],
      [5, { 8: 100 }],
    ];
    await send(1, { zones: at(zones, 1) });
    await send(2, { zones: at([[4, { 7: 20 }]], 2), deferred: [5] }, 5);
    const later: Partial<Message> = { apart: true, number: base + 3, deferred: [4] };
    await send(2, { ...later, zones: at([[5, { 8: 300 }]], 2) }, 500);
    expect(room.entities.all("player")).toMatchObject([{ id: 7 }, { id: 8 }]);
    // Past the last state, movement goes on for two ticks: the last state is that with the late part.
    expect(room.entities.get("player", 8)!.x).toBe(70);
    expect(room.stats).toMatchObject({ states: 2, stale: 0, loss: 0, superseded: 0 });
  });

  it("moves on from zone to zone, but begins anew where something comes back into view", async () => {
    const { room, timers, send, at } = await joined();
    const zones: [number, Places][] = [
      [4, { 7: 0, 9: 0 }],
      [5, {}],
    ];
    await send(1, { zones: at(zones, 1) });
    await send(2, {
      zones: at(
        [
          [4, {}],
          [5, { 7: 1000 }],
        ],
        2,
      ),
    });
    await send(3, { zones: at([[5, { 7: 2000, 9: 2000 }]], 3) }, 0);
    const seen: [number, number, number | undefined][] = [];
    for (let n = 0; n < 40; n++) {
      await timers.advance(5);
      const [a, b] = [7, 9].map((id) => room.entities.get("player", id)?.x);
      seen.push([room.view!.tick, a!, b]);
    }
    const between = seen.filter(([, a]) => a % 100 !== 0);
    expect(between.length).toBeGreaterThan(5);
    expect(between.every(([, , b]) => b === undefined || b === 0 || b >= 200)).toBe(true);
    expect(seen.some(([, , b]) => b === undefined)).toBe(true);
  });
});

it("the player is not corrected by what its zone was when it is late", () => {
  const rules = { kind: 0, error: 0, start: vi.fn(), state: vi.fn(), shown: () => undefined };
  const prediction = new Prediction(Infinity);
  prediction.use(rules as never);
  prediction.start({ kinds: [] } as never, 7, 20);
  prediction.state(0, 1, {} as never, (kind, id) => kind === 0 && id === 7);
  expect(rules.state).not.toHaveBeenCalled();
  prediction.state(0, 1, {} as never, () => false);
  expect(rules.state).toHaveBeenCalledTimes(1);
});
