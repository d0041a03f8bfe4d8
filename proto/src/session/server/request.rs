//! What a session reports to its caller: the peer's requests, and its violations.

use crate::{code::CloseCode, moment::Moment, wire};
use bytes::Bytes;

/// A request that the session cannot answer by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// The peer wants a seat. Answer with `welcome` or `close`. Protocol version and names have been checked.
    Join(Box<wire::Join>),
    /// The peer wants its seat back. Protocol version and room name have been checked; the token has not.
    /// Pass what was received to the seat's `ReliableQueue::resume`, then answer with `welcome`; or with
    /// `close`, using `UnknownSession` if the token matches no seat or the queue refuses.
    Resume(Box<wire::Resume>),
    /// One input. Each is reported once, in order. Skipped numbers are inputs that were lost.
    Input(PlayerInput),
    /// One command. Each is reported once, in order.
    Command(wire::Command),
    /// The number of a command that came too fast. Do not carry it out; it counts as received, and its sender
    /// has to be told (with a `CommandRefused`). Reported in order with the others.
    RefuseCommand(u64),
    /// The peer has all reliable messages up to this one. For the seat's `ReliableQueue::acked`. Each is
    /// above the last one, and was sent on this connection or named in the resume.
    ReliableAck(u64),
    /// A fresh token, for the one with which the peer came.
    Renew(String),
    /// The peer reads a topic, or no longer. Its name has been checked.
    ReadTopic(Box<wire::ReadTopic>),
    /// The peer publishes in a topic, whose name has been checked. Each has to be answered, in order.
    Publish {
        /// What it publishes.
        publish: Box<wire::Publish>,
        /// Whether it came too fast: then it is not published.
        excess: bool,
    },
    /// The peer gives up the seat. The session is closing with `Left`.
    Leave,
}

/// One input of a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerInput {
    /// Number of the input.
    pub sequence: u32,
    /// The moment that the player was shown when acting, as its client says; not after the newest state that
    /// was sent. None: unknown.
    pub moment: Option<Moment>,
    /// The game's input message.
    pub payload: Bytes,
}

/// What the peer did wrong, with the close code for it.
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

    /// A sustained excess of messages.
    pub(super) fn flood(of: &str) -> Self {
        Self::new(CloseCode::RateLimited, format!("far too many {of} for too long a time"))
    }
}
