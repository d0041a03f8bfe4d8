import type { Snapshot } from "./codec/snapshot.js";

type Tell = (kind: string, id: number) => void;

/** Tells which entities have come into view since the last state, and which have left it. */
export class Sight {
  private seen: { kind: string; ids: Uint32Array }[] = [];

  /** There is a newer state. Whatever left is told before what came. */
  update({ schema, tables }: Snapshot, left: Tell, came: Tell): void {
    const before = this.seen;
    this.seen = tables.map(({ ids, length }, n) => ({
      kind: schema.kinds[n]!.name,
      ids: ids.slice(0, length),
    }));
    before.forEach(({ kind, ids }, n) => missing(ids, this.seen[n]?.ids, (id) => left(kind, id)));
    this.seen.forEach(({ kind, ids }, n) => missing(ids, before[n]?.ids, (id) => came(kind, id)));
  }

  /** Everything is out of view. */
  clear(left: Tell): void {
    for (const { kind, ids } of this.seen.splice(0)) ids.forEach((id) => left(kind, id));
  }
}

/** Calls `tell` for the ids of one ascending list that another lacks. */
function missing(ids: Uint32Array, others: Uint32Array | undefined, tell: (id: number) => void): void {
  let at = 0;
  for (const id of ids) {
    while (others && at < others.length && others[at]! < id) at++;
    if (!others || at === others.length || others[at] !== id) tell(id);
  }
}
