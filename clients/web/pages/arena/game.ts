import type { Game, Room } from "../../src/index.js";
import {
  decodeArenaEvent,
  encodeArenaCommand,
  encodeArenaInput,
} from "./gen/driftless/arena/v1/arena_codec.js";
import type { ArenaCommand, ArenaEvent } from "./gen/driftless/arena/v1/arena_pb.js";

/** What a player does in a tick. */
export interface ArenaInput {
  moveX: number;
  moveY: number;
  aimX: number;
  aimY: number;
  buttons: number;
}

export type ArenaRoom = Room<ArenaInput, ArenaCommand["body"], ArenaEvent>;

/** The arena's messages, as its generated code writes and reads them. */
export const ArenaGame: Game<ArenaInput, ArenaCommand["body"], ArenaEvent> = {
  encodeInput: (input) => encodeArenaInput(input).finish(),
  encodeCommand: (body) => encodeArenaCommand({ body }).finish(),
  decodeEvent: (payload) => decodeArenaEvent(payload),
};
