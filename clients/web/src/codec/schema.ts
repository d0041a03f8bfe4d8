import type { Schema as WireSchema } from "../gen/driftless/v1/schema_pb.js";

/** How a value is predicted from the states that both ends have. */
export type Predictor = "hold" | "linear";

/** What the values of a column are the numbers of. */
export type FieldType = "text" | "bytes";

/** One column of signed 32-bit integers. */
export interface Field {
  readonly name: string;
  /** Absent: its values are integers. */
  readonly type?: FieldType | undefined;
  /** Quanta per unit of the game's measure, at least 1. */
  readonly quantaPerUnit: number;
}

/** Fields that usually change together. */
export interface Group {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly predictor: Predictor;
}

/** One column of a kind's table, with its group's predictor. */
export interface Column extends Field {
  readonly predictor: Predictor;
}

/** One kind of entity, which is one table. */
export interface Kind {
  readonly name: string;
  readonly groups: readonly Group[];
  /** The fields of the groups, concatenated. */
  readonly columns: readonly Column[];
  /**
   * The column that counts an entity's lives: where it changes, the entity was placed elsewhere, and was
   * nowhere in between.
   */
  readonly life?: number | undefined;
}

/** A schema that violates the protocol. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

const MAX_KINDS = 32;
const MAX_GROUPS = 16;
const MAX_FIELDS = 8;
const MAX_NAME_BYTES = 64;

/** The layout of a game's snapshots: its kinds of entity, in the order in which a delta numbers them. */
export class Schema {
  constructor(readonly kinds: readonly Kind[]) {}

  /** Index of the kind with this name, -1 if there is none. */
  find(kind: string): number {
    return this.kinds.findIndex((k) => k.name === kind);
  }

  /** Whether both have the same kinds, groups and fields. */
  equals(other: Schema): boolean {
    return JSON.stringify(this.kinds) === JSON.stringify(other.kinds);
  }

  /** Checks and converts the schema in a welcome. Throws a SchemaError that names the first fault. */
  static fromWire(wire: WireSchema | undefined): Schema {
    const kinds = (wire?.kinds ?? []).map((kind): Kind => {
      checkCount(`groups of ${kind.name}`, kind.groups.length, 1, MAX_GROUPS);
      const groups = kind.groups.map((group): Group => {
        checkCount(`fields of ${kind.name}.${group.name}`, group.fields.length, 1, MAX_FIELDS);
        return {
          name: group.name,
          fields: group.fields.map((f) => ({
            name: f.name,
            type: fieldType(f.fieldType),
            quantaPerUnit: f.quantaPerUnit || 1,
          })),
          predictor: predictor(group.predictor),
        };
      });
      const columns = groups.flatMap((g) => g.fields.map((f) => ({ ...f, predictor: g.predictor })));
      checkNames(groups.map((g) => g.name));
      checkNames(columns.map((c) => c.name));
      if (columns.some((c) => c.name === "id")) {
        throw new SchemaError(
          `a field of ${JSON.stringify(kind.name)} is called "id", as each entity's number is`,
        );
      }
      const moving = columns.find((c) => c.type && c.predictor !== "hold");
      if (moving)
        throw new SchemaError(`${JSON.stringify(moving.name)} is of ${moving.type}, and would move`);
      const life = kind.life ? kind.life - 1 : undefined;
      const counter = columns[life ?? -1];
      if (kind.life && (counter?.type || counter?.predictor !== "hold"))
        throw new SchemaError(`bad life of ${JSON.stringify(kind.name)}`);
      return { name: kind.name, groups, columns, life };
    });
    checkCount("kinds", kinds.length, 0, MAX_KINDS);
    checkNames(kinds.map((k) => k.name));
    return new Schema(kinds);
  }
}

function predictor(wire: number): Predictor {
  if (wire === 0) return "hold";
  if (wire === 1) return "linear";
  throw new SchemaError(`unknown predictor ${wire}`);
}

function fieldType(wire: number): FieldType | undefined {
  if (wire === 0) return undefined;
  if (wire === 1) return "text";
  if (wire === 2) return "bytes";
  throw new SchemaError(`unknown field type ${wire}`);
}

function checkCount(what: string, count: number, min: number, max: number): void {
  if (count < min || count > max) throw new SchemaError(`${what}: ${count} is outside ${min}..=${max}`);
}

function checkNames(names: string[]): void {
  const utf8 = new TextEncoder();
  names.forEach((name, n) => {
    const bad = name === "" || utf8.encode(name).length > MAX_NAME_BYTES || names.indexOf(name) !== n;
    if (bad) throw new SchemaError(`bad or repeated name ${JSON.stringify(name.slice(0, 64))}`);
  });
}
