// The arena in a real browser, against the real server.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { Chromium } from "./util/browser.js";
import { delayOf } from "./util/photon.js";
import { Server } from "./util/server.js";

let server: Server;
let chromium: Chromium;
const pages: Page[] = [];

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start();
});
afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.context().close()));
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

async function play(name: string, room: string, path = "/", ...more: never[]): Promise<Page> {
  const page = await chromium.play(`${server.url}${path}?room=${room}`, name, ...more);
  pages.push(page);
  return page;
}

/** Both pages see two players. */
async function both(...players: Page[]): Promise<void> {
  for (const page of players) {
    await page.waitForFunction(() => globalThis.driftless.room.entities.all("player").length === 2);
  }
}

async function linesOf(page: Page, text: string): Promise<number> {
  return page.locator("#log p", { hasText: text }).count();
}

describe("two pages", () => {
  it("see each other move within 200 ms", async () => {
    const [a, b] = [await play("Ada", "moves"), await play("Grace", "moves")];
    await both(a, b);
    const id = await a.evaluate(() => globalThis.driftless.room.player);
    const delays: number[] = [];
    // Until one is fast enough: a busy machine delays some, but the software delays none.
    for (const key of "dawsdawsdawsdaws") {
      delays.push(await delayOf(a, key, b, { own: false, player: id }));
      if (delays.length >= 4 && Math.min(...delays) < 200) break;
    }
    console.log(`key to the other page, ms: ${delays.map((delay) => delay.toFixed(0)).join(" ")}`);
    expect(Math.min(...delays)).toBeLessThan(200);
  });

  it("see a chat message once, though connections break on both sides", async () => {
    const [a, b] = [await play("Ada", "chat"), await play("Grace", "chat")];
    await both(a, b);
    const say = (page: Page, text: string): Promise<unknown> =>
      page.evaluate((value) => globalThis.driftless.room.command({ case: "chat", value }), text);
    await say(a, "before");
    await b.evaluate(() => globalThis.driftless.room.disconnect());
    await say(a, "while she is away");
    await a.evaluate(() => globalThis.driftless.room.disconnect());
    await say(a, "while I am away");
    for (const page of [a, b]) {
      for (const text of ["before", "while she is away", "while I am away"]) {
        await page.locator("#log p", { hasText: text }).first().waitFor();
      }
    }
    await a.waitForTimeout(1000);
    for (const page of [a, b]) {
      for (const text of ["before", "while she is away", "while I am away"])
        expect(await linesOf(page, text)).toBe(1);
    }
    const resumed = await b.evaluate(() => globalThis.driftless.room.stats.resumes);
    expect(resumed).toBe(1);
  });

  it("tell who is writing, and who came and left", async () => {
    const [a, b] = [await play("Ada", "typing"), await play("Grace", "typing")];
    await both(a, b);
    await a.keyboard.press("Enter");
    await a.keyboard.type("hel");
    await b.locator("#typing", { hasText: "Ada is writing…" }).waitFor();
    await a.keyboard.type("lo");
    await a.keyboard.press("Enter");
    await b.locator("#log p", { hasText: "Ada: hello" }).waitFor();
    await b.locator("#typing:empty").waitFor({ state: "attached" });
    await a.evaluate(() => globalThis.driftless.room.leave());
    await b.locator("#log p", { hasText: "Ada has left" }).waitFor();
    expect(await b.locator("#scores tbody tr").count()).toBe(1);
  });
});

