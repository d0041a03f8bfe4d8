//! The session state machines of both ends. `handle_*` takes something in, `poll_*` gives something out; time
//! is an argument.

pub mod client;
pub mod server;

/// Whether the transport delivers in order or loses and reorders: decides what may be a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A stream (WebSocket): the baseline is the last state sent, the prior the one sent before it.
    Ordered,
    /// Datagrams: the baseline is the last state acknowledged, the prior the one acknowledged before it.
    Datagram,
}
