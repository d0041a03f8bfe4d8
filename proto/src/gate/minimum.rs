//! The least round trip of a window.

use std::time::{Duration, Instant};

/// Half of the window of the minimum.
const HALF_WINDOW: Duration = Duration::from_secs(5);
/// Least sample of the current and the last half window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WindowedMin {
    began: Option<Instant>,
    current: Option<Duration>,
    last: Option<Duration>,
}

impl WindowedMin {
    pub(super) fn record(&mut self, now: Instant, sample: Duration) {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) >= HALF_WINDOW {
            self.last = self.current.take();
            self.began = Some(now);
        }
        self.current = Some(self.current.map_or(sample, |least| least.min(sample)));
    }

    pub(super) fn restart(&mut self, now: Instant, sample: Duration) {
        *self = Self { began: Some(now), current: Some(sample), last: None };
    }

    pub(super) fn get(&self) -> Option<Duration> {
        match (self.current, self.last) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
