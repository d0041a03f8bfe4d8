//! How fast a peer sends, and what is too fast.

use crate::nanos::{Nanos, SECOND};

/// What may come at once beyond a timeout's backlog, in the time that it takes at the rate.
const SLACK: Nanos = 2 * SECOND;
/// A flood is so many times the rate on top of it, for longer than a timeout.
const FLOOD: u32 = 3;

/// What a peer sends of one kind, measured against a rate: a credit that grows with time, with room for the backlog of a
/// whole timeout. After a black-out, or a server that stood still, all that an honest peer has sent meanwhile comes at
/// once. What is beyond the credit is dropped, and counts against a second, larger one: where that is used up
/// too, the peer floods.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    credit: TokenBucket,
    flood: TokenBucket,
    /// Time from one to the next.
    interval: u32,
}

/// What is to be done with what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken.
    Within,
    /// It is dropped.
    Excess,
    /// The peer is cut off.
    Flood,
}

impl Rate {
    /// For a peer that has sent nothing yet. 0 a second counts as 1.
    pub(super) fn new(now: Nanos, per_second: u32) -> Self {
        let full = TokenBucket { full_at: now };
        // Rounded down, so that the rate is never below what was asked.
        Self { credit: full.clone(), flood: full, interval: SECOND as u32 / per_second.max(1) }
    }

    /// So many have come. `timeout`: how long the peer may be silent.
    pub(super) fn take(&mut self, now: Nanos, count: u32, timeout: Nanos) -> Verdict {
        if self.credit.take(now, count, self.interval, timeout.saturating_add(SLACK)) {
            Verdict::Within
        } else if self.flood.take(now, count, self.interval / FLOOD, timeout) {
            Verdict::Excess
        } else {
            Verdict::Flood
        }
    }
}

/// So many a second over time, and what comes in `depth` at once.
///
/// Kept as one instant, when the bucket would be full again: the "virtual scheduling" form of the generic cell
/// rate algorithm (ITU-T I.371, annex A).
#[derive(Debug, Clone)]
struct TokenBucket {
    full_at: Nanos,
}

impl TokenBucket {
    /// Takes `count` tokens, or none and says false.
    fn take(&mut self, now: Nanos, count: u32, interval: u32, depth: Nanos) -> bool {
        let full_at = self.full_at.max(now) + u64::from(interval) * u64::from(count);
        let allowed = full_at <= now.saturating_add(depth);
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Nanos = 7 * SECOND;
    const TIMEOUT: Nanos = 8 * SECOND;

    fn taken(rate: &mut Rate, now: Nanos, count: usize) -> [usize; 3] {
        let verdicts: Vec<_> = (0..count).map(|_| rate.take(now, 1, TIMEOUT)).collect();
        [Verdict::Within, Verdict::Excess, Verdict::Flood]
            .map(|kind| verdicts.iter().filter(|verdict| **verdict == kind).count())
    }

    #[test]
    fn a_timeouts_backlog_then_the_rate() {
        let start = START;
        let mut rate = Rate::new(start, 10);
        assert_eq!(taken(&mut rate, start, 100), [100, 0, 0]);
        assert_eq!(taken(&mut rate, start + SECOND, 15), [10, 5, 0]);
        assert_eq!(taken(&mut rate, start + SECOND * 100, 101), [100, 1, 0], "credit grows up to its room");
    }

    #[test]
    fn what_is_more_than_four_times_the_rate_for_long_is_a_flood() {
        let start = START;
        let mut rate = Rate::new(start, 10);
        assert_eq!(taken(&mut rate, start, 1000), [100, 240, 660]);
        let mut rate = Rate::new(start, 10);
        let over = |per_second: u64| (0..1000).map(move |n| start + SECOND * n / per_second);
        assert!(over(39).all(|now| rate.take(now, 1, TIMEOUT) != Verdict::Flood), "only beyond its rate");
        let mut rate = Rate::new(start, 10);
        assert!(over(60).any(|now| rate.take(now, 1, TIMEOUT) == Verdict::Flood));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let start = START;
        let mut bucket = TokenBucket { full_at: start };
        assert!(!bucket.take(start, 3, SECOND as u32, SECOND * 2));
        assert!(bucket.take(start, 2, SECOND as u32, SECOND * 2));
    }
}
