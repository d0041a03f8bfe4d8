//! Token buckets without a timer.

use std::time::{Duration, Instant};

/// So many a second over time, and twice as many at once.
///
/// Kept as one instant, when the bucket would be full again: the "virtual scheduling" form of the generic cell
/// rate algorithm (ITU-T I.371, annex A).
#[derive(Debug, Clone)]
pub(super) struct TokenBucket {
    full_at: Instant,
    interval: Duration,
    depth: Duration,
}

impl TokenBucket {
    /// A full bucket. 0 a second counts as 1.
    pub(super) fn new(now: Instant, per_second: u32) -> Self {
        let per_second = per_second.max(1);
        // Rounded down, so that the rate is never below what was asked.
        Self { full_at: now, interval: Duration::from_secs(1) / per_second, depth: Duration::from_secs(2) }
    }

    /// Takes `count` tokens, or none and says false.
    pub(super) fn take(&mut self, now: Instant, count: u32) -> bool {
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

    #[test]
    fn twice_the_rate_at_once_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, 10);
        assert_eq!((0..100).filter(|_| bucket.take(start, 1)).count(), 20);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| bucket.take(later, 1)).count(), 10);
        assert!(!bucket.take(later, 1));
        assert!(bucket.take(later + Duration::from_millis(300), 3));
        assert!(!bucket.take(later + Duration::from_millis(300), 1));
    }

    #[test]
    fn more_than_the_depth_is_never_allowed() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, 1);
        assert!(!bucket.take(start, 3));
        assert!(bucket.take(start, 2), "a refusal takes nothing");
    }
}
