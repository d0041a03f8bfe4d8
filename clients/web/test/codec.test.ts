// The generated functions, and those for messages in tables, write and read the same as protobuf-es's own
// runtime, for random messages of every kind.
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { DoubleValueSchema, FloatValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import * as client from "../src/gen/driftless/v1/client_codec.js";
import { ClientMessageSchema, ColumnCoding } from "../src/gen/driftless/v1/client_pb.js";
import * as server from "../src/gen/driftless/v1/server_codec.js";
import { Member_Change, ServerMessageSchema } from "../src/gen/driftless/v1/server_pb.js";
import { takePresence } from "../src/members.js";
import {
  decodeMessage,
  encodeMessage,
  type MessageField,
  type MessageFields,
  type Scalar,
} from "../src/messages.js";
import { random } from "./util/random.js";

type Encode = (message: never) => { finish(): Uint8Array };
const written: Record<string, MessageFields> = {};
const cases: [DescMessage, Encode, (bytes: Uint8Array) => unknown][] = [
  [ClientMessageSchema, client.encodeClientMessage as Encode, client.decodeClientMessage],
  [ServerMessageSchema, server.encodeServerMessage as Encode, server.decodeServerMessage],
  // The protocol has no floating-point numbers, but games may.
  ...[ClientMessageSchema, ServerMessageSchema, DoubleValueSchema, FloatValueSchema].map(
    (desc): (typeof cases)[number] => {
      const fields = fieldsOf(desc);
      return [
        desc,
        (message) => ({ finish: () => encodeMessage(fields, message) }),
        (bytes) => decodeMessage(fields, bytes),
      ];
    },
  ),
];

/** The message as `driftless types` would write it: once. */
function fieldsOf(desc: DescMessage): MessageFields {
  return (written[desc.typeName] ??= fieldsFrom(desc));
}

function fieldsFrom(desc: DescMessage): MessageFields {
  return Object.fromEntries(
    desc.fields.map((field): [string, MessageField] => {
      const type = field.message
        ? () => fieldsOf(field.message!)
        : field.enum
          ? "int32"
          : (ScalarType[field.scalar!].toLowerCase() as Scalar);
      if (field.oneof) return [field.localName, [field.number, type, `:${field.oneof.localName}`]];
      if (field.fieldKind === "list") return [field.localName, [field.number, type, "repeated"]];
      const optional = field.presence === 1 && !field.message;
      return [field.localName, optional ? [field.number, type, "optional"] : [field.number, type]];
    }),
  );
}

describe.each(cases.map((c, n) => [c[0].name, n, ...c] as const))(
  "%s (%i)",
  (_, __, desc, encode, decode) => {
    const messages = Array.from({ length: 300 }, (_, seed) =>
      create(desc, randomMessage(desc, random(seed + 1), 0)),
    );

    it("is read as protobuf-es writes it, and the other way round", () => {
      for (const message of messages) {
        const theirs = toBinary(desc, message);
        const ours = encode(message as never).finish();
        expect(fromBinary(desc, ours)).toEqual(message);
        // Through protobuf-es again, because it keeps defaults of 0 in a prototype, which a comparison of
        // objects would see.
        expect(toBinary(desc, create(desc, decode(theirs) as never))).toEqual(theirs);
      }
    });

    it("is refused when cut short, unless what is left is a message", () => {
      for (const message of messages.slice(0, 10)) {
        const bytes = toBinary(desc, message);
        for (let length = 0; length < bytes.length; length++) {
          const cut = bytes.subarray(0, length);
          const theirs = attempt(() => fromBinary(desc, cut));
          const ours = attempt(() => create(desc, decode(cut) as never));
          if (theirs === undefined) expect(ours).toBeUndefined();
          else expect(toBinary(desc, ours!)).toEqual(toBinary(desc, theirs));
        }
      }
    });

    it("skips fields that it does not know", () => {
      const unknown = [0xf8, 0x7f, 1, 0xfa, 0x7f, 2, 7, 7];
      expect(decode(Uint8Array.from(unknown))).toEqual(decode(new Uint8Array(0)));
    });
  },
);

it("the numbers that the SDK writes out are the schema's", () => {
  expect(ColumnCoding.RICE).toBe(1);
  const names = Object.keys(Member_Change).filter((name) => Number.isNaN(Number(name)));
  for (const name of names.filter((n) => n !== "UNSPECIFIED")) {
    const change = Member_Change[name as keyof typeof Member_Change];
    const wire = { user: "a", name: "a", players: [1], connections: 1, change, atUs: 0n, rttUs: 0 };
    const [member] = takePresence(new Map(), { full: true, members: [wire] } as never);
    expect(member!.change).toBe(name.toLowerCase());
  }
});

/** What it returns. Undefined: it throws an Error. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return undefined;
  }
}

/** Fields that the generated functions do not read: see build/protoc-gen-codec.mjs. */
const BY_HAND = "driftless.v1.State";

function randomMessage(desc: DescMessage, rng: () => number, depth: number): never {
  const message: Record<string, unknown> = {};
  for (const member of desc.members) {
    if (rng() < 0.3) continue;
    if (member.kind === "oneof") {
      const fields = member.fields.filter((field) => field.message?.typeName !== BY_HAND);
      const field = fields[Math.floor(rng() * fields.length)]!;
      message[member.localName] = { case: field.localName, value: randomValue(field, rng, depth) };
    } else if (member.fieldKind === "list") {
      const length = Math.floor(rng() * 4);
      message[member.localName] = Array.from({ length }, () => randomValue(member, rng, depth));
    } else {
      message[member.localName] = randomValue(member, rng, depth);
    }
  }
  return message as never;
}

function randomValue(field: DescField, rng: () => number, depth: number): unknown {
  if (field.message) return randomMessage(field.message, rng, depth + 1);
  if (field.enum) return field.enum.values[Math.floor(rng() * field.enum.values.length)]!.number;
  const magnitude = 2 ** Math.floor(rng() * 32);
  switch (field.scalar) {
    case ScalarType.STRING:
      return "grüße".repeat(Math.floor(rng() * 30));
    case ScalarType.BYTES:
      return Uint8Array.from({ length: Math.floor(rng() * 300) }, () => Math.floor(rng() * 256));
    case ScalarType.BOOL:
      return rng() < 0.5;
    case ScalarType.UINT64:
      return BigInt(Math.floor(rng() * 2 ** 53)) << BigInt(Math.floor(rng() * 12));
    case ScalarType.SINT64:
      return (BigInt(Math.floor(rng() * 2 ** 53)) << 8n) * (rng() < 0.5 ? 1n : -1n);
    case ScalarType.SINT32:
      return Math.floor(rng() * magnitude) * (rng() < 0.5 ? 1 : -1) || 0;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return [0, NaN, Infinity, -Infinity, 0.5, -magnitude][Math.floor(rng() * 6)];
    default:
      return Math.floor(rng() * magnitude);
  }
}
