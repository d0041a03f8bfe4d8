//! Where errors become close codes.

use crate::{
    directory::DirectoryError,
    room::core::{JoinError, ResumeError},
};
use actix::MailboxError;
use driftless_proto::code::CloseCode;

/// Why a player is not let in: what the goodbye says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The close code.
    pub code: CloseCode,
    /// Why, for a developer to read.
    pub reason: String,
}

impl Refusal {
    fn new(code: CloseCode, error: &impl ToString) -> Self {
        Self { code, reason: error.to_string() }
    }
}

impl From<DirectoryError> for Refusal {
    fn from(e: DirectoryError) -> Self {
        let code = match &e {
            DirectoryError::UnknownKind(_) | DirectoryError::OtherKind { .. } => CloseCode::UnknownKind,
            DirectoryError::BadName(_) => CloseCode::BadName,
            DirectoryError::TooManyRooms(_) => CloseCode::ServerFull,
            DirectoryError::Draining => CloseCode::Draining,
            // These come from creating a room by name and numbers, which a join does not do.
            DirectoryError::Exists(_) | DirectoryError::OutOfRange { .. } | DirectoryError::NoThread => {
                CloseCode::Internal
            }
        };
        Self::new(code, &e)
    }
}

impl From<JoinError> for Refusal {
    fn from(e: JoinError) -> Self {
        let code = match &e {
            JoinError::Full { .. } => CloseCode::RoomFull,
            JoinError::Failed(_) => CloseCode::RoomFailed,
            JoinError::Random(_) => CloseCode::Internal,
        };
        Self::new(code, &e)
    }
}

impl From<ResumeError> for Refusal {
    fn from(e: ResumeError) -> Self {
        Self::new(CloseCode::UnknownSession, &e)
    }
}

impl From<MailboxError> for Refusal {
    fn from(e: MailboxError) -> Self {
        let reason = match e {
            MailboxError::Closed => "the room ended at this moment",
            MailboxError::Timeout => "the room did not answer",
        };
        Self { code: CloseCode::RoomClosed, reason: reason.to_owned() }
    }
}
