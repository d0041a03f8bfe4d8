import type { Delivery, Outgoing } from "../session/session.js";

/** How a transport ended. 1006: it broke without a close. */
export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** What a transport tells. */
export interface Handlers {
  /** A message arrived; `lossy`: on a datagram or a stream of its own, so that others may have been lost. */
  message(bytes: Uint8Array, lossy?: boolean): void;
  /** It ended; told once, and nothing after it. Not told after `close`. */
  closed(closed: Closed): void;
}

/** An open connection that carries messages. */
export interface Transport {
  readonly name: string;
  readonly delivery: Delivery;
  /** Longest datagram now, bytes; Infinity where there are none. */
  readonly maxDatagram: number;
  /** Bytes that wait to be sent. */
  readonly buffered: number;
  /** Begins to tell. Nothing is lost before. */
  start(handlers: Handlers): void;
  send(message: Outgoing): void;
  close(code: number, reason: string): void;
}

/** Where to connect: the server's base address, http or https. */
export interface Target {
  readonly base: URL;
  /** For a dialer to call when the server has answered something, with the round trip that took, ms. */
  heard?(rtt: number): void;
}

/** A way to open a transport. */
export interface Dialer {
  readonly name: string;
  /** Whether this browser has it. Default: yes. */
  available?(): boolean;
  /** Opens a transport. Rejects with a DialError; when `signal` aborts, with anything. */
  dial(target: Target, signal: AbortSignal): Promise<Transport>;
}

/** No connection could be made. */
export class DialError extends Error {
  override readonly name = "DialError";

  constructor(
    message: string,
    /** Whether the same address may work later. */
    readonly mayRetry = true,
  ) {
    super(message);
  }
}
