/**
 * When the acknowledgements of one connection are sent. They travel with inputs; after a while without one
 * they are sent alone. However many messages come, acknowledgements are sent no more often than once per
 * tick: one acknowledges everything before it.
 */
export class Acks {
  /** Newest state and reliable message of this connection; 0: none. */
  private state = 0;
  private reliable = 0n;
  /** Deadline up to which what waits to be acknowledged may wait for an input, ms. */
  dueAt: number | undefined;
  /** When the next one would be due at one per tick. */
  private nextAt = -Infinity;

  /** `repeats`: acknowledgements may be lost, so each message repeats them. */
  constructor(private readonly repeats: boolean) {}

  takeState(state: number): void {
    this.state = state;
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
  take(now: number, tick: number): { stateAck: number; reliableAck: bigint } {
    this.dueAt = undefined;
    this.nextAt = Math.min(Math.max(this.nextAt, now), now + tick) + tick;
    const acks = { stateAck: this.state, reliableAck: this.reliable };
    if (!this.repeats) {
      this.state = 0;
      this.reliable = 0n;
    }
    return acks;
  }
}
