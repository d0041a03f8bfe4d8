//! Connections: one actor each, around the session of `driftless-proto`.
//!
//! A transport is a task that owns a socket and nothing else. It puts what arrives into the connection's [`Peer`] and pulls what is to be
//! sent out of it when the socket has room. Nothing is ever pushed into a transport, so a peer that does not read costs one state and
//! a bounded queue. The [`Connection`] actor handles what is rare: joins, resumes, closes, the end.
//!
//! ```text
//!  transport ── receive ──► Peer: Session ──► inbox of the room (no message, no wake-up)
//!      │                      │  └─ join, resume, leave ──► Connection (actor) ──► Rooms, Room
//!      └── pulls ◄────────────┘
//!                             ▲ newest state
//!                          Fanout (actor, one a thread) ◄── Room
//! ```

mod actor;
mod coalesce;
mod end;
mod fanout;
pub mod members;
mod peer;
mod worker;

pub use actor::{Connection, Rooms, Ticket, Wanted};
pub use end::End;
pub use fanout::{Drain, Fanout, LocalConnections};
pub use peer::{Outbound, Peer, PeerRef};
pub use worker::Worker;
