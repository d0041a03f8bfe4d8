//! What happened to a seat, for those who watch all rooms.

use crate::ground::report::LeaveReason;
use serde::Serialize;
use std::sync::Arc;

/// What happened to a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresenceChange {
    /// When, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// In this room.
    pub room: Arc<str>,
    /// Whose seat.
    pub player: u32,
    /// Who that is.
    pub user: Arc<str>,
    /// Name to show.
    pub name: Arc<str>,
    /// What happened.
    pub change: Change,
    /// Why: of a seat that ended, or a connection that was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<LeaveReason>,
}

/// What may happen to a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was taken.
    Joined,
    /// Its connection is gone; it is kept.
    Lost,
    /// It has a connection again.
    Back,
    /// It has ended.
    Left,
}
