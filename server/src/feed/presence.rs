//! Changes of presence on their way to those who watch.

use crate::ground::report::LeaveReason;
use serde::Serialize;
use std::{mem, sync::Arc};

/// Changes told in one event. Of more within a tenth of a second only the number is told.
const MOST: usize = 64;

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

/// Changes that are to be told together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Pending {
    changes: Vec<PresenceChange>,
    /// How many more there were.
    more: u64,
}

impl Pending {
    pub(super) fn add(&mut self, change: PresenceChange) {
        if self.changes.len() < MOST { self.changes.push(change) } else { self.more += 1 }
    }

    /// What there is to tell.
    pub(super) fn take(&mut self) -> Option<Self> {
        (!self.changes.is_empty()).then(|| mem::take(self))
    }
}
