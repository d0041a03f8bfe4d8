// Written by `driftless types`: what changes here is lost.
import { type Game, gameOf, type MessageFields } from "driftless";

/** An entity of kind `player`. */
export type PlayerEntity = {
  readonly id: number;
  /** In steps of 1/100, interpolated between two states. */
  readonly x: number;
  /** In steps of 1/100, interpolated between two states. */
  readonly y: number;
  /** An integer. */
  readonly sector: number;
  /** An integer. */
  readonly health: number;
  /** An integer. */
  readonly score: number;
  /** An integer. */
  readonly spawns: number;
  /** An integer. */
  readonly colour: number;
};

/** An entity of kind `projectile`. */
export type ProjectileEntity = {
  readonly id: number;
  /** In steps of 1/100, interpolated between two states. */
  readonly x: number;
  /** In steps of 1/100, interpolated between two states. */
  readonly y: number;
  /** An integer. */
  readonly player: number;
};

/** An entity of kind `obstacle`. */
export type ObstacleEntity = {
  readonly id: number;
  /** In steps of 1/100. */
  readonly x: number;
  /** In steps of 1/100. */
  readonly y: number;
  /** In steps of 1/100. */
  readonly width: number;
  /** In steps of 1/100. */
  readonly height: number;
};

/** What there is in a room of `arena`, by kind. */
export interface ArenaEntities {
  readonly player: PlayerEntity;
  readonly projectile: ProjectileEntity;
  readonly obstacle: ObstacleEntity;
}

/** What a player does in a tick. Every number is clamped to its range. */
export interface ArenaInput {
  /**
   * Direction to move in, -127 to 127; a vector of length 127 is full speed, and longer ones are shortened to
   * that. Without a newer input, the player stops after 500 ms.
   */
  moveX: number;
  moveY: number;
  /** Direction to aim in, of any length, -32768 to 32767. Both 0: unchanged. */
  aimX: number;
  aimY: number;
  /** Bit 0: fire. Several inputs in one tick are combined with OR. */
  buttons: number;
  /**
   * A place to go to instead of `move`, centimetres: reached as fast as 10 m/s allows. For bots that follow
   * recorded movement. Both fields must be present. Holds as long as `move` does.
   */
  gotoX?: number;
  gotoY?: number;
}

/** What a player requests reliably. */
export interface ArenaCommand {
  body:
    /** A message to the room: 1 to 200 characters after trimming, no control characters. */
    | { case: "chat"; value: string }
    /**
     * The player has started (true) or stopped (false) writing a message. True expires after 5 s unless it is
     * sent again.
     */
    | { case: "typing"; value: boolean }
    /**
     * Chooses a colour: 1 to 12, a place on the clients' palette. Others see it in the column `colour`,
     * where 0 is a player who has not chosen. At most two changes a second.
     */
    | { case: "colour"; value: number }
    /** Starts a match: see there. */
    | { case: "match"; value: ArenaCommandMatch }
    /** Does not want to wait for the next round. When nobody else in the pause wants to, it begins. */
    | { case: "again"; value: boolean }
    | { case: undefined; value?: undefined };
}

/**
 * Rounds, and bots while few people are here. The first who asks decides; nothing happens in a room
 * whose maker chose `round_s` or `bots`, or that has a match already.
 */
export interface ArenaCommandMatch {
  /** Time of a round, seconds: as the option `round_s`. */
  roundS: number;
  /** As the option `bots`. */
  bots: number;
}

/** What the game announces reliably. */
export interface ArenaEvent {
  body:
    | { case: "chat"; value: ArenaEventChat }
    | { case: "typing"; value: ArenaEventTyping }
    | { case: "kill"; value: ArenaEventKill }
    | { case: "round"; value: ArenaEventRound }
    | { case: undefined; value?: undefined };
}

/** A player said something. */
export interface ArenaEventChat {
  player: number;
  text: string;
}

/** A player's typing indicator changed. */
export interface ArenaEventTyping {
  player: number;
  on: boolean;
}

/** A round has begun or ended, or is in progress when a player joins. */
export interface ArenaEventRound {
  /** From 1. */
  number: number;
  /** False: the round is over, and the pause before the next one has begun. */
  playing: boolean;
  /** Time until this changes, seconds, rounded up. */
  secondsLeft: number;
  /** The winner and the number of kills. 0: no player has more than all others. */
  winner: number;
  score: number;
}

/** A player's health reached 0. */
export interface ArenaEventKill {
  /** The player who fired, and who may have left since. */
  killer: number;
  victim: number;
  /** From the death to the victim's next life, ms. */
  respawnMs: number;
  /**
   * How long before the room heard of it the shot was fired, by what the killer was shown, ms. 0: it was
   * judged by what was there.
   */
  rewoundMs: number;
}
const arenaInputFields: MessageFields = {
  moveX: [1, "sint32"],
  moveY: [2, "sint32"],
  aimX: [3, "sint32"],
  aimY: [4, "sint32"],
  buttons: [5, "uint32"],
  gotoX: [6, "sint32", "optional"],
  gotoY: [7, "sint32", "optional"],
};
const arenaCommandFields: MessageFields = {
  chat: [1, "string", ":body"],
  typing: [2, "bool", ":body"],
  colour: [3, "uint32", ":body"],
  match: [4, () => arenaCommandMatchFields, ":body"],
  again: [5, "bool", ":body"],
};
const arenaCommandMatchFields: MessageFields = {
  roundS: [1, "uint32"],
  bots: [2, "uint32"],
};
const arenaEventFields: MessageFields = {
  chat: [1, () => arenaEventChatFields, ":body"],
  typing: [2, () => arenaEventTypingFields, ":body"],
  kill: [3, () => arenaEventKillFields, ":body"],
  round: [4, () => arenaEventRoundFields, ":body"],
};
const arenaEventChatFields: MessageFields = {
  player: [1, "uint32"],
  text: [2, "string"],
};
const arenaEventTypingFields: MessageFields = {
  player: [1, "uint32"],
  on: [2, "bool"],
};
const arenaEventRoundFields: MessageFields = {
  number: [1, "uint32"],
  playing: [2, "bool"],
  secondsLeft: [3, "uint32"],
  winner: [4, "uint32"],
  score: [5, "uint32"],
};
const arenaEventKillFields: MessageFields = {
  killer: [1, "uint32"],
  victim: [2, "uint32"],
  respawnMs: [3, "uint32"],
  rewoundMs: [4, "uint32"],
};

/** The game `arena`, for `connect({ game: arena })`. */
export const arena: Game<ArenaInput, ArenaCommand, ArenaEvent, ArenaEntities> = gameOf({
  kind: "arena",
  input: arenaInputFields,
  command: arenaCommandFields,
  event: arenaEventFields,
});
