//! How long this process owns a room, where other machines could come to own it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Owned until a deadline that is moved on while the owner's lease is renewed. A room looks at it before each
/// tick, and needs no message to stop in time: what has not been moved on is over.
#[derive(Debug)]
pub struct Ownership {
    origin: Instant,
    /// Microseconds after the origin.
    until: AtomicU64,
}

impl Ownership {
    /// One that is over until it is extended.
    pub fn new(origin: Instant) -> Self {
        Self { origin, until: AtomicU64::new(0) }
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Instant) -> bool {
        self.micros(now) >= self.until.load(Relaxed)
    }

    /// When it is over, unless it is extended.
    pub fn until(&self) -> Instant {
        self.origin + Duration::from_micros(self.until.load(Relaxed))
    }

    /// It is not over before this time.
    pub fn extend(&self, until: Instant) {
        self.until.fetch_max(self.micros(until), Relaxed);
    }

    /// It is over.
    pub fn end(&self) {
        self.until.store(0, Relaxed);
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_at_its_deadline_which_only_moves_on() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let owned = Ownership::new(now);
        assert!(owned.is_over(now), "nothing is owned yet");
        owned.extend(now + 2 * second);
        owned.extend(now + second);
        assert!(!owned.is_over(now + second) && owned.is_over(now + 2 * second));
        assert_eq!(owned.until(), now + 2 * second);
        owned.end();
        assert!(owned.is_over(now));
    }
}
