//! Connections: one actor each, around the session of `driftless-proto`.
//!
//! A transport owns sockets and nothing else. It puts what arrives into the connection's [`Peer`], and pulls
//! out what is to be sent when the socket has room. Nothing is ever pushed into a transport, so a peer that
//! does not read costs one state and a bounded queue. The [`Connection`] actor handles rare events: joins,
//! resumes, closes, and the end.
//!
//! ```text
//!  transport ── receive ──► Peer: Session ──► inbox of the room (no message, no wake-up)
//!      │                      │  └─ join, resume, leave ──► Connection (actor) ──► Rooms, Room
//!      └── pulls ◄────────────┘
//!                             ▲ newest state
//!                          Fanout (actor, one per thread) ◄── Room
//! ```

mod actor;
mod calls;
mod coalesce;
mod departure;
mod end;
mod fanout;
mod interlude;
mod load;
pub mod members;
mod peer;
mod worker;

pub use actor::{Connection, Entrance, Rooms, Search, SeatRequest, Ticket};
pub use calls::Calls;
pub use departure::Departure;
pub use end::End;
pub use fanout::{Fanout, LocalConnections, SayGoodbye};
pub use interlude::Interlude;
pub use peer::{Outbound, Peer, PeerRef};
pub use worker::Worker;
