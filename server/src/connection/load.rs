//! The rate of messages on a thread.

use std::{cell::Cell, time::Duration};

/// Messages per second from which on a thread is busy. Below that, a wake-up for each costs less than a
/// fiftieth of a core.
const FROM_RATE: f64 = 4_000.0;

/// Decides whether messages come so fast that one wake-up for each is too many.
#[derive(Debug, Default)]
pub(super) struct Load {
    arrived: Cell<u32>,
    busy: Cell<bool>,
}

impl Load {
    /// A message has arrived.
    pub(super) fn arrived(&self) {
        self.arrived.set(self.arrived.get() + 1);
    }

    /// Call it every `interval`: decides whether messages come fast.
    pub(super) fn measure(&self, interval: Duration) {
        let rate = f64::from(self.arrived.replace(0)) / interval.as_secs_f64();
        // Hysteresis: once busy, it becomes idle only at a clearly lower rate.
        let from = if self.busy.get() { FROM_RATE / 2.0 } else { FROM_RATE };
        self.busy.set(rate >= from);
    }

    /// Whether messages come fast.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_busy_from_four_thousand_a_second_until_it_is_clearly_less() {
        let load = Load::default();
        let is_busy_at = |a_second: u32| {
            (0..a_second / 10).for_each(|_| load.arrived());
            load.measure(Duration::from_millis(100));
            load.is_busy()
        };
        assert!(!is_busy_at(3_900));
        assert!(is_busy_at(4_000));
        assert!(is_busy_at(2_100));
        assert!(!is_busy_at(1_900));
        assert!(!is_busy_at(3_900));
    }
}
