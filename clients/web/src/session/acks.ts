/** How many state messages before the newest an acknowledgement tells of. */
const WINDOW = 32;

/**
 * When the acknowledgements of one connection are sent. They travel with inputs; after a while without one
 * they are sent alone. However many messages come, acknowledgements are sent no more often than once per
 * tick: one acknowledges everything before it.
 */
export class Acks {
  /** Number of the newest state message of this connection; 0: none. */
  private state = 0;
  /** Bit n: number `state` - 1 - n has not been applied. */
  private missing = 0;
  /** There is a newer state than the last acknowledgement said. */
  private stateWaits = false;
  /** Newest reliable message of this connection that waits to be acknowledged; 0: none. */
  private reliable = 0n;
  /** Deadline up to which what waits to be acknowledged may wait for an input, ms. */
  dueAt: number | undefined;
  /** When the next one would be due at one per tick. */
  private nextAt = -Infinity;

  /** `repeats`: acknowledgements may be lost, so each message repeats them. */
  constructor(private readonly repeats: boolean) {}

  /** Whether a state message was applied, or is so old that nobody could be told. */
  has(number: number): boolean {
    const n = this.state - 1 - number;
    return n < 0 ? n === -1 : n >= WINDOW || (this.missing & (1 << n)) === 0;
  }

  /** A state message was applied that had not been. */
  takeState(number: number): void {
    this.stateWaits = true;
    const ahead = number - this.state;
    if (ahead < 0) {
      this.missing &= ~(1 << (-ahead - 1));
      return;
    }
    // Those between the former newest and this one are missing.
    const between = ahead > WINDOW ? -1 : ~(-1 << (ahead - 1));
    this.missing = (ahead < WINDOW ? this.missing << ahead : 0) | between;
    this.state = number;
  }

  takeReliable(reliable: bigint): void {
    this.reliable = reliable;
  }

  /**
   * Something has to be acknowledged. It waits for an input for a tick and a quarter, because a player who
   * sends an input each tick should not need a separate acknowledgement because one input came late. `alone`:
   * there are no inputs, and timers sleep, so it is sent with this very message if the last one was about a
   * tick ago.
   */
  want(now: number, tick: number, alone: boolean): void {
    this.dueAt ??= alone ? Math.max(now, this.nextAt - tick / 2) : now + 1.25 * tick;
  }

  /** What to acknowledge with the message being sent. 0: nothing. */
  take(now: number, tick: number): { stateAck: number; stateMissing: number; reliableAck: bigint } {
    this.dueAt = undefined;
    this.nextAt = Math.min(Math.max(this.nextAt, now), now + tick) + tick;
    const { repeats, reliable } = this;
    const stateAck = repeats || this.stateWaits ? this.state : 0;
    this.stateWaits = false;
    if (!repeats) this.reliable = 0n;
    return { stateAck, stateMissing: repeats ? this.missing >>> 0 : 0, reliableAck: reliable };
  }
}
