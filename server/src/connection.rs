//! Connections: one actor each, around the session of `driftless-proto`.
//!
//! A transport is only a way in and out of bytes. It gives the actor a stream of [`Inbound`] messages, and pulls what is
//! to be sent out of the connection's [`Peer`] when its socket has room. Nothing is ever pushed into a transport, so
//! a peer that does not read costs one state and a bounded queue.
//!
//! ```text
//!  transport ── Inbound ──► Connection (actor) ──► Session ──► inbox of the room
//!  transport ◄── pulls ──── Peer ◄── newest state ── Fanout (actor, one a thread) ◄── room
//! ```

mod actor;
mod peer;
mod worker;

pub use actor::{Close, Connection, Inbound, TransportError};
pub use peer::{Outbound, Peer, PeerRef};
pub use worker::{Drain, Fanout, Publish, Worker, WorkerLink};

use std::fmt;

/// Number of a connection in this process, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
