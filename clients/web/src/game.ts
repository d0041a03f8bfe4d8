/** A game's own messages: from values to bytes and back. Parts that the game does not have can be omitted. */
export interface Game<Input = Uint8Array, Command = Uint8Array, Event = Uint8Array> {
  encodeInput(input: Input): Uint8Array;
  encodeCommand(command: Command): Uint8Array;
  decodeEvent(payload: Uint8Array): Event;
}

/** A game whose messages are plain bytes to the SDK. */
export const rawGame: Game = {
  encodeInput: (input) => input,
  encodeCommand: (command) => command,
  decodeEvent: (payload) => payload,
};
