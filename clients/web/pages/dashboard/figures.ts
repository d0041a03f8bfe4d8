// The data of /v1/stream and /v1/rooms/{name}/state, and what is derived from them.

export interface Quantiles {
  readonly p50_us: number | null;
  readonly p99_us: number | null;
}

/** The event `server`. Counters are totals, as in /metrics. */
export interface ServerFigures {
  readonly at_unix_ms: number;
  readonly uptime_ms: number;
  readonly draining: boolean;
  /** How far a drain is. */
  readonly drain: "serving" | "matches" | "goodbyes" | "stopping";
  /** The longest time that this still takes. */
  readonly drain_left_ms: number | null;
  /** What is wrong, by part of the server. */
  readonly failing: Readonly<Record<string, string>>;
  readonly rooms: number;
  readonly players: number;
  readonly spectators: number;
  readonly connections: Readonly<Record<string, number>>;
  readonly received_bytes: number;
  readonly sent_bytes: number;
  readonly states_sent: number;
  readonly stale_states_dropped: number;
  readonly ticks: number;
  readonly ticks_skipped: number;
  readonly tick_duration: Quantiles;
  readonly tick_lateness: Quantiles;
  /** Until Redis has answered. Null: there are no other nodes. */
  readonly redis: Quantiles | null;
  readonly cpu_seconds: number | null;
  readonly resident_bytes: number | null;
}

/** The answer of /v1/nodes. */
export interface NodeList {
  /** Whether there can be others. */
  readonly many: boolean;
  readonly lease_ms: number;
  readonly nodes: readonly NodeFigures[];
}

export interface NodeFigures {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  /** `used`: per mille. */
  readonly load: {
    readonly used: number;
    readonly rooms: number;
    readonly players: number;
    readonly draining: boolean;
  };
  readonly seen_ms: number;
  readonly lease_age_ms: number;
  readonly this: boolean;
}

/** A part of the answer of /v1/nodes/rooms. */
export interface RoomsOfNode {
  readonly node: string;
  readonly total: number;
  readonly rooms: readonly NodeRoom[];
}

export interface NodeRoom {
  readonly name: string;
  readonly kind: string;
  readonly players: number;
  readonly max_players: number;
  readonly spectators: number;
}

export interface RoomFigures {
  readonly name: string;
  readonly kind: string;
  readonly tick_rate: number;
  readonly tick: number;
  readonly players: number;
  readonly npcs: number;
  readonly spectators: number;
  readonly connected: number;
  readonly max_players: number;
  readonly joins_closed: boolean;
  /** What its game publishes, by key. */
  readonly info: Readonly<Record<string, string>>;
  readonly ticks_skipped: number;
  readonly sent_bytes: number;
  readonly stale_states_dropped: number;
  readonly tick_duration: { readonly mean_us: number; readonly max_us: number };
  readonly tick_lateness: { readonly mean_us: number; readonly max_us: number };
}

/** The event `rooms`. */
export interface RoomsFigures {
  readonly total: number;
  readonly rooms: readonly RoomFigures[];
}

export type Why = "left" | "timed_out" | "disconnected" | "removed";

export interface PresenceChange {
  readonly at_unix_ms: number;
  readonly room: string;
  readonly player: number;
  readonly user: string;
  readonly name: string;
  readonly change: "joined" | "lost" | "back" | "left";
  readonly why?: Why;
}

/** The event `presence`. */
export interface PresenceFigures {
  readonly changes: readonly PresenceChange[];
  readonly more: number;
}

export interface Table {
  readonly kind: string;
  readonly fields: readonly {
    readonly name: string;
    readonly group: string;
    readonly quanta_per_unit: number;
    readonly predictor: "hold" | "linear";
  }[];
  readonly count: number;
  readonly ids: readonly number[];
  /** The zone of each entity. Empty if all are in zone 0. */
  readonly zones: readonly number[];
  /** Numbers in quanta, texts, or bytes in hexadecimal. */
  readonly columns: readonly (readonly (number | string)[])[];
}

export interface RoomState {
  readonly room: string;
  readonly kind: string;
  readonly tick_rate: number;
  readonly tick: number;
  readonly truncated: boolean;
  /** Whether it has zones, of which players see some, besides zone 0. */
  readonly zoned: boolean;
  readonly seats: readonly {
    readonly player: number;
    readonly user: string;
    readonly name: string;
    readonly npc: boolean;
    readonly connected: boolean;
    readonly rtt_us: number | null;
    readonly input: number;
  }[];
  readonly tables: readonly Table[];
}

/** What the server does per second, between two samples. */
export interface Rates {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly stale: number;
  readonly skipped: number;
  readonly ticks: number;
  /** Fraction of one core; 0.5 is half. Null if the system does not report it. */
  readonly cpu: number | null;
}

/** Null: there is no time between them, or they come from two processes. */
export function rates(before: ServerFigures | undefined, now: ServerFigures): Rates | null {
  if (!before || now.uptime_ms <= before.uptime_ms) return null;
  const seconds = (now.uptime_ms - before.uptime_ms) / 1000;
  const rate = (key: "sent_bytes" | "received_bytes" | "stale_states_dropped" | "ticks_skipped" | "ticks") =>
    Math.max(0, now[key] - before[key]) / seconds;
  const cpu = now.cpu_seconds !== null && before.cpu_seconds !== null;
  return {
    sentBytes: rate("sent_bytes"),
    receivedBytes: rate("received_bytes"),
    stale: rate("stale_states_dropped"),
    skipped: rate("ticks_skipped"),
    ticks: rate("ticks"),
    cpu: cpu ? (now.cpu_seconds - before.cpu_seconds) / seconds : null,
  };
}

/** The columns that hold an entity's position. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/**
 * Finds the position columns in any game's schema: fields named x and y (or x and z, as in 3D where y is up),
 * else the first two of a group that moves, else none.
 */
export function placeOf(table: Table): Place | null {
  const at = (name: string) => table.fields.findIndex((field) => field.name.toLowerCase() === name);
  for (const [x, y] of [
    ["x", "y"],
    ["x", "z"],
    ["pos_x", "pos_y"],
    ["position_x", "position_y"],
  ] as const) {
    if (at(x) >= 0 && at(y) >= 0) return { x: at(x), y: at(y) };
  }
  const moving = table.fields.findIndex(
    (field, n) => field.predictor === "linear" && table.fields[n + 1]?.group === field.group,
  );
  return moving < 0 ? null : { x: moving, y: moving + 1 };
}
