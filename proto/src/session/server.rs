//! The server's end of a connection.
//!
//! ```text
//!            join/resume arrives          welcome()                 leave, violation, timeout, close()
//!   Handshake ───────────────► Pending ───────────► Active ─────────────────────────► Closing
//! ```

use super::Delivery;
use crate::{code::CloseCode, limits::Limits, reliable::ReliableQueue, wire};
use bytes::{Bytes, BytesMut};
use std::time::{Duration, Instant};

/// One connection as the server sees it. `S` is a handle on a published state, cheap to clone (an `Arc`).
#[derive(Debug)]
pub struct ServerSession<S> {
    slot: Option<S>,
}

/// What a peer asks that the session cannot answer by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Wants a seat. Answer with `welcome` or `close`.
    Join(wire::Join),
    /// Wants its seat back. Answer with `welcome` or `close`.
    Resume(wire::Resume),
    /// One input, each given once, in order.
    Input(PlayerInput),
    /// One command, each given once, in order.
    Command(wire::Command),
    /// Gives up the seat. The session is closing with `Left`.
    Leave,
}

/// One input of a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerInput {
    /// Number of the input.
    pub sequence: u32,
    /// Tick the player saw.
    pub tick: u32,
    /// The game's input message.
    pub payload: Bytes,
}

/// What the peer did wrong. Meets the wire as `code`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PeerError {
    /// The close code.
    pub code: CloseCode,
    /// For a developer to read.
    pub reason: String,
}

/// A state to send now: encode `current` against the others, with `input` in the head.
#[derive(Debug, Clone)]
pub struct StateSend<S> {
    /// The state.
    pub current: S,
    /// What the peer has. None: send everything.
    pub baseline: Option<S>,
    /// What the peer had before.
    pub prior: Option<S>,
}

/// What `welcome` needs to know of the seat.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Ticks a second.
    pub tick_rate: u32,
    /// Last input taken from this player (0 for a new one).
    pub input_received: u32,
    /// Last command taken from this player (0 for a new one).
    pub command_received: u64,
}

/// What a session counted, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// States that a newer one replaced before they were sent.
    pub stale_dropped: u64,
    /// States sent.
    pub states_sent: u64,
}

impl<S: Clone + StateTick> ServerSession<S> {
    /// A connection accepted at `now`.
    pub fn new(_now: Instant, _limits: Limits, _delivery: Delivery) -> Self {
        todo!()
    }
    /// A message arrived. On error the session is closing: send what `poll_control` still gives, then close with the error's code.
    /// Acknowledgements of reliable messages are applied to `reliable` (the seat's queue; None before the welcome).
    pub fn handle_message(
        &mut self,
        _now: Instant,
        _message: Bytes,
        _reliable: Option<&mut ReliableQueue>,
    ) -> Result<(), PeerError> {
        todo!()
    }
    /// What the peer asks, oldest first.
    pub fn poll_request(&mut self) -> Option<Request> {
        todo!()
    }
    /// The peer has a seat: sends `welcome` and becomes active.
    pub fn welcome(&mut self, _now: Instant, _seat: &Seat, _welcome: wire::Welcome) {
        todo!()
    }
    /// Ends the session: queues a goodbye; nothing else will be sent. The first code given stays.
    pub fn close(&mut self, _code: CloseCode, _reason: &str, _reconnect_after: Duration) {
        todo!()
    }
    /// The code the session is closing with.
    pub fn closing(&self) -> Option<CloseCode> {
        todo!()
    }
    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Time has passed: pings, the handshake deadline, the silence timeout (then the session is closing).
    pub fn handle_timeout(&mut self, _now: Instant, _server_time_us: u64) {
        todo!()
    }
    /// Writes the next control message (welcome, pong, ping, goodbye), if any. To be asked before reliable and state.
    pub fn poll_control(&mut self, _server_time_us: u64, _out: &mut BytesMut) -> bool {
        todo!()
    }
    /// Writes the next reliable message of the seat's queue, if any and if the session is active.
    pub fn poll_reliable(&mut self, _queue: &mut ReliableQueue, _out: &mut BytesMut) -> bool {
        todo!()
    }
    /// Puts a newer state in the slot. An unsent one is dropped and counted. Ignored unless active.
    pub fn offer_state(&mut self, _state: S) {
        todo!()
    }
    /// Takes the state in the slot if the gate lets it pass, and notes it as sent (and, on ordered transports, as the baseline).
    pub fn poll_state(&mut self, _now: Instant) -> Option<StateSend<S>> {
        todo!()
    }
    /// Forgets what the peer has: the next state is full.
    pub fn forget_baseline(&mut self) {
        todo!()
    }
    /// The coding both ends speak that is densest.
    pub fn coding(&self) -> wire::ColumnCoding {
        todo!()
    }
    /// Round-trip time by the last ping.
    pub fn rtt(&self) -> Option<Duration> {
        todo!()
    }
    /// When a message last arrived.
    pub fn last_seen(&self) -> Instant {
        todo!()
    }
    /// States that may be in flight now.
    pub fn in_flight_limit(&self) -> usize {
        todo!()
    }
    /// What was counted.
    pub fn stats(&self) -> SessionStats {
        todo!()
    }
}

/// A handle on a state that knows its tick.
pub trait StateTick {
    /// The tick.
    fn tick(&self) -> u32;
}
