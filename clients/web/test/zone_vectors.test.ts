// Sessions in a room with zones match the golden vectors: see proto/vectors/README.md.
import { fromBinary } from "@bufbuild/protobuf";
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { decodeClientMessage } from "../src/gen/driftless/v1/client_codec.js";
import { SchemaSchema } from "../src/gen/driftless/v1/schema_pb.js";
import { encodeServerMessage } from "../src/gen/driftless/v1/server_codec.js";
import { ServerFault } from "../src/session/fault.js";
import { type Delivery, Session } from "../src/session/session.js";

/** The values of each entity, by kind and id. */
type Rows = Record<string, Record<string, (number | string)[]>>;
interface Shown {
  tick: number;
  rows: Rows;
}
interface Vector {
  schema_message: string;
  delivery: Delivery;
  tick_rate: number;
  steps: {
    about?: string;
    reconnected?: true;
    lost?: true;
    message: string;
    error?: string;
    shown?: Shown;
    ack?: [state: number, missing: number];
    late?: number[];
  }[];
}

const folder = new URL("../../../proto/vectors/zones/", import.meta.url);
const names = readdirSync(folder);

it("are there", () => expect(names.length).toBeGreaterThan(20));

it.each(names)("%s", (name) => {
  const vector = JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Vector;
  const client = new Client(vector);
  let shown: Shown | undefined;
  vector.steps.forEach((step, n) => {
    const at = `step ${n}: ${step.about}`;
    if (step.reconnected) client.reconnect();
    if (step.lost) return;
    expect(client.take(step.message), at).toBe(step.error);
    shown = step.shown ?? shown;
    expect(client.shown(), at).toEqual(shown);
    if (step.late) expect(client.late(), at).toEqual(step.late);
    if (step.ack) expect(client.ack(), at).toEqual(step.ack);
  });
});

class Client {
  private now = 0;
  private readonly session: Session;

  constructor(private readonly vector: Vector) {
    this.session = new Session(0, { room: "a", kind: "", name: "", options: "" }, vector.delivery);
    this.enter(false);
  }

  reconnect(): void {
    this.session.disconnected();
    this.session.reconnected(this.now, false, this.vector.delivery);
    this.enter(true);
  }

  /** Takes a message. Returns what is wrong with it, if anything is. */
  take(message: string): string | undefined {
    this.now += 50;
    try {
      this.session.handleMessage(this.now, unhex(message));
      return undefined;
    } catch (error) {
      const { fault, message } = error as ServerFault;
      return fault === "delta" ? message.split(": ")[1] : fault;
    }
  }

  /** What is shown, with texts instead of their numbers. */
  shown(): Shown | undefined {
    const { snapshot } = this.session;
    if (!snapshot) return undefined;
    const { schema, tables, texts } = snapshot;
    const rows: Rows = {};
    schema.kinds.forEach(({ name, columns }, kind) => {
      const table = tables[kind]!;
      const values = (row: number): (number | string)[] =>
        table.columns.map((column, n) => {
          const value = column[row]!;
          return columns[n]!.type ? texts.text(value) : value;
        });
      if (table.length === 0) return;
      rows[name] = {};
      for (let row = 0; row < table.length; row++) rows[name][table.ids[row]!] = values(row);
    });
    return { tick: snapshot.tick, rows };
  }

  /** The boats that are late. */
  late(): number[] {
    return Array.from({ length: 200 }, (_, id) => id).filter((id) => this.session.isLate(0, id));
  }

  /** The state that it acknowledges next, and which before it are missing. */
  ack(): [number, number] | undefined {
    this.now += 100;
    for (let out = this.session.pollTransmit(this.now); out; out = this.session.pollTransmit(this.now)) {
      const { body } = decodeClientMessage(out.bytes);
      if (body.case === "ack") return [body.value.stateAck, body.value.stateMissing];
    }
    return undefined;
  }

  private enter(resumed: boolean): void {
    this.session.pollTransmit(this.now); // the join or resume
    const value = {
      protocol: 1,
      player: 1,
      resumeToken: new Uint8Array(16),
      tickRate: this.vector.tick_rate,
      schema: fromBinary(SchemaSchema, unhex(this.vector.schema_message)),
      epochUs: 0n,
      timeoutMs: 10_000,
      resumed,
    };
    const body = { case: "welcome", value };
    this.session.handleMessage(this.now, encodeServerMessage({ body } as never).finish());
  }
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}
