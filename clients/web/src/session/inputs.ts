/** Most inputs that a message repeats, and most bytes of them, so that it fits a datagram. */
const MAX_PREVIOUS = 8;
const REPEATED_BYTES = 1000;

/** An input to send, with the earlier ones that it repeats. */
export interface OutgoingInput {
  readonly sequence: number;
  readonly tick: number;
  readonly payload: Uint8Array;
  readonly previous: Uint8Array[];
}

/** Inputs of one seat, numbered from 1. */
export class Inputs {
  /**
   * Inputs that the next message carries: the unsent ones and, on datagrams, the unconfirmed ones. Oldest
   * first, at most 9; the newest has the number `last`.
   */
  private kept: Uint8Array[] = [];
  private last = 0;
  private tick = 0;
  private unsent = false;

  /** `repeats`: inputs may be lost. */
  constructor(public repeats: boolean) {}

  /** The new input's number. `tick` is that of the state that the player saw. */
  push(tick: number, payload: Uint8Array): number {
    this.last++;
    if (this.kept.length > MAX_PREVIOUS) this.kept.shift();
    this.kept.push(payload);
    this.tick = tick;
    this.unsent = true;
    return this.last;
  }

  next(): OutgoingInput | undefined {
    if (!this.unsent) return undefined;
    this.unsent = false;
    const payload = this.kept[this.kept.length - 1]!;
    let room = REPEATED_BYTES - payload.length;
    let from = this.kept.length - 1;
    while (from > 0 && this.kept[from - 1]!.length <= room) room -= this.kept[--from]!.length;
    const previous = this.kept.slice(from, -1);
    if (!this.repeats) this.kept = [];
    return { sequence: this.last, tick: this.tick, payload, previous };
  }

  /** A state contains all inputs up to `sequence`. */
  confirm(sequence: number): void {
    // A state cannot contain inputs that were not sent: a server that says so is wrong.
    const keep = Math.max(this.last - sequence, this.unsent ? 1 : 0);
    if (this.kept.length > keep) this.kept.splice(0, this.kept.length - keep);
  }

  /** The welcome names the last input that the server took: numbers continue above it. */
  received(sequence: number): void {
    this.last = Math.max(this.last, sequence);
  }

  /** The connection was lost: inputs queued for it are outdated. */
  disconnected(repeats: boolean): void {
    this.kept = [];
    this.unsent = false;
    this.repeats = repeats;
  }
}
