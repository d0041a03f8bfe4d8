/** Most inputs that a message repeats, and most bytes of them, so that it fits a datagram. */
const MAX_PREVIOUS = 8;
const REPEATED_BYTES = 1000;

/** Parts of a tick that a moment tells apart. */
const PARTS = 128;
/** The longest distance of two moments that a message can tell. */
const MAX_DISTANCE = 2 ** 31 - 1;

/** An input to send, with the earlier ones that it repeats. */
export interface OutgoingInput {
  readonly sequence: number;
  /** What the player was shown when acting, parts since tick 0. 0: unknown. */
  readonly moment: bigint;
  readonly payload: Uint8Array;
  readonly previous: Uint8Array[];
  readonly previousMoments: number[];
}

/** Inputs of one seat, numbered from 1. */
export class Inputs {
  /**
   * Inputs that the next message carries: the unsent ones and, on datagrams, the unconfirmed ones. Oldest
   * first, at most 9; the newest has the number `last`.
   */
  private kept: { payload: Uint8Array; moment: number }[] = [];
  private last = 0;
  private unsent = false;

  /** `repeats`: inputs may be lost. */
  constructor(public repeats: boolean) {}

  /** The new input's number. `moment`: what the player was shown when acting, ticks. 0: unknown. */
  push(moment: number, payload: Uint8Array): number {
    this.last++;
    if (this.kept.length > MAX_PREVIOUS) this.kept.shift();
    this.kept.push({ payload, moment: Math.floor(Math.max(0, moment) * PARTS) });
    this.unsent = true;
    return this.last;
  }

  next(): OutgoingInput | undefined {
    if (!this.unsent) return undefined;
    this.unsent = false;
    const { payload, moment } = this.kept[this.kept.length - 1]!;
    let room = REPEATED_BYTES - payload.length;
    let from = this.kept.length - 1;
    while (from > 0 && this.kept[from - 1]!.payload.length <= room) {
      room -= this.kept[--from]!.payload.length;
    }
    const kept = this.kept.slice(from);
    const previous = kept.slice(0, -1).map((input) => input.payload);
    const previousMoments = distances(kept.map((input) => input.moment));
    if (!this.repeats) this.kept = [];
    return { sequence: this.last, moment: BigInt(moment), payload, previous, previousMoments };
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

/**
 * How far each moment is from the next, less a tick, which is what it mostly is. Moments before one that is
 * unknown are unknown, too.
 */
function distances(moments: number[]): number[] {
  const known = moments.slice(moments.lastIndexOf(0) + 1);
  return known.slice(1).map((later, n) => Math.min(Math.max(0, later - known[n]!), MAX_DISTANCE) - PARTS);
}
