import type { Schema } from "../codec/schema.js";
import { Snapshot, type Table } from "../codec/snapshot.js";
import type { Texts } from "../codec/texts.js";

/** All zones as one snapshot. Keeps its memory. */
export class Union {
  readonly state: Snapshot;
  /** Id and source of each row, as one number, to sort. */
  private keys = new Float64Array(0);
  /** How many rows of each source have been taken. */
  private taken: number[] = [];

  constructor(schema: Schema) {
    this.state = new Snapshot(schema);
  }

  /** Unites these at `tick`. Of an entity that is in several, the first one's row counts. */
  unite(tick: number, sources: readonly Snapshot[]): void {
    this.state.clear(tick);
    this.state.tables.forEach((table, kind) => {
      const filled = sources.filter(({ tables }) => tables[kind]!.length > 0);
      if (filled.length > 1) return this.merge(kind, filled, table);
      for (const { tables, texts } of filled) {
        table.copyFrom(tables[kind]!);
        const columns = this.textColumns(kind);
        for (let row = 0; row < table.length; row++) this.translate(texts, columns, row);
      }
    });
  }

  private merge(kind: number, sources: readonly Snapshot[], out: Table): void {
    const tables = sources.map((source) => source.tables[kind]!);
    const most = tables.reduce((sum, { length }) => sum + length, 0);
    if (this.keys.length < most) this.keys = new Float64Array(2 * most);
    const keys = this.keys.subarray(0, most);
    let at = 0;
    tables.forEach(({ ids, length }, source) => {
      this.taken[source] = 0;
      for (let row = 0; row < length; row++) keys[at++] = ids[row]! * tables.length + source;
    });
    keys.sort();
    out.resize(most);
    const columns = this.textColumns(kind);
    let length = 0;
    for (const key of keys) {
      const id = Math.floor(key / tables.length);
      const source = key - id * tables.length;
      const from = tables[source]!;
      // A table's ids ascend, so its rows come in order.
      const row = this.taken[source]!++;
      if (length > 0 && out.ids[length - 1] === id) continue;
      out.ids[length] = id;
      for (let n = 0; n < out.columns.length; n++) out.columns[n]![length] = from.columns[n]![row]!;
      this.translate(sources[source]!.texts, columns, length++);
    }
    out.length = length;
  }

  private textColumns(kind: number): Int32Array[] {
    const { schema, tables } = this.state;
    return tables[kind]!.columns.filter((_, n) => schema.kinds[kind]!.columns[n]!.type);
  }

  /** A number means a text in one content only. */
  private translate(from: Texts, columns: readonly Int32Array[], row: number): void {
    for (const column of columns) column[row] = this.state.texts.addFrom(from, column[row]!);
  }
}
