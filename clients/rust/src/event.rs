//! What a client tells its game.

use crate::Disconnect;
use driftless_proto::wire;
use std::time::Instant;

/// What happened on a client, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The player is in the room: for the first time, or again after a reconnect (`resumed` says whether the seat
    /// was kept; if not, `player` is another one).
    Welcome(Box<wire::Welcome>),
    /// A newer state was applied: see `snapshot`.
    State {
        /// Its tick.
        tick: u32,
        /// The last of the player's inputs that it contains; 0: none.
        input: u32,
        /// Whether it came without a baseline.
        full: bool,
        /// Bytes of the message.
        bytes: usize,
    },
    /// Something happened in the game. Each once, in order, over reconnects that resume.
    Game(wire::Event),
    /// Who is in the room changed: `members` are those who came, changed, or left (these have no `players`), and
    /// [`Client::members`](crate::Client::members) has them already. With `since` 0 the list begins anew: what was told
    /// before is void.
    Presence(wire::Presence),
    /// A command was refused, by the server or because its seat was lost while it was under way (which is told right
    /// after the new seat's welcome); the connection goes on. `command` is the number that sending it gave.
    CommandRefused(wire::CommandRefused),
    /// The server's clock is not what it was taken for (this machine slept, or it is another server): times from before mean
    /// nothing now. Where states are interpolated, [`Interpolation::restart`](crate::Interpolation::restart).
    ClockMoved,
    /// The connection was lost. The client will try to come back.
    Disconnected {
        /// Why.
        cause: Disconnect,
        /// When the next attempt is due.
        retry_at: Instant,
    },
}
