/** What the server did wrong. */
export type Fault =
  | "malformed"
  | "stale"
  | "delta"
  | "gap"
  | "unexpected"
  | "unknown baseline"
  | "too many zones"
  | "schema"
  | "version"
  | "silent";

/** The server's fault: the connection is useless. */
export class ServerFault extends Error {
  override readonly name = "ServerFault";

  constructor(
    readonly fault: Fault,
    detail: string,
  ) {
    super(`${fault}: ${detail}`);
  }

  /** Whether another connection may work. A server that violates the protocol will do it again. */
  get mayRetry(): boolean {
    return this.fault === "silent";
  }
}
