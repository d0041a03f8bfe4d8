/**
 * For games whose messages protobuf-es generated. Separate from the SDK, because it needs protobuf-es's whole
 * runtime.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Game } from "./game.js";

/** A game whose messages protobuf-es generated: inputs and commands are written as plain objects. */
export function protobufGame<I extends DescMessage, C extends DescMessage, E extends DescMessage>(messages: {
  input: I;
  command: C;
  event: E;
}): Game<MessageInitShape<I>, MessageInitShape<C>, MessageShape<E>> {
  const { input, command, event } = messages;
  return {
    encodeInput: (value) => toBinary(input, create(input, value)),
    encodeCommand: (value) => toBinary(command, create(command, value)),
    decodeEvent: (payload) => fromBinary(event, payload),
  };
}
