//! The budget of ticks per second for all rooms together, which is what the machine can sustain.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What is left of the budget.
#[derive(Debug)]
pub(super) struct TickBudget {
    max: u32,
    /// By all rooms.
    taken: AtomicU32,
    /// By those that joins have made.
    taken_by_joins: AtomicU32,
}

/// A room's share. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticks {
    budget: Arc<TickBudget>,
    taken: u32,
    by_join: bool,
}

impl TickBudget {
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicU32::new(0), taken_by_joins: AtomicU32::new(0) })
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }

    /// What rooms made by joins may use: the rest is reserved for operators.
    pub(super) fn max_of_joins(&self) -> u32 {
        self.max - self.max / 4
    }

    /// Takes the ticks of one more room, which a join makes or an operator. None: there would be too many.
    pub(super) fn take(self: &Arc<Self>, tick_rate: u32, by_join: bool) -> Option<Ticks> {
        let take = |counter: &AtomicU32, max: u32| {
            let more = |taken: u32| taken.checked_add(tick_rate).filter(|taken| *taken <= max);
            counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()
        };
        take(&self.taken, self.max)?;
        if by_join && take(&self.taken_by_joins, self.max_of_joins()).is_none() {
            self.taken.fetch_sub(tick_rate, Ordering::Relaxed);
            return None;
        }
        Some(Ticks { budget: self.clone(), taken: tick_rate, by_join })
    }

    /// The same for a room that exists already, however many there are.
    pub(super) fn go_on(self: &Arc<Self>, tick_rate: u32, by_join: bool) -> Ticks {
        let ticks = Ticks { budget: self.clone(), taken: tick_rate, by_join };
        for counter in ticks.counters() {
            counter.fetch_add(tick_rate, Ordering::Relaxed);
        }
        ticks
    }
}

impl Ticks {
    fn counters(&self) -> impl Iterator<Item = &AtomicU32> {
        let TickBudget { taken, taken_by_joins, .. } = &*self.budget;
        [taken].into_iter().chain(self.by_join.then_some(taken_by_joins))
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        for counter in self.counters() {
            counter.fetch_sub(self.taken, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_what_is_left_and_give_it_back() {
        let budget = TickBudget::new(100);
        let first = budget.take(60, true).unwrap();
        assert!(budget.take(60, false).is_none());
        assert!(budget.take(20, true).is_none());
        let _second = budget.take(40, false).unwrap();
        assert!(budget.take(1, false).is_none());
        drop(first);
        assert!(budget.take(60, true).is_some());
    }

    #[test]
    fn what_operators_take_is_not_counted_against_joins() {
        let budget = TickBudget::new(100);
        let _operators = budget.take(60, false).unwrap();
        let _first = budget.take(30, true).unwrap();
        assert!(budget.take(20, true).is_none(), "all together");
        assert!(budget.take(10, true).is_some());
    }

    #[test]
    fn rooms_that_go_on_take_what_they_need_and_count() {
        let budget = TickBudget::new(100);
        let gone_on = budget.go_on(80, true);
        let more = budget.go_on(80, false);
        assert!(budget.take(1, false).is_none());
        drop(more);
        assert!(budget.take(1, true).is_none() && budget.take(20, false).is_some());
        drop(gone_on);
        assert!(budget.take(75, true).is_some());
    }
}
