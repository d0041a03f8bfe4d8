// axe-core finds no serious problem on any page, in either colour scheme, on a desktop or a phone.
import axe from "axe-core";
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
      await page.addScriptTag({ content: axe.source });
      const { violations } = await page.evaluate(() =>
        (globalThis as never as { axe: typeof axe }).axe.run(),
      );
      const serious = violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
      expect(serious).toEqual([]);
      await page.context().close();
    },
  );
});
