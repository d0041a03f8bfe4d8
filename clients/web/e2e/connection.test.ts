// How pages react when the network, the server or the tab changes.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

let server: Server;
let chromium: Chromium;
const pages: Page[] = [];

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start(0, "--timeout", "3s", "--heartbeat", "1s");
});
afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.context().close()));
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

async function play(name: string, query: string, before?: (page: Page) => Promise<unknown>): Promise<Page> {
  const page = await chromium.play(`${server.url}/?${query}`, name, {}, before);
  pages.push(page);
  return page;
}

const statusOf = (page: Page): Promise<{ phase: string; transport?: string; resumed?: boolean }> =>
  page.evaluate(() => {
    const { phase, transport, resumed } = globalThis.driftless.room.status as never as Record<string, never>;
    return { phase, transport, resumed } as never;
  });

async function joined(page: Page): Promise<void> {
  await page.waitForFunction(() => globalThis.driftless.room.status.phase === "joined", undefined, {
    timeout: 50_000,
  });
}

describe("transports", () => {
  it.each([
    ["fails", "ready = Promise.reject(new Error('blocked')); "],
    ["hangs", "ready = new Promise(() => {}); "],
  ])("WebTransport that %s gives way to WebSocket", async (_, ready) => {
    const page = await play("Ada", "room=blocked", (page) =>
      page.addInitScript(`globalThis.WebTransport = class {
        ${ready}
        closed = new Promise(() => {});
        constructor() { this.ready.catch(() => {}); }
        close() {}
      };`),
    );
    expect(await statusOf(page)).toMatchObject({ phase: "joined", transport: "websocket" });
  });

  it("the seat moves over to WebTransport once that works, and nobody notices", async () => {
    const stays = await play("Grace", "room=moves-over");
    const page = await play("Ada", "room=moves-over", (page) =>
      page.addInitScript(() => {
        const native = globalThis.WebTransport;
        globalThis.WebTransport = function (url: string, options: WebTransportOptions) {
          if (!("udp" in globalThis)) throw new Error("udp is blocked");
          return new native(url, options);
        } as never;
      }),
    );
    expect(await statusOf(page)).toMatchObject({ transport: "websocket" });
    for (const each of [stays, page]) {
      await each.evaluate(() => {
        const seen: string[] = [];
        globalThis.driftless.room.on("presence", ({ changed }) => seen.push(...changed.map((m) => m.change)));
        globalThis.driftless.room.on("status", ({ phase }) => seen.push(phase));
        Object.assign(globalThis, { seen, udp: "open" });
      });
    }
    await page.waitForFunction(
      () => globalThis.driftless.room.stats.transport === "webtransport",
      undefined,
      {
        timeout: 45_000, // it is tried again after 30 s
      },
    );
    await page.waitForTimeout(2000);
    expect(await statusOf(page)).toEqual({ phase: "joined", transport: "webtransport", resumed: true });
    const { reconnects, unorderedDown } = await page.evaluate(() => globalThis.driftless.room.stats);
    expect(reconnects).toBe(0);
    expect(unorderedDown).toBeGreaterThan(10);
    const seen = (from: Page) => from.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
    expect(await seen(page)).toEqual(["joined"]);
    expect(await seen(stays)).toEqual([]);
  });

  it.each(["webtransport", "websocket"])(
    "%s: joins, moves, shows the server's close code and reason",
    async (transport) => {
      const page = await play("Ada", `room=kick-${transport}&transport=${transport}`);
      expect(await statusOf(page)).toMatchObject({ phase: "joined", transport });
      const before = await page.evaluate(() => {
        const { room } = globalThis.driftless;
        const { x, y } = room.entities.get("player", room.player)!;
        return { x: x!, y: y!, unordered: room.stats.unorderedDown };
      });
      for (const key of ["d", "w", "a", "s"]) {
        await page.keyboard.down(key);
        await page.waitForTimeout(300);
        await page.keyboard.up(key);
      }
      // The server's own state, not the prediction.
      const after = await page.evaluate(() => {
        const { room } = globalThis.driftless;
        const table = room.state!.table("player")!;
        return {
          x: table.value(room.player, 0)! / 100,
          y: table.value(room.player, 1)! / 100,
          unordered: room.stats.unorderedDown,
        };
      });
      expect(Math.hypot(after.x - before.x, after.y - before.y)).toBeGreaterThan(0);
      if (transport === "webtransport") expect(after.unordered - before.unordered).toBeGreaterThan(3);
      else expect(after.unordered).toBe(0);
      const player = await page.evaluate(() => globalThis.driftless.room.player);
      const answer = await fetch(`${server.url}/v1/rooms/kick-${transport}/players/${player}`, {
        method: "DELETE",
        headers: server.authorization,
      });
      expect(answer.status).toBeLessThan(300);
      await page.locator("#banner", { hasText: "4510 (Kicked)" }).waitFor();
      expect((await statusOf(page)).phase).toBe("closed");
    },
  );
});

