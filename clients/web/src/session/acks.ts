/** Acknowledgements of one connection. They ride on inputs; after a while without one they go alone. */
export class Acks {
  /** Newest state and reliable message of this connection; 0: none. */
  private state = 0;
  private reliable = 0n;
  /** Until when what waits to be acknowledged may wait for an input, ms. */
  dueAt: number | undefined;

  /** `repeats`: whether an acknowledgement may be lost, so that each message repeats it. */
  constructor(private readonly repeats: boolean) {}

  takeState(now: number, state: number, wait: number): void {
    this.state = state;
    this.dueAt ??= now + wait;
  }

  takeReliable(now: number, reliable: bigint, wait: number): void {
    this.reliable = reliable;
    this.dueAt ??= now + wait;
  }

  /** What to acknowledge with what is sent now. 0: nothing. */
  take(): { stateAck: number; reliableAck: bigint } {
    this.dueAt = undefined;
    const acks = { stateAck: this.state, reliableAck: this.reliable };
    if (!this.repeats) {
      this.state = 0;
      this.reliable = 0n;
    }
    return acks;
  }
}
