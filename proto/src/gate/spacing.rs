//! How fast states arrive.

use super::nanos;
use std::time::Instant;

/// Time between the states that arrive, by a moving average: a tick, unless the link is slower.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spacing {
    acked_at: Option<Instant>,
    /// Nanoseconds. 0: not measured yet.
    average: u64,
}

impl Spacing {
    /// So many states were acknowledged now. A sample counts as at most four ticks, so that one pause of the
    /// peer says nothing.
    pub(super) fn record(&mut self, now: Instant, states: usize, tick: u64) {
        if let Some(before) = self.acked_at.replace(now) {
            let sample = nanos(now.saturating_duration_since(before)) / states.max(1) as u64;
            let average = self.average.max(tick);
            self.average = average - average / 8 + sample.min(tick.saturating_mul(4)) / 8;
        }
    }

    /// The tick, unless the link is clearly slower.
    pub(super) fn get(&self, tick: u64) -> u64 {
        if self.is_slow(tick) { self.average } else { tick }
    }

    pub(super) fn is_slow(&self, tick: u64) -> bool {
        self.average > tick.saturating_add(tick / 2)
    }
}
