import { DeltaError } from "./error.js";
import { once, Reader } from "./reader.js";
import { before, LEFT, MAX_AGE, type StateHead, ZONES } from "./state.js";

/** The last field of a state that this version knows. */
const LAST_FIELD = 15;

/** A zone's entry in a state. */
export interface ZoneDelta {
  readonly zone: number;
  /** As in `StateHead`. */
  readonly baseline: number | undefined;
  readonly prior: number | undefined;
  /** The shared fields, for `Decoder.apply`. */
  readonly shared: Uint8Array;
}

/** What a state says of zones other than zone 0. Those that it does not name have not changed. */
export interface Zones {
  /** Zones that the player no longer sees. */
  readonly left: readonly number[];
  /** Zones that have changed, but not in this message. */
  readonly deferred: readonly number[];
  /** Ascending. */
  readonly deltas: readonly ZoneDelta[];
}

const SILENT: Zones = { left: [], deferred: [], deltas: [] };

/** Reads what a state says of zones other than zone 0. */
export function readZones(head: StateHead): Zones {
  if (head.zones.length === 0) return SILENT;
  const reader = new Reader(head.zones, "State");
  const deltas: ZoneDelta[] = [];
  let left: number[] | undefined;
  let deferred: number[] | undefined;
  let zone = 0;
  let last = 0;
  while (reader.next()) {
    const { field } = reader;
    if (field > LAST_FIELD) continue;
    if (field < last || field < LEFT || field > ZONES) throw new DeltaError("field order", `field ${field}`);
    last = field;
    switch (field) {
      case 11:
        once(left !== undefined, "left");
        left = takeNumbers(reader.view());
        break;
      case 12:
        once(deferred !== undefined, "deferred");
        deferred = takeNumbers(reader.view());
        break;
      case 13: {
        const delta = readZone(reader.view(), head, zone);
        zone = delta.zone;
        deltas.push(delta);
      }
    }
  }
  return { left: left ?? [], deferred: deferred ?? [], deltas };
}

/** A `ZoneDelta` that follows the one of zone `last`. */
function readZone(bytes: Uint8Array, head: StateHead, last: number): ZoneDelta {
  const reader = new Reader(bytes, "ZoneDelta");
  let skipped: number | undefined;
  let references: number | undefined;
  let shared = 0;
  while (reader.next() && reader.field <= 2) {
    if (reader.field === 1) {
      once(skipped !== undefined, "zone");
      skipped = reader.number32("zone");
    } else {
      once(references !== undefined, "references");
      references = reader.number32("references");
    }
    shared = reader.at;
  }
  const zone = following(last, skipped ?? 0);
  return { zone, ...takeReferences(references ?? 0, head), shared: bytes.subarray(shared) };
}

function takeReferences(
  references: number,
  head: StateHead,
): { baseline: number | undefined; prior: number | undefined } {
  if (references === 0) return { baseline: head.baseline, prior: head.prior };
  if (references === 1) return { baseline: undefined, prior: undefined };
  const lag = (references - 2) % MAX_AGE;
  const p = Math.floor((references - 2) / MAX_AGE);
  const baseline = before(head.tick, lag, "references");
  return { baseline, prior: p === 0 ? undefined : before(baseline, p - 1, "references") };
}

/** Ascending zone numbers, each as its distance to the one before, minus 1. */
function takeNumbers(bytes: Uint8Array): number[] {
  const zones: number[] = [];
  const reader = new Reader(bytes, "zones");
  let zone = 0;
  while (reader.at < reader.end) zones.push((zone = following(zone, reader.number())));
  return zones;
}

function following(zone: number, skipped: number): number {
  const next = zone + 1 + skipped;
  if (next > 0xffffffff) throw new DeltaError("too large", "zone");
  return next;
}
