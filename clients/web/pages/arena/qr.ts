// QR codes of short texts: byte mode, error correction level M, versions 1 to 10 (ISO/IEC 18004:2015).

/**
 * For each version at level M: data codewords, blocks, and error correction codewords per block; and the
 * positions of the alignment patterns.
 */
const VERSIONS: readonly (readonly [
  data: number,
  blocks: number,
  check: number,
  align: readonly number[],
])[] = [
  [16, 1, 10, []],
  [28, 1, 16, [6, 18]],
  [44, 1, 26, [6, 22]],
  [64, 2, 18, [6, 26]],
  [86, 2, 24, [6, 30]],
  [108, 4, 16, [6, 34]],
  [124, 4, 18, [6, 22, 38]],
  [154, 4, 22, [6, 24, 42]],
  [182, 5, 22, [6, 26, 46]],
  [216, 5, 26, [6, 28, 50]],
];

/** Which modules are inverted, by mask. */
const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** The rows of a code, true where it is dark. Undefined: the text has more than 213 bytes. */
export function qrCode(text: string): boolean[][] | undefined {
  const bytes = new TextEncoder().encode(text);
  // Four bits of mode, eight or sixteen of length.
  const needs = (version: number): number => bytes.length + (version < 10 ? 2 : 3);
  const index = VERSIONS.findIndex(([data], n) => needs(n + 1) <= data);
  if (index < 0) return undefined;
  const version = index + 1;
  const words = codewords(bytes, version);
  const codes = MASKS.map((_, mask) => draw(version, words, mask));
  const penalties = codes.map(penaltyOf);
  return codes[penalties.indexOf(Math.min(...penalties))];
}

/** The data with its padding and error correction, in the order in which it is drawn. */
function codewords(bytes: Uint8Array, version: number): number[] {
  const [total, blocks, check] = VERSIONS[version - 1]!;
  const bits: number[] = [];
  const push = (value: number, length: number): void => {
    for (let n = length - 1; n >= 0; n--) bits.push((value >> n) & 1);
  };
  push(4, 4);
  push(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) push(byte, 8);
  push(0, Math.min(4, total * 8 - bits.length));
  while (bits.length % 8 > 0) bits.push(0);
  const data: number[] = [];
  for (let n = 0; n < bits.length; n += 8) data.push(bits.slice(n, n + 8).reduce((a, bit) => a * 2 + bit, 0));
  for (let pad = 0xec; data.length < total; pad ^= 0xec ^ 0x11) data.push(pad);
  // The last blocks are one codeword longer if the total does not divide evenly.
  const least = Math.floor(total / blocks);
  const longer = total % blocks;
  let at = 0;
  const parts = Array.from({ length: blocks }, (_, n) => {
    const length = least + +(n >= blocks - longer);
    at += length;
    return data.slice(at - length, at);
  });
  const checks = parts.map((part) => remainder(part, check));
  const interleaved = (from: number[][]): number[] =>
    Array.from({ length: Math.max(...from.map((part) => part.length)) }, (_, n) =>
      from.flatMap((part) => (n < part.length ? [part[n]!] : [])),
    ).flat();
  return [...interleaved(parts), ...interleaved(checks)];
}

/** Multiplies in the field of 256 elements with x⁸ + x⁴ + x³ + x² + 1. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let n = 7; n >= 0; n--) product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> n) & 1) * a);
  return product;
}

/** The Reed-Solomon code of a block: what remains of it, divided by (x - 1)(x - 2)(x - 4)…. */
function remainder(data: readonly number[], length: number): number[] {
  const divisor = new Array<number>(length).fill(0);
  divisor[length - 1] = 1;
  for (let n = 0, root = 1; n < length; n++, root = multiply(root, 2))
    for (let k = 0; k < length; k++) divisor[k] = multiply(divisor[k]!, root) ^ (divisor[k + 1] ?? 0);
  const rest = new Array<number>(length).fill(0);
  for (const word of data) {
    const factor = word ^ rest.shift()!;
    rest.push(0);
    divisor.forEach((part, n) => (rest[n]! ^= multiply(part, factor)));
  }
  return rest;
}

