/**
 * Why a connection ended, as the server's goodbye and the transport's close say it. 4000 to 4499: the client
 * may reconnect, and does so by itself; 4500 to 4999: it should not.
 */
export enum CloseCode {
  /** The server is shutting down; reconnect after the time given in the goodbye. */
  Draining = 4000,
  /** The client was silent for longer than the timeout. */
  TimedOut = 4001,
  /** Too many reliable messages stayed unacknowledged for the timeout, or their queue overflowed. */
  SlowConsumer = 4002,
  /** No join or resume arrived within the handshake deadline. */
  HandshakeTimeout = 4003,
  /** The room has ended (closed by an operator, or empty for too long). */
  RoomClosed = 4004,
  /** The room failed because of a fault in its game, not in the client. */
  RoomFailed = 4005,
  /** Something in the server failed. */
  Internal = 4006,
  /** The room has no free seat, or none for a user who has as many as one may have. */
  RoomFull = 4007,
  /** The server has no capacity left for another room or connection. */
  ServerFull = 4008,
  /** The token matches no seat (any more): join anew. */
  UnknownSession = 4009,
  /** The client's address has reached a limit: of connections, players or rooms, or of their rate. */
  AddressLimit = 4010,
  /** The room's game admits no new players at present. */
  JoinsClosed = 4011,
  /** The client's token has expired. Come back with a fresh one: the seat is kept. */
  TokenExpired = 4012,
  /** The room to watch does not exist: spectators make none. */
  NoSuchRoom = 4013,
  /** The room is on another node, perhaps from now on: go to the one that the goodbye names, at once. */
  Moved = 4014,
  /** The node may no longer own its rooms. Come back: another node may have the room. */
  NodeLost = 4015,
  /** It cannot be found out which node has the room. Come back after the time given. */
  RegistryUnavailable = 4016,
  /** The player left, as requested. Do not reconnect. */
  Left = 4500,
  /** A message does not follow the schema. */
  Malformed = 4501,
  /** A message that is not allowed now (a second join, an acknowledgement of something never sent). */
  Unexpected = 4502,
  /** A message is longer than allowed. */
  TooLarge = 4503,
  /** A sustained flood of inputs or messages. (A mere excess is dropped without closing the connection.) */
  RateLimited = 4504,
  /** The server does not speak the client's protocol version. */
  UnsupportedVersion = 4505,
  /** The server has no game of this kind, or the room is of another kind. */
  UnknownKind = 4506,
  /** A name (of the room or the player) is empty, too long, or has characters that are not allowed. */
  BadName = 4507,
  /** The game could not decode an input. */
  BadInput = 4508,
  /** A newer connection has taken over the seat. */
  Replaced = 4509,
  /** An operator or the game removed the player. */
  Kicked = 4510,
  /** A frame was not binary. */
  NotBinary = 4511,
  /** The room cannot be made with these options, or joins may not bring options. */
  BadOptions = 4512,
  /** The game has ended the room: its match is over. Joining again makes a new room. */
  GameEnded = 4513,
  /** The server does not know who the client is: it has no token, or one that is not valid. */
  Unauthenticated = 4514,
  /** The client's token does not allow what it asks for, or the room was made for others. */
  Forbidden = 4515,
  /** An operator has revoked the user's access. The seat has ended. */
  Revoked = 4516,
  /** A spectator has sent an input or a command. */
  Spectating = 4517,
  /** The game has reported the player too often, for inputs that no honest client would send. */
  TooManyReports = 4518,
}

/**
 * Whether to try again after a close with this number: 4000 to 4499 of ours, and the codes of an
 * unintended end (1001 going away, 1005 no code, 1006 lost, 1011 to 1014 server trouble).
 */
export function mayReconnect(code: number): boolean {
  if (code >= 4000) return code < 4500;
  return [1001, 1005, 1006, 1011, 1012, 1013, 1014].includes(code);
}

/** What a developer or a player can do about a close with this number. */
export function advice(code: number): string {
  return ADVICE[code] ?? (mayReconnect(code) ? "Wait; the SDK reconnects by itself." : "See CloseCode.");
}

const ADVICE: Record<number, string> = {
  [CloseCode.Draining]: "Wait; the SDK reconnects when the server asks it to.",
  [CloseCode.TimedOut]:
    "Wait; the SDK reconnects. If it repeats, the network drops packets or the page was frozen.",
  [CloseCode.SlowConsumer]: "The page or the network is too slow for this room's events; send or show fewer.",
  [CloseCode.HandshakeTimeout]: "The network is very slow, or something in between delays messages.",
  [CloseCode.RoomClosed]: "The room has ended; the SDK joins it anew.",
  [CloseCode.RoomFailed]: "The room's game failed; tell the server's operator. The SDK joins anew.",
  [CloseCode.Internal]: "The server failed; tell its operator.",
  [CloseCode.RoomFull]: "Join another room, or wait for a free seat.",
  [CloseCode.ServerFull]: "Wait, or connect to another server.",
  [CloseCode.UnknownSession]: "The seat has ended, or the token is wrong; the SDK joins anew.",
  [CloseCode.AddressLimit]:
    "Many players or connections come from this network; wait, or ask the server's operator to raise the limit.",
  [CloseCode.JoinsClosed]: "Join another room, or wait; the SDK tries again.",
  [CloseCode.TokenExpired]: "The SDK asks for a fresh token; give connect an identity that gets one.",
  [CloseCode.NoSuchRoom]: "Connect again when somebody plays there.",
  [CloseCode.Moved]: "Nothing; the SDK goes to the other node.",
  [CloseCode.NodeLost]: "Wait; the SDK comes back, perhaps to another room of this name.",
  [CloseCode.RegistryUnavailable]:
    "Wait; the SDK tries again. If it repeats, Redis is down: tell the operator.",
  [CloseCode.Left]: "Nothing: this is the answer to leave().",
  [CloseCode.Malformed]: "Use the SDK of this server's version.",
  [CloseCode.Unexpected]: "Use the SDK of this server's version.",
  [CloseCode.TooLarge]: "Send smaller inputs (at most 1 KiB) and commands (at most 4 KiB).",
  [CloseCode.RateLimited]: "Send at most one input per tick, and fewer commands.",
  [CloseCode.UnsupportedVersion]: "Use the SDK of this server's version; reload the page.",
  [CloseCode.UnknownKind]: "Ask for a kind of game that this server has, and that this room has.",
  [CloseCode.BadName]: "The reason says what is wrong with the name.",
  [CloseCode.BadInput]: "Encode inputs with the messages of exactly this game and version.",
  [CloseCode.Replaced]: "A newer connection has taken over the seat, perhaps in another tab.",
  [CloseCode.Kicked]: "An operator or the game removed this player.",
  [CloseCode.NotBinary]: "Use the SDK's own transports.",
  [CloseCode.GameEnded]: "The reason says how the match ended; connect again for a new room.",
  [CloseCode.Unauthenticated]: "Log in: give connect the identity of this server's login.",
  [CloseCode.Forbidden]: "The reason says what this player's token does not allow.",
  [CloseCode.Revoked]: "An operator has revoked this user's access.",
  [CloseCode.Spectating]: "Send nothing where `room.spectating` is true.",
  [CloseCode.TooManyReports]: "The reason says what this client sent that the rules do not know.",
  [CloseCode.BadOptions]:
    "The reason says which option is wrong. A server accepts options in joins only with --join-options.",
};
