import type { Timers } from "../timers.js";
import { DialError, type Dialer, OVERTAKEN, type Target, type Transport } from "./transport.js";

/**
 * The head start of a preferred transport: this many round trips (WebTransport needs three once its
 * certificate is known) ...
 */
const ROUND_TRIPS = 4;
/** ... within these bounds, ms (the maximum of RFC 8305, section 8, is 2 s) ... */
const LEAST = 400;
const MOST = 2000;
/** ... and this, ms, while nothing has come from the server yet. */
const UNKNOWN = 1000;
/** Time limit for all attempts together, ms. */
const DIAL_TIMEOUT = 10_000;

/** How long a preferred transport may take before the next one is tried in parallel, ms. */
export function headStart(rtt: number | undefined): number {
  return rtt === undefined ? UNKNOWN : Math.min(MOST, Math.max(LEAST, ROUND_TRIPS * rtt));
}

/** The winner, and why the attempts before it had failed by then. */
export interface Result {
  readonly transport: Transport;
  readonly errors: ReadonlyMap<string, Error>;
}

/**
 * Opens the first transport that works, as Happy Eyeballs (RFC 8305) does for addresses: each gets a head
 * start, and when it fails, the next starts at once. The first to open wins; the others are abandoned. A
 * dialer that hears from the server reports the round trip (`Target.heard`), and its head start is counted
 * from then.
 */
export function race(
  dialers: readonly Dialer[],
  target: Target,
  wait: number,
  timers: Timers,
  signal: AbortSignal,
): Promise<Result> {
  if (dialers.length === 0)
    return Promise.reject(
      new DialError("there is no transport here: Node has WebSocket since version 22", false),
    );
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    const errors = new Map<string, DialError>();
    let next = 0;
    let timer: number | undefined;
    let settled = false;

    const settle = (reason: unknown): void => {
      settled = true;
      stop.abort(reason);
      timers.clear(timer);
      timers.clear(deadline);
    };
    const fail = (error: DialError): void => {
      if (settled) return;
      settle(error);
      reject(error);
    };
    const startIn = (ms: number): void => {
      timers.clear(timer);
      if (next < dialers.length) timer = timers.set(start, ms);
    };
    const start = (): void => {
      const dialer = dialers[next++];
      if (!dialer || settled) return timers.clear(timer);
      startIn(wait);
      const mine = next;
      const heard = (rtt: number): void => {
        if (!settled && next === mine) startIn(headStart(rtt));
      };
      dialer.dial({ ...target, heard }, stop.signal).then(
        (transport) => {
          if (settled) return transport.close(1000, OVERTAKEN);
          settle(OVERTAKEN);
          resolve({ transport, errors });
        },
        (error: unknown) => {
          const failed = error instanceof DialError ? error : new DialError(String(error));
          // What the server says of this player is true of all transports.
          if (failed.code) return fail(failed);
          errors.set(dialer.name, failed);
          if (errors.size < dialers.length) return start();
          // Each attempt has its own error, and all are reported; if any of them may work later, the dial is
          // retried.
          const all = [...errors.values()];
          fail(
            new DialError(
              all.map((e) => e.message).join("; "),
              all.some((e) => e.mayRetry),
            ),
          );
        },
      );
    };
    const deadline = timers.set(
      () => fail(new DialError(`no answer from ${target.base.host}`)),
      DIAL_TIMEOUT,
    );
    const abort = (): void => fail(new DialError("aborted", false));
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    start();
  });
}
