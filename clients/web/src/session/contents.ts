import type { Decoder } from "../codec/delta.js";
import type { Schema } from "../codec/schema.js";
import { Snapshot } from "../codec/snapshot.js";
import { MAX_AGE } from "../codec/state.js";

/** What a zone contained from one tick, which is the snapshot's, to another. */
export interface Content {
  readonly state: Snapshot;
  /** The last tick at which it is known to have been this. */
  until: number;
}

/** A delta in which everything is as predicted. */
const AS_PREDICTED = new Uint8Array(0);

/** The contents of one zone that deltas may refer to, and the newest. */
export class Contents {
  /** The message that last spoke of the zone. */
  spoken = 0;
  /** Oldest first. */
  private readonly kept: Content[] = [];
  private prediction: Snapshot | undefined;

  get newest(): Content | undefined {
    return this.kept[this.kept.length - 1];
  }

  /** The content before the newest. */
  get previous(): Content | undefined {
    return this.kept[this.kept.length - 2];
  }

  /** What the zone contained at `tick`. */
  at(tick: number): Snapshot | undefined {
    for (let n = this.kept.length - 1; n >= 0; n--) {
      const { state, until } = this.kept[n]!;
      if (state.tick <= tick) return tick <= until ? state : undefined;
    }
    return undefined;
  }

  /** Adds a content that is newer than the newest, or of the same tick, and then replaces it. */
  push(content: Content, spare: Content[]): void {
    if (this.newest?.state.tick === content.state.tick) spare.push(this.kept.pop()!);
    this.kept.push(content);
  }

  /** Keeps the newest `keep` contents, and of these, those that a delta after `tick` may refer to, or two. */
  trim(keep: number, tick: number, spare: Content[]): void {
    const { kept } = this;
    while (kept.length > keep || (kept.length > 2 && tick - kept[0]!.until > MAX_AGE)) {
      spare.push(kept.shift()!);
    }
  }

  clear(spare: Content[]): void {
    spare.push(...this.kept.splice(0));
  }

  /** The newest content, its movement continued until `tick`, but for `most` ticks at most. */
  shownAt(tick: number, most: number, schema: Schema, decoder: Decoder): Snapshot | undefined {
    const { newest, previous } = this;
    if (!newest || newest.until === tick) return newest?.state;
    const { state, until } = newest;
    // What has not changed for a tick does not move.
    if (!previous || state.tick < until || most === 0) return state;
    const references = { baseline: state, prior: previous.state, priorTick: previous.until };
    this.prediction ??= new Snapshot(schema);
    decoder.apply(references, Math.min(tick, until + most), AS_PREDICTED, this.prediction);
    this.holdNewLives(previous.state, state, this.prediction);
    return this.prediction;
  }

  /** Whoever began another life was placed where it is, and has not moved there: it stays in `predicted`. */
  private holdNewLives(before: Snapshot, newest: Snapshot, predicted: Snapshot): void {
    newest.schema.kinds.forEach(({ life }, kind) => {
      if (life === undefined) return;
      const table = newest.tables[kind]!;
      const old = before.tables[kind]!;
      for (let row = 0; row < table.length; row++) {
        const then = old.row(table.ids[row]!);
        if (then < 0 || old.columns[life]![then] === table.columns[life]![row]) continue;
        predicted.tables[kind]!.columns.forEach((column, n) => (column[row] = table.columns[n]![row]!));
      }
    });
  }
}
