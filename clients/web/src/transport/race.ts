import type { Timers } from "../timers.js";
import { DialError, type Dialer, type Target, type Transport } from "./transport.js";

/** How long a better transport may take before the next one is tried beside it, ms. */
export const HEAD_START = 400;
/** Longest for all attempts together, ms. */
const DIAL_TIMEOUT = 10_000;

/**
 * Opens the first transport that works, as Happy Eyeballs (RFC 8305) does for addresses: each gets a head start, and its
 * failure starts the next at once. The first to open wins; the others are given up.
 */
export function race(
  dialers: readonly Dialer[],
  target: Target,
  timers: Timers,
  signal: AbortSignal,
): Promise<Transport> {
  const able = dialers.filter((dialer) => dialer.available?.() ?? true);
  if (able.length === 0)
    return Promise.reject(new DialError("this browser has none of the transports", false));
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    const errors: DialError[] = [];
    let next = 0;
    let headStart: number | undefined;
    let settled = false;

    const settle = (): void => {
      settled = true;
      stop.abort();
      timers.clear(headStart);
      timers.clear(deadline);
    };
    const fail = (error: DialError): void => {
      if (settled) return;
      settle();
      reject(error);
    };
    const start = (): void => {
      timers.clear(headStart);
      const dialer = able[next++];
      if (!dialer || settled) return;
      if (next < able.length) headStart = timers.set(start, HEAD_START);
      dialer.dial(target, stop.signal).then(
        (transport) => {
          if (settled) return transport.close(1000, "another transport was faster");
          settle();
          resolve(transport);
        },
        (error: unknown) => {
          errors.push(error instanceof DialError ? error : new DialError(String(error)));
          if (errors.length < able.length) return start();
          // All attempts tell the same story, each in its words; what may help is tried again.
          fail(
            new DialError(
              errors.map((e) => e.message).join("; "),
              errors.some((e) => e.mayRetry),
            ),
          );
        },
      );
    };
    const deadline = timers.set(
      () => fail(new DialError(`no answer from ${target.base.host}`)),
      DIAL_TIMEOUT,
    );
    signal.addEventListener("abort", () => fail(new DialError("aborted", false)));
    start();
  });
}
