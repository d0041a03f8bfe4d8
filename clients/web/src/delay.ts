/**
 * To reach the target unnoticed, play faster or slower by this fraction of the time; the second applies when
 * far from the target.
 */
const GENTLE = 0.1;
const FIRM = 0.5;
/** Further than this from the target, ms, is far. */
const FAR = 100;
/** Further behind than this: jump forward. Further ahead: stand still. */
const LOST = 500;

/**
 * How far in the past to show the world, ms: the mean age of the states on arrival, four times the mean
 * deviation from it (like TCP's retransmission timer, RFC 6298), and the time between two states, because the
 * later one must be there when the earlier one is left behind. The time shown is moved towards that by
 * playing up to a tenth faster or slower.
 */
export class RenderDelay {
  private mean: number | undefined;
  private begun = false;
  private deviation = 0;
  private gap = 0;
  private now = -Infinity;
  private shown: number | undefined;

  constructor(
    private readonly min: number,
    private readonly max: number,
  ) {}

  /** The clock has moved: earlier measurements are void, and the time shown is chosen anew. */
  restart(): void {
    this.begun = false;
    this.gap = 0;
    this.now = -Infinity;
    this.shown = undefined;
  }

  /** A state arrived `age` after it was due, `gap` after the previous one by their ticks. */
  state(age: number, gap: number): void {
    if (!this.begun || this.mean === undefined) {
      this.begun = true;
      this.mean = age;
      this.deviation = gap / 8;
    } else {
      this.deviation += (Math.abs(this.mean - age) - this.deviation) / 4;
      this.mean += (age - this.mean) / 8;
    }
    // Follow an increase at once, a decrease slowly.
    this.gap = Math.max(gap, this.gap - (this.gap - gap) / 8);
  }

  /**
   * Time has passed. Returns the time to show, never earlier than before. Undefined before the first state.
   */
  advance(now: number): number | undefined {
    if (this.mean === undefined) return undefined;
    const goal = now - this.target;
    if (this.shown === undefined) {
      this.shown = goal;
    } else {
      // After a correction backwards, the clock stands still for a while.
      const passed = Math.max(0, now - this.now);
      const error = goal - (this.shown + passed);
      const most = passed * (Math.abs(error) > FAR ? FIRM : GENTLE);
      const slew = Math.abs(error) > LOST ? error : Math.min(most, Math.max(-most, error));
      this.shown = Math.max(this.shown, this.shown + passed + slew);
    }
    this.now = Math.max(this.now, now);
    return this.shown;
  }

  /** The delay to aim for, ms. */
  get target(): number {
    const delay = (this.mean ?? 0) + 4 * this.deviation + this.gap;
    return Math.min(this.max, Math.max(this.min, delay));
  }
}
