import type { Page } from "playwright-core";

/** Whose position is watched: the page's own player as it is drawn, or another player. */
export type Watched = { own: true } | { own: false; player: number };

/** Waits until the player stands still. */
export async function still(page: Page, player: number): Promise<void> {
  await page.evaluate(
    (player) =>
      new Promise<void>((resolve) => {
        let last = "";
        let since = performance.now();
        const look = (): void => {
          const entity = globalThis.driftless.room.entities.get("player", player);
          const at = `${entity?.x} ${entity?.y}`;
          const now = performance.now();
          if (at !== last) since = now;
          last = at;
          if (now - since > 250) resolve();
          else requestAnimationFrame(look);
        };
        look();
      }),
    player,
  );
}

/** When the watched player is first drawn at another position than now, ms since 1970; Infinity after 3 s. */
export function moved(page: Page, watched: Watched): Promise<number> {
  return page.evaluate(
    (watched) =>
      new Promise<number>((resolve) => {
        const { room, player } = globalThis.driftless;
        const at = (): { x: number; y: number } => {
          const id = watched.own ? room.player : watched.player;
          const { x, y } =
            (watched.own && player.shown(performance.now())) || room.entities.get("player", id)!;
          return { x: x!, y: y! };
        };
        const from = at();
        const look = (): void => {
          const to = at();
          const now = performance.timeOrigin + performance.now();
          if (Math.hypot(to.x - from.x, to.y - from.y) > 0.02) resolve(now);
          else requestAnimationFrame(look);
        };
        look();
        setTimeout(() => resolve(Infinity), 3000);
      }),
    watched,
  );
}

/** When the next key goes down in the page, ms since 1970. */
export function keyDown(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const took = (): void => resolve(performance.timeOrigin + performance.now());
        addEventListener("keydown", took, { once: true, capture: true });
      }),
  );
}

/**
 * Presses a key, and measures how long it takes until the player is seen to move, ms. Infinity: the player
 * ran into something.
 */
export async function delayOf(page: Page, key: string, seenBy: Page, watched: Watched): Promise<number> {
  const id = watched.own ? await page.evaluate(() => globalThis.driftless.room.player) : watched.player;
  await still(seenBy, id);
  // The player has been standing since some tick, which must not determine when within a tick the key goes
  // down.
  await page.waitForTimeout(Math.random() * 100);
  const seen = moved(seenBy, watched);
  const pressed = keyDown(page);
  // Both are listening by now, because evaluations of a page run in order.
  await seenBy.evaluate(() => 0);
  await page.evaluate(() => 0);
  await page.keyboard.down(key);
  const delay = (await seen) - (await pressed);
  await page.keyboard.up(key);
  return delay;
}
