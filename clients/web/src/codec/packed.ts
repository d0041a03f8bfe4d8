import { DeltaError } from "./error.js";
import type { Reader } from "./reader.js";
import type { TakeResidual } from "./rice.js";

/**
 * The PACKED coding: residuals as protobuf varints, one to three to a number, interleaved bit by bit (Morton
 * order). The bit gathering follows Fabian Giesen, "Decoding Morton codes", 2009,
 * https://fgiesen.wordpress.com/2009/12/13/decoding-morton-codes/, here in two halves of 32 bits.
 */

/** Takes every second bit of 32, from the lowest: 16 bits. */
function everySecond(bits: number): number {
  let x = bits & 0x55555555;
  x = (x | (x >>> 1)) & 0x33333333;
  x = (x | (x >>> 2)) & 0x0f0f0f0f;
  x = (x | (x >>> 4)) & 0x00ff00ff;
  return (x | (x >>> 8)) & 0xffff;
}

/** Takes every third bit of 32, from the lowest: 11 bits. */
function everyThird(bits: number): number {
  let x = bits & 0x49249249;
  x = (x | (x >>> 2)) & 0xc30c30c3;
  x = (x | (x >>> 4)) & 0x0f00f00f;
  x = (x | (x >>> 8)) & 0xff0000ff;
  return (x | (x >>> 16)) & 0x7ff;
}

/** Reads `rows` rows of `fields` residuals, which must use up `values`; `share` (1 to 3) share a number. */
export function takePacked(
  values: Reader,
  rows: number,
  fields: number,
  share: number,
  residual: TakeResidual,
): void {
  // A number has one to ten bytes. Checked before anything is read.
  const numbers = rows * Math.ceil(fields / share);
  const length = values.end - values.at;
  if (length < numbers || length > numbers * 10) throw new DeltaError("value count");
  for (let row = 0; row < rows; row++) {
    for (let field = 0; field < fields; field += share) {
      // If the values end within a number, there are too few of them: the message itself is not truncated.
      if (values.at >= values.end) throw new DeltaError("value count");
      values.varint();
      const { low, high } = values;
      switch (Math.min(share, fields - field)) {
        case 1:
          if (high !== 0) throw new DeltaError("residual");
          residual(row, field, low);
          break;
        case 2:
          residual(row, field, (everySecond(low) | (everySecond(high) << 16)) >>> 0);
          residual(row, field + 1, (everySecond(low >>> 1) | (everySecond(high >>> 1) << 16)) >>> 0);
          break;
        default:
          if (high >>> 31 !== 0) throw new DeltaError("residual");
          // Bit 32, the lowest of the high half, belongs to the third part.
          residual(row, field, everyThird(low) | (everyThird(high >>> 1) << 11));
          residual(row, field + 1, everyThird(low >>> 1) | (everyThird(high >>> 2) << 11));
          residual(row, field + 2, (everyThird(low >>> 2) & 0x3ff) | (everyThird(high) << 10));
      }
    }
  }
  if (values.at < values.end) throw new DeltaError("value count");
}
