// Plays a project of `driftless new` in two headless Chromium pages: one moves, as it has predicted, and is seen by
// the other. `node e2e/project.mjs http://127.0.0.1:7777`.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const url = process.argv[2];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-backgrounding-occluded-windows"],
});
const complaints = [];

async function open() {
  const page = await (await browser.newContext()).newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error.stack)));
  await page.goto(url);
  await page.waitForFunction(() => globalThis.room?.state && globalThis.room.prediction);
  return page;
}

/** Where a player is, as a page shows it. */
const shown = (page, player) => page.evaluate((id) => globalThis.room.entities.get("runner", id), player);

try {
  const [ada, bob] = [await open(), await open()];
  const me = await ada.evaluate(() => globalThis.room.player);
  await bob.waitForFunction((id) => globalThis.room.entities.get("runner", id), me);
  const before = await shown(ada, me);
  // Away from the nearer edge.
  const key = before.x < 400 ? "ArrowRight" : "ArrowLeft";
  await ada.keyboard.down(key);
  await ada.waitForFunction(
    ([id, x]) => Math.abs(globalThis.room.entities.get("runner", id).x - x) > 100,
    [me, before.x],
  );
  // On a busy machine an input may come too late for the server; most do not.
  const right = await ada.evaluate(async () => {
    let right = 0;
    for (let n = 0; n < 20; n++) {
      await new Promise((resolve) => globalThis.room.on("state", resolve));
      if (globalThis.room.prediction.error === 0) right++;
    }
    return right;
  });
  await ada.keyboard.up(key);
  assert.ok(right > 10, `the page predicts what the server does: ${right} of 20 states`);
  await bob.waitForFunction(
    ([id, x]) => Math.abs(globalThis.room.entities.get("runner", id).x - x) > 100,
    [me, before.x],
  );
  const status = await ada.textContent("#status");
  assert.match(status, /^joined, \d+ here$/);
  assert.deepEqual(complaints, []);
  if (process.env.SCREENSHOT) await ada.screenshot({ path: process.env.SCREENSHOT });
  console.log(`two pages play at ${url}`);
} finally {
  await browser.close();
}
