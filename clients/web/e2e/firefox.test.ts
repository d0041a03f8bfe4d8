// The arena in Firefox over WebTransport, where it offers no subprotocol and has its own implementation of
// datagrams.
import { afterAll, beforeAll, expect, it } from "vitest";
import { inFirefox } from "./util/firefox.js";
import { Server } from "./util/server.js";

let server: Server;
beforeAll(async () => void (server = await Server.start()));
afterAll(() => server?.kill());

it("the arena plays by WebTransport, which is what is used by itself", async () => {
  const seen = await inFirefox(server.url, "/?room=firefox&name=Ada&match=off", async () => {
    const until = async (what: string, done: () => unknown): Promise<void> => {
      for (let n = 0; n < 300; n++) {
        if (done()) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error(`no ${what}; ${document.getElementById("banner")?.textContent}`);
    };
    await until("join", () => globalThis.driftless?.room.status.phase === "joined");
    const { room } = globalThis.driftless;
    await until("states", () => room.stats.states > 20);
    const at = (): number[] => {
      const table = room.state!.table("player")!;
      return [table.value(room.player, 0)!, table.value(room.player, 1)!];
    };
    const from = at();
    // One of the four ways is free wherever the player stands.
    let moved = 0;
    for (const key of ["d", "w", "a", "s"]) {
      const press = (type: string) =>
        document
          .getElementById("world")!
          .dispatchEvent(new KeyboardEvent(type, { key, code: `Key${key.toUpperCase()}`, bubbles: true }));
      press("keydown");
      await new Promise((resolve) => setTimeout(resolve, 400));
      press("keyup");
      const to = at();
      moved = Math.max(moved, Math.hypot(to[0]! - from[0]!, to[1]! - from[1]!));
    }
    room.command({ case: "chat", value: "hello from Firefox" });
    await until("chat", () => document.getElementById("log")!.textContent!.includes("hello from Firefox"));
    const { transport, unorderedDown, reconnects } = room.stats;
    return { agent: navigator.userAgent, transport, unorderedDown, reconnects, moved };
  });
  console.log(JSON.stringify(seen));
  expect(seen).toMatchObject({ transport: "webtransport", reconnects: 0 });
  expect(seen.agent).toContain("Firefox");
  expect(seen.unorderedDown).toBeGreaterThan(10);
  expect(seen.moved).toBeGreaterThan(50);
});
