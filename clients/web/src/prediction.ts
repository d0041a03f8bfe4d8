import type { Schema } from "./codec/schema.js";
import type { Snapshot } from "./codec/snapshot.js";
import type { OwnRow } from "./view.js";
import type { Rules } from "./wasm.js";

/** A correction halves every this many ms. */
const HALF_LIFE = 60;
/** Number of states, roughly, over which the mean error is taken. */
const MEAN_OF = 20;

/**
 * Prediction of the player's own entity: each input takes effect at once, by the game's own rules, and the
 * server's states correct it, over a few frames, so that no jump is visible. (Gabriel Gambetta, "Fast-Paced
 * Multiplayer", part II. The smoothing: Glenn Fiedler, "State Synchronization", 2015.)
 */
export class Prediction {
  /** Whether the player is shown as predicted, or like everybody else. Can be switched at any time. */
  enabled = true;
  /** The error of the prediction for the last state, in units of the game's measure. */
  error = 0;
  /** The same, as a mean over about a second. */
  meanError = 0;
  private readonly smoothing: Smoothing;
  private quantaPerUnit = 1;
  private linear: readonly boolean[] = [];
  private rules: Rules | undefined;
  private failure: unknown;
  private seat: { schema: Schema; player: number; tickRate: number } | undefined;
  private sent: { payload: Uint8Array; at: number } | undefined;

  /** A correction by more than `jump` quanta is not an error to hide: the player was moved far away. */
  constructor(jump: number) {
    this.smoothing = new Smoothing(HALF_LIFE, jump);
  }

  /**
   * Whether the game's rules are loaded. Before that, and if they cannot be used, the player is shown like
   * everybody else.
   */
  get ready(): boolean {
    return this.rules !== undefined;
  }

  /** @internal The rules are loaded. */
  use(rules: Rules): void {
    this.rules = rules;
    if (this.seat) this.start(this.seat.schema, this.seat.player, this.seat.tickRate);
  }

  /** @internal A new seat. */
  start(schema: Schema, player: number, tickRate: number): void {
    this.seat = { schema, player, tickRate };
    this.sent = undefined;
    this.error = this.meanError = 0;
    this.smoothing.reset();
    this.warn();
    this.guarded((rules) => {
      const columns = schema.kinds[rules.kind]?.columns ?? [];
      this.linear = columns.map(({ predictor }) => predictor === "linear");
      this.quantaPerUnit = (columns.find((_, n) => this.linear[n]) ?? columns[0])?.quantaPerUnit ?? 1;
      rules.start(player, tickRate);
    });
  }

  /** @internal An input was sent. */
  push(now: number, sequence: number, payload: Uint8Array): void {
    this.sent = { payload, at: now };
    this.guarded((rules) => rules.push(sequence, payload));
  }

  /**
   * @internal A state came. `isLate`: whether it shows an entity as of an earlier tick, which the inputs that
   * it contains do not fit.
   */
  state(
    now: number,
    input: number,
    snapshot: Snapshot,
    isLate: (kind: number, id: number) => boolean = () => false,
  ): void {
    this.guarded((rules) => {
      if (isLate(rules.kind, this.seat?.player ?? 0)) return;
      const before = rules.shown();
      rules.state(input, snapshot);
      const after = rules.shown();
      this.error = rules.error / this.quantaPerUnit;
      this.meanError += (this.error - this.meanError) / MEAN_OF;
      if (!before || !after) return;
      // Only what moves is smoothed: how far points or gold are off says nothing about a position.
      const moved = before.map((value, n) => (this.linear[n] ? value : after[n]!));
      this.smoothing.correct(now, moved, after);
    });
  }

  /**
   * @internal The player's row to show. `next` is the input that will be sent next, if nothing else happens.
   */
  shown(now: number, next: Uint8Array | undefined): OwnRow | undefined {
    const { seat } = this;
    if (!this.enabled || !seat) return undefined;
    return this.guarded((rules) => {
      const from = rules.shown();
      if (!from) return undefined;
      const input = next ?? this.sent?.payload;
      const to = (input && rules.shownAfter(input)) ?? from;
      const part = this.sent ? Math.min(1, ((now - this.sent.at) * seat.tickRate) / 1000) : 0;
      const values = Array.from(to, (value, n) => {
        if (!this.linear[n]) return value;
        return from[n]! + (value - from[n]!) * part + this.smoothing.offset(now, n);
      });
      return { kind: rules.kind, id: seat.player, values };
    });
  }

  private guarded<T>(use: (rules: Rules) => T): T | undefined {
    if (!this.rules) return undefined;
    try {
      return use(this.rules);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  /** @internal Continues without prediction. */
  fail(error: unknown): void {
    this.rules = undefined;
    this.failure = error;
    if (this.seat) this.warn();
  }

  private warn(): void {
    if (this.failure !== undefined) console.warn("driftless: the player is not predicted:", this.failure);
    this.failure = undefined;
  }
}

/** Hides corrections: what is shown glides to the right values. */
export class Smoothing {
  private offsets: number[] = [];
  private at = 0;

  /** An error halves every `halfLife` ms; one with a number above `jump` is not hidden at all. */
  constructor(
    private readonly halfLife: number,
    private readonly jump: number,
  ) {}

  /** A correction moved the prediction from `before` to `after`. */
  correct(now: number, before: ArrayLike<number>, after: ArrayLike<number>): void {
    const offsets = Array.from(after, (value, n) => this.offset(now, n) + before[n]! - value);
    this.offsets = offsets.every((offset) => Math.abs(offset) <= this.jump) ? offsets : [];
    this.at = now;
  }

  /** What to add to a number to get what should be shown. */
  offset(now: number, n: number): number {
    const part = this.halfLife > 0 ? 2 ** -(Math.max(0, now - this.at) / this.halfLife) : 0;
    return (this.offsets[n] ?? 0) * part;
  }

  /** Hides nothing any more. */
  reset(): void {
    this.offsets = [];
  }
}
