import { Backoff } from "./backoff.js";
import { Core } from "./core.js";
import { reported } from "./emitter.js";
import { RoomError } from "./errors.js";
import { type AnyKinds, type Game, type Kinds, rawGame } from "./game.js";
import { baseOf, findMatch } from "./match.js";
import type { ConnectOptions, TransportName } from "./options.js";
import { Prediction } from "./prediction.js";
import { Room } from "./room.js";
import { systemTimers } from "./timers.js";
import { Paths } from "./transport/paths.js";
import type { Dialer } from "./transport/transport.js";
import { webSocket } from "./transport/websocket.js";
import { webTransport } from "./transport/webtransport.js";

const TRANSPORTS: Record<TransportName, Dialer> = { webtransport: webTransport, websocket: webSocket };

/**
 * Connects and enters a room. Rejects with a RoomError if the first attempt fails. Once it has succeeded, the
 * room reconnects by itself wherever the close code allows it.
 */
export async function connect<
  Input = Uint8Array,
  Command = Uint8Array,
  Event = Uint8Array,
  K extends Kinds<K> = AnyKinds,
>(options: ConnectOptions<Input, Command, Event, K>): Promise<Room<Input, Command, Event, K>> {
  const timers = options.timers ?? systemTimers;
  const names: readonly (TransportName | Dialer)[] = options.transports ?? ["webtransport", "websocket"];
  const dialers = names.map((name) => (typeof name === "string" ? TRANSPORTS[name] : name));
  const { name: shown = "", spectate = false } = options;
  const signal = options.signal ?? new AbortController().signal;
  const place = options.match ? await matched(options) : options;
  const { room: name = "", kind = options.game?.kind ?? "", reservation = "" } = place;
  const asks = { room: name, ...(kind && { kind }) };
  const paths = new Paths(dialers, baseOf(place.url), timers, asks, options.identity, options.traceparent);
  const ofRoom = options.options ? JSON.stringify(options.options) : "";
  const earlier = options.token ? parseToken(options.token) : undefined;
  const prediction = options.prediction && predicted(options);
  const transport = await paths.dial(signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw RoomError.dial(error);
  });
  const core = new Core(
    timers.now(),
    { room: name, kind, name: shown, options: ofRoom, spectate, reservation },
    transport.delivery,
    earlier,
    new Backoff(1000, 30_000, options.random),
    options.maxAttempts,
  );
  const game = options.game ?? (rawGame as unknown as Game<Input, Command, Event, K>);
  const room = new Room(core, timers, game, options.interpolation ?? {}, paths, prediction);
  await room.open(transport, signal);
  return room;
}

/** Where the match is that was asked for. */
async function matched<I, C, E, K extends Kinds<K>>(options: ConnectOptions<I, C, E, K>) {
  const { url, identity, signal, game, match } = options;
  const kind = match?.kind ?? options.kind ?? game?.kind;
  const found = await findMatch({ ...match, kind, url, identity, signal });
  reported(() => match?.found?.(found));
  return found;
}

/** Loads the game's rules; the player need not wait for them. */
function predicted({
  prediction: source,
  interpolation,
}: Pick<ConnectOptions, "prediction" | "interpolation">) {
  const prediction = new Prediction((interpolation || {}).jump ?? Infinity);
  source?.load().then(
    (rules) => prediction.use(rules),
    (error: unknown) => prediction.fail(error),
  );
  return prediction;
}

function parseToken(token: string): { token: Uint8Array; reliableReceived: bigint } | undefined {
  const match = /^((?:[0-9a-f]{2})+)\.(\d+)$/.exec(token);
  if (!match) return undefined;
  const bytes = match[1]!.match(/../g)!.map((byte) => parseInt(byte, 16));
  return { token: Uint8Array.from(bytes), reliableReceived: BigInt(match[2]!) };
}
