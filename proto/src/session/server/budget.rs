//! How many bytes of states a peer may be sent now.

use crate::nanos::{Nanos, SECOND};

/// What is not used for this long is lost, so that it does not fill a slow path all at once.
const SAVED: Nanos = SECOND / 5;

/// Credit that grows with time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Bytes a second. 0: no limit.
    rate: u32,
    /// Bytes. Negative: a state took more than there was.
    credit: i64,
    /// A large state is paid for within a second.
    most_debt: i64,
    at: Nanos,
}

impl Budget {
    pub(super) fn new(now: Nanos, rate: u32) -> Self {
        Self { rate, credit: 0, most_debt: rate.into(), at: now }
    }

    /// Bytes that a state may take now, over a path that carries so many bytes a second (0: any number).
    pub(super) fn allows(&mut self, now: Nanos, carried: u32) -> usize {
        let rate = match (self.rate, carried) {
            (0, rate) | (rate, 0) => rate,
            (rate, carried) => rate.min(carried),
        };
        let passed = now.saturating_sub(self.at).min(SECOND);
        self.at = now;
        if rate == 0 {
            self.credit = 0;
            return usize::MAX;
        }
        let rate = u64::from(rate);
        self.most_debt = rate as i64;
        let earned = (rate * passed / SECOND) as i64;
        self.credit = (self.credit + earned).min((rate * SAVED / SECOND) as i64);
        usize::try_from(self.credit).unwrap_or(0)
    }

    /// A state took so many bytes.
    pub(super) fn spent(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_sub(bytes).max(-self.most_debt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_what_was_earned() {
        let mut budget = Budget::new(0, 2_000);
        let (mut spent, mut now) = (0, 0);
        for _ in 0..200 {
            now += SECOND / 20;
            let allowed = budget.allows(now, 0);
            budget.spent(allowed.max(30));
            spent += allowed.max(30);
        }
        assert_eq!(spent, 20_000);
        assert_eq!(budget.allows(now + 100 * SECOND, 0), 400, "what was not used is not saved for long");
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let mut budget = Budget::new(0, 0);
        budget.spent(1 << 40);
        assert_eq!(budget.allows(1, 0), usize::MAX);
    }

    #[test]
    fn a_large_state_is_paid_for_within_a_second() {
        let mut budget = Budget::new(0, 1_000);
        budget.spent(1 << 30);
        assert_eq!(budget.allows(SECOND, 0), 0);
        assert_eq!(budget.allows(SECOND + SECOND / 10, 0), 100);
    }
}
