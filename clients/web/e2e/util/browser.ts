import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { ArenaRoom } from "../../pages/arena/game.js";
import type { LocalPlayer } from "../../pages/arena/local_player.js";
import type { Network } from "../../pages/arena/network.js";

declare global {
  /** What the arena's page exposes to tests. */
  var driftless: { room: ArenaRoom; player: LocalPlayer; network: Network };
}

/** A headless Chromium that collects its pages' complaints. */
export class Chromium {
  readonly complaints: string[] = [];

  private constructor(private readonly browser: Browser) {}

  static async start(): Promise<Chromium> {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // Several pages are open, but only one at a time is visible.
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
      ],
    });
    return new Chromium(browser);
  }

  /** Opens a page in a new profile. */
  async open(
    url: string,
    options: BrowserContextOptions = {},
    before?: (page: Page) => Promise<unknown>,
  ): Promise<Page> {
    const context = await this.browser.newContext({ viewport: { width: 900, height: 600 }, ...options });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()))
        this.complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(String(error.stack)));
    await before?.(page);
    await page.goto(url);
    return page;
  }

  /** A page in the arena, joined; without bots and rounds, unless the address says how. */
  async play(
    url: string,
    name: string,
    options: BrowserContextOptions = {},
    before?: (page: Page) => Promise<unknown>,
  ): Promise<Page> {
    const to = new URL(url);
    to.searchParams.set("name", name);
    if (!to.searchParams.has("bots")) to.searchParams.set("match", "off");
    const page = await this.open(to.href, options, before);
    await page.waitForFunction(
      () => globalThis.driftless?.room.status.phase === "joined" && globalThis.driftless.room.state,
    );
    return page;
  }

  async close(): Promise<void> {
    await this.browser.close();
  }
}
