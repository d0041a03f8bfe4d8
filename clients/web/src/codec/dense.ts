import { DeltaError } from "./error.js";
import { type BitReader, rowClass } from "./rice.js";

/**
 * The DENSE coding: everything that differs in a content, in one string of bits. The documentation of
 * driftless-proto's `delta` defines the format.
 */

/** Parameter of the codes of despawned rows' gaps, and of the number of changed rows. */
const GAP = 3;
/** Bits of the length of a number of which nothing is known. */
const LENGTH_BITS = 6;
/** Survivors whose values tell how far apart those of new entities may be. */
const NEIGHBOURS = 9;
/** A number counts as at most this much, so that a sum stays small. */
const MOST = 1 << 24;
/** With so many, half of them are forgotten. */
const FULL = 8;
const MAX_FIELDS = 8;
const CLASSES = 3;

/** Row numbers, to read or to fill. */
interface Rows {
  readonly length: number;
  get(n: number): number;
  setStraight(length: number): void;
  begin(most: number): void;
  push(row: number): void;
}

/** What is known of the size of some numbers, from those before. */
class Scale {
  private count = 0;
  private sum = 0;
  /** The parameter: the largest with a mean of at least 2^(k + 1), or 0. */
  private k = 0;

  constructor(count = 0, sum = 0) {
    this.begin(count, sum);
  }

  begin(count: number, sum: number): void {
    this.count = count;
    this.sum = sum;
    this.k = 0;
    while (count > 0 && sum >> (this.k + 2) >= count) this.k++;
  }

  add(number: number): void {
    this.sum += number < MOST ? number : MOST;
    if (++this.count === FULL) {
      this.count >>= 1;
      this.sum >>= 1;
    }
    while (this.sum >> (this.k + 2) >= this.count) this.k++;
    while (this.k > 0 && this.sum >> (this.k + 1) < this.count) this.k--;
  }

  take(bits: BitReader): number {
    const number = bits.code(this.k);
    this.add(number);
    return number;
  }
}

/** Reads the despawned rows of a baseline's table of `rows`. */
export function takeDespawned(bits: BitReader, rows: number): number[] {
  const gone: number[] = [];
  let next = 0;
  while (bits.take(1) === 1) {
    const row = next + bits.code(GAP);
    if (row >= rows) throw new DeltaError("row", `despawned of ${rows}`);
    gone.push(row);
    next = row + 1;
  }
  return gone;
}

/** Reads the ids of new entities with `columns` values each; `above` is above all ids of the baseline. */
export function takeIds(bits: BitReader, above: number, columns: number): number[] {
  const ids: number[] = [];
  const scale = new Scale(1, 64);
  let next = 0;
  while (bits.take(1) === 1) {
    if (next < above && bits.take(1) === 1) next = above;
    const id = next + scale.take(bits);
    if (id > 0xffffffff) throw new DeltaError("spawned range");
    ids.push(id);
    next = id + 1;
    // A value has at least one bit. Checked before memory is reserved.
    if (ids.length * columns > bits.length) throw new DeltaError("value count");
  }
  return ids;
}

/** Reads which of the survivors have a group, and whether any has. */
export function takeRows(bits: BitReader, survivors: number, rows: Rows): boolean {
  if (bits.take(1) === 0) return false;
  if (bits.take(1) === 0) {
    rows.setStraight(survivors);
    return true;
  }
  rows.begin(survivors);
  if (bits.take(1) === 0) {
    for (let at = 0; at < survivors; at += 32) {
      let set = bits.take(Math.min(survivors - at, 32)) | 0;
      while (set !== 0) {
        const lowest = set & -set;
        rows.push(at + 31 - Math.clz32(lowest));
        set ^= lowest;
      }
    }
    return rows.length > 0;
  }
  const count = bits.code(GAP) + 1;
  const scale = new Scale(1, 8);
  let next = 0;
  for (let n = 0; n < count; n++) {
    const row = next + scale.take(bits);
    if (row >= survivors) throw new DeltaError("row", `dense of ${survivors}`);
    rows.push(row);
    next = row + 1;
  }
  return true;
}

const scales = Array.from({ length: MAX_FIELDS * CLASSES }, () => new Scale());

/**
 * Reads a group's residuals in these rows of the survivors, whose rows in the table are `survivors`, and adds
 * them to the columns from `first` on.
 */
export function addResiduals(
  bits: BitReader,
  rows: Rows,
  survivors: Rows,
  columns: readonly Int32Array[],
  first: number,
  fields: number,
): void {
  for (let field = 0; field < fields; field++) {
    scales[field * CLASSES]!.begin(2, 2);
    scales[field * CLASSES + 1]!.begin(2, 4);
    scales[field * CLASSES + 2]!.begin(2, 32);
  }
  for (let n = 0; n < rows.length; n++) {
    const row = survivors.get(rows.get(n));
    let seen = 0;
    for (let field = 0; field < fields; field++) {
      let z = scales[field * CLASSES + rowClass(seen)]!.take(bits);
      // A row whose residuals are all 0 does not have the group.
      if (seen === 0 && field === fields - 1 && ++z > 0xffffffff) throw new DeltaError("residual");
      seen = (seen | z) >>> 0;
      const column = columns[first + field]!;
      // Storing into an Int32Array wraps.
      column[row] = column[row]! + ((z >>> 1) ^ -(z & 1));
    }
  }
}

/** Reads the values of new entities into their rows. */
export function takeValues(
  bits: BitReader,
  spawned: Rows,
  survivors: Rows,
  columns: readonly Int32Array[],
): void {
  const scales = columns.map((column) => scaleOf(column, survivors));
  for (let n = 0; n < spawned.length; n++) {
    const row = spawned.get(n);
    columns.forEach((column, index) => {
      const scale = scales[index];
      let z: number;
      if (scale) {
        z = scale.take(bits);
      } else {
        const length = bits.take(LENGTH_BITS);
        if (length > 32) throw new DeltaError("residual");
        z = length === 0 ? 0 : bits.take(length - 1) + 2 ** (length - 1);
        const known = new Scale();
        known.add(z);
        scales[index] = known;
      }
      const before = row === 0 ? 0 : column[row - 1]!;
      column[row] = before + ((z >>> 1) ^ -(z & 1));
    });
  }
}

/** How far apart a column's values are. Undefined: nothing is known. */
function scaleOf(column: Int32Array, survivors: Rows): Scale | undefined {
  const { length } = survivors;
  if (length < 2) return undefined;
  const scale = new Scale(1, 1);
  for (let n = length - 1; n > 0 && n > length - NEIGHBOURS; n--) {
    const difference = (column[survivors.get(n)]! - column[survivors.get(n - 1)]!) | 0;
    scale.add(((difference << 1) ^ (difference >> 31)) >>> 0);
  }
  return scale;
}
