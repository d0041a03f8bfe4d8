/** Longest length prefix, bytes. */
const MAX_PREFIX = 5;

/**
 * Messages on a byte stream, each after its length as a varint: splits chunks into messages, wherever they
 * are cut.
 */
export class Framing {
  private rest = new Uint8Array(0);

  constructor(private readonly max: number) {}

  /** The next bytes of the stream. */
  push(chunk: Uint8Array): void {
    if (this.rest.length === 0) {
      this.rest = chunk as Uint8Array<ArrayBuffer>;
      return;
    }
    const joined = new Uint8Array(this.rest.length + chunk.length);
    joined.set(this.rest);
    joined.set(chunk, this.rest.length);
    this.rest = joined;
  }

  /** The next whole message. Throws a RangeError as soon as a length exceeds the maximum. */
  next(): Uint8Array | undefined {
    let length = 0;
    for (let n = 0; n < this.rest.length; n++) {
      if (n === MAX_PREFIX) throw new RangeError("a length prefix longer than five bytes");
      const byte = this.rest[n]!;
      length += (byte & 0x7f) * 2 ** (7 * n);
      if (byte < 0x80) {
        if (length > this.max)
          throw new RangeError(`a message of ${length} bytes; at most ${this.max} are allowed`);
        const end = n + 1 + length;
        if (this.rest.length < end) return undefined;
        const message = this.rest.subarray(n + 1, end);
        this.rest = this.rest.subarray(end);
        return message;
      }
    }
    if (this.rest.length >= MAX_PREFIX) throw new RangeError("a length prefix longer than five bytes");
    return undefined;
  }
}

/** A message, preceded by its length. */
export function frame(message: Uint8Array): Uint8Array {
  const prefix: number[] = [];
  let length = message.length;
  for (; length >= 0x80; length = Math.floor(length / 128)) prefix.push((length % 128) | 0x80);
  prefix.push(length);
  const framed = new Uint8Array(prefix.length + message.length);
  framed.set(prefix);
  framed.set(message, prefix.length);
  return framed;
}
