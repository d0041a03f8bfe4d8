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

  /** Sets the timer for the next tick, if it wants an input. */
  schedule(): void {
    const { core, timers } = this;
    const { session, tickInterval } = core;
    const due = core.tickDue(0);
    const serverTime = core.clock.serverTime(timers.now());
    const wanted = this.pending !== undefined || this.emitter.has("tick");
    if (this.timer !== undefined || !wanted || !session.isActive || session.spectating) return;
    if (tickInterval === undefined || due === undefined || serverTime === undefined) return;
    const { jitter } = core.meter.stats;
    const { tick, wait } = this.clock.next(serverTime, tickInterval, due, core.clock.way, jitter);
    this.timer = timers.set(() => this.send(tick), wait);
  }

  private send(tick: number): void {
    this.clock.sent(tick);
    // Listeners bring the input. Until then the timer counts as set: it is not needed for what is sent here.
    this.emitter.emit("tick", { tick });
    this.timer = undefined;
    const { pending } = this;
    this.pending = undefined;
    const sequence = pending && this.core.session.sendInput(pending.payload, pending.moment);
    if (sequence !== undefined) this.sent(sequence, pending!);
    this.schedule();
  }
}
