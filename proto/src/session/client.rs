//! The client's end of a connection.

use super::Delivery;
use crate::{code::CloseCode, schema::Schema, snapshot::Snapshot, wire};
use bytes::{Bytes, BytesMut};
use std::time::{Duration, Instant};

/// One player's session as the client sees it. Lives over several connections: `disconnected` then `reconnected`.
#[derive(Debug)]
pub struct ClientSession {}

/// How a client session behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// What the transport gives.
    pub delivery: Delivery,
    /// Time between pings that measure the server's clock.
    pub ping_interval: Duration,
    /// How long the server may be silent before the connection counts as lost. (The server's word in the welcome wins if longer.)
    pub timeout: Duration,
    /// Column codings to offer besides PACKED.
    pub codings: Vec<wire::ColumnCoding>,
    /// Commands that may wait for the server's acknowledgement.
    pub max_commands: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            delivery: Delivery::Ordered,
            ping_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            codings: vec![wire::ColumnCoding::Rice],
            max_commands: 64,
        }
    }
}

/// What the server said.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The player is in the room (again).
    Welcome(Box<wire::Welcome>),
    /// A newer state was applied: see `snapshot`.
    State {
        /// Its tick.
        tick: u32,
        /// The last of the player's inputs that it contains.
        input: u32,
        /// Whether it came without a baseline.
        full: bool,
        /// Bytes of the message.
        bytes: usize,
    },
    /// Something happened in the game. Each once, in order.
    Event(wire::Event),
    /// Who is in the room changed. Each once, in order.
    Presence(wire::Presence),
    /// A command was refused. Each once, in order.
    CommandRefused(wire::CommandRefused),
    /// The clock was measured.
    Pong {
        /// Round-trip time.
        rtt: Duration,
        /// Server's clock at the middle of the round trip, microseconds.
        server_time_us: u64,
        /// When the pong arrived.
        at: Instant,
    },
    /// The server ends the connection.
    Goodbye(wire::Goodbye),
}

/// What the server did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A message is not what the schema says.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A state is older than one applied. (On datagrams such a state is dropped without error.)
    #[error("state of tick {got} after {applied}")]
    Stale {
        /// Tick that arrived.
        got: u32,
        /// Tick that is applied.
        applied: u32,
    },
    /// A delta does not fit the states that this end has.
    #[error("delta: {0}")]
    Delta(#[from] crate::delta::DeltaError),
    /// A reliable message was skipped.
    #[error("reliable message {got} after {last}")]
    Gap {
        /// Sequence that arrived.
        got: u64,
        /// Last that was received.
        last: u64,
    },
    /// A message that is not allowed now.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// The server was silent for the timeout.
    #[error("silent for {0:?}")]
    TimedOut(Duration),
}

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Not in the room yet (or no more).
    #[error("not in the room")]
    NotActive,
    /// The payload is longer than the protocol allows.
    #[error("payload of {0} bytes")]
    TooLarge(usize),
    /// Too many commands wait for the server.
    #[error("{0} commands wait for the server")]
    TooManyCommands(usize),
}

impl ClientSession {
    /// A session that will join.
    pub fn join(_now: Instant, _config: ClientConfig, _join: wire::Join) -> Self {
        todo!()
    }
    /// A message arrived.
    pub fn handle_message(&mut self, _now: Instant, _message: Bytes) -> Result<(), ServerError> {
        todo!()
    }
    /// What the server said, oldest first.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        todo!()
    }
    /// Writes the next message to send, if any. A state's acknowledgement rides on the next input; if none is sent within a tick, an Ack message goes.
    pub fn poll_transmit(&mut self, _now: Instant, _out: &mut BytesMut) -> bool {
        todo!()
    }
    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Time has passed.
    pub fn handle_timeout(&mut self, _now: Instant) -> Result<(), ServerError> {
        todo!()
    }
    /// Queues an input and returns its number. An unsent older input goes with it.
    pub fn send_input(&mut self, _payload: Bytes) -> Result<u32, SendError> {
        todo!()
    }
    /// Queues a command and returns its number. It is kept, and sent again after a resume, until the server has it.
    pub fn send_command(&mut self, _payload: Bytes) -> Result<u64, SendError> {
        todo!()
    }
    /// Gives up the seat.
    pub fn leave(&mut self) {
        todo!()
    }
    /// The connection was lost. What was queued for it is dropped, commands are kept.
    pub fn disconnected(&mut self) {
        todo!()
    }
    /// A new connection: will resume the seat if there is one and `rejoin` is false, else join anew.
    pub fn reconnected(&mut self, _now: Instant, _rejoin: bool) {
        todo!()
    }
    /// The newest state applied.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        todo!()
    }
    /// The state applied before it.
    pub fn previous_snapshot(&self) -> Option<&Snapshot> {
        todo!()
    }
    /// The room's schema, after the welcome.
    pub fn schema(&self) -> Option<&Schema> {
        todo!()
    }
    /// The last welcome.
    pub fn welcome(&self) -> Option<&wire::Welcome> {
        todo!()
    }
    /// The code of the goodbye.
    pub fn closed(&self) -> Option<CloseCode> {
        todo!()
    }
}
