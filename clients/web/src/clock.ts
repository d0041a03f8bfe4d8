/** Samples that are looked at. */
const WINDOW = 8;
/** How fast two clocks may drift apart (RFC 5905: PHI). */
const DRIFT = 15e-6;
/** A welcome that says the server's clock is off the estimate by more than this, ms, comes from another server. */
const OTHER_CLOCK = 2000;

interface Sample {
  readonly at: number;
  readonly rtt: number;
  readonly offset: number;
}

/**
 * The server's clock, as seen from here, milliseconds. If the way there and the way back differ, an estimate is wrong by
 * half the difference, at most half the round trip: so of the last eight samples the one with the shortest round trip is
 * believed. This is NTP's clock filter (RFC 5905 section 10), with its allowance for clocks that drift apart.
 */
export class Clock {
  private samples: Sample[] = [];
  private offset: number | undefined;
  /** How long a message takes one way, as far as the best sample can tell. */
  way = 0;

  /** A welcome arrived: the server's clock showed `serverTime` when it was written. */
  handleWelcome(now: number, serverTime: number): void {
    const offset = serverTime - now;
    if (this.offset !== undefined && Math.abs(offset - this.offset) <= OTHER_CLOCK) return;
    this.samples = [];
    this.offset = offset;
  }

  /** A pong arrived at `at` after `rtt`; `serverTime` is the server's clock in the middle. */
  handlePong(at: number, rtt: number, serverTime: number): void {
    this.samples.push({ at, rtt, offset: serverTime - (at - rtt / 2) });
    if (this.samples.length > WINDOW) this.samples.shift();
    const error = (s: Sample): number => s.rtt / 2 + (at - s.at) * DRIFT;
    const best = this.samples.reduce((best, s) => (error(s) < error(best) ? s : best));
    this.offset = best.offset;
    this.way = best.rtt / 2;
  }

  /** What the server's clock shows now. Undefined before the first welcome. */
  serverTime(now: number): number | undefined {
    return this.offset === undefined ? undefined : now + this.offset;
  }
}
