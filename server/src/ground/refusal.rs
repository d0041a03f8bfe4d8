//! Why a connection is not admitted, or a player gets no seat.

use actix::MailboxError;
use driftless_proto::{code::CloseCode, wire};
use std::time::Duration;

/// The contents of the goodbye. Errors that refuse a client convert to it; each defines its own close code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The close code.
    pub code: CloseCode,
    /// The reason, for a developer to read.
    pub reason: String,
    /// How long to wait before the next try.
    pub wait: Duration,
    /// Where the room is, if it is on another node.
    pub moved: Option<Box<wire::Moved>>,
}

impl Refusal {
    /// With the text of an error as the reason.
    pub fn new(code: CloseCode, error: &impl ToString) -> Self {
        Self { code, reason: error.to_string(), wait: Duration::ZERO, moved: None }
    }
}

impl From<MailboxError> for Refusal {
    fn from(e: MailboxError) -> Self {
        let reason = match e {
            MailboxError::Closed => "the room has just ended",
            MailboxError::Timeout => "the room did not answer",
        };
        Self::new(CloseCode::RoomClosed, &reason)
    }
}
