//! Events that a client reports to its game.

use crate::Disconnect;
use driftless_proto::wire;
use std::time::{Duration, Instant};

/// What happened on a client, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The player is in the room, for the first time or again after a reconnect. `resumed` says whether the
    /// seat was kept; if not, `player` is a new number.
    Welcome(Box<wire::Welcome>),
    /// Comes after the welcome of a resume: the room was restored after a failure of its server, and what
    /// happened after tick `after`, up to tick `until`, is undone, although states and events have told of
    /// it: a kill, a purchase, what the player has done.
    RolledBack {
        /// The tick that the room went back to.
        after: u32,
        /// The last tick that is undone of those that the player was shown. The room's go on above it.
        until: u32,
    },
    /// A newer state was applied: see `snapshot`. Where each player sees several zones, a state may come in
    /// several datagrams: then more of the newest state was applied, and `tick` is the same as before.
    State {
        /// Tick of the state.
        tick: u32,
        /// The last of the player's inputs that the state contains; 0: none.
        input: u32,
        /// Whether it came without a baseline (that of zone 0).
        full: bool,
        /// Length of the message, bytes.
        bytes: usize,
    },
    /// Something happened in the game. Each event comes once, in order, also across reconnects that resume.
    Game(wire::Event),
    /// The members of the room changed: `members` are those who came, changed, or left (the latter have no
    /// `players`). [`Client::members`](crate::Client::members) is already up to date. With `since` 0 the list
    /// starts over, and earlier ones are void.
    Presence(wire::Presence),
    /// What a topic says that the client reads ([`Client::read_topic`](crate::Client::read_topic)): each
    /// event once, in order, also across reconnects. With the kind `Over` it is read no longer, and `text`
    /// says why; with `Gap`, something may have been missed.
    Topic(wire::TopicMessage),
    /// What became of something that the client has published ([`Client::publish`](crate::Client::publish)):
    /// each is answered once, in order.
    Published {
        /// The number that publishing it returned.
        number: u64,
        /// Of the kind `Published`, with the event's id; or `Refused`: `event` says why, in a word, and
        /// `text` for developers. With `connection_lost`, it may be published all the same.
        answer: wire::TopicMessage,
    },
    /// A command was refused, by the server or because its seat was lost before it was confirmed (reported
    /// right after the new seat's welcome). The connection continues. `command` is the number that sending it
    /// returned.
    CommandRefused(wire::CommandRefused),
    /// The server's clock is not what it was believed to be (this machine slept, or it is another server), so
    /// earlier server times are meaningless. If states are interpolated, call
    /// [`Interpolation::restart`](crate::Interpolation::restart).
    ClockMoved,
    /// The player's token expires in this time; without a fresh one
    /// ([`ClientCore::renew`](crate::ClientCore::renew)) the server ends the connection. A
    /// [`Client`](crate::Client) whose options say where to get tokens sees to it by itself, and does not
    /// report this.
    TokenExpires {
        /// How long it is still valid.
        within: Duration,
    },
    /// The connection was lost. The client will try to reconnect.
    Disconnected {
        /// The cause.
        cause: Disconnect,
        /// When the next attempt is due.
        retry_at: Instant,
    },
}
