//! The budget of ticks per second for all rooms together, which is what the machine can sustain.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What is left of the budget.
#[derive(Debug)]
pub(super) struct TickBudget {
    max: u32,
    taken: AtomicU32,
}

/// A room's share. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticks {
    budget: Arc<TickBudget>,
    taken: u32,
}

impl TickBudget {
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicU32::new(0) })
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }

    /// What rooms made by joins may use: the rest is reserved for operators.
    pub(super) fn max_of_joins(&self) -> u32 {
        self.max - self.max / 4
    }

    /// Takes the ticks of one more room. None: all rooms together would exceed `max`.
    pub(super) fn take(self: &Arc<Self>, tick_rate: u32, max: u32) -> Option<Ticks> {
        let more = |taken: u32| taken.checked_add(tick_rate).filter(|taken| *taken <= max);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Ticks { budget: self.clone(), taken: tick_rate })
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_what_is_left_and_give_it_back() {
        let budget = TickBudget::new(100);
        let first = budget.take(60, 100).unwrap();
        assert!(budget.take(60, 100).is_none());
        assert!(budget.take(20, budget.max_of_joins()).is_none());
        let _second = budget.take(40, 100).unwrap();
        assert!(budget.take(1, 100).is_none());
        drop(first);
        assert!(budget.take(60, 100).is_some());
    }
}
