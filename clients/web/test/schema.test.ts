// A schema is checked when it is read.
import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { Schema } from "../src/codec/schema.js";
import { SchemaSchema } from "../src/gen/driftless/v1/schema_pb.js";

it("what counts lives is a number that is held", () => {
  const read = (life: number): Schema =>
    Schema.fromWire(
      create(SchemaSchema, {
        kinds: [
          {
            name: "player",
            life,
            groups: [
              { name: "place", fields: [{ name: "x" }], predictor: 1 },
              { name: "status", fields: [{ name: "health" }, { name: "spawns" }] },
              { name: "names", fields: [{ name: "name", fieldType: 1 }] },
            ],
          },
        ],
      }),
    );
  expect([0, 3].map((life) => read(life).kinds[0]!.life)).toEqual([undefined, 2]);
  for (const life of [1, 4, 5]) expect(() => read(life)).toThrow('bad life of "player"');
});

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
