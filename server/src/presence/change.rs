//! Changes of seats, for the watcher of all rooms.

use crate::ground::report::LeaveReason;
use serde::Serialize;
use std::sync::Arc;

/// A change of a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresenceChange {
    /// When it happened, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Name of the room.
    pub room: Arc<str>,
    /// The player.
    pub player: u32,
    /// The user.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// What happened.
    pub change: Change,
    /// The reason, if a seat ended or a connection was lost.
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
