//! What a player sees of a room: which zones, and how important each is.

pub use crate::snapshot::ZoneId;

/// A zone that a player sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InView {
    /// The zone; not 0, which all players see.
    pub zone: ZoneId,
    /// How important it is compared with others, when not everything can be sent: a zone of twice the
    /// priority is sent twice as often. 0 counts as 1.
    pub priority: u8,
}
