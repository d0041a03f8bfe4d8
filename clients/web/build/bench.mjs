// Decodes deltas of 100 and 200 entities in Node and prints microseconds for each. `--check` fails above the
// budget.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const BUDGET_US = 50;
const root = fileURLToPath(new URL("..", import.meta.url));
const bundle = await build({
  stdin: {
    contents: `
      export { Decoder } from "./src/codec/delta.js";
      export { Schema } from "./src/codec/schema.js";
      export { Snapshot } from "./src/codec/snapshot.js";
      export { splitState } from "./src/codec/state.js";
      export { SchemaSchema } from "./src/gen/driftless/v1/schema_pb.js";
      export { fromBinary } from "@bufbuild/protobuf";`,
    resolveDir: root,
  },
  bundle: true,
  write: false,
  format: "esm",
});
const code = `data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].contents).toString("base64")}`;
const { Decoder, Schema, Snapshot, splitState, SchemaSchema, fromBinary } = await import(code);

/** A varint, and a bytes field. */
const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
const field = (number, bytes) => [(number << 3) | 2, ...varint(bytes.length), ...bytes];

const schema = new Schema([
  kind("player", [
    ["position", ["x", "y"], "linear"],
    ["aim", ["sector"], "hold"],
  ]),
]);
const [prior, baseline] = [1, 2].map((tick) => {
  const state = new Snapshot(schema);
  state.clear(tick);
  const table = state.tables[0];
  table.resize(100);
  for (let n = 0; n < 100; n++) {
    table.ids[n] = 2 * n + 1;
    table.columns.forEach((column, c) => (column[n] = 37 * n + c + 5 * tick));
  }
  return state;
});
// All entities move and half of them turn: two residuals of up to 6 bits each in one number, two bytes.
const positions = Array.from({ length: 100 }, (_, n) => varint(128 + ((n * 37) % 3000))).flat();
const aims = Array.from({ length: 50 }, (_, n) => n % 60);
const groups = [
  ...field(7, [...[3 << 3, 1], ...field(4, positions)]),
  ...field(7, [
    ...[1 << 3, 1],
    ...field(2, new Array(13).fill(0x55, 0, 12).fill(0x05, 12)),
    ...field(4, aims),
  ]),
];
const state = [1 << 3, 3, ...field(9, groups)];
const packed = { name: "100 entities, packed", message: Uint8Array.from(field(1, state)), baseline, prior };

const vector = JSON.parse(readFileSync(new URL("../../../proto/vectors/rice.json", import.meta.url), "utf8"));
const riceSchema = Schema.fromWire(fromBinary(SchemaSchema, Buffer.from(vector.schema_message, "hex")));
const rice = {
  name: `${vector.baseline.tables[0].ids.length} entities, Rice`,
  message: new Uint8Array(Buffer.from(vector.message, "hex")),
  baseline: filled(riceSchema, vector.baseline),
  prior: vector.prior ? filled(riceSchema, vector.prior) : undefined,
};

let worst = 0;
for (const { name, message, baseline, prior } of [packed, rice]) {
  const out = new Snapshot(baseline.schema);
  const decoder = new Decoder();
  const run = (times) => {
    const start = process.hrtime.bigint();
    for (let n = 0; n < times; n++) {
      const head = splitState(message);
      decoder.apply(
        { baseline, prior: head.prior === undefined ? undefined : prior },
        head.tick,
        head.shared,
        out,
      );
    }
    return Number(process.hrtime.bigint() - start) / 1000 / times;
  };
  run(5000);
  // The best of several, because the machine's other work is not the decoder's cost.
  const best = Math.min(...Array.from({ length: 20 }, () => run(500)));
  worst = Math.max(worst, best);
  console.log(`${name}, ${message.length} bytes: ${best.toFixed(1)} µs`);
}
if (process.argv.includes("--check") && worst > BUDGET_US) {
  console.error(`above the budget of ${BUDGET_US} µs`);
  process.exit(1);
}

function kind(name, groups) {
  const made = groups.map(([name, fields, predictor]) => ({
    name,
    fields: fields.map((name) => ({ name, quantaPerUnit: 1 })),
    predictor,
  }));
  return {
    name,
    groups: made,
    columns: made.flatMap((g) => g.fields.map((f) => ({ ...f, predictor: g.predictor }))),
  };
}

function filled(schema, from) {
  const state = new Snapshot(schema);
  state.clear(from.tick);
  from.tables.forEach((table, n) => {
    state.tables[n].resize(table.ids.length);
    state.tables[n].ids.set(table.ids);
    table.columns.forEach((column, c) => state.tables[n].columns[c].set(column));
  });
  return state;
}
