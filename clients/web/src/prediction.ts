/** Inputs kept if the server confirms none: past that the oldest are forgotten. */
const MAX_PENDING = 256;

/**
 * The player's own entity, shown as it will be. Every input is applied here when it is sent, and kept. A state from the
 * server says which input it contains last: the prediction goes back to that state, forgets the inputs that are in it,
 * and applies the rest again. If both ends run the same rules on the same integers, nobody sees it; if not, `Smoothing`
 * hides the difference over a few frames.
 * (Gabriel Gambetta, "Fast-Paced Multiplayer", part II; Yahn Bernier, "Latency Compensating Methods", Valve, 2001.)
 */
export class Prediction<S, I> {
  private confirmed: S;
  private sequence = 0;
  private inputs: { sequence: number; input: I; state: S }[] = [];

  /** Starts from a state of the server. `apply` is one step of the rules with one input; it must not change its argument. */
  constructor(
    state: S,
    private readonly apply: (state: S, input: I) => S,
  ) {
    this.confirmed = state;
  }

  /** Applies the input that was sent with this number. */
  push(sequence: number, input: I): S {
    const state = this.apply(this.state, input);
    this.inputs.push({ sequence, input, state });
    if (this.inputs.length > MAX_PENDING) {
      const forgotten = this.inputs.shift()!;
      this.sequence = forgotten.sequence;
      this.confirmed = forgotten.state;
    }
    return state;
  }

  /**
   * The server's state contains the inputs up to `sequence`. `correct` gets what was predicted for this very input and
   * returns what it should have been: where a snapshot has places but no speeds, and the place is as predicted, so was
   * the speed. Returns what was shown until now, to smooth the difference; undefined: this is older than what the server
   * has confirmed, and nothing changes.
   */
  reconcile(sequence: number, correct: (predicted: S) => S): S | undefined {
    if (sequence < this.sequence) return undefined;
    const shown = this.state;
    this.sequence = sequence;
    while (this.inputs.length > 0 && this.inputs[0]!.sequence <= sequence) {
      this.confirmed = this.inputs.shift()!.state;
    }
    const corrected = correct(this.confirmed);
    if (corrected !== this.confirmed) {
      this.confirmed = corrected;
      let state = corrected;
      for (const pending of this.inputs) pending.state = state = this.apply(state, pending.input);
    }
    return shown;
  }

  /** Starts anew, for a new seat: numbers count from 1 again. */
  reset(state: S): void {
    this.inputs = [];
    this.sequence = 0;
    this.confirmed = state;
  }

  /** The state with all inputs sent so far. */
  get state(): S {
    return this.inputs.length > 0 ? this.inputs[this.inputs.length - 1]!.state : this.confirmed;
  }

  /** Inputs that no state has confirmed. */
  get pending(): number {
    return this.inputs.length;
  }
}

/**
 * Hides corrections: what is shown glides to what is right. (Glenn Fiedler, "State Synchronization", 2015.)
 */
export class Smoothing {
  private x = 0;
  private y = 0;
  private at = 0;

  /** An error halves in `halfLife` ms; one longer than `snap` is not hidden at all (the player was moved far away). */
  constructor(
    private readonly halfLife: number,
    private readonly snap: number,
  ) {}

  /** A correction moved the state by (dx, dy). */
  correct(now: number, dx: number, dy: number): void {
    const offset = this.offset(now);
    this.x = offset.x - dx;
    this.y = offset.y - dy;
    this.at = now;
    // Not a number is as far away as can be.
    if (!(Math.hypot(this.x, this.y) <= this.snap)) this.x = this.y = 0;
  }

  /** What to add to the state to get what to show. */
  offset(now: number): { x: number; y: number } {
    const part = this.halfLife > 0 ? 2 ** -(Math.max(0, now - this.at) / this.halfLife) : 0;
    return { x: this.x * part, y: this.y * part };
  }
}
