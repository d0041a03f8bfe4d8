//! Changes of presence that wait to be sent to the readers.

use crate::presence::PresenceChange;
use serde::Serialize;
use std::mem;

/// Most changes in one event. If there are more within a tenth of a second, only their number is sent.
const MOST: usize = 64;

/// Changes that are sent together.
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

    /// What there is to send, if anything.
    pub(super) fn take(&mut self) -> Option<Self> {
        (!self.changes.is_empty()).then(|| mem::take(self))
    }
}
