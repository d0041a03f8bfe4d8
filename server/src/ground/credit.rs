//! Credit that grows with time: how much of something may be done now.

use std::time::Instant;

/// What is left of a rate, up to what may be done at once.
#[derive(Debug)]
pub(crate) struct Credit {
    per_second: f64,
    most: f64,
    /// Negative after more was spent than there was.
    left: f64,
    earned: Instant,
}

impl Credit {
    /// All that may be done at once.
    pub(crate) fn full(per_second: f64, most: f64, now: Instant) -> Self {
        Self { per_second, most, left: most, earned: now }
    }

    /// Time has passed.
    pub(crate) fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.earned).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.most);
        self.earned = now;
    }

    /// Whether there is some.
    pub(crate) fn is_left(&self) -> bool {
        self.left > 0.0
    }

    /// Spends one, if there is one.
    pub(crate) fn take(&mut self) -> bool {
        let has = self.left >= 1.0;
        if has {
            self.left -= 1.0;
        }
        has
    }

    /// Spends so many, whether there are so many or not.
    pub(crate) fn spend(&mut self, amount: usize) {
        self.left -= amount as f64;
    }
}
