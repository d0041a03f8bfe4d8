import { addResiduals, takeDespawned, takeIds, takeRows, takeValues } from "./dense.js";
import { DeltaError } from "./error.js";
import { GroupDelta, readTables, type TableDelta, unchanged } from "./message.js";
import { takePacked } from "./packed.js";
import { Reader } from "./reader.js";
import { BitReader, takeRice } from "./rice.js";
import { takeBits, takeGaps, takeRiceRows } from "./row_set.js";
import type { Kind } from "./schema.js";
import { Snapshot, Table } from "./snapshot.js";
import { MAX_AGE } from "./state.js";

/** The states that both ends have, against which a delta is written. */
export interface References {
  /** The state that this end has. Undefined: everything is sent. */
  readonly baseline: Snapshot | undefined;
  /** A state before it, for linear predictions. Undefined: everything is predicted to stay. */
  readonly prior: Snapshot | undefined;
  /** The ticks that they are of, if not the snapshots' own: a zone may not have changed since. */
  readonly baselineTick?: number | undefined;
  readonly priorTick?: number | undefined;
}

/** The time spans of a linear prediction, ticks. */
interface Horizon {
  readonly ahead: number;
  readonly behind: number;
}

/**
 * Reads deltas: the difference from the baseline, where an absent entity, group or table is as its group's
 * predictor says. The same as driftless-proto's `delta::Decoder`, error by error. Keeps its scratch memory.
 */
export class Decoder {
  /**
   * Rows of the baseline whose entities still exist; then rows of the new table: of the survivors, the
   * spawned and the changed.
   */
  private readonly survivors = new Rows();
  private readonly survivorRows = new Rows();
  private readonly spawnedRows = new Rows();
  private readonly changedRows = new Rows();
  private readonly groupRows = new Rows();
  private spawnedIds: number[] = [];
  private readonly empty = new Map<Kind, Table>();

  /**
   * Applies the shared fields of a state or of a zone and makes `out` what they are of at `tick`. Returns the
   * checksum that the message carried, already verified. Throws a DeltaError; `out` is then empty, and
   * decoding may continue with the next message.
   */
  apply(references: References, tick: number, body: Uint8Array, out: Snapshot): number | undefined {
    out.clear(tick);
    for (const reference of [references.baseline, references.prior]) {
      if (reference && reference.schema !== out.schema && !reference.schema.equals(out.schema)) {
        throw new DeltaError("references");
      }
    }
    try {
      const message = readTables(body, out.schema.kinds);
      const bits = message.dense && new BitReader(message.dense);
      const horizon = horizonOf(references, tick);
      let next = 0;
      out.schema.kinds.forEach((kind, index) => {
        const baseline = references.baseline?.tables[index] ?? this.emptyTable(kind);
        const prior = horizon && references.prior?.tables[index];
        if (bits?.take(1) === 1) {
          this.applyDense(kind, horizon, baseline, prior, bits, out.tables[index]!);
          return;
        }
        const delta = message.tables[next]?.kind === index ? message.tables[next++]! : unchanged;
        this.applyTable(kind, horizon, baseline, prior, delta, out.tables[index]!);
      });
      if (bits && !bits.isUsedUp()) throw new DeltaError("value count");
      const someAreGone = out.texts.apply(references.baseline?.texts, message.texts);
      // In tables without a delta, rows refer to the same texts as in the baseline.
      if (someAreGone || bits) out.tables.forEach((_, kind) => checkTexts(out, kind));
      else for (const { kind } of message.tables) checkTexts(out, kind);
      if (message.checksum !== undefined && message.checksum !== out.checksum())
        throw new DeltaError("checksum");
      return message.checksum;
    } catch (error) {
      out.clear(tick);
      throw error;
    }
  }

  private applyTable(
    kind: Kind,
    horizon: Horizon | undefined,
    baseline: Table,
    prior: Table | undefined,
    delta: TableDelta,
    out: Table,
  ): void {
    const despawned: number[] = [];
    takeGaps(delta.despawned, baseline.length, "despawned", (row) => despawned.push(row));
    this.findSurvivors(baseline.length, despawned);
    this.mergeIds(baseline, takeSpawned(delta.spawned), out);
    if (delta.spawnedGroups.length !== (this.spawnedIds.length === 0 ? 0 : kind.groups.length)) {
      throw new DeltaError("spawned groups");
    }
    this.predict(kind, horizon, baseline, prior, out);
    this.readSpawned(kind, delta, out);
    this.readChanged(kind, delta, out);
  }