describe("the player", () => {
  it("is predicted to the centimetre while nothing is lost", async () => {
    const a = await play("Ada", "predicted");
    await a.evaluate(() => {
      const worst = { error: 0, states: 0 };
      Object.assign(globalThis, { worst });
      globalThis.driftless.room.on("state", () => {
        worst.states++;
        if (globalThis.driftless.player.error < 0.02) return;
        worst.error++;
      });
    });
    for (const key of ["d", "w", "a", "s"]) {
      await a.keyboard.down(key);
      await a.waitForTimeout(700);
      await a.keyboard.up(key);
    }
    const worst = await a.evaluate(
      () => (globalThis as never as { worst: { error: number; states: number } }).worst,
    );
    console.log(`states that were not as predicted: ${worst.error} of ${worst.states}`);
    // A tick that gets two inputs or none is visible in two states; a busy machine has some of these.
    expect(worst.error).toBeLessThan(worst.states / 2);
  });

  it("keeps the seat over a reload", async () => {
    const a = await play("Ada", "reload");
    const before = await a.evaluate(() => globalThis.driftless.room.player);
    await a.reload();
    await a.waitForFunction(() => globalThis.driftless?.room.status.phase === "joined");
    expect(await a.evaluate(() => globalThis.driftless.room.player)).toBe(before);
  });

  it("keeps the seat over a reload whose first attempts do not get through", async () => {
    const a = await play("Ada", "flaky");
    const before = await a.evaluate(() => globalThis.driftless.room.player);
    // The network fails twice: the certificate cannot be requested, and no WebSocket opens.
    await a.addInitScript(() => {
      const native = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket };
      let left = 2;
      globalThis.fetch = (...args) =>
        left > 0 ? Promise.reject(new TypeError("network")) : native.fetch.call(globalThis, ...args);
      globalThis.WebSocket = class extends native.WebSocket {
        constructor(url: string | URL, protocols?: string | string[]) {
          super(url, protocols);
          if (left-- > 0) this.close(); // with 1006, as it is not open yet
        }
      };
    });
    const complained = chromium.complaints.length;
    await a.reload();
    await a.locator("#banner", { hasText: "cannot open a WebSocket" }).waitFor();
    await a.reload(); // before it got through: the seat must not be forgotten
    await a.waitForFunction(() => globalThis.driftless?.room.status.phase === "joined");
    // Chromium logs the sockets closed above, and the request by which the client asks why: whether it gets
    // to that before the page is left differs.
    const failed = chromium.complaints.splice(complained);
    const ours = /closed before the connection is established|status of 426/;
    expect(failed.filter((line) => !ours.test(line))).toEqual([]);
    expect(await a.evaluate(() => globalThis.driftless.room.player)).toBe(before);
    expect(await a.evaluate(() => globalThis.driftless.room.status)).toMatchObject({ resumed: true });
    // The seat is an old one, but this page has predicted nothing before.
    await a.waitForFunction(
      () => globalThis.driftless.room.prediction?.shown(performance.now(), undefined) !== undefined,
    );
  });

  it("can change the name", async () => {
    const [a, b] = [await play("Ada", "rename"), await play("Grace", "rename")];
    await both(a, b);
    await a.click("#rename");
    await a.fill("#name", "Lovelace");
    await a.click("#name-dialog button.primary");
    await b.locator("#scores tbody", { hasText: "Lovelace" }).waitFor();
    await b.locator("#scores tbody", { hasText: "Ada" }).waitFor({ state: "detached" });
  });

  it("is played by touch", async () => {
    const page = await chromium.play(`${server.url}/?room=touch`, "Ada", {
      viewport: { width: 390, height: 844 },
      hasTouch: true,
      isMobile: true,
    });
    pages.push(page);
    const at = (): Promise<{ x: number; y: number }> =>
      page.evaluate(() => {
        const { room } = globalThis.driftless;
        const { x, y } = room.entities.get("player", room.player)!;
        return { x: x!, y: y! };
      });
    const from = await at();
    const cdp = await page.context().newCDPSession(page);
    const touch = (type: "touchStart" | "touchMove" | "touchEnd", x: number, y: number): Promise<unknown> =>
      cdp.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x, y }] });
    for (const [dx, dy] of [
      [60, 0],
      [0, 60],
      [-60, 0],
      [0, -60],
    ] as const) {
      await touch("touchStart", 100, 500);
      await touch("touchMove", 100 + dx, 500 + dy);
      await page.waitForTimeout(400);
      await touch("touchEnd", 0, 0);
      const to = await at();
      // One of the four ways is free wherever the player stands.
      if (Math.hypot(to.x - from.x, to.y - from.y) > 0.5) return;
    }
    expect.unreachable("the stick moved nobody");
  });
});

it("pages complain about nothing", () => expect(chromium.complaints).toEqual([]));
