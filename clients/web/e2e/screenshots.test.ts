// Not a test: SCREENSHOTS=1 npm run e2e -- screenshots takes the README's screenshots, of a room with several
// players.
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import type { Controls } from "../pages/arena/controls.js";
import { afterAll, beforeAll, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

let server: Server;
let chromium: Chromium;
const to = (name: string): string => fileURLToPath(new URL(`../screenshots/${name}.png`, import.meta.url));

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start();
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

/** Plays automatically: circles the first player, and shoots at anybody nearby. */
async function meet(page: Page, ms: number): Promise<void> {
  await page.evaluate(() => {
    const { room, player } = globalThis.driftless;
    const controls = (player as never as { controls: Controls }).controls;
    const first = Math.min(...room.entities.all("player").map(({ id }) => id));
    const steer = (): void => {
      const [target, me] = [room.entities.get("player", first), room.entities.get("player", room.player)];
      if (!me || !target) return;
      const around = room.player * 2.2 + performance.now() / 4000;
      const dx = target.x! + Math.cos(around) * 6 - me.x!;
      const dy = target.y! + Math.sin(around) * 5 - me.y!;
      // Where nobody sees it.
      const thumb = { pointer: 0, fromX: -900, fromY: 0, x: dx * 40 - 900, y: -dy * 40 };
      const near = Math.hypot(dx, dy) < 5;
      controls.mover = thumb;
      controls.aim = Math.atan2(target.y! - me.y!, target.x! - me.x!) + 0.4;
      controls.aimer = near ? thumb : undefined;
    };
    const timer = setInterval(steer, 30);
    Object.assign(globalThis, {
      rest: () => {
        clearInterval(timer);
        controls.mover = controls.aimer = undefined;
      },
    });
  });
  await page.waitForTimeout(ms);
}

it.runIf(process.env.SCREENSHOTS)(
  "the arena on a desktop and a phone, the cursors, the dashboard",
  async () => {
    const url = `${server.url}/?round_s=180&bots=5`;
    const desktop = await chromium.play(url, "Ada", {
      viewport: { width: 1280, height: 800 },
      colorScheme: "dark",
    });
    const phone = await chromium.play(url, "Grace", {
      viewport: { width: 390, height: 844 },
      colorScheme: "light",
      isMobile: true,
      hasTouch: true,
      deviceScaleFactor: 2,
    });
    const others: Page[] = [];
    for (const name of ["Edsger", "Barbara"])
      others.push(await chromium.play(url, name, { viewport: { width: 300, height: 200 } }));
    const say = (page: Page, value: string): Promise<unknown> =>
      page.evaluate((value) => globalThis.driftless.room.command({ case: "chat", value }), value);
    // What the hints say, so that they go.
    await desktop.keyboard.down("w");
    await desktop.mouse.move(700, 300);
    await desktop.mouse.down();
    for (let n = 0; n < 12; n++) {
      await desktop.mouse.move(700 + n, 300);
      await desktop.waitForTimeout(100);
    }
    await desktop.mouse.up();
    await desktop.keyboard.up("w");
    await Promise.all([phone, ...others].map((page) => meet(page, 17_000)));
    await say(others[0]!, "anybody seen Ada?");
    await say(desktop, "over here!");
    await phone.fill("#say", "coming");
    await phone.locator("#world").focus();
    await desktop.click("#network summary");
    await desktop.waitForTimeout(1500);
    const isLively = (): boolean => {
      const { room } = globalThis.driftless;
      const me = room.entities.get("player", room.player);
      const near = room.entities
        .all("projectile")
        .filter(({ x, y }) => Math.hypot(x! - me!.x!, y! - me!.y!) < 9);
      return near.length >= 3 && me!.health! > 0;
    };
    await desktop.waitForFunction(isLively);
    await desktop.screenshot({ path: to("arena-desktop") });
    await phone.waitForFunction(isLively);
    await phone.evaluate(() => (globalThis as never as { rest: () => void }).rest());
    await phone.screenshot({ path: to("arena-phone") });
    const dashboard = await chromium.open(server.dashboard, {
      viewport: { width: 1280, height: 900 },
      colorScheme: "light",
    });
    await dashboard.waitForTimeout(6000);
    await dashboard.screenshot({ path: to("dashboard") });
    const cursors = [
      await chromium.open(`${server.url}/cursors`, { viewport: { width: 600, height: 360 } }),
      await chromium.open(`${server.url}/cursors`, { viewport: { width: 600, height: 360 } }),
    ];
    for (const [n, page] of cursors.entries()) {
      await page.mouse.move(100, 100);
      await page.mouse.move(220 + 160 * n, 160 + 60 * n, { steps: 10 });
    }
    await cursors[0]!.waitForTimeout(500);
    await cursors[0]!.screenshot({ path: to("cursors") });
  },
);
