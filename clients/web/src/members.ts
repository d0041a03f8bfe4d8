import type { Presence } from "./gen/driftless/v1/server_pb.js";

/** The last change of a member. */
export type Change =
  "joined" | "left" | "away" | "back" | "timed_out" | "disconnected" | "removed" | "unknown";

/** Indexed by `Member.Change` on the wire. */
const CHANGES: readonly Change[] = [
  "unknown",
  "joined",
  "left",
  "away",
  "back",
  "timed_out",
  "disconnected",
  "removed",
];

/** A user in the room. Several connections of one user are one member. */
export interface Member {
  readonly user: string;
  /** Display name. */
  readonly name: string;
  /** Player numbers of this user, one per seat; empty when the member has left. */
  readonly players: readonly number[];
  /** Whether the game plays it. An NPC has no connection, and is always online. */
  readonly npc: boolean;
  /** Whether any seat has a connection; false: away, within the resume window. */
  readonly online: boolean;
  /** The last change, and when it happened, ms of the server's clock. */
  readonly change: Change;
  readonly at: number;
  /** Round-trip time of the fastest connection, ms. Undefined: not measured yet. */
  readonly rtt: number | undefined;
}

/**
 * Applies a presence message to the members, and returns those that it is about. A departure of a member who
 * was never reported is left out, so an application learns of each member's arrival before it learns of the
 * departure.
 */
export function takePresence(members: Map<string, Member>, presence: Presence): Member[] {
  if (presence.since === 0n) members.clear();
  const changed: Member[] = [];
  for (const wire of presence.members) {
    const member: Member = {
      user: wire.user,
      name: wire.name,
      players: wire.players,
      npc: wire.npc,
      online: wire.connections > 0 || wire.npc,
      change: CHANGES[wire.change] ?? "unknown",
      at: Number(wire.atUs) / 1000,
      rtt: wire.rttUs === 0 ? undefined : wire.rttUs / 1000,
    };
    if (member.players.length > 0) members.set(member.user, member);
    else if (!members.delete(member.user)) continue;
    changed.push(member);
  }
  return changed;
}
