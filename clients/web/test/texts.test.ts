// Texts and bytes of entities, as a page reads them.
import { describe, expect, it } from "vitest";
import { Decoder } from "../src/codec/delta.js";
import { Schema } from "../src/codec/schema.js";
import { Snapshot } from "../src/codec/snapshot.js";
import { View } from "../src/view.js";

const fields = [
  { name: "name", type: "text", quantaPerUnit: 1 },
  { name: "items", type: "bytes", quantaPerUnit: 1 },
] as const;
const schema = new Schema([
  {
    name: "player",
    groups: [{ name: "looks", fields, predictor: "hold" }],
    columns: fields.map((field) => ({ ...field, predictor: "hold" })),
  },
]);

function named(tick: number, name: string, items: number[]): Snapshot {
  const state = new Snapshot(schema);
  state.clear(tick);
  const table = state.tables[0]!;
  table.resize(1);
  table.ids[0] = 7;
  table.columns[0]![0] = state.texts.add(new TextEncoder().encode(name));
  table.columns[1]![0] = state.texts.add(Uint8Array.from(items));
  return state;
}

describe("texts", () => {
  it("are strings in a view, and bytes are bytes, as in the earlier state", () => {
    const view = new View(named(1, "Zoë", [1, 255]), named(2, "Ada", []), 0.5, Infinity);
    expect(view.get("player", 7)).toEqual({ id: 7, name: "Zoë", items: Uint8Array.of(1, 255) });
    const empty = new View(named(1, "", []), undefined, 0, Infinity);
    expect(empty.get("player", 7)).toEqual({ id: 7, name: "", items: new Uint8Array(0) });
  });

  it("keep a mark of the byte order, and are empty if they are not UTF-8, as in Rust", () => {
    const { texts } = named(1, "\ufeffAda", [65, 255]);
    expect(
      texts
        .numbers()
        .map((number) => texts.text(number))
        .sort(),
    ).toEqual(["", "\ufeffAda"]);
  });

  it("are copied with a snapshot", () => {
    const copy = new Snapshot(schema);
    const state = named(1, "Ada", [3]);
    copy.copyFrom(state);
    expect(copy.checksum()).toBe(state.checksum());
    state.clear(2);
    expect(copy.texts.text(copy.tables[0]!.columns[0]![0]!)).toBe("Ada");
  });

  it("to which a row refers must be there", () => {
    const baseline = named(1, "Ada", []);
    // The only text is gone, but the row stays.
    const gone = Uint8Array.of(0x72, 3, 0x0a, 1, 0);
    const apply = (body: Uint8Array): unknown =>
      new Decoder().apply({ baseline, prior: undefined }, 2, body, new Snapshot(schema));
    expect(() => apply(gone)).toThrow("unknown text");
    const long = Uint8Array.from([0x72, 0x87, 2, 0x12, 1, 0, 0x1a, 0x81, 2, ...new Uint8Array(257)]);
    expect(() => apply(long)).toThrow("text length");
    expect(() => apply(Uint8Array.of(0x72, 3, 0x12, 1, 0))).toThrow("text count");
  });
});
