import { reported } from "./emitter.js";
import { RoomError } from "./errors.js";
import { type Identity, tokenOf } from "./identity.js";
import { systemTimers, within } from "./timers.js";

/** Which room a party wants: see the guide, "Finding a match". */
export interface MatchOptions {
  /** Kind of game. Default: what `connect` is told of it, or the server's default kind. */
  readonly kind?: string | undefined;
  /** Which rooms: `mode = "ctf" and players < 8`. Default: any. */
  readonly filter?: string | undefined;
  /** How many seats. Default: 1. */
  readonly party?: number | undefined;
  /** Whether a room is made if none fits. Default: true. */
  readonly create?: boolean | undefined;
  /** Options of the game for a room that is made, if the server runs with `--join-options`. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** The server to ask, and as whom. */
export interface Asker {
  /** As for `connect`. */
  readonly url?: string | URL | undefined;
  /** As for `connect`. */
  readonly identity?: Identity | undefined;
  /** Gives up: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A room in which seats are kept for a moment: what `connect` needs. */
export interface Match {
  /** Where the room is. */
  readonly url: string;
  readonly room: string;
  readonly kind: string;
  /** The player's own seat. */
  readonly reservation: string;
  /** The seats of the others of the party: hand them out. */
  readonly others: readonly string[];
  /** How long the seats are kept, ms. */
  readonly expiresMs: number;
}

/** Finds a room with seats for a party, or makes one. `connect({ ...match })` takes the player's seat. */
export async function findMatch({ url, identity, signal, ...wanted }: Asker & MatchOptions): Promise<Match> {
  const base = baseOf(url);
  const token = await shown(identity);
  const init = { method: "POST", body: JSON.stringify(wanted), signal: signal ?? null };
  const answer = (await ask(new URL("v1/match", base), token, init)) as Seats & {
    room: { name: string; kind: string };
  };
  return matchOf(base, answer, answer.room.name, answer.room.kind);
}

/** Seats that are kept, as the server says it. */
interface Seats {
  reservations: [string, ...string[]];
  expires_ms: number;
  url?: string;
}

function matchOf(base: URL, { reservations, expires_ms, url }: Seats, room: string, kind: string): Match {
  const [reservation, ...others] = reservations;
  return { url: url ?? base.href, room, kind, reservation, others, expiresMs: expires_ms };
}

/** The token that says who asks. */
function shown(identity: Identity | undefined): Promise<string | undefined> {
  return tokenOf(identity, systemTimers).catch((error: unknown) => {
    throw RoomError.dial(error);
  });
}

/** Asks the server's HTTP API. Rejects with a RoomError that says what the server says. */
async function ask(url: URL, token: string | undefined, init: RequestInit): Promise<unknown> {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const failed = (said: string, mayReconnect: boolean) =>
    new RoomError("match", said, { advice: "Ask again later, or for something else.", mayReconnect });
  const late = `no answer from ${url.host}`;
  const asked = within(fetch(url, { ...init, headers }), ANSWER_MS, late, systemTimers);
  const answer = await asked.catch((error: unknown) => {
    init.signal?.throwIfAborted();
    throw failed(String(error), true);
  });
  const read = within(answer.json(), ANSWER_MS, late, systemTimers).catch(() => undefined);
  const body = (await read) as { code?: string; detail?: string } | undefined;
  if (answer.ok && body) return body;
  const said = body?.detail ?? `${url.host} gave no answer that Driftless gives`;
  // What a proxy says, without a code, says nothing of the match.
  throw failed(`${said} (${body?.code ?? answer.status})`, !body?.code || answer.status > 428);
}

/** The server's address, for HTTP. */
export function baseOf(url: string | URL | undefined): URL {
  try {
    // Of a page's own address, its path is not one that a proxy has before the server's.
    const base = new URL(url ?? location.origin);
    base.protocol = base.protocol.replace("ws", "http");
    base.pathname = base.pathname.replace(/\/?(v1\/connect)?$/, "/");
    if (base.protocol === "http:" || base.protocol === "https:") return base;
    throw new Error(`the protocol is ${base.protocol}`);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new RoomError("options", `bad url ${String(url)}: ${said}`, {
      advice: "Give the server's address, such as https://host or ws://host:port.",
      mayReconnect: false,
    });
  }
}

/** Who waits in the queue for a match: see the guide, "The queue". */
export interface QueueOptions {
  /** Kind of game. Default: the server's default kind. */
  readonly kind?: string | undefined;
  /** How many play. They stay together. Default: 1. */
  readonly party?: number | undefined;
  /** How good they are, on average. */
  readonly skill?: number | undefined;
  /** Milliseconds to regions in which they can play. Default: all. */
  readonly latencies?: Readonly<Record<string, number>> | undefined;
  /** What is known of them besides. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** What must be true of everybody they play with: `mode = "ctf"`. */
  readonly filter?: string | undefined;
}

/** How a ticket in the queue stands. */
export interface QueueWatch {
  /** Called while it waits: for how long so far, and how much longer as far as recent matches tell, ms. */
  readonly waiting?: ((waitedMs: number, estimateMs?: number) => void) | undefined;
}

/** How long a ticket waits at which nobody looks, ms. */
const LIFE_MS = 30_000;
/** The ticket is looked at this often at most, ms, whatever answers. */
const LOOK_MS = 1000;
/** How long an answer may take, ms: longer than a room takes that has to start. */
const ANSWER_MS = 20_000;

/** Waits in the queue for a match. `connect({ ...match })` takes the player's seat. */
export async function queue(options: Asker & QueueOptions & QueueWatch): Promise<Match & { team: number }> {
  const { url, identity, waiting, signal, ...wanted } = options;
  const base = baseOf(url);
  const token = await shown(identity);
  signal?.throwIfAborted();
  const init = { method: "POST", body: JSON.stringify(wanted) };
  const { id } = (await ask(new URL("v1/queue", base), token, init)) as { id: string };
  const ticket = new URL(`v1/queue/${id}`, base);
  let heard = systemTimers.now();
  try {
    for (;;) {
      const at = new URL("?wait=5", ticket);
      const pause = new Promise((again) => setTimeout(again, LOOK_MS));
      const state = (await ask(at, token, { signal: signal ?? null }).catch((error: RoomError) => {
        // The ticket may still wait.
        if (!error.mayReconnect || systemTimers.now() - heard > LIFE_MS) throw error;
      })) as QueueState | undefined;
      if (state) {
        heard = systemTimers.now();
        if (state.state === "matched") {
          return { ...matchOf(base, state, state.room, state.kind), team: state.team };
        }
        const { waited_ms, estimate_ms } = state;
        reported(() => waiting?.(waited_ms, estimate_ms));
      }
      signal?.throwIfAborted();
      await pause;
    }
  } catch (error) {
    // It may be that nobody has heard: then the ticket is given up when nobody has looked at it for a while.
    ask(ticket, token, { method: "DELETE", keepalive: true }).catch(() => {});
    signal?.throwIfAborted();
    throw error;
  }
}

type QueueState =
  | { state: "waiting"; waited_ms: number; estimate_ms?: number }
  | (Seats & { state: "matched"; room: string; kind: string; team: number });
