//! What a session tells its caller.

use crate::wire;
use std::time::{Duration, Instant};

/// What the server said.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The player is in the room (again).
    Welcome(Box<wire::Welcome>),
    /// A newer state was applied: see `snapshot`.
    State {
        /// Its tick.
        tick: u32,
        /// The last of the player's inputs that it contains.
        input: u32,
        /// Whether it came without a baseline.
        full: bool,
        /// Bytes of the message.
        bytes: usize,
    },
    /// Something happened in the game. Each once, in order.
    Event(wire::Event),
    /// Who is in the room changed: to be applied to what was told before, or if `since` is 0 to an empty list. In
    /// order, and over a resume from where it stopped.
    Presence(wire::Presence),
    /// A command was refused, by the server or because its seat was lost while it was under way. Each once, in
    /// order. `command` is the number that [`send_command`](super::ClientSession::send_command) gave.
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
    /// The server ends the connection.
    Goodbye(wire::Goodbye),
}
