import { crc32c } from "./crc32c.js";
import type { Schema } from "./schema.js";
import { Texts } from "./texts.js";

/** A room's state at one tick: a table for each kind of its schema. Made to be reused. */
export class Snapshot {
  tick = 0;
  readonly tables: readonly Table[];
  readonly texts = new Texts();

  constructor(readonly schema: Schema) {
    this.tables = schema.kinds.map((kind) => new Table(kind.columns.length));
  }

  /** The table of a kind, by its name. */
  table(kind: string): Table | undefined {
    return this.tables[this.schema.find(kind)];
  }

  /** Empties all tables, forgets all texts and sets the tick. */
  clear(tick: number): void {
    this.tick = tick;
    for (const table of this.tables) table.length = 0;
    this.texts.clear();
  }

  /** Makes this a copy of a snapshot of the same schema. */
  copyFrom(other: Snapshot): void {
    this.tick = other.tick;
    this.tables.forEach((table, n) => table.copyFrom(other.tables[n]!));
    this.texts.copyFrom(other.texts);
  }

  /**
   * CRC-32C over the canonical bytes, which are 32-bit little-endian numbers: the tick; then for each table
   * the number of entities, the ids in ascending order, and each column's values in the order of the ids;
   * then the texts: see `textWords`.
   */
  checksum(): number {
    let crc = crc32c(0, [this.tick], 1);
    for (const table of this.tables) {
      crc = crc32c(crc, [table.length], 1);
      crc = crc32c(crc, table.ids, table.length);
      for (const column of table.columns) crc = crc32c(crc, column, table.length);
    }
    const texts = this.textWords();
    return crc32c(crc, texts, texts.length);
  }

  /**
   * The texts as in the canonical bytes, if there are any: how many, and for each, in ascending order of
   * number, its number, its length in bytes, and its bytes with zeros after them up to a multiple of four.
   */
  textWords(): number[] {
    if (this.texts.size === 0) return [];
    const words = [this.texts.size];
    for (const number of this.texts.numbers()) {
      const bytes = this.texts.bytes(number);
      words.push(number, bytes.length);
      for (let n = 0; n < bytes.length; n += 4) {
        const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(n, n + 4);
        words.push(a | (b << 8) | (c << 16) | (d << 24));
      }
    }
    return words;
  }
}

/**
 * The entities of one kind: ids in ascending order, and one column of integers for each field. Only the first
 * `length` numbers of each array are valid.
 */
export class Table {
  length = 0;
  ids = new Uint32Array(0);
  readonly columns: Int32Array[];

  constructor(width: number) {
    this.columns = Array.from({ length: width }, () => new Int32Array(0));
  }

  /** The row of an id, -1 if it is not there. */
  row(id: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ids[middle]! < id) low = middle + 1;
      else high = middle;
    }
    return low < this.length && this.ids[low] === id ? low : -1;
  }

  /** An entity's value in a column. */
  value(id: number, column: number): number | undefined {
    const row = this.row(id);
    return row < 0 ? undefined : this.columns[column]?.[row];
  }

  /** Sets the length and makes room for it. The contents of the rows are unspecified then. */
  resize(length: number): void {
    this.length = length;
    if (this.ids.length >= length) return;
    const room = Math.max(16, length + (length >> 1));
    this.ids = new Uint32Array(room);
    for (let n = 0; n < this.columns.length; n++) this.columns[n] = new Int32Array(room);
  }

  copyFrom(other: Table): void {
    this.resize(other.length);
    this.ids.set(other.ids.subarray(0, other.length));
    this.columns.forEach((column, n) => column.set(other.columns[n]!.subarray(0, other.length)));
  }
}
