// What makes the arena a game: the start card, bots, rounds and a rematch, the feed, the invitation, hints.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import type { Controls } from "../pages/arena/controls.js";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

let server: Server;
let chromium: Chromium;
const pages: Page[] = [];
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

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

async function play(name: string, query: string, options = {}): Promise<Page> {
  const page = await chromium.play(`${server.url}/?${query}`, name, options);
  pages.push(page);
  return page;
}

/** Goes up to the nearest other player and shoots. */
function hunt(page: Page): Promise<void> {
  return page.evaluate(() => {
    const { room, player } = globalThis.driftless;
    const controls = (player as never as { controls: Controls }).controls;
    setInterval(() => {
      const me = room.entities.get("player", room.player);
      const other = room.entities.all("player").find(({ id }) => id !== room.player);
      if (!me || !other) return;
      const [dx, dy] = [other.x! - me.x!, other.y! - me.y!];
      controls.aim = Math.atan2(dy, dx);
      // Not straight on: a box that is in the way is slid along.
      const turn = Math.hypot(dx, dy) < 3 ? 1.5 : 0.25;
      const [x, y] = [Math.cos(controls.aim + turn) * 60, -Math.sin(controls.aim + turn) * 60];
      controls.mover = { pointer: 0, fromX: 0, fromY: 0, x, y };
      controls.aimer = { pointer: 1, fromX: 0, fromY: 0, x, y };
    }, 30);
  });
}

describe("two tabs in a fresh room", () => {
  it.each([
    ["desktops", { viewport: { width: 1280, height: 800 } }],
    ["phones", phone],
  ])("see each other at once, on %s, in ten of ten", async (_, options) => {
    const [a, b] = [await chromium.open("about:blank", options), await chromium.open("about:blank", options)];
    pages.push(a, b);
    for (let n = 0; n < 10; n++) {
      for (const page of [a, b]) {
        await page.goto(`${server.url}/?room=fresh-${options.viewport.width}-${n}&name=Ada&match=off`);
        await page.waitForFunction(() => globalThis.driftless?.room.state?.table("player")?.length);
      }
      await a.waitForFunction(() => globalThis.driftless.room.state!.table("player")!.length === 2);
      for (const page of [a, b]) {
        const far = await page.evaluate(() => {
          const table = globalThis.driftless.room.state!.table("player")!;
          const [x, y] = table.columns as [Int32Array, Int32Array];
          const scale = Math.max(21, Math.min(innerWidth, innerHeight) / 24);
          const part = (column: Int32Array, size: number): number =>
            (Math.abs(column[0]! - column[1]!) / 100) * (scale / (size / 2));
          return Math.max(part(x, innerWidth), part(y, innerHeight));
        });
        expect(far, `room ${n}: of the way to the edge`).toBeLessThan(0.95);
      }
    }
  });
});

describe("the start card", () => {
  it("asks for a name and a colour, tells them to others, and remembers them", async () => {
    const other = await play("Grace", "room=card");
    const page = await chromium.open(`${server.url}/?room=card&match=off`);
    pages.push(page);
    await page.locator("#name-dialog").waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("name");
    expect(await page.locator("#name").inputValue()).not.toBe("");
    await page.keyboard.press("Escape");
    expect(await page.locator("#name-dialog").isVisible()).toBe(true);
    await page.fill("#name", "Lovelace");
    await page.getByRole("radio", { name: "Teal" }).check();
    await page.keyboard.press("Enter");
    await other.locator("#scores tbody", { hasText: "Lovelace" }).waitFor();
    await page.waitForFunction(() => globalThis.driftless?.room.state);
    const id = await page.evaluate(() => globalThis.driftless.room.player);
    await other.waitForFunction(
      (id) => globalThis.driftless.room.entities.get("player", id)?.colour === 6,
      id,
    );
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("world");

    const again = await page.context().newPage();
    await again.goto(`${server.url}/?room=card&match=off`);
    expect(await again.locator("#name").inputValue()).toBe("Lovelace");
    expect(await again.getByRole("radio", { name: "Teal" }).isChecked()).toBe(true);
  });

  it("changes the colour without a new seat", async () => {
    const page = await play("Ada", "room=recolour");
    const id = await page.evaluate(() => globalThis.driftless.room.player);
    await page.click("#rename");
    await page.getByRole("radio", { name: "Amber" }).check();
    await page.click("#name-dialog button.primary");
    await page.waitForFunction(
      (id) => globalThis.driftless.room.entities.get("player", id)?.colour === 3,
      id,
    );
  });

  it("makes a room of one's own", async () => {
    const page = await chromium.open(`${server.url}/`);
    pages.push(page);
    await page.getByRole("button", { name: "a room of your own" }).click();
    await page.waitForFunction(() => globalThis.driftless?.room.status.phase === "joined");
    const room = new URL(page.url()).searchParams.get("room");
    expect(room).toMatch(/^[a-z0-9]{8}$/);
    expect(await page.evaluate(() => globalThis.driftless.room.name)).toBe(room);
  });
});

describe("bots", () => {
  it("are there while few people are, and leave as more come", async () => {
    const query = "room=bots&bots=3";
    const bots = (page: Page) => page.locator("#scores tbody tr", { has: page.locator(".tag") });
    const first = await play("Ada", query);
    await expect.poll(() => bots(first).count(), { timeout: 10_000 }).toBe(3);
    expect(await first.locator("#online").textContent()).toBe("1 player online");
    await first.waitForFunction(() => globalThis.driftless.room.entities.all("player").length === 4);
    // They do not stand about.
    const at = () =>
      first.evaluate(() => globalThis.driftless.room.entities.all("player").map(({ x, y }) => `${x} ${y}`));
    const before = await at();
    await expect.poll(async () => (await at()).filter((place) => before.includes(place)).length).toBe(1);
    for (let people = 2; people <= 4; people++) {
      await play("Grace", query, { viewport: { width: 300, height: 200 } });
      await expect.poll(() => bots(first).count(), { timeout: 10_000 }).toBe(4 - people);
    }
    expect(await first.locator("#log p", { hasText: "has left" }).count()).toBe(0);
  });
});

