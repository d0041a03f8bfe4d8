//! Events that a session reports to its caller.

use crate::wire;
use std::time::{Duration, Instant};

/// What the server said.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The player is in the room (again).
    Welcome(Box<wire::Welcome>),
    /// Comes after the welcome of a resume: the room was restored after a failure of its server, and what
    /// happened after tick `after`, up to tick `until`, is undone, although states and events have told of
    /// it.
    RolledBack {
        /// The tick that the room went back to.
        after: u32,
        /// The last tick that is undone of those that the player was shown. The room's go on above it.
        until: u32,
    },
    /// A newer state was applied, or on datagrams more of the newest: see `snapshot`.
    State {
        /// Tick of the state.
        tick: u32,
        /// The last of the player's inputs that the state contains.
        input: u32,
        /// Whether it came without a baseline.
        full: bool,
        /// Length of the message, bytes.
        bytes: usize,
    },
    /// Something happened in the game. Each event comes once, in order.
    Event(wire::Event),
    /// The members of the room changed. Apply it to the list built from earlier ones, or to an empty list if
    /// `since` is 0. These come in order, and continue across a resume.
    Presence(wire::Presence),
    /// What a topic says that the client reads: each event once, in order, also across reconnects. A topic
    /// that is `Over` is read no longer.
    Topic(wire::TopicMessage),
    /// What became of something that the client has published: each is answered once, in order.
    Published {
        /// The number that [`publish`](super::ClientSession::publish) returned.
        number: u64,
        /// Of the kind `Published`, with the event's id; or `Refused`, with the reason. With the reason
        /// `connection_lost` it may be published all the same.
        answer: wire::TopicMessage,
    },
    /// A command was refused, by the server or because its seat was lost before it was confirmed. Each
    /// refusal comes once, in order. `command` is the number that
    /// [`send_command`](super::ClientSession::send_command) returned.
    CommandRefused(wire::CommandRefused),
    /// The clock was measured.
    Pong {
        /// Round-trip time.
        rtt: Duration,
        /// Server's clock at the middle of the round trip, microseconds.
        server_time_us: u64,
        /// When the pong arrived.
        at: Instant,
    },
    /// The token with which the client came expires in this time: get a fresh one, and
    /// [`renew`](super::ClientSession::renew).
    TokenExpires(Duration),
    /// The server ends the connection.
    Goodbye(wire::Goodbye),
}
