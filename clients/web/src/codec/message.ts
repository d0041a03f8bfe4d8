import { DeltaError } from "./error.js";
import { once, Reader } from "./reader.js";
import type { Kind } from "./schema.js";
import { headField } from "./state.js";

/** The messages of a delta, as parts of the bytes that they arrived in. */

const NONE: Uint8Array = new Uint8Array(0);
const MAX_GROUPS = 16;

/** A `TableDelta`. */
export interface TableDelta {
  kind: number;
  despawned: Uint8Array;
  spawned: Uint8Array;
  changedGaps: Uint8Array;
  changedBits: Uint8Array;
  changedRice: Uint8Array;
  spawnedGroups: Uint8Array[];
  groups: Uint8Array[];
}

function emptyDelta(): TableDelta {
  return {
    kind: 0,
    despawned: NONE,
    spawned: NONE,
    changedGaps: NONE,
    changedBits: NONE,
    changedRice: NONE,
    spawnedGroups: [],
    groups: [],
  };
}

/** A table in which everything is as predicted. */
export const unchanged: Readonly<TableDelta> = emptyDelta();

/** The shared fields of a zone's content. */
export interface Message {
  readonly tables: TableDelta[];
  readonly texts: Uint8Array | undefined;
  readonly dense: Uint8Array | undefined;
  readonly checksum: number | undefined;
}

/** Reads the shared fields of a `State` or `ZoneDelta`. */
export function readTables(body: Uint8Array, kinds: readonly Kind[]): Message {
  const reader = new Reader(body, "State");
  const tables: TableDelta[] = [];
  let checksum: number | undefined;
  let texts: Uint8Array | undefined;
  let dense: Uint8Array | undefined;
  let last = -1;
  while (reader.next()) {
    if (headField(reader.field) >= 0) throw new DeltaError("head in shared", `field ${reader.field}`);
    if (reader.field === 8) {
      const value = reader.fixed32();
      once(checksum !== undefined, "checksum");
      checksum = value;
    } else if (reader.field === 9) {
      const table = readTable(reader.view(), kinds);
      if (last >= table.kind) throw new DeltaError("kind order", `${table.kind}`);
      last = table.kind;
      tables.push(table);
    } else if (reader.field === 14) {
      once(texts !== undefined, "texts");
      texts = reader.view();
    } else if (reader.field === 15) {
      once(dense !== undefined, "dense");
      dense = reader.view();
    }
  }
  if (dense && tables.length > 0) throw new DeltaError("two codings");
  return { tables, texts, dense, checksum };
}

function readTable(bytes: Uint8Array, kinds: readonly Kind[]): TableDelta {
  const reader = new Reader(bytes, "TableDelta");
  const delta = emptyDelta();
  let there = 0;
  while (reader.next()) {
    const { field } = reader;
    switch (field) {
      case 1:
        delta.kind = reader.number32("kind");
        break;
      case 2:
        delta.despawned = reader.view();
        break;
      case 3:
        delta.spawned = reader.view();
        break;
      case 4:
        if (delta.spawnedGroups.push(reader.view()) > MAX_GROUPS) throw new DeltaError("spawned groups");
        continue;
      case 5:
        delta.changedGaps = reader.view();
        break;
      case 6:
        delta.changedBits = reader.view();
        break;
      case 7:
        if (delta.groups.push(reader.view()) > MAX_GROUPS) throw new DeltaError("unknown group");
        continue;
      case 8:
        delta.changedRice = reader.view();
        break;
      default:
        continue;
    }
    once((there & (1 << field)) !== 0, `field ${field} of TableDelta`);
    there |= 1 << field;
  }
  if (delta.kind >= kinds.length) throw new DeltaError("unknown kind", `${delta.kind}`);
  return delta;
}

/** A `GroupDelta`. */
export class GroupDelta {
  group = 0;
  rows: Uint8Array = NONE;
  rice: Uint8Array | undefined;
  /** How many residuals share a number of `packed`. */
  share = 1;
  private packedBytes: Uint8Array | undefined;

  constructor(bytes: Uint8Array) {
    const reader = new Reader(bytes, "GroupDelta");
    let there = 0;
    while (reader.next()) {
      const { field } = reader;
      switch (field) {
        case 1:
          this.group = reader.number32("group");
          break;
        case 2:
          this.rows = reader.view();
          break;
        case 3:
          this.share = reader.number32("interleave") + 1;
          break;
        case 4:
          this.packedBytes = reader.view();
          break;
        case 5:
          this.rice = reader.view();
          break;
        default:
          continue;
      }
      once((there & (1 << field)) !== 0, `field ${field} of GroupDelta`);
      there |= 1 << field;
    }
    if (this.share > 3) throw new DeltaError("interleave", `${this.share - 1}`);
    if (this.rice && this.packedBytes) throw new DeltaError("two codings");
  }

  /** The packed numbers, to read. */
  packed(): Reader {
    return new Reader(this.packedBytes ?? NONE, "packed");
  }
}
