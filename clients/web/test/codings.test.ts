// Any residuals survive both codings. The encoders here follow the formats' definitions literally, slow and
// in BigInt.
import { describe, expect, it } from "vitest";
import { takePacked } from "../src/codec/packed.js";
import { Reader } from "../src/codec/reader.js";
import { takeRice } from "../src/codec/rice.js";
import { random } from "./util/random.js";

type Rows = number[][];

function randomRows(seed: number, bits: number): { rows: number; fields: number; values: Rows } {
  const rng = random(seed);
  const rows = Math.floor(rng() * 9);
  const fields = 1 + Math.floor(rng() * 8);
  const value = (): number => Math.floor(rng() * 2 ** Math.floor(rng() * (bits + 1)));
  return { rows, fields, values: Array.from({ length: rows }, () => Array.from({ length: fields }, value)) };
}

function putVarint(out: number[], value: bigint): void {
  for (; value >= 0x80n; value >>= 7n) out.push(Number(value & 0x7fn) | 0x80);
  out.push(Number(value));
}

function packed(values: Rows, share: number): Uint8Array {
  const out: number[] = [];
  for (const row of values) {
    for (let at = 0; at < row.length; at += share) {
      const parts = row.slice(at, at + share);
      let number = 0n;
      parts.forEach((part, n) => {
        for (let bit = 0; bit < 32; bit++) {
          if ((BigInt(part) >> BigInt(bit)) & 1n) number |= 1n << BigInt(bit * parts.length + n);
        }
      });
      putVarint(out, number);
    }
  }
  return Uint8Array.from(out);
}

function rice(values: Rows, fields: number, rng: () => number): Uint8Array {
  const bits: number[] = [];
  const put = (value: bigint, length: number): void => {
    for (let n = 0; n < length; n++) bits.push(Number((value >> BigInt(n)) & 1n));
  };
  const seen = values.map(() => 0);
  const rowClass = (s: number): number => (s < 4 ? 0 : s < 32 ? 1 : 2);
  for (let field = 0; field < fields; field++) {
    const k = [0, 1, 2].map(() => Math.floor(rng() * 16));
    for (let n = 0; n < 3; n++) if (seen.some((s) => rowClass(s) === n)) put(BigInt(k[n]!), 4);
    values.forEach((row, n) => {
      const parameter = k[rowClass(seen[n]!)]!;
      const w = BigInt(row[field]!) + (1n << BigInt(parameter));
      const m = w.toString(2).length - 1;
      put((1n << BigInt(m - parameter)) - 1n, m - parameter + 1);
      put(w, m);
      seen[n] = (seen[n]! | row[field]!) >>> 0;
    });
  }
  const out = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, n) => (out[n >> 3]! |= bit << (n & 7)));
  return out;
}

function collect(
  rows: number,
  fields: number,
  take: (residual: (r: number, f: number, z: number) => void) => void,
): Rows {
  const back = Array.from({ length: rows }, () => new Array<number>(fields).fill(-1));
  take((row, field, zigzag) => (back[row]![field] = zigzag));
  return back;
}

describe("residuals come back", () => {
  it.each([1, 2, 3])("packed, %i to a number", (share) => {
    for (let seed = 1; seed <= 400; seed++) {
      const { rows, fields, values } = randomRows(seed, share === 3 ? 21 : 32);
      const bytes = packed(values, share);
      expect(collect(rows, fields, (t) => takePacked(new Reader(bytes, ""), rows, fields, share, t))).toEqual(
        values,
      );
    }
  });

  it("in Rice codes", () => {
    for (let seed = 1; seed <= 600; seed++) {
      const { rows, fields, values } = randomRows(seed, 32);
      const bytes = rice(values, fields, random(seed));
      expect(collect(rows, fields, (t) => takeRice(bytes, rows, fields, t))).toEqual(values);
      if (rows === 0) continue;
      expect(() => takeRice(bytes.subarray(0, bytes.length - 1), rows, fields, () => {})).toThrow();
      expect(() => takeRice(Uint8Array.of(...bytes, 0), rows, fields, () => {})).toThrow("value count");
    }
  });

  it("at the largest value, with every parameter", () => {
    for (let k = 0; k < 16; k++) {
      const bytes = rice([[0xffffffff]], 1, () => k / 16);
      expect(collect(1, 1, (t) => takeRice(bytes, 1, 1, t))).toEqual([[0xffffffff]]);
    }
  });
});
