//! Up to when events may have been published that have not come here yet.

use super::id::EventId;
use crate::clock::millis;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How far Redis's clock may get ahead of this node's between two answers.
const SLACK: Duration = Duration::from_millis(100);

/// The time by Redis's clock, from which events have their ids. A node hears of them a little later than
/// whoever publishes them.
#[derive(Debug, Default)]
pub(super) struct Horizon(Mutex<Option<Told>>);

#[derive(Debug, Clone, Copy)]
struct Told {
    asked: Instant,
    ms: u64,
}

impl Horizon {
    /// Redis was asked then, and its clock has shown this when the question was there.
    pub(super) fn told(&self, asked: Instant, ms: u64) {
        *self.0.lock() = Some(Told { asked, ms });
    }

    /// Whether an event may have this id by now.
    pub(super) fn includes(&self, id: EventId, now: Instant) -> bool {
        self.0.lock().is_some_and(|Told { asked, ms }| {
            let passed = now.saturating_duration_since(asked) + SLACK;
            id.ms <= ms.saturating_add(millis(passed))
        })
    }
}
