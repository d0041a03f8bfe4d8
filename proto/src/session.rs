//! The session state machines of both ends. `handle_*` takes something in, `poll_*` gives something out; time
//! is an argument.
//!
//! One [`server::ServerSession`] is one connection; what outlives it (the seat: its [reliable
//! queue](crate::reliable), last input and command) belongs to the caller. One [`client::ClientSession`] is one
//! player, over as many connections as it takes.
//!
//! Numbers never wrap. A tick, an input's sequence: 32 bits, a year at 128 a second; a room or a seat ends
//! before. A command's or reliable message's sequence: 64 bits.

pub mod client;
pub mod server;

/// Whether the transport delivers in order or loses and reorders: decides what may be a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A stream (WebSocket): the baseline is the last state sent, the prior the one sent before it.
    Ordered,
    /// States and inputs may be lost, repeated and reordered (datagrams): the baseline is the last state
    /// acknowledged, the prior the one acknowledged before it. Everything else still comes in order, on a
    /// stream.
    Datagram,
}
