import { CloseCode } from "./code.js";
import { type Timers, within } from "./timers.js";
import { DialError } from "./transport/transport.js";

/** How long an identity may take, s. */
const TIMEOUT = 10;

/** Gets a token that says who the player is. */
export type Identity = () => string | Promise<string>;

/** The token of an identity. Undefined: there is none. Rejects with a DialError. */
export async function tokenOf(identity: Identity | undefined, timers: Timers): Promise<string | undefined> {
  if (!identity) return undefined;
  try {
    const late = `identity has not answered within ${TIMEOUT} s`;
    // A file that it comes from may end with a line break.
    return (await within(identity(), TIMEOUT * 1000, late, timers)).trim();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DialError(`your login gave no token: ${why}`, true, CloseCode.Unauthenticated);
  }
}