  /** Reads a table in the DENSE coding. */
  private applyDense(
    kind: Kind,
    horizon: Horizon | undefined,
    baseline: Table,
    prior: Table | undefined,
    bits: BitReader,
    out: Table,
  ): void {
    const { survivorRows, spawnedRows, changedRows } = this;
    this.findSurvivors(baseline.length, baseline.length > 0 ? takeDespawned(bits, baseline.length) : []);
    const above = baseline.length > 0 ? baseline.ids[baseline.length - 1]! + 1 : 0;
    this.mergeIds(baseline, takeIds(bits, above, kind.columns.length), out);
    this.predict(kind, horizon, baseline, prior, out);
    let first = 0;
    for (const { fields } of kind.groups) {
      if (survivorRows.length > 0 && takeRows(bits, survivorRows.length, changedRows)) {
        addResiduals(bits, changedRows, survivorRows, out.columns, first, fields.length);
      }
      first += fields.length;
    }
    if (spawnedRows.length > 0) takeValues(bits, spawnedRows, survivorRows, out.columns);
  }

  private findSurvivors(baseline: number, despawned: readonly number[]): void {
    const rows = this.survivors;
    if (despawned.length === 0) return rows.setStraight(baseline);
    rows.begin(baseline);
    let next = 0;
    for (const row of despawned) {
      while (next < row) rows.push(next++);
      next = row + 1;
    }
    while (next < baseline) rows.push(next++);
  }

  /** Fills the ids with those of the survivors and the spawned, and finds the rows of both among them. */
  private mergeIds(baseline: Table, spawnedIds: number[], out: Table): void {
    const { survivors, survivorRows, spawnedRows } = this;
    this.spawnedIds = spawnedIds;
    out.resize(survivors.length + spawnedIds.length);
    if (spawnedIds.length === 0) {
      survivorRows.setStraight(survivors.length);
      spawnedRows.setStraight(0);
      if (survivors.straight) out.ids.set(baseline.ids.subarray(0, baseline.length));
      else for (let n = 0; n < survivors.length; n++) out.ids[n] = baseline.ids[survivors.list[n]!]!;
      return;
    }
    survivorRows.begin(survivors.length);
    spawnedRows.begin(spawnedIds.length);
    let row = 0;
    let next = 0;
    for (let n = 0; n < survivors.length; n++) {
      const id = baseline.ids[survivors.get(n)]!;
      while (next < spawnedIds.length && spawnedIds[next]! <= id) {
        if (spawnedIds[next] === id) throw new DeltaError("spawned twice", `entity ${id}`);
        spawnedRows.push(row);
        out.ids[row++] = spawnedIds[next++]!;
      }
      survivorRows.push(row);
      out.ids[row++] = id;
    }
    while (next < spawnedIds.length) {
      spawnedRows.push(row);
      out.ids[row++] = spawnedIds[next++]!;
    }
  }

  /** Fills all columns as if only the ids had changed; spawned entities are 0. */
  private predict(
    kind: Kind,
    horizon: Horizon | undefined,
    baseline: Table,
    prior: Table | undefined,
    out: Table,
  ): void {
    const { survivors, survivorRows } = this;
    const straight = survivors.straight && survivorRows.straight;
    const priorRows = horizon && prior ? this.matchPrior(baseline, prior) : undefined;
    for (let index = 0; index < kind.columns.length; index++) {
      const from = baseline.columns[index]!;
      const to = out.columns[index]!;
      if (straight) {
        to.set(from.subarray(0, survivors.length));
      } else {
        to.fill(0, 0, out.length);
        for (let n = 0; n < survivors.length; n++) to[survivorRows.get(n)] = from[survivors.get(n)]!;
      }
      if (kind.columns[index]!.predictor === "hold" || !horizon || !prior || !priorRows) continue;
      const before = prior.columns[index]!;
      const { ahead, behind } = horizon;
      for (let n = 0; n < survivors.length; n++) {
        const priorRow = priorRows.get(n);
        if (priorRow === ABSENT) continue;
        const row = survivorRows.get(n);
        const value = to[row]!;
        // At most 39 bits: exact, and so is the quotient once it is truncated.
        const moved = (value - before[priorRow]!) * ahead;
        const predicted = value + (behind === 1 ? moved : Math.trunc(moved / behind));
        to[row] = predicted > 0x7fffffff ? 0x7fffffff : predicted < -0x80000000 ? -0x80000000 : predicted;
      }
    }
  }

  private readonly priorRows = new Rows();

  /** The survivors' rows in the prior, `ABSENT` for those that it does not have. */
  private matchPrior(baseline: Table, prior: Table): Rows {
    const { survivors, priorRows } = this;
    if (survivors.straight && baseline.length === prior.length && sameIds(baseline, prior)) {
      priorRows.setStraight(prior.length);
      return priorRows;
    }
    priorRows.begin(survivors.length);
    let at = 0;
    for (let n = 0; n < survivors.length; n++) {
      const id = baseline.ids[survivors.get(n)]!;
      while (at < prior.length && prior.ids[at]! < id) at++;
      priorRows.push(at < prior.length && prior.ids[at] === id ? at : ABSENT);
    }
    return priorRows;
  }

  private readSpawned(kind: Kind, delta: TableDelta, out: Table): void {
    let column = 0;
    delta.spawnedGroups.forEach((bytes, index) => {
      const values = new GroupDelta(bytes);
      if (values.group !== index || values.rows.length > 0) throw new DeltaError("spawned groups");
      add(values, this.spawnedRows, out, column, kind.groups[index]!.fields.length);
      column += kind.groups[index]!.fields.length;
    });
  }

