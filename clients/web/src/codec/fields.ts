import { BinaryReader } from "@bufbuild/protobuf/wire";

/**
 * Reads the fields of a message, which is all of `bytes` or the next `length` of a reader. `take` reads the
 * one with a key, which is its number times 8 and its wire type; it returns true for one that it does not
 * know.
 */
export function readFields(
  bytes: Uint8Array | BinaryReader,
  length: number | undefined,
  take: (reader: BinaryReader, key: number) => true | void,
): void {
  const reader = bytes instanceof Uint8Array ? new BinaryReader(bytes) : bytes;
  const end = reader.pos + (length ?? reader.len);
  if (end > reader.len) throw new RangeError("truncated");
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    if (take(reader, field * 8 + type)) reader.skip(type, field);
  }
  if (reader.pos !== end) throw new RangeError("a field runs past its message");
}
