// axe-core finds no serious problem on any page, in either colour scheme, on a desktop or a phone.
import axe from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

let server: Server;
let chromium: Chromium;

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start();
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

const screens = [
  ["desktop, dark", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" as const }],
  ["phone, light", { viewport: { width: 390, height: 844 }, colorScheme: "light" as const, isMobile: true }],
] as const;

/** What is serious in the page as it is now. */
async function problems(page: Page): Promise<string[]> {
  await page.addScriptTag({ content: axe.source });
  const { violations } = await page.evaluate(() => (globalThis as never as { axe: typeof axe }).axe.run());
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
}

describe.each(screens)("on a %s", (_, options) => {
  it.each(["/?room=start", "/?room=axe&name=Ada", "/cursors", "/dashboard"])(
    "%s has no serious problem",
    async (path) => {
      // A script that the policy blocks is injected by the browser itself.
      const page = await chromium.open(path === "/dashboard" ? server.dashboard : server.url + path, {
        ...options,
        bypassCSP: true,
      });
      await page.waitForTimeout(1200);
      if (path.includes("name=")) {
        await page.locator("#network summary").click();
        await page.fill("#say", "hello");
        await page.press("#say", "Enter");
        await page.locator("#log p", { hasText: "hello" }).waitFor();
      }
      expect(await problems(page)).toEqual([]);
      await page.context().close();
    },
  );

  it("a match has none: with bots, at its end, and with the invitation open", async () => {
    const page = await chromium.open(`${server.url}/?room=axe-match&name=Ada&round_s=10&bots=3`, {
      ...options,
      bypassCSP: true,
    });
    await page.locator("#clock").waitFor();
    await page.waitForFunction(() => globalThis.driftless.room.entities.all("player").length === 4);
    expect(await problems(page)).toEqual([]);
    await page.locator("#result").waitFor({ timeout: 20_000 });
    expect(await problems(page)).toEqual([]);
    await page.click("#invite");
    expect(await problems(page)).toEqual([]);
    await page.context().close();
  });
});
