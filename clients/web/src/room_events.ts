import type { Snapshot } from "./codec/snapshot.js";
import type { RoomError } from "./errors.js";
import type { AnyKinds, Kinds } from "./game.js";
import type { Member } from "./members.js";

/** The state of a room's connection. */
export type Status =
  /**
   * In the room. `resumed`: the seat was kept; otherwise this is a new player. Reported again when the
   * transport changes.
   */
  | { readonly phase: "joined"; readonly transport: string; readonly resumed: boolean }
  /** The connection was lost; the next attempt follows in `retryIn` ms. */
  | { readonly phase: "reconnecting"; readonly cause: RoomError; readonly retryIn: number }
  /** It has ended, and does not reconnect by itself. */
  | { readonly phase: "closed"; readonly cause: RoomError };

/** A newer state. At most one per frame where frames are drawn: those in between are superseded. */
export interface StateUpdate {
  readonly tick: number;
  /** Number of the player's last input that the state contains. */
  readonly input: number;
  readonly snapshot: Snapshot;
}

/** An entity, and of which kind it is. */
export type KindOf<K extends Kinds<K>> = {
  readonly [N in keyof K & string]: { readonly kind: N; readonly id: number; readonly entity: K[N] };
}[keyof K & string];

/** The events of a room. */
export interface RoomEvents<Input, Event, K extends Kinds<K> = AnyKinds> {
  state: StateUpdate;
  /**
   * An entity came into view: it is in the newest state and was not in the one before. `entity` is as in that
   * state, which `room.entities` shows `renderDelay` later. A first listener is told all that there are.
   */
  enter: KindOf<K>;
  /** An entity left the view: it is gone, or where this player does not see it. */
  leave: { readonly kind: keyof K & string; readonly id: number };
  /** Something happened in the game. Each event comes once, in order, also across reconnects. */
  event: { readonly tick: number; readonly event: Event };
  /**
   * The members of the room: `changed` is everybody (with `full`: after joining, one event for each page of a
   * long list), and then only those who changed.
   */
  presence: {
    readonly members: ReadonlyMap<string, Member>;
    readonly changed: readonly Member[];
    readonly full: boolean;
  };
  status: Status;
  /**
   * The next tick needs an input: call `send` in this very listener. Comes at the tick rate, whatever the
   * rate of other events.
   */
  tick: { readonly tick: number };
  /** An input was sent, with this number. */
  input: { readonly sequence: number; readonly input: Input };
  /**
   * The server did not carry out a command; or nobody knows whether it did, because the seat was lost before
   * it was confirmed.
   */
  refused: { readonly command: number; readonly reason: string };
  /**
   * The room was restored after a failure of its server: what happened after tick `after`, up to tick
   * `until`, the last one shown, is undone, although states and events have told of it. Comes before the
   * status `joined`.
   */
  rolledBack: { readonly after: number; readonly until: number };
}
