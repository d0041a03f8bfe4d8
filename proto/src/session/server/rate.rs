//! How fast a peer sends, and what is too fast.

use std::time::{Duration, Instant};

/// What may come at once beyond a timeout's backlog, in the time that it takes at the rate.
const SLACK: Duration = Duration::from_secs(2);
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
    /// For a peer that has sent nothing yet. `timeout`: how long it may be silent.
    pub(super) fn new(now: Instant, per_second: u32, timeout: Duration) -> Self {
        Self {
            credit: TokenBucket::new(now, per_second, timeout + SLACK),
            flood: TokenBucket::new(now, per_second.saturating_mul(FLOOD), timeout),
        }
    }

    /// So many have come.
    pub(super) fn take(&mut self, now: Instant, count: u32) -> Verdict {
        if self.credit.take(now, count) {
            Verdict::Within
        } else if self.flood.take(now, count) {
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
    full_at: Instant,
    interval: Duration,
    depth: Duration,
}

impl TokenBucket {
    /// A full bucket. 0 a second counts as 1.
    fn new(now: Instant, per_second: u32, depth: Duration) -> Self {
        // Rounded down, so that the rate is never below what was asked.
        Self { full_at: now, interval: Duration::from_secs(1) / per_second.max(1), depth }
    }

    /// Takes `count` tokens, or none and says false.
    fn take(&mut self, now: Instant, count: u32) -> bool {
        let full_at = self.full_at.max(now) + self.interval * count;
        let allowed = full_at <= now + self.depth;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn taken(rate: &mut Rate, now: Instant, count: usize) -> [usize; 3] {
        let verdicts: Vec<_> = (0..count).map(|_| rate.take(now, 1)).collect();
        [Verdict::Within, Verdict::Excess, Verdict::Flood]
            .map(|kind| verdicts.iter().filter(|verdict| **verdict == kind).count())
    }

    #[test]
    fn a_timeouts_backlog_then_the_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 10, SECOND * 8);
        assert_eq!(taken(&mut rate, start, 100), [100, 0, 0]);
        assert_eq!(taken(&mut rate, start + SECOND, 15), [10, 5, 0]);
        assert_eq!(taken(&mut rate, start + SECOND * 100, 101), [100, 1, 0], "credit grows up to its room");
    }

    #[test]
    fn what_is_more_than_four_times_the_rate_for_long_is_a_flood() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 10, SECOND * 8);
        assert_eq!(taken(&mut rate, start, 1000), [100, 240, 660]);
        let mut rate = Rate::new(start, 10, SECOND * 8);
        let over = |per_second: u32| (0..1000).map(move |n| start + SECOND * n / per_second);
        assert!(over(39).all(|now| rate.take(now, 1) != Verdict::Flood), "only beyond its rate");
        let mut rate = Rate::new(start, 10, SECOND * 8);
        assert!(over(60).any(|now| rate.take(now, 1) == Verdict::Flood));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, 1, SECOND * 2);
        assert!(!bucket.take(start, 3));
        assert!(bucket.take(start, 2));
    }
}
