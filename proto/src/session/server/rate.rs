//! How fast a peer sends, and what is too fast.

use crate::nanos::{Nanos, SECOND};

/// Burst allowed on top of a timeout's backlog, as the time that it takes at the rate.
const SLACK: Nanos = 2 * SECOND;
/// A flood exceeds the rate by this many times the rate, for longer than a timeout.
const FLOOD: u32 = 3;

/// Messages of one kind, measured against a rate. The credit grows with time, up to the backlog of a whole
/// timeout: after a blackout, or a stall of the server, everything that an honest peer has sent meanwhile
/// arrives at once. What exceeds the credit is dropped and counts against a second, larger one; a peer that
/// uses that up too is flooding.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    credit: TokenBucket,
    flood: TokenBucket,
    /// Time between two messages at the rate.
    interval: u32,
}

/// What to do with the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take them.
    Within,
    /// Drop them.
    Excess,
    /// Disconnect the peer.
    Flood,
}

impl Rate {
    /// For a peer that has sent nothing yet. A rate of 0 counts as 1 per second.
    pub(super) fn new(now: Nanos, per_second: u32) -> Self {
        let full = TokenBucket { full_at: now };
        // Rounded down, so that the rate is never below the requested one.
        Self { credit: full.clone(), flood: full, interval: SECOND as u32 / per_second.max(1) }
    }

    /// `count` messages have come. `timeout` is how long the peer may be silent.
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

/// A rate on average, and a burst of what comes in `depth`.
///
/// Stored as one instant, when the bucket will be full again: the "virtual scheduling" form of the generic
/// cell rate algorithm (ITU-T I.371, annex A).
#[derive(Debug, Clone)]
struct TokenBucket {
    full_at: Nanos,
}

impl TokenBucket {
    /// Takes `count` tokens; or takes none and returns false.
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
