//! The session state machines of both ends. `handle_*` takes something in, `poll_*` gives something out; time
//! is an argument.
//!
//! One [`server::ServerSession`] is one connection. What outlives it (the seat: its [reliable
//! queue](crate::reliable), last input and last command) belongs to the caller. One [`client::ClientSession`]
//! is one player, over any number of connections.
//!
//! Numbers never wrap. Ticks and the sequences of inputs have 32 bits, a year at 128 per second; a room or a
//! seat ends before that. The sequences of commands and reliable messages have 64 bits.

pub mod client;
mod moments;
pub mod server;

/// Whether the transport delivers in order, or loses and reorders. This decides which states may be a
/// baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A stream (WebSocket): the baseline is the last state sent, and the prior the one sent before it.
    Ordered,
    /// States and inputs may be lost, repeated and reordered (datagrams): the baseline is the last state
    /// acknowledged, and the prior the one acknowledged before it. Everything else still comes in order, on a
    /// stream.
    Datagram,
}
