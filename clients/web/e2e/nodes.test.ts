// The dashboard's table of nodes, against two real nodes and a real Redis: its buttons move a room and drain
// a node.
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { Redis } from "./util/redis.js";
import { Server } from "./util/server.js";

const TOKEN = "the-same-at-all-nodes-for-whoever-operates-them";
let chromium: Chromium;
let redis: Redis;
let east: Server;
let west: Server;

beforeAll(async () => {
  redis = await Redis.start();
  const node = (name: string) =>
    Server.start(0, "--redis", redis.url, "--node", name, "--admin-token", TOKEN, "--guests", "yes");
  [chromium, east, west] = await Promise.all([Chromium.start(), node("east"), node("west")]);
});
afterAll(async () => {
  await Promise.all([chromium?.close(), east?.kill(), west?.kill()]);
  await redis?.kill();
});

/** Long, because nodes see each other once a second, and a busy machine must not fail a test. */
const soon = { timeout: 30_000 };
const node = (page: Page, name: string) => page.locator("#nodes-body tr", { hasText: name });
const room = (page: Page) => page.locator("#nodes-rooms-body tr", { hasText: "duel" });
const at = (page: Page) => room(page).locator("td").nth(1).textContent();
const statusOf = (page: Page) => page.evaluate(() => globalThis.driftless.room.status.phase);

it("moves a room to another node, with its players, and drains a node", async () => {
  const page = await chromium.open(east.dashboard);
  await expect.poll(() => page.locator("#nodes-body tr").count(), soon).toBe(2);
  const made = () =>
    fetch(`${east.url}/v1/rooms`, {
      method: "POST",
      headers: { "content-type": "application/json", ...east.authorization },
      body: JSON.stringify({ name: "duel" }),
    }).then(({ status }) => status);
  // No room is made until all nodes of an earlier life of Redis would have come back.
  await expect.poll(made, soon).toBe(201);
  const player = await chromium.play(`${east.url}/?room=duel`, "Ann");
  await expect.poll(() => at(page), soon).toBe("east");

  const move = room(page).getByRole("button", { name: "Move room duel" });
  await move.click();
  await page.keyboard.press("Escape");
  expect(await at(page)).toBe("east");
  await move.click();
  await page.locator("#confirm-yes").click();
  await page.locator("#toast", { hasText: "Node east is asked to give duel to west." }).waitFor();
  await expect.poll(() => at(page), soon).toBe("west");
  await expect.poll(() => statusOf(player), soon).toBe("joined");

  await node(page, "west").getByRole("button", { name: "Drain node west" }).click();
  await page.locator("#confirm-yes").click();
  await page.locator("#toast", { hasText: "Node west is asked to drain." }).waitFor();
  await expect.poll(() => page.locator("#nodes-body tr").count(), soon).toBe(1);
  await expect.poll(() => at(page), soon).toBe("east");
  await expect.poll(() => statusOf(player), soon).toBe("joined");
});
