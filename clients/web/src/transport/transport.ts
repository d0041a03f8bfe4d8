import type { CloseCode } from "../code.js";
import type { Delivery, Outgoing } from "../session/session.js";

/** How a transport ended. 1006: it broke without a close. */
export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** Callbacks of a transport. */
export interface Handlers {
  /**
   * A message arrived; `lossy`: as a datagram or on a stream of its own, so that others may have been lost.
   */
  message(bytes: Uint8Array, lossy?: boolean): void;
  /** It ended. Called once, and nothing is called after it. Not called after `close`. */
  closed(closed: Closed): void;
}

/** An open connection that carries messages. */
export interface Transport {
  readonly name: string;
  readonly delivery: Delivery;
  /** Longest datagram at present, bytes; Infinity if there are none. */
  readonly maxDatagram: number;
  /** Bytes that wait to be sent. */
  readonly buffered: number;
  /** Begins to call the handlers. Nothing that arrives earlier is lost. */
  start(handlers: Handlers): void;
  send(message: Outgoing): void;
  close(code: number, reason: string): void;
}

/** Where to connect: the server's base address, http or https. */
export interface Target {
  readonly base: URL;
  /** Says who the player is. */
  readonly token?: string | undefined;
  /**
   * For the query: what the player will ask for (`room` and `kind`), so that a server can say at once that it
   * may not; and of which trace this is a part.
   */
  readonly asks?: Readonly<Record<string, string>>;
  /** A dialer calls this when the server has answered something, with the round trip, ms. */
  heard?(rtt: number): void;
}

/** Why a dial is aborted that has done nothing wrong. */
export const OVERTAKEN = "another transport was faster";

/** A way to open a transport. */
export interface Dialer {
  readonly name: string;
  /** Whether this browser supports it. Default: yes. */
  available?(): boolean;
  /** Opens a transport. Rejects with a DialError or, when `signal` aborts, with anything. */
  dial(target: Target, signal: AbortSignal): Promise<Transport>;
}

/** No connection could be made. */
export class DialError extends Error {
  override readonly name = "DialError";

  constructor(
    message: string,
    /** Whether the same address may work later. */
    readonly mayRetry = true,
    /** Why the server lets the player not in, as its close code. Undefined: there was no answer. */
    readonly code?: CloseCode,
  ) {
    super(message);
  }
}
