import type { Timers } from "../../src/timers.js";

/** Time that passes only when a test says so. Frames come every 16 ms, or never while the page is hidden. */
export class VirtualTimers implements Timers {
  private time = 1000;
  private nextId = 1;
  private readonly timers = new Map<number, { at: number; callback: () => void }>();
  private readonly watchers = new Set<() => void>();
  private frames: (() => void)[] = [];
  private isHidden = false;
  /** A slow page draws a frame only this often, ms. */
  frameInterval = 16;
  /** While the page is hidden, its timers fire at multiples of this only, ms. */
  hiddenGrain = 1000;

  now(): number {
    return this.time;
  }

  set(callback: () => void, delay: number): number {
    const id = this.nextId++;
    this.timers.set(id, { at: this.time + Math.max(0, delay), callback });
    return id;
  }

  clear(timer: number | undefined): void {
    if (timer !== undefined) this.timers.delete(timer);
  }

  frame(callback: () => void): void {
    if (this.frames.push(callback) === 1) this.draw();
  }

  private draw(): void {
    this.set(
      () => {
        if (this.isHidden) return;
        for (const callback of this.frames.splice(0)) callback();
      },
      this.frameInterval - (this.time % this.frameInterval),
    );
  }

  /** The timers that a page has; the server and the network use the others. */
  get page(): Timers {
    const late = (delay: number): number =>
      this.isHidden
        ? Math.ceil((this.time + delay) / this.hiddenGrain) * this.hiddenGrain - this.time
        : delay;
    return {
      now: () => this.now(),
      set: (callback, delay) => this.set(callback, late(delay)),
      clear: (timer) => this.clear(timer),
      frame: (callback) => this.frame(callback),
      hidden: () => this.hidden(),
      watch: (changed) => this.watch(changed),
    };
  }

  hidden(): boolean {
    return this.isHidden;
  }

  watch(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => this.watchers.delete(changed);
  }

  /** Shows or hides the page. */
  setHidden(hidden: boolean): void {
    this.isHidden = hidden;
    if (!hidden && this.frames.length > 0) this.draw();
    this.watchers.forEach((changed) => changed());
  }

  /** Lets `ms` pass: timers fire in order, each at its time, and promises settle between them. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      let next: [number, { at: number; callback: () => void }] | undefined;
      for (const entry of this.timers) if (!next || entry[1].at < next[1].at) next = entry;
      if (!next || next[1].at > end) break;
      this.timers.delete(next[0]);
      this.time = Math.max(this.time, next[1].at);
      next[1].callback();
      await settle();
    }
    this.time = end;
  }

  /** The page is frozen for `ms`: time passes and no timer fires. */
  sleep(ms: number): void {
    this.time += ms;
  }

  /** Lets time pass until the promise settles, at most `most` ms. */
  async until<T>(promise: Promise<T>, most = 60_000): Promise<T> {
    let done = false;
    const watched = promise.finally(() => (done = true));
    watched.catch(() => {});
    for (let passed = 0; !done && passed < most; passed += 5) await this.advance(5);
    if (!done) throw new Error(`nothing came of it in ${most} ms`);
    return watched;
  }
}

/** Lets promises settle. */
async function settle(): Promise<void> {
  for (let n = 0; n < 8; n++) await Promise.resolve();
}
