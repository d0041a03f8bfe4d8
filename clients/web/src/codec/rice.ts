import { DeltaError } from "./error.js";

/**
 * The RICE coding: exponential Golomb codes with a parameter for each field and class of row. The
 * documentation of driftless-proto's `delta` defines the format.
 */

/** Bits of a parameter. */
const PARAMETER_BITS = 4;

/** The class of a row, from the bitwise or of its residuals in the preceding fields. */
export function rowClass(seen: number): number {
  return seen < 4 ? 0 : seen < 32 ? 1 : 2;
}

/** Takes one residual, in zigzag form. */
export type TakeResidual = (row: number, field: number, zigzag: number) => void;

/** Reads a bit string, from the lowest bit of each byte. Reading past the end gives zeros. */
export class BitReader {
  /** The bit to read next. */
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** How many bits there are, read or not. */
  get length(): number {
    return 8 * this.bytes.length;
  }

  /** The next 32 bits, lowest first, signed. */
  peek(): number {
    const { bytes } = this;
    const at = this.at >>> 3;
    const shift = this.at & 7;
    // Reading past the end of a typed array gives undefined, which is 0 to these operators.
    const low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    return shift === 0 ? low : (low >>> shift) | (bytes[at + 4]! << (32 - shift));
  }

  skip(bits: number): void {
    this.at += bits;
  }

  /** Up to 32 bits. */
  take(bits: number): number {
    const taken = bits === 32 ? this.peek() >>> 0 : this.peek() & ((1 << bits) - 1);
    this.at += bits;
    return taken >>> 0;
  }

  /**
   * Reads a code with parameter k. With w = z + 2^k and m the number of its bits minus 1: m - k ones, a zero,
   * the m low bits of w.
   */
  code(k: number): number {
    const bits = this.peek();
    const zeros = ~bits;
    const ones = zeros === 0 ? 32 : 31 - Math.clz32(zeros & -zeros);
    const m = ones + k;
    if (m > 32) throw new DeltaError("residual");
    if (ones + 1 + m <= 32) {
      this.at += ones + 1 + m;
      // m < 32 and 2^m ≥ 2^k: no overflow.
      return (((bits >>> ones) >>> 1) & ((1 << m) - 1)) + (1 << m) - (1 << k);
    }
    this.at += ones;
    if (this.take(1) !== 0) throw new DeltaError("residual");
    const z = this.take(m) + 2 ** m - 2 ** k;
    if (z > 0xffffffff) throw new DeltaError("residual");
    return z;
  }

  /** Whether all bytes have been read, none was missing, and the unused bits of the last one are 0. */
  isUsedUp(): boolean {
    return (this.at + 7) >>> 3 === this.bytes.length && ((this.at & 7) === 0 || this.peek() === 0);
  }
}

let seen = new Uint32Array(64);

/** Reads `rows` codes for each of `fields`, which must use up `values`. */
export function takeRice(values: Uint8Array, rows: number, fields: number, residual: TakeResidual): void {
  // A code has at least one bit. Checked before memory is reserved.
  if (values.length < Math.ceil((fields * rows) / 8)) throw new DeltaError("value count");
  if (seen.length < rows) seen = new Uint32Array(rows * 2);
  seen.fill(0, 0, rows);
  const bits = new BitReader(values);
  const parameters = [0, 0, 0];
  for (let field = 0; field < fields; field++) {
    let used = 0;
    for (let row = 0; row < rows; row++) used |= 1 << rowClass(seen[row]!);
    for (let n = 0; n < 3; n++) if (used & (1 << n)) parameters[n] = bits.take(PARAMETER_BITS);
    for (let row = 0; row < rows; row++) {
      const z = bits.code(parameters[rowClass(seen[row]!)]!);
      seen[row] = seen[row]! | z;
      residual(row, field, z);
    }
  }
  if (!bits.isUsedUp()) throw new DeltaError("value count");
}
