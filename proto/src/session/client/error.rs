//! Errors, by who is at fault.

use crate::{delta::DeltaError, schema::SchemaError};
use std::time::Duration;

/// What the server did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A message does not follow the schema.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A state is older than the one applied. (On datagrams such a state is dropped without an error.)
    #[error("state of tick {got} after {applied}")]
    Stale {
        /// Tick of the state that arrived.
        got: u32,
        /// Tick of the state that is applied.
        applied: u32,
    },
    /// A delta does not fit the states that this end has.
    #[error("delta: {0}")]
    Delta(#[from] DeltaError),
    /// A reliable message was skipped.
    #[error("reliable message {got} after {last}")]
    Gap {
        /// Sequence that arrived.
        got: u64,
        /// Last sequence that was received.
        last: u64,
    },
    /// A message that is not allowed in this state.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// A delta is against a state that this end does not have.
    #[error("state of tick {tick} against tick {reference}, which this end does not have")]
    UnknownBaseline {
        /// Tick of the state that arrived.
        tick: u32,
        /// Tick of the baseline or prior.
        reference: u32,
    },
    /// The player sees more zones than a view can have.
    #[error("{0} zones in view; at most {most} are allowed", most = crate::limits::MAX_ZONES_IN_VIEW)]
    TooManyZones(usize),
    /// The schema in the welcome is bad.
    #[error("schema: {0}")]
    Schema(#[from] SchemaError),
    /// The server speaks another version of the protocol.
    #[error("the server speaks protocol {0}")]
    UnsupportedVersion(u32),
    /// The server was silent for longer than the timeout.
    #[error("the server was silent for {0:?}")]
    TimedOut(Duration),
}

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Not in the room yet, or no longer.
    #[error("not in the room")]
    NotActive,
    /// The client only watches: see `Welcome.spectating`.
    #[error("a spectator sends no inputs and no commands")]
    Spectating,
    /// The payload is longer than the protocol allows.
    #[error("payload of {0} bytes is too long")]
    TooLarge(usize),
    /// The numbers of this seat's inputs are used up (after more than a year): join anew.
    #[error("no input numbers are left: join anew")]
    Exhausted,
    /// Too many commands wait for the server's confirmation.
    #[error("{0} commands wait for the server's confirmation")]
    TooManyCommands(usize),
}