  private readChanged(kind: Kind, delta: TableDelta, out: Table): void {
    const { survivors, survivorRows, changedRows, groupRows } = this;
    const { changedGaps, changedBits, changedRice } = delta;
    const sets = +(changedGaps.length > 0) + +(changedBits.length > 0) + +(changedRice.length > 0);
    if (sets > (delta.groups.length > 0 ? 1 : 0)) throw new DeltaError("changed rows");
    let changed = survivorRows;
    if (sets === 1) {
      changed = changedRows;
      changed.begin(survivors.length);
      const take = (row: number): void => changed.push(survivorRows.get(row));
      if (changedGaps.length > 0) takeGaps(changedGaps, survivors.length, "changed_gaps", take);
      else if (changedBits.length > 0) takeBits(changedBits, survivors.length, "changed_bits", take);
      else takeRiceRows(changedRice, survivors.length, "changed_rice", take);
    }
    let before = -1;
    let column = 0;
    for (const bytes of delta.groups) {
      const values = new GroupDelta(bytes);
      const group = kind.groups[values.group];
      if (!group) throw new DeltaError("unknown group", `${values.group}`);
      if (before >= values.group) throw new DeltaError("group order", `${values.group}`);
      for (let g = Math.max(before, 0); g < values.group; g++) column += kind.groups[g]!.fields.length;
      before = values.group;
      let rows = changed;
      if (values.rows.length > 0) {
        rows = groupRows;
        rows.begin(changed.length);
        takeBits(values.rows, changed.length, "rows", (row) => rows.push(changed.get(row)));
      }
      add(values, rows, out, column, group.fields.length);
    }
  }

  private emptyTable(kind: Kind): Table {
    let table = this.empty.get(kind);
    if (!table) this.empty.set(kind, (table = new Table(kind.columns.length)));
    return table;
  }
}

const ABSENT = 0xffffffff;

/**
 * Row numbers. Most tables gain and lose no entity within a tick, so the identity mapping has a form of its
 * own.
 */
class Rows {
  length = 0;
  straight = true;
  list = new Uint32Array(0);

  /** The rows 0 to `length` - 1. */
  setStraight(length: number): void {
    this.length = length;
    this.straight = true;
  }

  /** Starts an empty list, with room for `most` rows. */
  begin(most: number): void {
    if (this.list.length < most) this.list = new Uint32Array(most * 2);
    this.length = 0;
    this.straight = false;
  }

  push(row: number): void {
    this.list[this.length++] = row;
  }

  get(n: number): number {
    return this.straight ? n : this.list[n]!;
  }
}

/**
 * None without a prior: everything is predicted to stay. Also none if the references are too far apart, which
 * no head can express.
 */
function horizonOf(references: References, tick: number): Horizon | undefined {
  const { baseline, prior } = references;
  if (!baseline || !prior) return undefined;
  const { baselineTick = baseline.tick, priorTick = prior.tick } = references;
  const ahead = tick - baselineTick;
  const behind = baselineTick - priorTick;
  const fits = (ticks: number): boolean => ticks >= 1 && ticks <= MAX_AGE;
  return fits(ahead) && fits(behind) ? { ahead, behind } : undefined;
}

function takeSpawned(spawned: Uint8Array): number[] {
  const ids: number[] = [];
  if (spawned.length === 0) return ids;
  const reader = new Reader(spawned, "spawned");
  let next = 0;
  while (reader.at < reader.end) {
    const id = reader.number() + next;
    if (id > 0xffffffff) throw new DeltaError("spawned range");
    ids.push(id);
    next = id + 1;
  }
  return ids;
}

function sameIds(a: Table, b: Table): boolean {
  for (let n = 0; n < a.length; n++) if (a.ids[n] !== b.ids[n]) return false;
  return true;
}

/** Adds a group's residuals to its columns. */
function add(values: GroupDelta, rows: Rows, out: Table, column: number, fields: number): void {
  const { columns } = out;
  const take = (n: number, field: number, zigzag: number): void => {
    const target = columns[column + field]!;
    const row = rows.get(n);
    // Storing into an Int32Array wraps.
    target[row] = target[row]! + ((zigzag >>> 1) ^ -(zigzag & 1));
  };
  if (values.rice) takeRice(values.rice, rows.length, fields, take);
  else takePacked(values.packed(), rows.length, fields, values.share, take);
}

/** Every text to which a row refers must be there. */
function checkTexts(out: Snapshot, kind: number): void {
  out.schema.kinds[kind]!.columns.forEach(({ type }, column) => {
    if (!type) return;
    const table = out.tables[kind]!;
    for (let row = 0; row < table.length; row++) {
      const number = table.columns[column]![row]!;
      if (number !== 0 && !out.texts.has(number)) throw new DeltaError("unknown text", `${number}`);
    }
  });
}