function draw(version: number, words: readonly number[], mask: number): boolean[][] {
  const size = 17 + version * 4;
  const dark = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  const taken = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  const set = (x: number, y: number, on: boolean): void => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    dark[y]![x] = on;
    taken[y]![x] = true;
  };
  for (let n = 0; n < size; n++) {
    set(6, n, n % 2 === 0);
    set(n, 6, n % 2 === 0);
  }
  const square = (x: number, y: number, radius: number, isDark: (ring: number) => boolean): void => {
    for (let dy = -radius; dy <= radius; dy++)
      for (let dx = -radius; dx <= radius; dx++)
        set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
  };
  for (const [x, y] of [
    [3, 3],
    [size - 4, 3],
    [3, size - 4],
  ] as const)
    square(x, y, 4, (ring) => ring !== 2 && ring !== 4);
  const align = VERSIONS[version - 1]![3];
  const last = align[align.length - 1];
  for (const x of align)
    for (const y of align)
      if (!((x === 6 && (y === 6 || y === last)) || (y === 6 && x === last)))
        square(x, y, 2, (ring) => ring !== 1);
  // Level M is 00. Both are protected by BCH codes.
  const format = ((mask << 10) | bch(mask, 10, 0x537)) ^ 0x5412;
  const bit = (of: number, n: number): boolean => ((of >> n) & 1) === 1;
  for (let n = 0; n < 15; n++) {
    const on = bit(format, n);
    if (n < 8) set(size - 1 - n, 8, on);
    else set(8, size - 15 + n, on);
    set(8, n < 6 ? n : n < 8 ? n + 1 : -1, on);
    set(n < 8 ? -1 : n === 8 ? 7 : 14 - n, 8, on);
  }
  set(8, size - 8, true);
  if (version >= 7) {
    const about = (version << 12) | bch(version, 12, 0x1f25);
    for (let n = 0; n < 18; n++) {
      const [a, b] = [size - 11 + (n % 3), Math.floor(n / 3)];
      set(a, b, bit(about, n));
      set(b, a, bit(about, n));
    }
  }
  let next = 0;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let n = 0; n < size; n++) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - n : n;
      for (const x of [right, right - 1]) {
        if (taken[y]![x]) continue;
        const word = words[next >> 3] ?? 0;
        dark[y]![x] = bit(word, 7 - (next & 7)) !== MASKS[mask]!(x, y);
        next++;
      }
    }
  }
  return dark;
}

function bch(value: number, degree: number, divisor: number): number {
  let rest = value;
  for (let n = 0; n < degree; n++) rest = (rest << 1) ^ ((rest >> (degree - 1)) * divisor);
  return rest;
}

/**
 * Rates what makes a code hard to read: long runs, blocks, patterns like the corners', and too much of one
 * colour.
 */
function penaltyOf(code: readonly (readonly boolean[])[]): number {
  const size = code.length;
  let penalty = 0;
  let count = 0;
  for (const turned of [false, true]) {
    for (let a = 0; a < size; a++) {
      let run = 0;
      let seen = "";
      for (let b = 0; b < size; b++) {
        const on = turned ? code[b]![a]! : code[a]![b]!;
        const before = b > 0 && (turned ? code[b - 1]![a]! : code[a]![b - 1]!);
        run = b > 0 && on === before ? run + 1 : 1;
        if (run === 5) penalty += 3;
        else if (run > 5) penalty++;
        seen = (seen + (on ? "1" : "0")).slice(-11);
        if (seen === "10111010000" || seen === "00001011101") penalty += 40;
        if (!turned && on) count++;
        const block = !turned && a > 0 && b > 0 && [code[a]![b - 1], code[a - 1]![b], code[a - 1]![b - 1]];
        if (block && block.every((it) => it === on)) penalty += 3;
      }
    }
  }
  return penalty + Math.floor(Math.abs((count / size / size) * 20 - 10)) * 10;
}
