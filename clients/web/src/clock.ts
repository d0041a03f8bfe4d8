/** Samples that are considered. */
const WINDOW = 8;
/** How fast two clocks may drift apart (RFC 5905: PHI). */
const DRIFT = 15e-6;
/**
 * Error of a browser's clock, ms: browsers that resist fingerprinting round times to a sixtieth of a second.
 */
const GRAIN = 17;
/**
 * A welcome that says that the server's clock is this far behind the estimate, ms, comes from another server.
 */
const OTHER_CLOCK = 2000;

interface Sample {
  readonly at: number;
  readonly rtt: number;
  readonly offset: number;
}

/**
 * An estimate of the server's clock, milliseconds. If the two directions take different times, an estimate is
 * wrong by half the difference, at most half the round trip. So of the last eight samples the one with the
 * shortest round trip is used. This is NTP's clock filter (RFC 5905 section 10), with its allowance for
 * clocks that drift apart. Two samples that differ by more than the sum of their errors cannot come from the
 * same clocks: one of them was set, or stood still while the machine slept, and earlier measurements are
 * forgotten. driftless-client's `Clock` has the same rules, but its own clock is more precise than a
 * browser's.
 */
export class Clock {
  private samples: Sample[] = [];
  private best: Sample | undefined;
  private offset: number | undefined;
  /** How often the server's clock turned out to have moved. */
  moves = 0;

  /** How long a message takes in one direction, according to the best sample. */
  get way(): number {
    return (this.best?.rtt ?? 0) / 2;
  }

  /** A welcome arrived: the server's clock showed `serverTime` when it was written. */
  handleWelcome(now: number, serverTime: number): void {
    const offset = serverTime - now;
    if (this.offset !== undefined) {
      // Its time in transit is unknown; but it cannot have arrived before it was written.
      const ahead = offset - this.offset;
      if (ahead <= (this.best ? this.error(now) : OTHER_CLOCK) && ahead >= -OTHER_CLOCK) return;
      this.forget();
    }
    this.offset = offset;
  }

  /** A pong arrived at `at` after `rtt`; `serverTime` is the server's clock in the middle. */
  handlePong(at: number, rtt: number, serverTime: number): void {
    const sample = { at, rtt, offset: serverTime - (at - rtt / 2) };
    if (this.samples.some((older) => !agree(older, sample))) this.forget();
    this.samples.push(sample);
    if (this.samples.length > WINDOW) this.samples.shift();
    this.best = this.samples.reduce((best, s) => (error(s, at) < error(best, at) ? s : best));
    this.offset = this.best.offset;
  }

  /** What the server's clock shows now. Undefined before the first welcome. */
  serverTime(now: number): number | undefined {
    return this.offset === undefined ? undefined : now + this.offset;
  }

  /**
   * How far `serverTime` may be off, ms. Infinity before the first pong, because the welcome's time in
   * transit is unknown.
   */
  error(now: number): number {
    return this.best ? error(this.best, now) : Infinity;
  }

  private forget(): void {
    this.samples = [];
    this.best = undefined;
    this.moves++;
  }
}

/** Whether both can come from the same two clocks. */
function agree(older: Sample, newer: Sample): boolean {
  return Math.abs(newer.offset - older.offset) <= error(older, newer.at) + error(newer, newer.at);
}

function error(sample: Sample, now: number): number {
  return sample.rtt / 2 + (now - sample.at) * DRIFT + GRAIN;
}
