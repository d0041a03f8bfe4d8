import { crc32cOfBytes } from "./crc32c.js";
import { DeltaError } from "./error.js";
import { once, Reader } from "./reader.js";
import { takeGaps } from "./row_set.js";

/** Longest text, bytes. */
const MAX_TEXT = 256;
/** Most texts of a snapshot. */
const MAX_TEXTS = 65536;
/** Hashes are below this. */
const HASHES = 1 << 20;
const NONE = new Uint8Array(0);
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Never changes, so snapshots share it. */
interface Text {
  readonly bytes: Uint8Array;
  /** Decoded when it is first read. */
  text?: string;
}

/** The texts of a snapshot, by the numbers by which its rows refer to them. The same as driftless-proto's. */
export class Texts {
  private readonly texts = new Map<number, Text>();

  get size(): number {
    return this.texts.size;
  }

  clear(): void {
    this.texts.clear();
  }

  /** The numbers, ascending. */
  numbers(): number[] {
    return [...this.texts.keys()].sort((a, b) => a - b);
  }

  has(number: number): boolean {
    return this.texts.has(number);
  }

  /** The bytes of a number; empty if there are none. */
  bytes(number: number): Uint8Array {
    return this.texts.get(number)?.bytes ?? NONE;
  }

  /** The text of a number; empty if there is none, or it is not UTF-8. */
  text(number: number): string {
    const found = this.texts.get(number);
    return found ? (found.text ??= decode(found.bytes)) : "";
  }

  /** The number of a text, which it adds if it is new. 0: it is empty. */
  add(bytes: Uint8Array): number {
    return bytes.length === 0 ? 0 : this.put({ bytes });
  }

  /** The number here of what has this number in another snapshot. */
  addFrom(other: Texts, number: number): number {
    const text = other.texts.get(number);
    if (!text) return 0;
    return this.texts.get(number) === text ? number : this.put(text);
  }

  private put(text: Text): number {
    let number = Math.max(1, crc32cOfBytes(text.bytes) % HASHES);
    for (let there; (there = this.texts.get(number)); number++) {
      if (same(there.bytes, text.bytes)) return number;
    }
    this.texts.set(number, text);
    return number;
  }

  copyFrom(other: Texts): void {
    this.texts.clear();
    for (const [number, text] of other.texts) this.texts.set(number, text);
  }

  /** Makes these the baseline's texts with the changes of a `TextDelta`. Returns whether some are gone. */
  apply(baseline: Texts | undefined, delta: Uint8Array | undefined): boolean {
    if (baseline) this.copyFrom(baseline);
    else this.texts.clear();
    if (!delta) return false;
    const { gone, numbers, texts } = read(delta);
    if (gone) {
      const had = this.numbers();
      takeGaps(gone, had.length, "gone", (row) => this.texts.delete(had[row]!));
    }
    const reader = new Reader(numbers ?? NONE, "numbers");
    let next = 1;
    for (const bytes of texts) {
      if (bytes.length === 0 || bytes.length > MAX_TEXT)
        throw new DeltaError("text length", `${bytes.length}`);
      if (reader.at >= reader.end) throw new DeltaError("text count");
      const number = next + reader.number();
      if (number >= 2 ** 31) throw new DeltaError("too large", "numbers");
      if (this.texts.has(number)) throw new DeltaError("text twice", `${number}`);
      // The message's memory is not kept.
      this.texts.set(number, { bytes: bytes.slice() });
      next = number + 1;
    }
    if (reader.at < reader.end || this.size > MAX_TEXTS) throw new DeltaError("text count");
    return gone !== undefined && gone.length > 0;
  }
}

function read(delta: Uint8Array) {
  const reader = new Reader(delta, "TextDelta");
  let gone: Uint8Array | undefined;
  let numbers: Uint8Array | undefined;
  const texts: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 1) {
      once(gone !== undefined, "gone");
      gone = reader.view();
    } else if (reader.field === 2) {
      once(numbers !== undefined, "numbers");
      numbers = reader.view();
    } else if (reader.field === 3) {
      texts.push(reader.view());
    }
  }
  return { gone, numbers, texts };
}

function decode(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    return "";
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, n) => byte === b[n]);
}