describe("a tab", () => {
  it("that is hidden still takes states, and goes on when it is shown", async () => {
    const page = await play("Ada", "room=hidden");
    const other = await play("Grace", "room=hidden");
    const show = (state: string): Promise<unknown> =>
      page.evaluate((state) => {
        Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
        document.dispatchEvent(new Event("visibilitychange"));
      }, state);
    await show("hidden");
    const states = (): Promise<number> => page.evaluate(() => globalThis.driftless.room.stats.states);
    const before = await states();
    await other.keyboard.down("d");
    await other.waitForTimeout(1500);
    await other.keyboard.up("d");
    expect(await states()).toBeGreaterThan(before + 5);
    await show("visible");
    await page.waitForTimeout(500);
    expect(await statusOf(page)).toMatchObject({ phase: "joined" });
    expect(await page.evaluate(() => globalThis.driftless.room.stats.reconnects)).toBe(0);
  });

  // Promise 5: "A player is reported joined once, left once, with the true reason".
  it.each(["webtransport", "websocket"])("that is closed is away at once (%s)", async (transport) => {
    const stays = await play("Ada", `room=closed-${transport}`);
    const goes = await play("Grace", `room=closed-${transport}&transport=${transport}`);
    await stays.evaluate(() => {
      const seen: string[] = [];
      globalThis.driftless.room.on("presence", ({ changed }) => {
        for (const { name, change } of changed) seen.push(`${name} ${change}`);
      });
      Object.assign(globalThis, { seen });
    });
    await goes.close();
    // The server would notice silence only after 3 s.
    await stays.waitForFunction(
      () => (globalThis as unknown as { seen: string[] }).seen.length > 0,
      undefined,
      {
        timeout: 2000,
      },
    );
    expect(await stays.evaluate(() => (globalThis as unknown as { seen: string[] }).seen)).toEqual([
      "Grace away",
    ]);
  });

  it("that was frozen for longer than the server waits has its seat again", async () => {
    const page = await play("Ada", "room=frozen&transport=websocket");
    const player = await page.evaluate(() => globalThis.driftless.room.player);
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Page.setWebLifecycleState", { state: "frozen" });
    await new Promise((resolve) => setTimeout(resolve, 5000));
    await cdp.send("Page.setWebLifecycleState", { state: "active" });
    await page.waitForFunction(() => globalThis.driftless.room.stats.states > 0);
    await page.waitForTimeout(3000);
    await joined(page);
    expect(await page.evaluate(() => globalThis.driftless.room.player)).toBe(player);
  });
});

it("pages complain about nothing so far", () => expect(chromium.complaints).toEqual([]));

it("two pages come back when the server was killed and started again", async () => {
  const [a, b] = [await play("Ada", "room=crash"), await play("Grace", "room=crash")];
  const { port } = server;
  await server.kill();
  for (const page of [a, b]) {
    await page.waitForFunction(() => globalThis.driftless.room.status.phase === "reconnecting", undefined, {
      timeout: 20_000,
    });
  }
  await a.locator("#banner", { hasText: "Connection lost" }).waitFor();
  server = await Server.start(port);
  for (const page of [a, b]) {
    await joined(page);
    await page.waitForFunction(() => globalThis.driftless.room.entities.all("player").length === 2);
    expect(await page.locator("#banner").isVisible()).toBe(false);
  }
  // Browsers log each failed connection; our pages add nothing.
  const ours = chromium.complaints.filter(
    (line) =>
      !/WebSocket connection|Failed to (load resource|establish a connection)|QUIC|handshake/i.test(line),
  );
  expect(ours).toEqual([]);
});
