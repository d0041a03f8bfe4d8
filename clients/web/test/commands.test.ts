// Commands arrive once, or are reported as refused by their number.
import { readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import type { Room } from "../src/index.js";
import { numbers, world } from "./util/world.js";

const bytes = (text: string | number): Uint8Array => new TextEncoder().encode(String(text));

/** The numbers of the commands that were refused. */
function refusals(room: Room): number[] {
  const refused: number[] = [];
  room.on("refused", ({ command }) => refused.push(command));
  return refused;
}

describe("commands", () => {
  it("that the server refuses are told by their number", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const refused = vi.fn();
    room.on("refused", refused);
    const command = room.command(Uint8Array.of(1));
    server.reliable(server.seats[0]!, {
      case: "commandRefused",
      value: { command: BigInt(command), reason: "no" },
    });
    await timers.advance(500);
    expect(refused).toHaveBeenCalledExactlyOnceWith({ command, reason: "no" });
  });

  it("that the server has refused are not refused again with their seat", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const refused = refusals(room);
    const command = room.command(Uint8Array.of(1));
    await timers.advance(50);
    server.reliable(server.seats[0]!, {
      case: "commandRefused",
      value: { command: BigInt(command), reason: "no" },
    });
    await timers.advance(50);
    server.restart();
    await timers.advance(10_000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
    expect(refused).toEqual([command]);
  });

  it("that are too long or too many are refused here", async () => {
    const { join } = world();
    const room = await join();
    expect(() => room.command(new Uint8Array(5000))).toThrow("4096 are allowed");
    expect(() => numbers(1, 65).forEach(() => room.command(Uint8Array.of(1)))).toThrow("too many commands");
  });

  it("queued while the server was started again go to the new seat", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const refused = refusals(room);
    expect(room.command(bytes("before"))).toBe(1);
    await timers.advance(5000); // confirmed by a pong
    server.restart();
    await timers.advance(50);
    expect([room.command(bytes("a")), room.command(bytes("b"))]).toEqual([2, 3]);
    await timers.advance(10_000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
    expect(server.seats[0]!.commands).toEqual(["a", "b"]);
    expect(refused).toEqual([]);
    // On the new seat's wire this is the third, and a refusal uses that number.
    expect(room.command(bytes("c"))).toBe(4);
    server.reliable(server.seats[0]!, { case: "commandRefused", value: { command: 3n, reason: "no" } });
    await timers.advance(1000);
    expect(server.seats[0]!.commands).toEqual(["a", "b", "c"]);
    expect(refused).toEqual([4]);
  });

  it.each([2n, 2n ** 64n - 1n])(
    "confirmed but never sent are the server's fault (%s)",
    async (commandReceived) => {
      const { timers, server, join } = world();
      const room = await join();
      room.command(bytes("a"));
      await timers.advance(100);
      const value = { timeUs: 0n, serverTimeUs: 0n, commandReceived };
      server.seats[0]!.link!.tell({ case: "pong", value });
      await timers.advance(100);
      expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "server" } });
    },
  );

  it("of an earlier page count on, and the next follows them", async () => {
    const { timers, server, join } = world();
    const room = await join();
    room.command(bytes("a"));
    await timers.advance(3000);
    const next = await join({ token: room.token });
    expect(next.command(bytes("b"))).toBe(2);
    await timers.advance(3000);
    expect(server.seats[0]!.commands).toEqual(["a", "b"]);
    expect(next.status).toMatchObject({ phase: "joined", resumed: true });
  });

  it("lost with their seat are refused in the words of the other clients", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const reasons: string[] = [];
    room.on("refused", ({ reason }) => reasons.push(reason));
    await timers.advance(3000);
    room.command(bytes("a"));
    await timers.advance(100);
    server.restart();
    await timers.advance(10_000);
    const session = new URL("../../../proto/src/session/client/receive.rs", import.meta.url);
    expect(reasons).toEqual([/^const SEAT_LOST: &str = "(.+)";$/m.exec(readFileSync(session, "utf8"))![1]]);
  });

  it.each([4004, 4005, 4009, undefined])(
    "sent and not confirmed when the seat was lost are refused, none is done twice (%s)",
    async (code) => {
      const { timers, server, join } = world();
      const room = await join();
      const refused = refusals(room);
      await timers.advance(3000);
      const sent = [room.command(bytes("a")), room.command(bytes("b"))];
      await timers.advance(100); // it has them, and the next ping is not due yet
      if (code === undefined) server.restart();
      else {
        server.goodbye(code, "gone");
        server.seats.length = 0;
      }
      await timers.advance(50);
      const later = room.command(bytes("c"));
      await timers.advance(10_000);
      expect(room.status).toMatchObject({ phase: "joined", resumed: false });
      expect(refused).toEqual(sent);
      expect(server.seats[0]!.commands).toEqual(["c"]);
      expect(new Set([...sent, later]).size).toBe(3);
      expect(room.command(bytes("d"))).toBeGreaterThan(later);
    },
  );
});
