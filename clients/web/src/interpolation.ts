import type { Schema } from "./codec/schema.js";
import { Snapshot } from "./codec/snapshot.js";
import { RenderDelay } from "./delay.js";
import { View } from "./view.js";

/** Most states that are kept. */
const MAX_FRAMES = 64;

/** How entities are interpolated. Times are milliseconds. */
export interface InterpolationOptions {
  /** How long entities continue their movement when no state comes. Default: 100. */
  readonly extrapolation?: number | undefined;
  /** Minimum of the render delay. Default: 0. */
  readonly minDelay?: number | undefined;
  /** Maximum of the render delay. Default: 1000. */
  readonly maxDelay?: number | undefined;
  /**
   * A number that changes by more than this many quanta between two states has jumped and is not
   * interpolated: for games whose schema does not say it better, by `life`. Default: none.
   */
  readonly jump?: number | undefined;
}

interface Frame {
  due: number;
  snapshot: Snapshot;
}

/**
 * Shows the entities of others a little in the past, between two states: numbers of linear groups are
 * interpolated, those of hold groups keep the earlier value. When the later state is not there in time,
 * entities continue their movement for a short time and then stand still. The time shown never goes
 * backwards. (Yahn Bernier, "Source Multiplayer Networking", Valve; Glenn Fiedler, "Snapshot Interpolation",
 * 2014.)
 */
export class Interpolation {
  private readonly delay: RenderDelay;
  private frames: Frame[] = [];
  private readonly spare: Snapshot[] = [];

  /** `epoch`: when tick 0 was due, ms of the server's clock. Another one where the room goes on. */
  constructor(
    private readonly schema: Schema,
    private readonly tickRate: number,
    public epoch: number,
    private readonly options: InterpolationOptions = {},
  ) {
    this.delay = new RenderDelay(options.minDelay ?? 0, options.maxDelay ?? 1000);
  }

  /**
   * A state was applied when the server's clock showed `arrived`. One of the last one's tick replaces it.
   * Returns false if it is older; it is then ignored.
   */
  push(arrived: number, snapshot: Snapshot): boolean {
    const due = this.epoch + (snapshot.tick * 1000) / this.tickRate;
    const last = this.frames[this.frames.length - 1];
    if (last && last.snapshot.tick >= snapshot.tick) {
      if (last.snapshot.tick > snapshot.tick) return false;
      last.snapshot.copyFrom(snapshot);
      return true;
    }
    this.delay.state(arrived - due, last ? due - last.due : 1000 / this.tickRate);
    if (this.frames.length === MAX_FRAMES) this.dropFirst();
    const kept = this.spare.pop() ?? new Snapshot(this.schema);
    kept.copyFrom(snapshot);
    this.frames.push({ due, snapshot: kept });
    return true;
  }

  /** Advances to `now` on the server's clock and returns what to show. Undefined before the first state. */
  advance(now: number): View | undefined {
    const shown = this.delay.advance(now);
    if (shown === undefined) return undefined;
    // Keep one state that is not after the time shown, and always two to extrapolate from.
    while (this.frames.length > 2 && this.frames[1]!.due <= shown) this.dropFirst();
    return this.view(shown);
  }

  /** The server's clock turned out to have moved: the time shown is chosen anew. */
  restart(): void {
    this.delay.restart();
  }

  /** How far in the past the time shown should be, ms. */
  get renderDelay(): number {
    return this.delay.target;
  }

  private view(shown: number): View | undefined {
    let after = this.frames.findIndex((frame) => frame.due > shown);
    if (after < 0) after = this.frames.length;
    const base = this.frames[Math.max(after - 1, 0)];
    if (!base) return undefined;
    const next = this.frames[after];
    const jump = this.options.jump ?? Infinity;
    // Before the first state: show that one.
    if (after === 0) return new View(base.snapshot, undefined, 0, jump);
    if (next) return new View(base.snapshot, next.snapshot, (shown - base.due) / (next.due - base.due), jump);
    const previous = this.frames[after - 2];
    if (!previous) return new View(base.snapshot, undefined, 0, jump);
    // Past the last state: continue the movement from the one before it.
    const past = Math.min(shown - base.due, this.options.extrapolation ?? 100);
    return new View(base.snapshot, previous.snapshot, past / (previous.due - base.due), jump);
  }

  private dropFirst(): void {
    const first = this.frames.shift();
    if (first) this.spare.push(first.snapshot);
  }
}
