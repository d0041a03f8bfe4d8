// A schema is checked when it is read.
import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { Schema } from "../src/codec/schema.js";
import { SchemaSchema } from "../src/gen/driftless/v1/schema_pb.js";

it("a field that would hide an entity's id is refused", () => {
  const read = (field: string): Schema =>
    Schema.fromWire(
      create(SchemaSchema, {
        kinds: [{ name: "player", groups: [{ name: "place", fields: [{ name: field }] }] }],
      }),
    );
  expect(read("identity").kinds[0]!.columns[0]!.name).toBe("identity");
  expect(() => read("id")).toThrow('a field of "player" is called "id"');
});
