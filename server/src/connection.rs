//! Connections: one actor each, around the session of `driftless-proto`.
//!
//! A transport is a task that owns a socket and nothing else. It puts what arrives into the connection's [`Peer`] and pulls what is to be
//! sent out of it when the socket has room. Nothing is ever pushed into a transport, so a peer that does not read costs one state and
//! a bounded queue. The [`Connection`] actor handles what is rare: joins, resumes, closes, the end.
//!
//! ```text
//!  transport ── receive ──► Peer: Session ──► inbox of the room (no message, no wake-up)
//!      │                      │  └─ join, resume, leave ──► Connection (actor) ──► Directory, Room
//!      └── pulls ◄────────────┘
//!                             ▲ newest state
//!                          Fanout (actor, one a thread) ◄── Room
//! ```

mod actor;
mod coalesce;
mod fanout;
mod peer;
mod worker;

pub use actor::{Close, Connection};
pub use fanout::{Drain, Fanout, FanoutLink, LocalConnections, Publish};
pub use peer::{End, Outbound, Peer, PeerRef};
pub use worker::Worker;

use std::fmt;

/// Number of a connection in this process, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
