// Presence: a list with a version, of which changes are sent.
import { describe, expect, it } from "vitest";
import { CloseCode } from "../src/index.js";
import { world } from "./util/world.js";

const member = (user: string, players: number[], connections: number, change: number) => ({
  user,
  name: user,
  players,
  connections,
  change,
});

async function present() {
  const made = world();
  const room = await made.join();
  const seen: [string[], string[], boolean][] = [];
  room.on("presence", ({ members, changed, full }) =>
    seen.push([[...members.keys()], changed.map((m) => m.change), full]),
  );
  const resume = (): bigint | undefined => {
    const last = made.server.messages.findLast((body) => body.case === "resume");
    return last?.case === "resume" ? last.value.presenceVersion : undefined;
  };
  return { ...made, room, seen, resume };
}

describe("presence", () => {
  it("is who is here, by user, and then what changed", async () => {
    const { timers, server, room, seen } = await present();
    server.presence({
      since: 0n,
      version: 3n,
      members: [member("a", [1], 1, 1), member("b", [2], 0, 3)],
    });
    server.presence({ since: 3n, version: 4n, members: [member("b", [], 0, 5)] });
    await timers.advance(500);
    expect(seen).toEqual([
      [["a", "b"], ["joined", "away"], true],
      [["a"], ["timed_out"], false],
    ]);
    expect(room.members.get("a")).toMatchObject({ online: true, players: [1], rtt: undefined });
  });

  it("has NPCs too, who need no connection to be there", async () => {
    const { timers, server, room } = await present();
    const npc = { ...member("npc-2", [2], 0, 1), npc: true };
    server.presence({ since: 0n, version: 2n, members: [member("a", [1], 1, 1), npc] });
    await timers.advance(500);
    expect(room.members.get("npc-2")).toMatchObject({ npc: true, online: true });
    expect(room.members.get("a")).toMatchObject({ npc: false, online: true });
    expect([room.member(1)?.user, room.member(2)?.user, room.member(3)]).toEqual(["a", "npc-2", undefined]);
  });

  it("in pages is no news until the last has come", async () => {
    const { timers, server, seen } = await present();
    server.presence({ since: 0n, version: 1n, more: true, members: [member("a", [1], 1, 1)] });
    server.presence({ since: 1n, version: 2n, more: false, members: [member("b", [2], 1, 1)] });
    server.presence({ since: 2n, version: 3n, members: [member("c", [3], 1, 1)] });
    await timers.advance(500);
    expect(seen).toEqual([
      [["a"], ["joined"], true],
      [["a", "b"], ["joined"], true],
      [["a", "b", "c"], ["joined"], false],
    ]);
  });

  it("survives a resume, which asks for what changed since", async () => {
    const { timers, server, room, seen, resume } = await present();
    server.presence({ since: 0n, version: 7n, members: [member("a", [1], 1, 1), member("b", [2], 1, 1)] });
    await timers.advance(100);
    server.cut();
    await timers.advance(3000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: true });
    expect(resume()).toBe(7n);
    expect([...room.members.keys()]).toEqual(["a", "b"]);
    server.presence({ since: 7n, version: 9n, members: [member("b", [], 0, 2)] });
    await timers.advance(100);
    expect(seen.at(-1)).toEqual([["a"], ["left"], false]);
  });

  it("begins anew where the server says so", async () => {
    const { timers, server, seen } = await present();
    server.presence({ since: 0n, version: 7n, members: [member("a", [1], 1, 1), member("b", [2], 1, 1)] });
    server.presence({ since: 0n, version: 900n, members: [member("a", [1], 1, 1)] });
    await timers.advance(100);
    expect(seen.at(-1)).toEqual([["a"], ["joined"], true]);
  });

  it("is forgotten with the seat", async () => {
    const { timers, server, room } = await present();
    server.presence({ since: 0n, version: 7n, members: [member("a", [1], 1, 1)] });
    await timers.advance(100);
    server.restart();
    await timers.advance(5000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
    expect([...room.members.keys()]).toEqual([]);
    server.presence({ since: 0n, version: 2n, members: [member("c", [1], 1, 1)] });
    await timers.advance(100);
    expect([...room.members.keys()]).toEqual(["c"]);
  });

  // Promise 5: "A player is reported joined once, left once, with the true reason"
  it("tells of nobody's leaving who was never told to have come", async () => {
    const { timers, server, seen } = await present();
    server.presence({ since: 0n, version: 1n, members: [member("a", [1], 1, 1)] });
    server.presence({ since: 1n, version: 3n, members: [member("eve", [], 0, 2), member("a", [], 0, 5)] });
    await timers.advance(100);
    expect(seen.at(-1)).toEqual([[], ["timed_out"], false]);
  });

  it("is counted by itself", async () => {
    const { timers, server, room } = await present();
    server.presence({ since: 0n, version: 1n, members: [member("a", [1], 1, 1)] });
    server.event("1");
    await timers.advance(100);
    expect(room.stats).toMatchObject({ reliable: 1, presence: 1 });
    expect(room.stats.presenceBytes).toBeGreaterThan(0);
  });

  it("asked for by another page begins anew", async () => {
    const { timers, server, room, join, resume } = await present();
    server.presence({ since: 0n, version: 7n, members: [member("a", [1], 1, 1)] });
    await timers.advance(100);
    await join({ token: room.token });
    expect(resume()).toBe(0n);
  });

  it("that goes on from what was never told is the server's fault", async () => {
    const { timers, server, room } = await present();
    server.presence({ since: 5n, version: 7n, members: [] });
    await timers.advance(100);
    expect(room.status).toMatchObject({
      phase: "closed",
      cause: { origin: "server", code: CloseCode.Malformed },
    });
  });
});
