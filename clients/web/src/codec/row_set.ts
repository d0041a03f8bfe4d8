import { DeltaError } from "./error.js";
import { Reader } from "./reader.js";
import { takeRice } from "./rice.js";

/**
 * Sets of rows, as gaps (varints or Rice codes) or as bits. All functions call `row` with ascending rows
 * below `rows`.
 */

export function takeGaps(gaps: Uint8Array, rows: number, field: string, row: (row: number) => void): void {
  const reader = new Reader(gaps, field);
  let next = 0;
  while (reader.at < reader.end) {
    const at = next + reader.number();
    if (at >= rows) pastEnd(field, rows);
    row(at);
    next = at + 1;
  }
}

/** Missing bytes are 0. */
export function takeBits(bits: Uint8Array, rows: number, field: string, row: (row: number) => void): void {
  if (bits.length > Math.ceil(rows / 8)) pastEnd(field, rows);
  for (let n = 0; n < bits.length; n++) {
    for (let byte = bits[n]!; byte !== 0; byte &= byte - 1) {
      const at = 8 * n + 31 - Math.clz32(byte & -byte);
      if (at >= rows) pastEnd(field, rows);
      row(at);
    }
  }
}

/** A count of rows as a varint, then the gaps. */
export function takeRiceRows(
  coded: Uint8Array,
  rows: number,
  field: string,
  row: (row: number) => void,
): void {
  const reader = new Reader(coded, field);
  const count = reader.number();
  if (count > rows) pastEnd(field, rows);
  let next = 0;
  takeRice(coded.subarray(reader.at), count, 1, (_, __, gap) => {
    const at = next + gap;
    if (at >= rows) pastEnd(field, rows);
    row(at);
    next = at + 1;
  });
}

function pastEnd(field: string, rows: number): never {
  throw new DeltaError("row", `${field} names a row past the end of ${rows} rows`);
}
