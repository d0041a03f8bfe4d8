import type { Core } from "./core.js";
import type { Emitter } from "./emitter.js";
import { InputClock } from "./input_clock.js";
import type { Timers } from "./timers.js";

/** An input for the next tick. */
export interface PendingInput<Input> {
  readonly input: Input;
  readonly payload: Uint8Array;
  /** What the player was shown, ticks. */
  readonly moment: number | undefined;
}

/** Sends the newest input with each tick of the room. */
export class InputPacer<Input> {
  /** The input that goes with the next tick. */
  pending: PendingInput<Input> | undefined;
  private readonly clock = new InputClock();
  private timer: number | undefined;

  constructor(
    private readonly core: Core,
    private readonly timers: Timers,
    /** Whoever listens to `tick` brings the input. */
    private readonly emitter: Pick<Emitter<{ tick: { readonly tick: number } }>, "has" | "emit">,
    /** An input is to be sent, with this number. */
    private readonly sent: (sequence: number, input: PendingInput<Input>) => void,
  ) {}

  /** Replaces the input of the next tick. Without a connection, the tick that it is for will be past. */
  offer(input: PendingInput<Input>): void {
    if (this.core.phase.name === "online") this.pending = input;
    this.schedule();
  }

  /** Sets the timer for the next tick, if that wants an input. Called after each welcome. */
  schedule(): void {
    const { core, timers } = this;
    const { session, clock } = core;
    const wanted = this.pending !== undefined || this.emitter.has("tick");
    if (this.timer !== undefined || !wanted || !session.isActive || session.spectating) return;
    // Whoever is active has had a welcome, which says when it is.
    const { tick, wait } = this.clock.next(
      clock.serverTime(timers.now())!,
      session.tickInterval,
      core.tickDue(0)!,
      clock.way,
      core.meter.stats.jitter,
    );
    this.timer = timers.set(() => this.send(tick), wait);
  }

  private send(tick: number): void {
    const { session } = this.core;
    // Until the listeners have brought the input, the timer counts as set: that input needs none.
    if (session.isActive) {
      this.clock.sent(tick);
      this.emitter.emit("tick", { tick });
      const { pending } = this;
      this.pending = undefined;
      const sequence = pending && session.sendInput(pending.payload, pending.moment);
      if (sequence !== undefined) this.sent(sequence, pending!);
    }
    this.timer = undefined;
    this.schedule();
  }
}
