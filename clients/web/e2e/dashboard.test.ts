// The dashboard, against the real server: it shows the same figures as /metrics, and its buttons work.
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

let chromium: Chromium;
let server: Server;

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start();
});
afterEach(() => expect(chromium.complaints.splice(0)).toEqual([]));
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

/** Long, because figures come once a second, and a busy machine must not fail a test. */
const soon = { timeout: 20_000 };
const live = (page: Page) => page.waitForSelector('#status[data-state="live"]');
const row = (page: Page, room: string) => page.locator("#rooms-body tr", { hasText: room });
const tile = (page: Page, name: string) =>
  page
    .locator("#tiles > div", { has: page.locator("dt", { hasText: name }) })
    .locator("dd")
    .first();

async function dashboard(): Promise<Page> {
  const page = await chromium.open(server.dashboard);
  await live(page);
  return page;
}

async function metric(sample: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text.split("\n").find((line) => line.startsWith(`${sample} `));
  return Number(line?.split(" ").at(-1));
}

/** Presses Tab until the element with this name has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const focus = document.activeElement;
      return focus?.getAttribute("aria-label") ?? focus?.textContent ?? "";
    });
    if (focused === name) return;
  }
  throw new Error(`the keyboard does not reach ${name}`);
}

describe("the dashboard", () => {
  it("shows the numbers that /metrics tells", async () => {
    const page = await dashboard();
    const ann = await chromium.play(`${server.url}/?room=numbers`, "Ann");
    const bob = await chromium.play(`${server.url}/?room=numbers`, "Bob");
    await expect.poll(() => tile(page, "Players").textContent(), soon).toBe("2");
    expect(await metric("driftless_players")).toBe(2);
    const players = row(page, "numbers").locator("td").first();
    await expect.poll(() => players.textContent(), soon).toBe("2/100");
    const transports = ["websocket", "quic", "webtransport"];
    const told = await Promise.all(
      transports.map((name) => metric(`driftless_connections{transport="${name}"}`)),
    );
    const all = told.filter((n) => n > 0).reduce((sum, n) => sum + n, 0);
    await expect.poll(() => tile(page, "Connections").textContent(), soon).toBe(String(all));
    for (const open of [ann, bob, page]) await open.context().close();
  });

  it("tells who comes and who goes", async () => {
    const page = await dashboard();
    const ann = await chromium.play(`${server.url}/?room=doors`, "Dora");
    await page.locator("#activity li", { hasText: /Dora\s*joined\s*doors/ }).waitFor();
    await ann.context().close();
    await page
      .locator("#activity li", { hasText: /Dora\s*(left|lost the connection|fell silent)/ })
      .waitFor();
    await page.context().close();
  });

  it("shows what is in a room, and removes a player, by the keyboard alone", async () => {
    const page = await dashboard();
    const player = await chromium.play(`${server.url}/?room=looked-at`, "Eve");
    await row(page, "looked-at").waitFor();
    await tabTo(page, "Inspect room looked-at");
    await page.keyboard.press("Enter");
    await page.locator("#legend li", { hasText: "player 1" }).waitFor();
    await page.locator("#tables caption", { hasText: "player: 1" }).waitFor();
    await tabTo(page, "Remove Eve");
    await page.keyboard.press("Enter");
    await tabTo(page, "Remove");
    await page.keyboard.press("Enter");
    await page.locator("#toast", { hasText: "Eve was removed" }).waitFor();
    await page.locator("#activity li", { hasText: /Eve\s*was removed/ }).waitFor();
    await player.waitForFunction(() => globalThis.driftless.room.status.phase !== "joined");
    await page.context().close();
    await player.context().close();
  });

  it("asks before it closes a room", async () => {
    const page = await dashboard();
    const response = await fetch(`${server.url}/v1/rooms`, {
      method: "POST",
      headers: { "content-type": "application/json", ...server.authorization },
      body: JSON.stringify({ name: "to-close" }),
    });
    expect(response.status).toBe(201);
    const close = row(page, "to-close").getByRole("button", { name: "Close room to-close" });
    await close.click();
    await page.keyboard.press("Escape");
    expect((await fetch(`${server.url}/v1/rooms/to-close`)).status).toBe(200);
    await close.click();
    await page.locator("#confirm-yes").click();
    await expect.poll(() => row(page, "to-close").count(), soon).toBe(0);
    expect((await fetch(`${server.url}/v1/rooms/to-close`)).status).toBe(404);
    await page.context().close();
  });

  it("comes back by itself when the server does", async () => {
    const page = await dashboard();
    const { port, token } = server;
    await server.kill();
    await page.waitForSelector('#status[data-state="waiting"]');
    server = await Server.start(port, "--admin-token", token);
    await live(page);
    await page.locator("#activity li", { hasText: "started again" }).waitFor();
    await page.context().close();
    // The refused connections are the only complaints.
    const others = chromium.complaints
      .splice(0)
      .filter((text) => !/ERR_(CONNECTION|INCOMPLETE|NETWORK)/.test(text));
    expect(others).toEqual([]);
  });

  it("drains the server", async () => {
    const page = await dashboard();
    await page.locator("#drain").click();
    await page.locator("#confirm-yes").click();
    await expect
      .poll(
        () =>
          fetch(`${server.url}/livez`).then(
            () => "up",
            () => "down",
          ),
        soon,
      )
      .toBe("down");
    await page.context().close();
    chromium.complaints.splice(0);
    server = await Server.start();
  });
});

describe("the admin token", () => {
  it("is taken from the address, kept for the tab, and needed", async () => {
    const page = await dashboard();
    expect(page.url()).toBe(`${server.url}/dashboard`);
    await page.reload();
    await live(page);
    const other = await chromium.open(`${server.url}/dashboard`);
    await other.locator("#entry-reason", { hasText: "send the admin token" }).waitFor();
    expect(chromium.complaints.splice(0).filter((text) => !text.includes("401"))).toEqual([]);
    for (const open of [page, other]) await open.context().close();
  });

  it("is taken from an address that is only followed, too", async () => {
    const page = await dashboard();
    await page.goto(`${server.url}/dashboard#token=not-the-right-one-at-all`);
    await page.locator("#entry-reason", { hasText: "not the admin token of this server" }).waitFor();
    await page.goto(server.dashboard);
    await live(page);
    expect(page.url()).toBe(`${server.url}/dashboard`);
    expect(await page.locator("#entry").isVisible()).toBe(false);
    expect(chromium.complaints.splice(0).filter((text) => !text.includes("401"))).toEqual([]);
    await page.context().close();
  });

  it("lets in who types it", async () => {
    const guarded = await Server.start(0, "--admin-token", "correct-horse-battery-staple");
    const page = await chromium.open(`${guarded.url}/dashboard`);
    const enter = async (token: string) => {
      await page.locator("#token").fill(token);
      await page.keyboard.press("Enter");
    };
    await page.locator("#entry-reason", { hasText: "send the admin token" }).waitFor();
    await enter("not-the-right-one-at-all");
    await page.locator("#entry-reason", { hasText: "not the admin token" }).waitFor();
    await enter("correct-horse-battery-staple");
    await live(page);
    expect(await page.locator("#entry").isVisible()).toBe(false);
    // The browser reports every answer other than 200.
    expect(chromium.complaints.splice(0).filter((text) => !text.includes("401"))).toEqual([]);
    await page.context().close();
    await guarded.kill();
  });
});
