// Writes states: PACKED, every value of every row, without interleaving.
import { BinaryWriter } from "@bufbuild/protobuf/wire";

/** The entities of a kind: their values by id. */
export type Rows = ReadonlyMap<number, readonly number[]>;

/** What a zone contains at a tick: its rows by kind. */
export interface Content {
  readonly tick: number;
  readonly kinds: readonly Rows[];
}

/** Of each kind, the number of fields of each group, negative for groups that are predicted linearly. */
export type Layout = readonly (readonly number[])[];

export interface References {
  readonly baseline?: Content | undefined;
  readonly prior?: Content | undefined;
  /** The ticks that they are sent as, if not their own. */
  readonly baselineTick?: number | undefined;
  readonly priorTick?: number | undefined;
}

export interface ZoneEntry {
  readonly zone: number;
  readonly references: number;
  readonly body: Uint8Array;
}

export interface Message {
  readonly tick: number;
  readonly number?: number;
  readonly apart?: boolean;
  readonly baseline?: number | undefined;
  readonly prior?: number | undefined;
  readonly input?: number;
  readonly body?: Uint8Array;
  readonly left?: readonly number[];
  readonly deferred?: readonly number[];
  readonly zones?: readonly ZoneEntry[];
}

/** A `ServerMessage` with a state. */
export function encodeState(message: Message): Uint8Array {
  const { tick, number = 0, baseline, prior, input = 0, left = [], deferred = [], zones = [] } = message;
  const writer = new BinaryWriter().tag(1, 2).fork();
  const put = (field: number, value: number): unknown => value > 0 && writer.tag(field, 0).uint32(value);
  put(1, tick);
  put(2, Number(baseline === undefined));
  if (baseline !== undefined) {
    put(3, tick - 1 - baseline);
    put(4, Number(prior === undefined));
    if (prior !== undefined) put(5, baseline - 1 - prior);
  }
  put(6, input);
  put(7, number === tick ? 0 : number);
  put(10, Number(message.apart === true));
  if (message.body) writer.raw(message.body);
  packedField(writer, 11, gaps(left));
  packedField(writer, 12, gaps(deferred));
  let last = 0;
  for (const { zone, references, body } of zones) {
    writer.tag(13, 2).fork();
    if (zone - last > 1) writer.tag(1, 0).uint32(zone - last - 1);
    if (references > 0) writer.tag(2, 0).uint32(references);
    writer.raw(body).join();
    last = zone;
  }
  return writer.join().finish();
}

/** `ZoneDelta.references`. */
export function lags(tick: number, baseline: number | undefined, prior: number | undefined): number {
  if (baseline === undefined) return 1;
  return 2 + (tick - 1 - baseline) + 64 * (prior === undefined ? 0 : baseline - prior);
}

/** The shared fields of a zone. */
export function encodeBody(
  layout: Layout,
  current: Content,
  references: References = {},
  checksum?: number,
): Uint8Array {
  const writer = new BinaryWriter();
  if (checksum !== undefined) writer.tag(8, 5).fixed32(checksum);
  layout.forEach((groups, kind) => {
    const rows = sorted(current.kinds[kind]!);
    const old = sorted(references.baseline?.kinds[kind] ?? new Map<number, number[]>());
    const has = (id: number): boolean => current.kinds[kind]!.has(id);
    const gone = old.flatMap(([id], row) => (has(id) ? [] : [row]));
    const known = new Set(old.map(([id]) => id));
    const born = rows.filter(([id]) => !known.has(id));
    const kept = rows.filter(([id]) => known.has(id));
    writer.tag(9, 2).fork();
    if (kind > 0) writer.tag(1, 0).uint32(kind);
    packedField(writer, 2, gaps(gone, -1));
    packedField(
      writer,
      3,
      gaps(
        born.map(([id]) => id),
        -1,
      ),
    );
    let column = 0;
    const spawned: number[][] = [];
    const changed: number[][] = [];
    for (const fields of groups) {
      const columns = Array.from({ length: Math.abs(fields) }, () => column++);
      spawned.push(born.flatMap(([, values]) => columns.map((n) => values[n]!)));
      const residual = (id: number, values: readonly number[], n: number): number =>
        (values[n]! - predicted(references, current.tick, kind, id, n, fields < 0)) | 0;
      changed.push(kept.flatMap(([id, values]) => columns.map((n) => residual(id, values, n))));
    }
    if (born.length > 0) spawned.forEach((values, n) => group(writer, 4, n, values));
    if (kept.length > 0) changed.forEach((values, n) => group(writer, 7, n, values));
    writer.join();
  });
  return writer.finish();
}

function predicted(
  { baseline, prior, baselineTick = baseline?.tick, priorTick = prior?.tick }: References,
  tick: number,
  kind: number,
  id: number,
  column: number,
  isLinear: boolean,
): number {
  const value = baseline!.kinds[kind]!.get(id)![column]!;
  const before = prior?.kinds[kind]!.get(id)?.[column];
  if (!isLinear || before === undefined) return value;
  return value + Math.trunc(((value - before) * (tick - baselineTick!)) / (baselineTick! - priorTick!));
}

function sorted(rows: Rows): [number, readonly number[]][] {
  return [...rows].sort(([a], [b]) => a - b);
}

/** Each number as its distance to the one before, less 1. `start`: the one before the first. */
function gaps(numbers: readonly number[], start = 0): number[] {
  return numbers.map((number, n) => number - (n === 0 ? start : numbers[n - 1]!) - 1);
}

function packedField(writer: BinaryWriter, field: number, numbers: number[]): void {
  if (numbers.length === 0) return;
  writer.tag(field, 2).fork();
  for (const number of numbers) writer.uint32(number);
  writer.join();
}

function group(writer: BinaryWriter, field: number, index: number, residuals: number[]): void {
  writer.tag(field, 2).fork();
  if (index > 0) writer.tag(1, 0).uint32(index);
  const zigzag = residuals.map((r) => ((r << 1) ^ (r >> 31)) >>> 0);
  packedField(writer, 4, zigzag);
  writer.join();
}
