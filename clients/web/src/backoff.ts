/** Longest wait that a server may request in a goodbye, ms; longer ones are cut to this. */
const MAX_SERVER_DELAY = 300_000;

/**
 * Waits between attempts to connect: exponential with full jitter, so that clients that were disconnected
 * together come back spread out. (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
 * 2015.)
 */
export class Backoff {
  /** Failures since the last success. */
  failures = 0;
  /** How often in a row a server has said when to come back. */
  private told = 0;

  /**
   * The first wait is at most `base` ms, and none is longer than `cap`. `random` returns numbers from 0 to 1.
   */
  constructor(
    private readonly base = 1000,
    private readonly cap = 30_000,
    private readonly random: () => number = Math.random,
  ) {}

  /** The longest that the next wait can be, ms, if the server requests nothing. */
  get ceiling(): number {
    return Math.min(this.base * 2 ** this.failures, this.cap);
  }

  /**
   * The wait after one more failure, ms, drawn from at most `most`. If a goodbye requested one, the first
   * three such waits are that (the server has spread its clients itself), and no later one is shorter.
   */
  next(asked = 0, most = Infinity): number {
    const jittered = Math.min(this.ceiling, most) * this.random();
    this.failures++;
    const wait = Math.min(asked, MAX_SERVER_DELAY);
    return wait > 0 && this.told++ < 3 ? wait : Math.max(jittered, wait);
  }

  /** A wait as after a first failure, but not counted as a failure, ms. */
  first(): number {
    return Math.min(this.base, this.cap) * this.random();
  }

  /** The connection works: the next wait starts from the beginning. */
  reset(): void {
    this.failures = this.told = 0;
  }
}
