import type { Game, Room } from "../../src/index.js";
import {
  arena,
  type ArenaCommand,
  type ArenaEntities,
  type ArenaEvent,
  type ArenaInput,
} from "./gen/arena.js";

export type { ArenaInput } from "./gen/arena.js";
type Command = ArenaCommand["body"];

export type ArenaRoom = Room<ArenaInput, Command, ArenaEvent, ArenaEntities>;

/** The arena; a command is written as its content. */
export const ArenaGame: Game<ArenaInput, Command, ArenaEvent, ArenaEntities> = {
  ...arena,
  encodeCommand: (body) => arena.encodeCommand({ body }),
};
