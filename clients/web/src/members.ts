import type { Presence } from "./gen/driftless/v1/server_pb.js";

/** What happened to a member last. */
export type Change =
  "joined" | "left" | "away" | "back" | "timed_out" | "disconnected" | "removed" | "unknown";

/** By `Member.Change` on the wire. */
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
  /** Name to show. */
  readonly name: string;
  /** Player numbers of this user, one a seat; empty when the member has left. */
  readonly players: readonly number[];
  /** Whether the game plays it. An NPC has no connection, and is always online. */
  readonly npc: boolean;
  /** Whether any seat has a connection; false: away, within the resume window. */
  readonly online: boolean;
  /** What happened last, and when, ms of the server's clock. */
  readonly change: Change;
  readonly at: number;
  /** Round-trip time of the fastest connection, ms. Undefined: not measured yet. */
  readonly rtt: number | undefined;
}

/**
 * Takes a presence message into the members, and returns those it is about. Not who is said to have left and was never
 * told of: of each member, an application hears that it is there before it hears that it is gone.
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
