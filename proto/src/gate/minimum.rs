//! The minimum round trip of a window.

use super::Nanos;
use crate::nanos::{MaybeNanos, SECOND};

/// Half the window of the minimum.
const HALF_WINDOW: Nanos = 5 * SECOND;

/// Minimum sample of the current and the previous half window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowedMin {
    began: Nanos,
    current: MaybeNanos,
    last: MaybeNanos,
}

impl WindowedMin {
    pub(super) fn new() -> Self {
        Self { began: 0, current: MaybeNanos::NONE, last: MaybeNanos::NONE }
    }

    pub(super) fn record(&mut self, now: Nanos, sample: Nanos) {
        if self.get().is_none() {
            self.began = now;
        } else if now.saturating_sub(self.began) >= HALF_WINDOW {
            self.last = self.current;
            self.current = MaybeNanos::NONE;
            self.began = now;
        }
        self.current = self.current.least(MaybeNanos::some(sample));
    }

    pub(super) fn restart(&mut self, now: Nanos, sample: Nanos) {
        *self = Self { began: now, current: MaybeNanos::some(sample), last: MaybeNanos::NONE };
    }

    pub(super) fn get(&self) -> Option<Nanos> {
        self.current.least(self.last).get()
    }
}
