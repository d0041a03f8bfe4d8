import { Decoder } from "../codec/delta.js";
import type { Schema } from "../codec/schema.js";
import { Snapshot } from "../codec/snapshot.js";
import { MAX_AGE, type StateHead } from "../codec/state.js";
import { ServerFault } from "./fault.js";

/** The states applied last, which deltas refer to and a game shows. Their memory is reused. */
export class History {
  /** Oldest first. */
  private states: Snapshot[] = [];
  private spare: Snapshot[] = [];
  private readonly decoder = new Decoder();

  get current(): Snapshot | undefined {
    return this.states[this.states.length - 1];
  }

  /** Forgets all states: those of another room may have another schema. */
  clear(): void {
    this.states = [];
    this.spare = [];
  }

  /**
   * Applies a delta and keeps `keep` states. On error nothing changes. A state with the tick of the newest
   * one replaces it.
   */
  apply(schema: Schema, head: StateHead, keep: number): void {
    const references = { baseline: this.find(head, head.baseline), prior: this.find(head, head.prior) };
    const state = this.spare.pop() ?? new Snapshot(schema);
    try {
      this.decoder.apply(references, head.tick, head.shared, state);
    } catch (error) {
      this.spare.push(state);
      throw error;
    }
    if (this.current?.tick === head.tick) this.drop(this.states.length - 1);
    this.states.push(state);
    while (
      this.states.length > keep ||
      (this.states.length > 2 && head.tick - this.states[0]!.tick > MAX_AGE)
    ) {
      this.drop(0);
    }
  }

  private find(head: StateHead, tick: number | undefined): Snapshot | undefined {
    if (tick === undefined) return undefined;
    for (let n = this.states.length - 1; n >= 0; n--)
      if (this.states[n]!.tick === tick) return this.states[n]!;
    throw new ServerFault("unknown baseline", `state of tick ${head.tick} against tick ${tick}`);
  }

  private drop(at: number): void {
    this.spare.push(...this.states.splice(at, 1));
  }
}
