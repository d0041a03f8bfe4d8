// A number means a text within one zone's content only.
import { expect, it } from "vitest";
import { Schema } from "../src/codec/schema.js";
import { Snapshot } from "../src/codec/snapshot.js";
import { Moving } from "../src/session/moving.js";
import { Union } from "../src/session/union.js";

const name = { name: "name", type: "text", quantaPerUnit: 1, predictor: "hold" } as const;
const schema = new Schema([
  { name: "boat", groups: [{ name: "name", fields: [name], predictor: "hold" }], columns: [name] },
]);
const utf8 = new TextEncoder();

/** A content whose boats have these names, added in this order. */
function content(boats: Record<number, string>, texts = Object.values(boats)): Snapshot {
  const state = new Snapshot(schema);
  state.clear(1);
  for (const text of texts) state.texts.add(utf8.encode(text));
  const table = state.tables[0]!;
  table.resize(Object.keys(boats).length);
  Object.entries(boats).forEach(([id, text], row) => {
    table.ids[row] = Number(id);
    table.columns[0]![row] = state.texts.add(utf8.encode(text));
  });
  return state;
}

function names({ tables: [table], texts }: Snapshot): Record<number, string> {
  const rows = [...table!.ids.subarray(0, table!.length)];
  return Object.fromEntries(rows.map((id, row) => [id, texts.text(table!.columns[0]![row]!)]));
}

/** Two texts with the same hash: which of them has which number depends on which came first. */
function colliding(): [string, string] {
  const seen = new Map<number, string>();
  for (let n = 0; ; n++) {
    const number = new Snapshot(schema).texts.add(utf8.encode(`boat ${n}`));
    const other = seen.get(number);
    if (other) return [other, `boat ${n}`];
    seen.set(number, `boat ${n}`);
  }
}

it("the union has the texts of all zones, whatever their numbers were", () => {
  const [a, b] = colliding();
  const zones = [content({ 1: a, 4: "" }, [a, b]), content({ 2: a, 3: b }, [b, a]), content({ 5: "Elk" })];
  expect(zones[0]!.tables[0]!.columns[0]![0]).not.toBe(zones[1]!.tables[0]!.columns[0]![0]);
  const union = new Union(schema);
  for (let again = 0; again < 2; again++) {
    union.unite(1, zones);
    expect(names(union.state)).toEqual({ 1: a, 2: a, 3: b, 4: "", 5: "Elk" });
    expect(union.state.texts.size).toBe(3);
  }
});

it("the union of one zone has its texts, and no others", () => {
  const union = new Union(schema);
  union.unite(1, [content({ 1: "Elk" }, ["Yak", "Elk"]), content({})]);
  expect(names(union.state)).toEqual({ 1: "Elk" });
  expect(union.state.texts.size).toBe(1);
});

it("an entity between two zones keeps its texts when its zone's content is overwritten", () => {
  const before = content({ 1: "Elk", 2: "Yak" });
  const moving = new Moving();
  moving.compare(4, { state: before, until: 1 }, content({ 2: "Yak" }), () => 1);
  before.clear(2);
  const shown = new Snapshot(schema);
  moving.fill(shown, () => -1);
  expect(names(shown)).toEqual({ 1: "Elk" });
});
