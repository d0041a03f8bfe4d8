// Not a test but a measurement, for the README: FIGURES=1 npm run e2e -- figures. From a key press to the
// frame that shows it, on an idle machine.
import { afterAll, beforeAll, expect, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { delayOf } from "./util/photon.js";
import { Server } from "./util/server.js";

let server: Server;
let chromium: Chromium;
/** Pressed one after another for each figure: enough for a reproducible median. */
const keys = Array.from({ length: 8 }, () => ["d", "a", "w", "s"]).flat();

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start();
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

it.runIf(process.env.FIGURES).each(["webtransport", "websocket"])(
  "from a key to the picture, over %s",
  async (transport) => {
    const url = `${server.url}/?room=figures-${transport}&transport=${transport}`;
    const [a, b] = [await chromium.play(url, "Ada"), await chromium.play(url, "Grace")];
    const player = await a.evaluate(() => globalThis.driftless.room.player);
    for (const rtt of [0, 60, 150]) {
      for (const page of [a, b]) {
        await page.evaluate(
          (latency) => (globalThis.driftless.network.conditions.latency = latency),
          rtt / 2,
        );
        await page.waitForTimeout(4000);
      }
      const row: string[] = [];
      for (const [name, predict, watched, by] of [
        ["own, predicted", true, { own: true }, a],
        ["own, not predicted", false, { own: true }, a],
        ["other page", true, { own: false, player }, b],
      ] as const) {
        await a.evaluate((predict) => (globalThis.driftless.player.predict = predict), predict);
        const delays: number[] = [];
        for (const key of keys) delays.push(await delayOf(a, key, by, watched));
        const finite = delays.filter(Number.isFinite).sort((x, y) => x - y);
        row.push(`${name} ${finite[Math.floor(finite.length / 2)]!.toFixed(0)} ms`);
      }
      console.log(`${transport}, round trip +${rtt} ms: ${row.join(", ")} (medians)`);
    }
    expect(chromium.complaints).toEqual([]);
    await Promise.all([a.context().close(), b.context().close()]);
  },
  600_000,
);
