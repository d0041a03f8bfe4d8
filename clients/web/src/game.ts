import type { Entity } from "./view.js";

/** The entities of a game: for each kind of its schema, by name, what an entity of it has. */
export type Kinds<K> = { readonly [N in keyof K]: { readonly id: number } };
/** Any kinds: names and fields are not checked. */
export type AnyKinds = Readonly<Record<string, Entity>>;

/**
 * A game's own messages: from values to bytes and back. Parts that the game does not have can be omitted.
 * `driftless types` writes one, with all its types.
 */
export interface Game<
  Input = Uint8Array,
  Command = Uint8Array,
  Event = Uint8Array,
  K extends Kinds<K> = AnyKinds,
> {
  /** Its kind: rooms are joined as rooms of it. */
  readonly kind?: string;
  encodeInput(input: Input): Uint8Array;
  encodeCommand(command: Command): Uint8Array;
  decodeEvent(payload: Uint8Array): Event;
  /** Never there: the types of its entities. */
  readonly entities?: K;
}

/** A game whose messages are plain bytes to the SDK. */
export const rawGame: Game = {
  encodeInput: (input) => input,
  encodeCommand: (command) => command,
  decodeEvent: (payload) => payload,
};
