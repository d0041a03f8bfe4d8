// A client that is sent from node to node.
import { describe, expect, it } from "vitest";
import { CloseCode, type Dialer, DialError, RoomError } from "../src/index.js";
import { record, world } from "./util/world.js";

/** A network of nodes, each of which sends clients to another one, or has the room ("here"), or is down. */
function nodes(goes: Record<string, string>) {
  const made = world();
  const asked: string[] = [];
  const fake = made.server.dialer("fake", "ordered");
  const dialer: Dialer = {
    name: "fake",
    dial: (target, signal) => {
      const { host } = target.base;
      asked.push(host);
      const to = goes[host];
      if (to === undefined) return Promise.reject(new DialError(`${host} is down`));
      const moved = { node: to, url: `ws://${to}`, quic: "" };
      made.server.refusal = to === "here" ? undefined : { code: CloseCode.Moved, reason: "moved", moved };
      return fake.dial(target, signal);
    },
  };
  const join = () => made.join({ url: "http://balancer", transports: [dialer] });
  return { ...made, asked, join };
}

describe("a client that is sent to another node", () => {
  it("goes there at once", async () => {
    const { join, asked, timers } = nodes({ balancer: "a", a: "b", b: "here" });
    const start = timers.now();
    const room = await join();
    expect(asked).toEqual(["balancer", "a", "b"]);
    expect(timers.now() - start).toBeLessThan(100);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
  });

  it.each([
    ["more than three times", { balancer: "a", a: "b", b: "c", c: "d", d: "here" }, 4],
    ["in a circle", { balancer: "a", a: "b", b: "a" }, 3],
  ])("does not go %s", async (_, goes, dials) => {
    const { join, asked } = nodes(goes);
    const error = (await join().catch((error: unknown) => error)) as RoomError;
    expect(error).toBeInstanceOf(RoomError);
    expect(error.origin).toBe("circles");
    expect(asked).toHaveLength(dials);
  });

  it("resumes there when its room goes on there, and sends again what the room has not got", async () => {
    const goes: Record<string, string> = { balancer: "a", a: "here", b: "here" };
    const it = nodes(goes);
    const room = await it.join();
    const { statuses, ticks, events } = record(room);
    await it.timers.advance(500);
    it.server.event("1");
    const seat = it.server.seats[0]!;
    const player = room.player;
    // What is sent from here on is lost with the old connection.
    const had = seat.inputReceived;
    it.server.links.at(-1)!.deaf = true;
    room.send(Uint8Array.of(1));
    await it.timers.advance(60);
    room.send(Uint8Array.of(1));
    await it.timers.advance(60);
    it.server.stoodStill = true;
    it.server.goodbye(CloseCode.Moved, "moved", 0, { node: "b", url: "ws://b", quic: "" });
    it.server.event("2");
    await it.timers.advance(300);
    expect(it.asked.slice(2)).toEqual(["b"]);
    expect(statuses.at(-1)).toMatchObject({ phase: "joined", resumed: true });
    expect(room.player).toBe(player);
    expect(seat.inputReceived).toBe(had + 2);
    expect(events).toEqual(["1", "2"]);
    expect(ticks).toEqual([...ticks].sort((one, other) => one - other));
  });

  it("comes back to it, and to the first address if it is gone", async () => {
    const goes: Record<string, string> = { balancer: "a", a: "here" };
    const it = nodes(goes);
    const room = await it.join();
    const { statuses } = record(room);
    await it.timers.advance(500);
    it.server.cut();
    await it.timers.advance(3000);
    expect(it.asked.slice(2)).toEqual(["a"]);
    goes["balancer"] = "here";
    delete goes["a"];
    it.server.cut();
    await it.timers.advance(8000);
    expect(it.asked.slice(3)).toEqual(["a", "balancer"]);
    expect(statuses.at(-1)).toMatchObject({ phase: "joined" });
  });

  // Promise 9. While nothing answers, the room stands still, and so does the window of the seat.
  it("tries again often after an outage of several resume windows", async () => {
    const goes: Record<string, string> = { balancer: "a", a: "here" };
    const it = nodes(goes);
    const room = await it.join();
    const { statuses } = record(room);
    await it.timers.advance(6000);
    delete goes["balancer"];
    delete goes["a"];
    it.server.cut();
    await it.timers.advance(60_000);
    let longest = 0;
    for (let last = it.asked.length, since = 0; it.timers.now() < 120_000; since += 250) {
      await it.timers.advance(250);
      if (it.asked.length > last) [last, since] = [it.asked.length, 0];
      longest = Math.max(longest, since);
    }
    expect(longest).toBeLessThan(5000);
    goes["balancer"] = "here";
    await it.timers.advance(5000);
    expect(statuses.at(-1)).toMatchObject({ phase: "joined", resumed: true });
  });

  it("goes to the first address when its node says nothing, long before the timeout", async () => {
    const goes: Record<string, string> = { balancer: "a", a: "here", b: "here" };
    const it = nodes(goes);
    const room = await it.join();
    const { statuses, events } = record(room);
    await it.timers.advance(500);
    const old = it.server.links.at(-1)!;
    [old.deaf, old.tell] = [true, () => undefined];
    delete goes["a"];
    goes["balancer"] = "b";
    it.server.event("meanwhile");
    await it.timers.advance(3000);
    expect(it.asked.slice(2)).toEqual(["balancer", "b"]);
    expect(statuses.at(-1)).toMatchObject({ phase: "joined", resumed: true });
    expect(events).toEqual(["meanwhile"]);
  });

  // Promise 9: honest clients are not punished for what the server, a proxy or the network did.
  it("stays where it is if nothing comes for a while, and nobody else can be reached either", async () => {
    const goes: Record<string, string> = { balancer: "a", a: "here" };
    const it = nodes(goes);
    const { statuses } = record(await it.join());
    await it.timers.advance(500);
    const link = it.server.links.at(-1)!;
    [link.deaf, it.server.silent] = [true, true];
    delete goes["balancer"];
    await it.timers.advance(6000);
    expect(it.asked.slice(2).length).toBeGreaterThan(2);
    [link.deaf, it.server.silent] = [false, false];
    await it.timers.advance(2000);
    expect(statuses).toEqual([]);
  });
});
