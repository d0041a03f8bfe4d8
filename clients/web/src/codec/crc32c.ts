/** CRC-32C (Castagnoli, RFC 3720 section 12.1), reflected, a byte at a time by table. */
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Continues from `crc` (0 to begin) over the first `count` numbers as 32 bits, little-endian. */
export function crc32c(crc: number, words: ArrayLike<number>, count: number): number {
  let c = ~crc;
  for (let n = 0; n < count; n++) {
    c ^= words[n]!;
    c = TABLE[c & 255]! ^ (c >>> 8);
    c = TABLE[c & 255]! ^ (c >>> 8);
    c = TABLE[c & 255]! ^ (c >>> 8);
    c = TABLE[c & 255]! ^ (c >>> 8);
  }
  return ~c >>> 0;
}

/** Of bytes. */
export function crc32cOfBytes(bytes: Uint8Array): number {
  let c = -1;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 255]! ^ (c >>> 8);
  return ~c >>> 0;
}
