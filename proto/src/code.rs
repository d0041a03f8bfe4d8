//! Close codes: why a connection ended, in the ranges that client libraries expect.

/// Why the server ends a connection. 4000–4499: the client may reconnect; 4500–4999: it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum CloseCode {
    /// The server is shutting down; reconnect after the time given in the goodbye.
    Draining = 4000,
    /// The client was silent for longer than the timeout.
    TimedOut = 4001,
    /// Too many reliable messages stayed unacknowledged for the timeout, or their queue overflowed.
    SlowConsumer = 4002,
    /// No join or resume arrived within the handshake deadline.
    HandshakeTimeout = 4003,
    /// The room has ended (closed by an operator, or empty for too long).
    RoomClosed = 4004,
    /// The room failed because of a fault in its game, not in the client.
    RoomFailed = 4005,
    /// Something in the server failed.
    Internal = 4006,
    /// The room has no free seat, or none for a user who has as many as one may have.
    RoomFull = 4007,
    /// The server has no capacity left for another room or connection.
    ServerFull = 4008,
    /// The token matches no seat (any more): join anew.
    UnknownSession = 4009,
    /// The client's address has reached a limit: of connections, players or rooms, or of their rate.
    AddressLimit = 4010,
    /// The room's game admits no new players at present.
    JoinsClosed = 4011,
    /// The client's token has expired. Come back with a fresh one: the seat is kept.
    TokenExpired = 4012,
    /// The room to watch does not exist: spectators make none.
    NoSuchRoom = 4013,
    /// The room is on another node, perhaps from now on: go to the one that the goodbye names, at once.
    Moved = 4014,
    /// The node may no longer own its rooms. Come back: another node may have the room.
    NodeLost = 4015,
    /// It cannot be found out which node has the room. Come back after the time given.
    RegistryUnavailable = 4016,
    /// The player left, as requested. Do not reconnect.
    Left = 4500,
    /// A message does not follow the schema.
    Malformed = 4501,
    /// A message that is not allowed now (a second join, an acknowledgement of something never sent).
    Unexpected = 4502,
    /// A message is longer than allowed.
    TooLarge = 4503,
    /// A sustained flood of inputs or messages. (A mere excess is dropped without closing the connection.)
    RateLimited = 4504,
    /// The server does not speak the client's protocol version.
    UnsupportedVersion = 4505,
    /// The server has no game of this kind, or the room is of another kind.
    UnknownKind = 4506,
    /// A name (of the room or the player) is empty, too long, or has characters that are not allowed.
    BadName = 4507,
    /// The game could not decode an input.
    BadInput = 4508,
    /// A newer connection has taken over the seat.
    Replaced = 4509,
    /// An operator or the game removed the player.
    Kicked = 4510,
    /// A frame was not binary.
    NotBinary = 4511,
    /// The room cannot be made with these options, or joins may not bring options.
    BadOptions = 4512,
    /// The game has ended the room: its match is over. Joining again makes a new room.
    GameEnded = 4513,
    /// The server does not know who the client is: it has no token, or one that is not valid.
    Unauthenticated = 4514,
    /// The client's token does not allow what it asks for, or the room was made for others.
    Forbidden = 4515,
    /// An operator has revoked the user's access. The seat has ended.
    Revoked = 4516,
    /// A spectator has sent an input or a command.
    Spectating = 4517,
    /// The game has reported the player too often, for inputs that no honest client would send.
    TooManyReports = 4518,
}

impl CloseCode {
    /// All codes.
    pub const ALL: &[CloseCode] = &[
        CloseCode::Draining,
        CloseCode::TimedOut,
        CloseCode::SlowConsumer,
        CloseCode::HandshakeTimeout,
        CloseCode::RoomClosed,
        CloseCode::RoomFailed,
        CloseCode::Internal,
        CloseCode::RoomFull,
        CloseCode::ServerFull,
        CloseCode::UnknownSession,
        CloseCode::AddressLimit,
        CloseCode::JoinsClosed,
        CloseCode::TokenExpired,
        CloseCode::NoSuchRoom,
        CloseCode::Moved,
        CloseCode::NodeLost,
        CloseCode::RegistryUnavailable,
        CloseCode::Left,
        CloseCode::Malformed,
        CloseCode::Unexpected,
        CloseCode::TooLarge,
        CloseCode::RateLimited,
        CloseCode::UnsupportedVersion,
        CloseCode::UnknownKind,
        CloseCode::BadName,
        CloseCode::BadInput,
        CloseCode::Replaced,
        CloseCode::Kicked,
        CloseCode::NotBinary,
        CloseCode::BadOptions,
        CloseCode::GameEnded,
        CloseCode::Unauthenticated,
        CloseCode::Forbidden,
        CloseCode::Revoked,
        CloseCode::Spectating,
        CloseCode::TooManyReports,
    ];
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }
    /// The code with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.number() == number)
    }
    /// The name used in metrics, logs and close reasons ("slow_consumer").
    pub fn name(self) -> &'static str {
        match self {
            CloseCode::Draining => "draining",
            CloseCode::TimedOut => "timed_out",
            CloseCode::SlowConsumer => "slow_consumer",
            CloseCode::HandshakeTimeout => "handshake_timeout",
            CloseCode::RoomClosed => "room_closed",
            CloseCode::RoomFailed => "room_failed",
            CloseCode::Internal => "internal",
            CloseCode::RoomFull => "room_full",
            CloseCode::ServerFull => "server_full",
            CloseCode::UnknownSession => "unknown_session",
            CloseCode::AddressLimit => "address_limit",
            CloseCode::JoinsClosed => "joins_closed",
            CloseCode::TokenExpired => "token_expired",
            CloseCode::NoSuchRoom => "no_such_room",
            CloseCode::Moved => "moved",
            CloseCode::NodeLost => "node_lost",
            CloseCode::RegistryUnavailable => "registry_unavailable",
            CloseCode::Left => "left",
            CloseCode::Malformed => "malformed",
            CloseCode::Unexpected => "unexpected",
            CloseCode::TooLarge => "too_large",
            CloseCode::RateLimited => "rate_limited",
            CloseCode::UnsupportedVersion => "unsupported_version",
            CloseCode::UnknownKind => "unknown_kind",
            CloseCode::BadName => "bad_name",
            CloseCode::BadInput => "bad_input",
            CloseCode::Replaced => "replaced",
            CloseCode::Kicked => "kicked",
            CloseCode::NotBinary => "not_binary",
            CloseCode::BadOptions => "bad_options",
            CloseCode::GameEnded => "game_ended",
            CloseCode::Unauthenticated => "unauthenticated",
            CloseCode::Forbidden => "forbidden",
            CloseCode::Revoked => "revoked",
            CloseCode::Spectating => "spectating",
            CloseCode::TooManyReports => "too_many_reports",
        }
    }
    /// Whether a client should try again.
    pub fn may_reconnect(self) -> bool {
        is_reconnect(self.number())
    }
}

/// Whether a client should try again after a close with this number: our own 4000–4499, and the codes of an
/// unintended end (1001 going away, 1006 connection lost, 1011 to 1014 server trouble).
pub fn is_reconnect(number: u16) -> bool {
    matches!(number, 4000..=4499 | 1001 | 1006 | 1011..=1014)
}
