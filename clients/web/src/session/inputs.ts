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
  /** Inputs that no state has confirmed, oldest first, at most 9; the newest has the number `last`. */
  private kept: { payload: Uint8Array; moment: number }[] = [];
  private last = 0;
  /** How many of them, the newest, were not sent on this connection. */
  private unsent = 0;
  private repeats = false;

  /** The new input's number. `moment`: what the player was shown when acting, ticks. 0: unknown. */
  push(moment: number, payload: Uint8Array): number {
    this.last++;
    if (this.kept.length > MAX_PREVIOUS) this.kept.shift();
    this.kept.push({ payload, moment: Math.floor(Math.max(0, moment) * PARTS) });
    this.unsent = Math.min(this.unsent + 1, this.kept.length);
    return this.last;
  }

  next(): OutgoingInput | undefined {
    if (!this.unsent) return undefined;
    const first = this.repeats ? 0 : this.kept.length - this.unsent;
    this.unsent = 0;
    const { payload, moment } = this.kept[this.kept.length - 1]!;
    let room = REPEATED_BYTES - payload.length;
    let from = this.kept.length - 1;
    while (from > first && this.kept[from - 1]!.payload.length <= room) {
      room -= this.kept[--from]!.payload.length;
    }
    const kept = this.kept.slice(from);
    const previous = kept.slice(0, -1).map((input) => input.payload);
    const previousMoments = distances(kept.map((input) => input.moment));
    return { sequence: this.last, moment: BigInt(moment), payload, previous, previousMoments };
  }

  /** A state contains all inputs up to `sequence`. */
  confirm(sequence: number): void {
    // A state cannot contain inputs that were not sent: a server that says so is wrong.
    this.keep(Math.max(this.last - sequence, this.unsent));
  }

  /**
   * The welcome over a new connection names the last input that the server took: numbers continue above it.
   * If the room `stoodStill` meanwhile, what it has not got is sent again. Otherwise, what was for the
   * previous connection is outdated. `repeats`: inputs may be lost, so messages carry the others, too.
   */
  welcomed(repeats: boolean, sequence: number, stoodStill: boolean): void {
    this.repeats = repeats;
    this.last = Math.max(this.last, sequence);
    this.keep(stoodStill ? this.last - sequence : 0);
    this.unsent = this.kept.length;
  }

  private keep(count: number): void {
    this.kept.splice(0, this.kept.length - count);
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
