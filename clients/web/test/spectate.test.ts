// A room that is only watched, over a fake network, in virtual time.
import { expect, it } from "vitest";
import { SendError } from "../src/index.js";
import { record, world } from "./util/world.js";

const input = Uint8Array.from([1]);

it.each(["ordered", "datagram"] as const)(
  "over %s delivery, states come though nothing is sent",
  async (of) => {
    const { timers, server, join } = world(of);
    server.delayMs = 2000;
    const room = await join({ spectate: true });
    const { ticks, events } = record(room);
    room.on("tick", () => room.send(input));
    server.event("hello");
    await timers.advance(2000);
    expect([room.spectating, room.player, room.delay, room.token]).toEqual([true, 0, 2000, ""]);
    expect(ticks.length).toBeGreaterThan(30);
    expect(events).toEqual(["hello"]);
    expect(() => room.send(input)).toThrow(SendError);
    expect(() => room.command(input)).toThrow(SendError);
    const sent = new Set(server.messages.map((body) => body.case));
    expect([...sent].sort()).toEqual(["ack", "join", "ping"]);
  },
);

it("whoever was cut off joins again, to watch", async () => {
  const { timers, server, join } = world();
  const room = await join({ spectate: true });
  const { statuses } = record(room);
  server.cut();
  await timers.advance(5000);
  expect(statuses.at(-1)).toMatchObject({ phase: "joined", resumed: false });
  const joins = server.messages.filter((body) => body.case === "join");
  expect(joins.map(({ value }) => value.spectate)).toEqual([true, true]);
  expect(server.messages.some((body) => body.case === "resume")).toBe(false);
});

it("whoever plays is not told that it watches", async () => {
  const { join } = world();
  const room = await join();
  expect([room.spectating, room.delay]).toEqual([false, 0]);
  expect(() => room.send(input)).not.toThrow();
});