describe("a match", () => {
  it("has rounds with a clock, a result, and a rematch as soon as all want it", async () => {
    const query = "room=rounds&round_s=10&bots=0";
    const [a, b] = [await play("Ada", query), await play("Grace", query)];
    for (const page of [a, b]) await page.locator("#clock").waitFor();
    await expect.poll(() => a.locator("#time").textContent()).toMatch(/^0:(10|0\d)$/);
    for (const page of [a, b]) await page.locator("#result").waitFor({ timeout: 20_000 });
    expect(await a.locator("#result-rows tr").count()).toBe(2);
    await a.click("#again");
    await a.locator("#again:disabled").waitFor();
    expect(await b.locator("#result").isVisible()).toBe(true);
    await b.click("#again");
    for (const page of [a, b]) {
      await page.locator("#result").waitFor({ state: "hidden", timeout: 5000 });
      expect(await page.locator("#announce").textContent()).toContain("Round 2");
    }
  });

  it("tells who got whom, and when the dead are back", async () => {
    const query = "room=feed&round_s=600&bots=0";
    const [a, b] = [await play("Ada", query), await play("Grace", query)];
    await hunt(a);
    await b.locator("#dead", { hasText: "Ada got you" }).waitFor({ timeout: 40_000 });
    expect(await b.locator("#dead-for").textContent()).toMatch(/^Back/);
    await a.locator("#feed p", { hasText: "you got Grace" }).waitFor();
    await b.locator("#feed p", { hasText: "Ada got you" }).waitFor();
    await expect.poll(() => a.locator("#standing").textContent()).toMatch(/^1 point · 1st of 2$/);
    await b.locator("#dead").waitFor({ state: "hidden" });
  });
});

describe("the bar", () => {
  it("has an invitation whose link leads to the room", async () => {
    const a = await play("Ada", "room=invited");
    await a.click("#invite");
    await a.locator("#qr canvas").waitFor();
    const link = await a.locator("#link").inputValue();
    expect(link).toBe(`${server.url}/?room=invited`);
    await play("Grace", new URL(link).search.slice(1));
    await a.locator("#scores tbody", { hasText: "Grace" }).waitFor({ state: "attached" });
    await a.keyboard.press("Escape");
    expect(await a.locator("#invite-dialog").isVisible()).toBe(false);
  });

  it("shows how good the connection is, and more of it on a click", async () => {
    const a = await play("Ada", "room=quality");
    await a.locator("#quality:not([data-bars='0'])").waitFor();
    await expect.poll(() => a.locator("#ping").textContent()).toMatch(/^\d+ ms$/);
    expect(await a.locator("#figures").isVisible()).toBe(false);
    await a.click("#quality");
    await a.locator("#figures", { hasText: "Round trip" }).waitFor();
    // It may be back within a moment.
    const lost = a.evaluate(() => {
      const quality = document.getElementById("quality")!;
      return new Promise<void>((resolve) => {
        const look = (): void => void (quality.dataset.bars === "0" && resolve());
        new MutationObserver(look).observe(quality, { attributes: true });
        globalThis.driftless.room.disconnect();
      });
    });
    await lost;
  });

  it("makes no sound until it is asked to", async () => {
    const a = await play("Ada", "room=sound");
    const sound = a.getByRole("button", { name: "Sound" });
    expect(await sound.getAttribute("aria-pressed")).toBe("false");
    await sound.click();
    expect(await sound.getAttribute("aria-pressed")).toBe("true");
    await a.reload();
    expect(await sound.getAttribute("aria-pressed")).toBe("true");
  });
});

describe("hints", () => {
  it("for keys are seen until they have been pressed", async () => {
    const page = await play("Ada", "room=keys");
    for (const id of ["move", "aim", "fire"])
      expect(await page.locator(`#hint-${id}`).isVisible()).toBe(true);
    expect(await page.locator("#hint-thumb-move").isVisible()).toBe(false);
    await page.keyboard.down("d");
    await page.locator("#hint-move").waitFor({ state: "hidden" });
    expect(await page.locator("#hint-fire").isVisible()).toBe(true);
    await page.keyboard.down(" ");
    await page.locator("#hint-fire").waitFor({ state: "hidden" });
  });

  it("for thumbs are seen until they have been used", async () => {
    const page = await play("Ada", "room=thumbs", phone);
    expect(await page.locator("#hint-move").isVisible()).toBe(false);
    const cdp = await page.context().newCDPSession(page);
    for (const [id, x] of [
      ["move", 90],
      ["aim", 300],
    ] as const) {
      const hint = page.locator(`#hint-thumb-${id}`);
      expect(await hint.isVisible()).toBe(true);
      const at = (x: number) => ({ touchPoints: [{ x, y: 600 }] });
      await cdp.send("Input.dispatchTouchEvent", { type: "touchStart", ...at(x) });
      await cdp.send("Input.dispatchTouchEvent", { type: "touchMove", ...at(x + 40) });
      await hint.waitFor({ state: "hidden" });
      await cdp.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    }
  });
});

it("pages complain about nothing", () => expect(chromium.complaints).toEqual([]));
