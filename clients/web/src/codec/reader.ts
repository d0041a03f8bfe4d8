import { DeltaError } from "./error.js";

/**
 * The parts of protobuf's wire format that a delta needs: varints, and the fields of a message, read in
 * place. Hand-written, because the messages of the hot path are read without building them. The format is
 * described at https://protobuf.dev/programming-guides/encoding/
 */
export class Reader {
  /** The position of the next byte, and the end of the message. */
  at: number;
  end: number;
  /** The last varint read: its low and high 32 bits, both unsigned. */
  low = 0;
  high = 0;
  /** The last field read. For a bytes field, `start` and `stop` are its position. */
  field = 0;
  wireType = 0;
  start = 0;
  stop = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly message: string,
    start = 0,
    end = bytes.length,
  ) {
    this.at = start;
    this.end = end;
  }

  /** Reads a varint of up to 64 bits into `low` and `high`. */
  varint(): void {
    const { bytes } = this;
    if (this.at >= this.end) throw new DeltaError("truncated");
    const first = bytes[this.at]!;
    if (first < 0x80) {
      this.at++;
      this.low = first;
      this.high = 0;
      return;
    }
    let low = 0;
    let high = 0;
    for (let n = 0; n < 10; n++) {
      if (this.at + n >= this.end) throw new DeltaError("truncated");
      const byte = bytes[this.at + n]!;
      const bits = byte & 0x7f;
      const shift = 7 * n;
      if (shift < 32) low |= bits << shift;
      if (shift > 25) high |= shift < 32 ? bits >>> (32 - shift) : bits << (shift - 32);
      if (byte < 0x80) {
        // The tenth byte holds only the 64th bit.
        if (n === 9 && byte > 1) throw new DeltaError("varint");
        this.at += n + 1;
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new DeltaError("varint");
  }

  /** Reads a varint as a number. Above 2^53 it is inexact, but still above every limit. */
  number(): number {
    this.varint();
    return this.high * 2 ** 32 + this.low;
  }

  /** Advances to the next field. False at the end. */
  next(): boolean {
    if (this.at >= this.end) return false;
    this.varint();
    if (this.high !== 0 || this.low < 8) throw new DeltaError("field number");
    this.field = this.low >>> 3;
    this.wireType = this.low & 7;
    switch (this.wireType) {
      case 0:
        this.varint();
        break;
      case 1:
        this.take(8);
        break;
      case 2:
        this.take(this.number());
        break;
      case 5:
        this.take(4);
        break;
      default:
        this.wrongType();
    }
    return true;
  }

  /** The field's value as a 32-bit number. */
  number32(name: string): number {
    if (this.wireType !== 0) this.wrongType();
    if (this.high !== 0) throw new DeltaError("too large", name);
    return this.low;
  }

  /** The field's value as a fixed32. */
  fixed32(): number {
    if (this.wireType !== 5) this.wrongType();
    const { bytes, start } = this;
    return (
      (bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24)) >>> 0
    );
  }

  /** The field's bytes, not copied. */
  view(): Uint8Array {
    if (this.wireType !== 2) this.wrongType();
    return this.bytes.subarray(this.start, this.stop);
  }

  private take(length: number): void {
    if (length > this.end - this.at) throw new DeltaError("truncated");
    this.start = this.at;
    this.stop = this.at += length;
  }

  private wrongType(): never {
    throw new DeltaError(
      "wire type",
      `field ${this.field} of ${this.message} has wire type ${this.wireType}`,
    );
  }
}

/** For a field that may occur only once. */
export function once(there: boolean, field: string): void {
  if (there) throw new DeltaError("repeated", field);
}
