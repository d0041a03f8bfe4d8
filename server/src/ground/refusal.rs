//! Why a connection is not let in, or a player gets no seat.

use actix::MailboxError;
use driftless_proto::code::CloseCode;
use std::time::Duration;

/// What the goodbye says. Errors that refuse somebody become one: the code stands with the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The close code.
    pub code: CloseCode,
    /// Why, for a developer to read.
    pub reason: String,
    /// How long to wait before the next try.
    pub wait: Duration,
}

impl Refusal {
    /// With the text of an error.
    pub fn new(code: CloseCode, error: &impl ToString) -> Self {
        Self { code, reason: error.to_string(), wait: Duration::ZERO }
    }
}

impl From<MailboxError> for Refusal {
    fn from(e: MailboxError) -> Self {
        let reason = match e {
            MailboxError::Closed => "the room ended at this moment",
            MailboxError::Timeout => "the room did not answer",
        };
        Self::new(CloseCode::RoomClosed, &reason)
    }
}
