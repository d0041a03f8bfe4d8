import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { AnyKinds, Game, Kinds } from "./game.js";

/** A protobuf type of one number or text, as its reader and writer name it. An enum is an `int32`. */
export type Scalar =
  | "double"
  | "float"
  | "int32"
  | "int64"
  | "uint32"
  | "uint64"
  | "sint32"
  | "sint64"
  | "fixed32"
  | "fixed64"
  | "sfixed32"
  | "sfixed64"
  | "bool"
  | "string"
  | "bytes";

/**
 * A field of a message: its number, its type, and whether it is `optional`, `repeated`, or part of a oneof:
 * then the oneof's name, after a colon. Another message is a function, so that messages can contain each
 * other.
 */
export type MessageField = readonly [
  number: number,
  type: Scalar | (() => MessageFields),
  how?: "optional" | "repeated" | `:${string}`,
];
/** A message: its fields by their names in TypeScript. What `driftless types` writes. */
export type MessageFields = { readonly [name: string]: MessageField };

const WIRE_TYPES: Partial<Record<Scalar, number>> = {
  double: 1,
  float: 5,
  fixed32: 5,
  fixed64: 1,
  sfixed32: 5,
  sfixed64: 1,
  string: 2,
  bytes: 2,
};

/** A game by its messages. One that it does not have is bytes. */
export function gameOf<
  Input = Uint8Array,
  Command = Uint8Array,
  Event = Uint8Array,
  K extends Kinds<K> = AnyKinds,
>(game: {
  kind: string;
  input?: MessageFields;
  command?: MessageFields;
  event?: MessageFields;
}): Game<Input, Command, Event, K> {
  const encoder = (fields?: MessageFields) => (message: unknown) =>
    fields ? encodeMessage(fields, message as object) : (message as Uint8Array);
  return {
    kind: game.kind,
    encodeInput: encoder(game.input),
    encodeCommand: encoder(game.command),
    decodeEvent: (payload) => (game.event ? decodeMessage(game.event, payload) : payload) as Event,
  };
}

/** Writes a message: fields that are not there, and those that are 0 and need not be, are left out. */
export function encodeMessage(fields: MessageFields, message: object): Uint8Array {
  return write(fields, message as Values, new BinaryWriter()).finish();
}

/** Reads a message. Throws an Error where the bytes are none. */
export function decodeMessage(fields: MessageFields, payload: Uint8Array): object {
  return read(fields, new BinaryReader(payload), payload.length);
}

type Values = Record<string, unknown>;

function write(fields: MessageFields, message: Values, writer: BinaryWriter): BinaryWriter {
  for (const [name, [number, type, how]] of Object.entries(fields)) {
    const put = (value: unknown): void => {
      if (typeof type === "function") {
        write(type(), value as Values, writer.tag(number, 2).fork()).join();
      } else {
        one(writer.tag(number, WIRE_TYPES[type] ?? 0), type, value);
      }
    };
    if (how?.startsWith(":")) {
      const chosen = message[how.slice(1)] as { case?: string; value?: unknown } | undefined;
      if (chosen?.case === name) put(chosen.value);
      continue;
    }
    const value = message[name];
    if (how === "repeated") {
      const values = (value ?? []) as unknown[];
      if (typeof type === "function" || WIRE_TYPES[type] === 2) values.forEach(put);
      else if (values.length > 0) {
        writer.tag(number, 2).fork();
        for (const value of values) one(writer, type, value);
        writer.join();
      }
    } else if (value !== undefined && (how === "optional" || typeof type === "function" || !isZero(value))) {
      put(value);
    }
  }
  return writer;
}

function one(writer: BinaryWriter, type: Scalar, value: unknown): void {
  (writer[type] as (value: unknown) => void).call(writer, value);
}

/** Whether a reader would assume the value without being told. NaN is not 0. */
function isZero(value: unknown): boolean {
  if (value instanceof Uint8Array) return value.length === 0;
  return value === 0 || value === 0n || value === "" || value === false;
}

function read(fields: MessageFields, reader: BinaryReader, length: number): Values {
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError("a message is cut");
  const message: Values = {};
  const byNumber = numbered(fields);
  for (const [name, [, type, how]] of byNumber.values()) {
    if (how?.startsWith(":")) message[how.slice(1)] = { case: undefined };
    else if (how === "repeated") message[name] = [];
    else if (how !== "optional" && typeof type === "string") message[name] = zero(type);
  }
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const [name, [, type, how]] = byNumber.get(number) ?? ["", [0, "bytes"] as MessageField];
    const wanted = typeof type === "function" ? 2 : (WIRE_TYPES[type] ?? 0);
    if (name !== "" && wireType === wanted) {
      const value = typeof type === "function" ? read(type(), reader, reader.uint32()) : reader[type]();
      if (how?.startsWith(":")) message[how.slice(1)] = { case: name, value };
      else if (how === "repeated") (message[name] as unknown[]).push(value);
      else message[name] = value;
    } else if (name !== "" && how === "repeated" && wireType === 2 && typeof type === "string") {
      const stop = reader.uint32() + reader.pos;
      if (stop > end) throw new RangeError("a list runs past its message");
      while (reader.pos < stop) (message[name] as unknown[]).push(reader[type]());
    } else {
      reader.skip(wireType, number);
    }
  }
  if (reader.pos !== end) throw new RangeError("a field runs past its message");
  return message;
}

type Numbered = Map<number, [name: string, field: MessageField]>;

/** What `numbered` has returned: a game's messages are few, and each is read again and again. */
const known = new WeakMap<MessageFields, Numbered>();

/** A message's fields by their numbers. */
function numbered(fields: MessageFields): Numbered {
  let made = known.get(fields);
  if (!made) {
    made = new Map(Object.entries(fields).map(([name, field]) => [field[0], [name, field]]));
    known.set(fields, made);
  }
  return made;
}

function zero(type: Scalar): unknown {
  if (type === "string") return "";
  if (type === "bytes") return new Uint8Array(0);
  if (type === "bool") return false;
  return type.endsWith("64") ? 0n : 0;
}
