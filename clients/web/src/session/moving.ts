import type { Snapshot } from "../codec/snapshot.js";
import type { Content } from "./contents.js";

/** Most entities that are kept; more than these are forgotten, the oldest first. */
const MOST = 4096;

/** An entity that is no longer in its zone. */
interface Entity {
  readonly kind: number;
  readonly id: number;
  readonly values: readonly number[];
  /** The texts that the values mean, by column. */
  readonly texts: readonly (Uint8Array | undefined)[];
  readonly zone: number;
  /** The last tick at which it was in the zone. */
  readonly seen: number;
  /** The tick of the newest content that lacks it. */
  since: number;
}

/**
 * Entities that are no longer in their zone, and may have moved to one whose content is older: they are shown
 * as they were until all contents are at least as new as the one in which they are missing.
 */
export class Moving {
  private readonly entities = new Map<number, Entity>();

  get isEmpty(): boolean {
    return this.entities.size === 0;
  }

  /** The player no longer sees this zone, nor what was seen in it last. */
  forget(zone: number, newest: Content | undefined): void {
    for (const [key, entity] of this.entities) {
      const { kind, id, seen } = entity;
      const isInside = newest && newest.until > seen && newest.state.tables[kind]!.row(id) >= 0;
      if (entity.zone === zone || isInside) this.entities.delete(key);
    }
  }

  /** The oldest content is of tick `oldest`. */
  settle(oldest: number): void {
    for (const [key, entity] of this.entities) if (entity.since <= oldest) this.entities.delete(key);
  }

  /**
   * Keeps what was in a zone's content and is missing in the next, unless it is known to be elsewhere.
   * `lastSeen`: the tick of the newest content that has an entity.
   */
  compare(
    zone: number,
    before: Content,
    after: Snapshot,
    lastSeen: (kind: number, id: number) => number,
  ): void {
    before.state.tables.forEach((table, kind) => {
      const next = after.tables[kind]!;
      let at = 0;
      for (let row = 0; row < table.length; row++) {
        const id = table.ids[row]!;
        while (at < next.length && next.ids[at]! < id) at++;
        if ((at < next.length && next.ids[at] === id) || lastSeen(kind, id) > before.until) continue;
        const values = table.columns.map((column) => column[row]!);
        const { columns } = before.state.schema.kinds[kind]!;
        const texts = columns.map(({ type }, n) => type && before.state.texts.bytes(values[n]!));
        this.keep({ kind, id, values, texts, zone, seen: before.until, since: after.tick });
      }
    });
  }

  /** Makes `out` those that are shown. `lastSeen` as above: where an entity was seen later counts. */
  fill(out: Snapshot, lastSeen: (kind: number, id: number) => number): void {
    const entities = [...this.entities.values()].filter(({ kind, id, seen }) => lastSeen(kind, id) <= seen);
    entities.sort((a, b) => a.id - b.id);
    out.clear(0);
    out.tables.forEach((table, kind) => {
      const rows = entities.filter((entity) => entity.kind === kind);
      table.resize(rows.length);
      rows.forEach(({ id, values, texts }, row) => {
        table.ids[row] = id;
        values.forEach((value, n) => {
          const text = texts[n];
          table.columns[n]![row] = text ? out.texts.add(text) : value;
        });
      });
    });
  }

  private keep(entity: Entity): void {
    const key = entity.kind * 2 ** 32 + entity.id;
    const known = this.entities.get(key);
    if (known && known.seen >= entity.seen) {
      known.since = Math.max(known.since, entity.since);
      return;
    }
    this.entities.delete(key);
    this.entities.set(key, entity);
    for (const oldest of this.entities.keys()) {
      if (this.entities.size <= MOST) break;
      this.entities.delete(oldest);
    }
  }
}
