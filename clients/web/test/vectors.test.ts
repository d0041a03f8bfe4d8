// The wire format matches the golden vectors: see proto/vectors/README.md.
import { fromBinary, toBinary, create } from "@bufbuild/protobuf";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Decoder } from "../src/codec/delta.js";
import { Schema } from "../src/codec/schema.js";
import { Snapshot } from "../src/codec/snapshot.js";
import { splitState } from "../src/codec/state.js";
import { encodeClientMessage } from "../src/gen/driftless/v1/client_codec.js";
import { FieldType, Predictor, SchemaSchema } from "../src/gen/driftless/v1/schema_pb.js";
import { Inputs } from "../src/session/inputs.js";
import { Session } from "../src/session/session.js";

interface VectorState {
  tick: number;
  tables: { ids: number[]; columns: number[][] }[];
  texts?: { number: number; bytes: string }[];
}

interface Vector {
  schema: {
    kinds: {
      name: string;
      groups: {
        name: string;
        type?: "text" | "bytes";
        fields: string[];
        predictor: "hold" | "linear";
        quanta_per_unit: number;
      }[];
      life?: string;
    }[];
  };
  schema_message: string;
  prior: VectorState | null;
  baseline: VectorState | null;
  current: VectorState;
  input: number;
  checked: boolean;
  checksum: number;
  message: string;
}

const folder = new URL("../../../proto/vectors/", import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
const vectors = names.map(
  (name) => [name, JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Vector] as const,
);

describe("golden vectors", () => {
  it("are there", () => expect(names.length).toBeGreaterThan(15));

  it.each(vectors)("%s: the schema's bytes", (_, vector) => {
    const kinds = vector.schema.kinds.map((kind) => ({
      name: kind.name,
      life: kind.groups.flatMap(({ fields }) => fields).indexOf(kind.life ?? "") + 1,
      groups: kind.groups.map((group) => ({
        name: group.name,
        // An absent field means 1.
        fields: group.fields.map((name) => ({
          name,
          quantaPerUnit: group.quanta_per_unit === 1 ? 0 : group.quanta_per_unit,
          fieldType: group.type === undefined ? 0 : FieldType[group.type === "text" ? "TEXT" : "BYTES"],
        })),
        predictor: group.predictor === "hold" ? Predictor.HOLD : Predictor.LINEAR,
      })),
    }));
    expect(hex(toBinary(SchemaSchema, create(SchemaSchema, { kinds })))).toBe(vector.schema_message);
  });

  it.each(vectors)("%s: the state", (_, vector) => {
    const read = decode(vector, unhex(vector.message));
    expect(read.input).toBe(vector.input);
    expect(read.state).toEqual(vector.current);
    expect(read.snapshot.checksum()).toBe(vector.checksum);
    expect(read.carried).toBe(vector.checked ? vector.checksum : undefined);
  });

  it.each(vectors)(
    "%s: every truncation is refused or is another state, and nothing else happens",
    (_, vector) => {
      const message = unhex(vector.message);
      for (let length = 1; length < message.length; length++) {
        expect(() => decode(vector, message.subarray(0, length))).toThrow();
      }
    },
  );

  it.each(vectors)("%s: every flipped bit is an error of ours or another state", (_, vector) => {
    const message = unhex(vector.message);
    const bits = Math.min(message.length * 8, 4000);
    for (let bit = 0; bit < bits; bit++) {
      const damaged = message.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      try {
        decode(vector, damaged);
      } catch (error) {
        expect((error as Error).name).toMatch(/^(DeltaError|NoReference)$/);
      }
    }
  });
});

describe("golden vectors of inputs", () => {
  interface InputVector {
    inputs: { payload: string; moment: number }[];
    message: string;
  }
  const inputs = new URL("inputs/", folder);
  const names = readdirSync(inputs);
  it("are there", () => expect(names.length).toBeGreaterThanOrEqual(9));

  it.each(names)("%s", (name) => {
    const vector = JSON.parse(readFileSync(new URL(name, inputs), "utf8")) as InputVector;
    const queue = new Inputs();
    queue.welcomed(true, 0, false);
    const sent = vector.inputs.map(({ payload, moment }) => {
      queue.push(moment / 128, unhex(payload));
      return encodeClientMessage({ body: { case: "input", value: queue.next()! } }).finish();
    });
    expect(hex(sent.at(-1)!)).toBe(vector.message);
  });
});

describe("golden vectors of goodbyes", () => {
  interface GoodbyeVector {
    goodbye: {
      code: number;
      reason: string;
      reconnect_after_ms: number;
      moved: { node: string; url: string; quic: string } | null;
    };
    message: string;
  }
  const goodbyes = new URL("goodbyes/", folder);
  const names = readdirSync(goodbyes);
  it("are there", () => expect(names.length).toBeGreaterThanOrEqual(3));

  it.each(names)("%s", (name) => {
    const vector = JSON.parse(readFileSync(new URL(name, goodbyes), "utf8")) as GoodbyeVector;
    const session = new Session(0, { room: "room", kind: "", name: "", options: "" }, "ordered");
    session.pollTransmit(0, Infinity);
    session.handleMessage(0, unhex(vector.message));
    const event = session.pollEvent();
    if (event?.type !== "goodbye") throw new Error(`not a goodbye: ${event?.type}`);
    const { code, reason, reconnectAfterMs, moved } = event.goodbye;
    const to = moved ? { node: moved.node, url: moved.url, quic: moved.quic } : null;
    expect({ code, reason, reconnect_after_ms: reconnectAfterMs, moved: to }).toEqual(vector.goodbye);
  });
});

class NoReference extends Error {
  override readonly name = "NoReference";
}

function decode(vector: Vector, message: Uint8Array) {
  const schema = Schema.fromWire(fromBinary(SchemaSchema, unhex(vector.schema_message)));
  const head = splitState(message);
  if (!head) throw new NoReference();
  const find = (tick: number | undefined, state: VectorState | null) => {
    if (tick === undefined) return undefined;
    if (state?.tick !== tick) throw new NoReference();
    return fill(schema, state);
  };
  const references = {
    baseline: find(head.baseline, vector.baseline),
    prior: find(head.prior, vector.prior),
  };
  const snapshot = new Snapshot(schema);
  const carried = new Decoder().apply(references, head.tick, head.shared, snapshot);
  return { input: head.input, carried, snapshot, state: plain(snapshot) };
}

function fill(schema: Schema, state: VectorState): Snapshot {
  const snapshot = new Snapshot(schema);
  snapshot.clear(state.tick);
  for (const text of state.texts ?? []) expect(snapshot.texts.add(unhex(text.bytes))).toBe(text.number);
  state.tables.forEach((from, kind) => {
    const table = snapshot.tables[kind]!;
    table.resize(from.ids.length);
    table.ids.set(from.ids);
    from.columns.forEach((column, n) => table.columns[n]!.set(column));
  });
  return snapshot;
}

function plain(snapshot: Snapshot): VectorState {
  const tables = snapshot.tables.map((table) => ({
    ids: [...table.ids.subarray(0, table.length)],
    columns: table.columns.map((column) => [...column.subarray(0, table.length)]),
  }));
  const texts = snapshot.texts
    .numbers()
    .map((number) => ({ number, bytes: hex(snapshot.texts.bytes(number)) }));
  return texts.length > 0 ? { tick: snapshot.tick, tables, texts } : { tick: snapshot.tick, tables };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}
