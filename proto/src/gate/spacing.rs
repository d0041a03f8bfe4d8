//! How fast states arrive.

use super::Nanos;
use crate::nanos::MaybeNanos;

/// Moving average of the time between states that arrive: a tick, unless the link is slower.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spacing {
    acked_at: MaybeNanos,
    /// 0: not measured yet.
    average: Nanos,
}

impl Spacing {
    pub(super) fn new() -> Self {
        Self { acked_at: MaybeNanos::NONE, average: 0 }
    }

    /// `states` states were acknowledged now. A sample counts as at most four ticks, so that a single pause
    /// of the peer has little effect.
    pub(super) fn record(&mut self, now: Nanos, states: usize, tick: Nanos) {
        if let Some(before) = self.acked_at.get() {
            let passed = now.saturating_sub(before);
            let sample = if states > 1 { passed / states as u64 } else { passed };
            let average = self.average.max(tick);
            self.average = average - average / 8 + sample.min(tick.saturating_mul(4)) / 8;
        }
        self.acked_at = MaybeNanos::some(now);
    }

    /// The tick, unless the link is clearly slower.
    pub(super) fn get(&self, tick: Nanos) -> Nanos {
        if self.is_slow(tick) { self.average } else { tick }
    }

    pub(super) fn is_slow(&self, tick: Nanos) -> bool {
        self.average > tick.saturating_add(tick / 2)
    }
}
