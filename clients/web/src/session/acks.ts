/**
 * When acknowledgements of one connection go. They ride on inputs; after a while without one they go alone. However many
 * messages come, they go no more often than ticks do: one acknowledges all that came before it.
 */
export class Acks {
  /** Newest state and reliable message of this connection; 0: none. */
  private state = 0;
  private reliable = 0n;
  /** Until when what waits to be acknowledged may wait for an input, ms. */
  dueAt: number | undefined;
  /** When the next one would go at one a tick. */
  private nextAt = -Infinity;

  /** `repeats`: whether an acknowledgement may be lost, so that each message repeats it. */
  constructor(private readonly repeats: boolean) {}

  takeState(state: number): void {
    this.state = state;
  }

  takeReliable(reliable: bigint): void {
    this.reliable = reliable;
  }

  /**
   * What was taken wants to be acknowledged. It waits for an input for a tick and a quarter, because a player that sends
   * an input a tick should not need a lone acknowledgement because one input came late. `alone`: no input comes, and
   * timers sleep, so it goes with this very message, if the one before it was about a tick ago.
   */
  want(now: number, tick: number, alone: boolean): void {
    this.dueAt ??= alone ? Math.max(now, this.nextAt - tick / 2) : now + 1.25 * tick;
  }

  /** What to acknowledge with what is sent now. 0: nothing. */
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
