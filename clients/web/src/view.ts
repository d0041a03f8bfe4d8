import type { Snapshot, Table } from "./codec/snapshot.js";
import type { AnyKinds, Kinds } from "./game.js";

/**
 * An entity: its id, and its fields by their names, in units of the game's measure. (Texts are strings, bytes
 * `Uint8Array`: the types that `driftless types` writes say so.)
 */
export type Entity = { readonly id: number } & Readonly<Record<string, number>>;

/** The prediction of the player's own entity: a value for each column, in quanta. */
export interface OwnRow {
  readonly kind: number;
  readonly id: number;
  readonly values: readonly number[];
}

/** The world at one moment: between two states, a little past the last, or as in one. */
export class View<K extends Kinds<K> = AnyKinds> {
  /**
   * The state at `part` of the way from `base` to `other`; negative if `other` is the earlier one, to
   * extrapolate away from it. A number that changes by more than `jump` quanta, and all of an entity that
   * began another life, keep the value in `base`.
   */
  constructor(
    private readonly base: Snapshot,
    private readonly other: Snapshot | undefined,
    private readonly part: number,
    private readonly jump: number,
    private readonly own?: OwnRow,
  ) {}

  /** @internal The same with the prediction of the player's own entity. */
  withOwn<L extends Kinds<L>>(own: OwnRow | undefined): View<L> {
    return new View<L>(this.base, this.other, this.part, this.jump, own);
  }

  /** Tick of the state that determines which entities exist. */
  get tick(): number {
    return this.base.tick;
  }

  /** What is shown: tick, and fraction on the way to the next. */
  get time(): number {
    return this.base.tick + ((this.other?.tick ?? this.base.tick) - this.base.tick) * this.part;
  }

  /** The entities of a kind, by ascending id. None if the game has no such kind. */
  all<N extends keyof K & string>(kind: N): K[N][] {
    const index = this.base.schema.find(kind);
    const table = this.base.tables[index];
    if (!table) return [];
    const other = this.other?.tables[index];
    const entities: Entity[] = [];
    let near = 0; // both tables are sorted: traverse them together
    for (let row = 0; row < table.length; row++) {
      const id = table.ids[row]!;
      while (other && near < other.length && other.ids[near]! < id) near++;
      const there = other && near < other.length && other.ids[near] === id ? near : -1;
      entities.push(this.entity(index, table, row, other, there));
    }
    return entities as unknown as K[N][];
  }

  /** One entity. */
  get<N extends keyof K & string>(kind: N, id: number): K[N] | undefined {
    const index = this.base.schema.find(kind);
    const table = this.base.tables[index];
    const row = table?.row(id) ?? -1;
    if (!table || row < 0) return undefined;
    const other = this.other?.tables[index];
    return this.entity(index, table, row, other, other?.row(id) ?? -1) as unknown as K[N];
  }

  private entity(index: number, table: Table, row: number, other: Table | undefined, there: number): Entity {
    const entity: Record<string, number | string | Uint8Array> = { id: table.ids[row]! };
    const own = this.own?.kind === index && this.own.id === entity.id ? this.own : undefined;
    const { columns, life } = this.base.schema.kinds[index]!;
    const moved =
      other &&
      there >= 0 &&
      (life === undefined || table.columns[life]![row] === other.columns[life]![there]);
    columns.forEach(({ name, type, quantaPerUnit, predictor }, n) => {
      const value = table.columns[n]![row]!;
      if (type) {
        entity[name] = type === "text" ? this.base.texts.text(value) : this.base.texts.bytes(value);
        return;
      }
      let change = 0;
      if (predictor === "linear" && moved) {
        change = other.columns[n]![there]! - value;
        if (Math.abs(change) > this.jump) change = 0;
      }
      entity[name] = (own?.values[n] ?? value + change * this.part) / quantaPerUnit;
    });
    return entity as unknown as Entity;
  }
}
