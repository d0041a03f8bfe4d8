/**
 * What a room needs from its environment: the time, timers, frames, and whether the page is visible. Replaced
 * in tests.
 */
export interface Timers {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Calls back after `delay` ms. */
  set(callback: () => void, delay: number): number;
  clear(timer: number | undefined): void;
  /**
   * Calls back before the next frame is drawn, which may be never; at once where there are no frames at all.
   */
  frame(callback: () => void): void;
  /** Whether the page is hidden. */
  hidden(): boolean;
  /**
   * Calls back when the page is shown or hidden, and when the network is back. Returns a function that stops
   * this.
   */
  watch(changed: () => void): () => void;
}

/** What a promise resolves to, if it does within `ms`. Rejects with an Error that says `late` otherwise. */
export async function within<T>(
  promise: T | Promise<T>,
  ms: number,
  late: string,
  timers: Timers,
): Promise<T> {
  let timer: number | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = timers.set(() => reject(new Error(late)), ms);
  });
  return Promise.race([promise, end]).finally(() => timers.clear(timer));
}

/** Those of a browser, or of Node. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  set: (callback, delay) => setTimeout(callback, delay) as unknown as number,
  clear: (timer) => clearTimeout(timer),
  frame(callback) {
    if (typeof requestAnimationFrame === "undefined") setTimeout(callback, 0);
    else requestAnimationFrame(callback);
  },
  hidden: () => typeof document !== "undefined" && document.visibilityState === "hidden",
  watch(changed) {
    if (typeof document === "undefined") return () => {};
    const stop = new AbortController();
    document.addEventListener("visibilitychange", changed, stop);
    addEventListener("online", changed, stop);
    addEventListener("pageshow", changed, stop);
    return () => stop.abort();
  },
};
