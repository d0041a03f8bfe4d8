import { DeltaError } from "./error.js";
import { once, Reader } from "./reader.js";

/** How many ticks a baseline may precede its state, and a prior its baseline. */
export const MAX_AGE = 64;

/** The fields of a state that are written for each client, and the bytes that many clients share. */
export interface StateHead {
  readonly tick: number;
  /** Tick of the baseline. Undefined: everything is sent. */
  readonly baseline: number | undefined;
  /** Tick of the prior. Undefined: everything is predicted to stay. */
  readonly prior: number | undefined;
  /** The player's last input that the state contains. 0: none. */
  readonly input: number;
  /** Number of the message, which an acknowledgement names. Usually the tick. */
  readonly number: number;
  /** The message says nothing of zone 0; baseline and prior are only for its other zones. */
  readonly apart: boolean;
  /** The shared fields of zone 0, for `Decoder.apply`. */
  readonly shared: Uint8Array;
  /** What it says of other zones, for `readZones`. Mostly empty. */
  readonly zones: Uint8Array;
}

/** Tag of `ServerMessage.state`. */
const STATE_TAG = (1 << 3) | 2;
const NAMES = ["tick", "full", "baseline_lag", "no_prior", "prior_lag", "input", "number", "apart"];
const NOTHING = new Uint8Array(0);
/** The first field after those of zone 0. */
export const LEFT = 11;
/** The last of those: what follows zone 0. */
export const ZONES = 13;

/** Where a field of the head is in `NAMES`. Negative: it is not of the head. */
export function headField(field: number): number {
  return field <= 7 ? field - 1 : field === 10 ? 7 : -1;
}

/** Splits a `ServerMessage` that is a state into its parts. Undefined: it is not a state. */
export function splitState(message: Uint8Array): StateHead | undefined {
  if (message[0] !== STATE_TAG) return undefined;
  const reader = new Reader(message, "State", 1);
  const length = reader.number();
  const rest = message.length - reader.at;
  if (length < rest) throw new DeltaError("trailing");
  if (length > rest) throw new DeltaError("truncated");
  const values: (number | undefined)[] = [];
  let shared = reader.at;
  let more = reader.next();
  while (more) {
    const n = headField(reader.field);
    if (n < 0) break;
    const value = reader.number32(NAMES[n]!);
    once(values[n] !== undefined, NAMES[n]!);
    values[n] = value;
    shared = reader.at;
    more = reader.next();
  }
  let zones = shared;
  while (more && (reader.field < LEFT || reader.field > ZONES)) {
    zones = reader.at;
    more = reader.next();
  }
  const [tick = 0, full = 0, baselineLag = 0, noPrior = 0, priorLag = 0, input = 0, number = 0, apart = 0] =
    values;
  const baseline = full === 0 ? before(tick, baselineLag, "baseline_lag") : undefined;
  const prior = baseline !== undefined && noPrior === 0 ? before(baseline, priorLag, "prior_lag") : undefined;
  return {
    tick,
    baseline,
    prior,
    input,
    number: number || tick,
    apart: apart !== 0,
    shared: message.subarray(shared, zones),
    zones: zones < message.length ? message.subarray(zones) : NOTHING,
  };
}

/** The tick `lag` + 1 before `tick`. */
export function before(tick: number, lag: number, field: string): number {
  if (lag >= MAX_AGE) throw new DeltaError("too large", field);
  if (tick < lag + 1) throw new DeltaError("before start");
  return tick - lag - 1;
}
