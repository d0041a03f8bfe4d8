//! What a session gives to its caller: what the peer asks, and what it did wrong.

use crate::{code::CloseCode, wire};
use bytes::Bytes;

/// What a peer asks that the session cannot answer by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Wants a seat. Answer with `welcome` or `close`. Protocol version and names are checked.
    Join(Box<wire::Join>),
    /// Wants its seat back. Protocol version and room name are checked; the token is not. Tell the seat's
    /// `ReliableQueue::resume` what was received, then answer with `welcome`; or with `close`, as
    /// `UnknownSession` if the token names no seat or the queue refuses.
    Resume(Box<wire::Resume>),
    /// One input, each given once, in order. Numbers may be skipped: those inputs were lost.
    Input(PlayerInput),
    /// One command, each given once, in order.
    Command(wire::Command),
    /// A command that came too fast, by its number: it is not to be done, counts as received, and its sender is to be told
    /// (with a `CommandRefused`). Given in order with the others.
    RefuseCommand(u64),
    /// The peer has all reliable messages up to this one. Each is above the last, and was sent on this connection or
    /// is what the resume said: for the seat's `ReliableQueue::acked`.
    ReliableAck(u64),
    /// Gives up the seat. The session is closing with `Left`.
    Leave,
}

/// One input of a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerInput {
    /// Number of the input.
    pub sequence: u32,
    /// Tick the player saw. 0: unknown (so it is for one that was repeated because the first sending was lost).
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

impl PeerError {
    pub(super) fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Far too much for too long.
    pub(super) fn flood(of: &str) -> Self {
        Self::new(CloseCode::RateLimited, format!("far too many {of} for too long"))
    }
}
