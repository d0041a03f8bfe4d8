import type { AnyKinds, Game, Kinds } from "./game.js";
import type { Identity } from "./identity.js";
import type { InterpolationOptions } from "./interpolation.js";
import type { Match, MatchOptions } from "./match.js";
import type { Timers } from "./timers.js";
import type { Dialer } from "./transport/transport.js";
import type { RulesSource } from "./wasm.js";

/** The transports of the SDK, by name. */
export type TransportName = "webtransport" | "websocket";

/** Where to connect, as whom, and how. */
export interface ConnectOptions<
  Input = Uint8Array,
  Command = Uint8Array,
  Event = Uint8Array,
  K extends Kinds<K> = AnyKinds,
> {
  /**
   * The server: `https://host`, `http://host:port`, or the same with wss and ws. Default: the server that the
   * page came from.
   */
  readonly url?: string | URL | undefined;
  /** Room to enter: 1 to 64 characters of [A-Za-z0-9._-]. Created if it does not exist. Not with `match`. */
  readonly room?: string | undefined;
  /**
   * Has the server find a room with seats for a party, or make one. `found` is told which, with the seats of
   * the others of the party.
   */
  readonly match?: (MatchOptions & { readonly found?: (match: Match) => void }) | undefined;
  /** A seat that is kept in the room, from `findMatch`. A join with one makes no room. */
  readonly reservation?: string | undefined;
  /** Kind of game that the room must have. Default: that of `game`, or the server's default kind. */
  readonly kind?: string | undefined;
  /**
   * Options for the room if this join creates it, for its game: `{ respawn_s: 5 }`. At most 1 KiB as JSON.
   * Servers refuse options unless they run with `--join-options`.
   */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Whether to watch the room instead of playing in it: there is no seat, and nothing may be sent. A
   * spectator makes no room, and joins again when the connection was lost.
   */
  readonly spectate?: boolean | undefined;
  /** Display name, at most 32 characters. Default: the user id, which the server assigns. */
  readonly name?: string | undefined;
  /**
   * Gets a token that says who the player is, from the game's own login, for a server that wants one. Called
   * for each connection, and before the old token expires. May take 10 s.
   */
  readonly identity?: Identity | undefined;
  /**
   * The trace of which the player's coming is a part, as the page's own tracing has it: the `traceparent` of
   * W3C Trace Context. Called for each connection.
   */
  readonly traceparent?: string | (() => string | undefined);
  /** The `token` of an earlier page's room: resumes that seat if it is still kept, otherwise joins. */
  readonly token?: string | undefined;
  /** Transports to try, in order of preference. Default: WebTransport, then WebSocket. */
  readonly transports?: readonly (TransportName | Dialer)[];
  /** The game's messages. Default: bytes. */
  readonly game?: Game<Input, Command, Event, K> | undefined;
  /** How entities are shown between states; false: as in the newest state. */
  readonly interpolation?: InterpolationOptions | false | undefined;
  /**
   * How the player's own entity is predicted: `wasm(url)`, with a module of the game's rules. Default: it is
   * shown as all others.
   */
  readonly prediction?: RulesSource | undefined;
  /** Gives up connecting, and the seat: the promise rejects with the signal's reason. No effect on a room. */
  readonly signal?: AbortSignal | undefined;
  /** Failed attempts to reconnect in a row before giving up. Default: never. */
  readonly maxAttempts?: number | undefined;
  /** Time and timers, and random numbers from 0 to 1. For tests. */
  readonly timers?: Timers | undefined;
  readonly random?: (() => number) | undefined;
}
