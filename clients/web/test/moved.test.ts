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
});
