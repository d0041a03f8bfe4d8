//! Changes of presence on their way to those who watch.

use crate::presence::PresenceChange;
use serde::Serialize;
use std::mem;

/// Changes told in one event. Of more within a tenth of a second only the number is told.
const MOST: usize = 64;

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
