//! Numbers that are never reused.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of a connection, unique within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Number of a room. (Its name may be given to another room after it has ended.) A room that goes on in
/// another process keeps it, and that one's own rooms have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomId(pub u64);

impl RoomId {
    /// The number under which the room's threads know those whom its delayed states are for. (Rooms are
    /// numbered from 1 and never reach this bit.)
    pub fn delayed(self) -> Self {
        Self(self.0 | 1 << 63)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
