//! WebSocket: binary frames, one protocol message each, at `/v1/connect`.
//!
//! An upgrade goes through the same actix-web routes as any request, and actix-web-actors does its handshake.
//! Then the connection leaves HTTP and the runtime's sockets: the thread's [`Hub`] reads it into a buffer
//! that all its connections share, hands messages to the connection's [`Peer`](crate::connection::Peer), and
//! pulls what is to be sent when the socket has room.
//!
//! actix-web-actors' own context is not used: an actor that is polled as a response body stops when its peer
//! stops reading, and its queue is unbounded. A response body is not used either: each connection would keep
//! 16 KiB of HTTP buffers for its lifetime, and every message would pass through two tasks.

mod frame;
mod handshake;
mod hub;
mod io;
mod messages;
mod socket;
mod upgrade;

pub(crate) use handshake::connect;
pub(crate) use hub::Hub;
#[cfg(any(test, fuzzed))]
pub(super) use messages::fuzz;
pub(crate) use upgrade::Upgrade;
