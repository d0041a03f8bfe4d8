//! Rate limits per source.

use super::source::Source;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Sources that are remembered. All others share one account.
const REMEMBERED: usize = 4096;

/// A rate for each source, with a burst: the generic cell rate algorithm (ITU-T I.371). A source that keeps
/// to its rate, or has paused, takes no memory after the next sweep.
#[derive(Debug)]
pub struct Rate {
    /// Interval at the rate.
    interval: Duration,
    /// How far a source may be ahead of its rate.
    burst: Duration,
    /// When everything that a source has done would be done at its rate.
    busy_until: HashMap<Source, Instant>,
}

impl Rate {
    /// One per `interval` on average, with bursts of `at_once`.
    pub fn new(interval: Duration, at_once: u32) -> Self {
        Self { interval, burst: interval * at_once.saturating_sub(1), busy_until: HashMap::new() }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// How long to wait, if the source exceeds its rate.
    pub fn take(&mut self, now: Instant, source: Source) -> Result<(), Duration> {
        let (interval, burst) = (self.interval, self.burst);
        let until = self.of(now, source);
        let ahead = until.saturating_duration_since(now);
        if ahead > burst {
            return Err(ahead - burst);
        }
        *until = now + ahead + interval;
        Ok(())
    }

    /// Counts one more in any case. Returns how long to delay the source for it, at most `longest`.
    pub fn hold(&mut self, now: Instant, source: Source, longest: Duration) -> Duration {
        let (interval, burst) = (self.interval, self.burst);
        let until = self.of(now, source);
        let ahead = until.saturating_duration_since(now);
        let held = ahead.saturating_sub(burst).min(longest);
        *until = now + (ahead + interval).min(burst + longest);
        held
    }

    fn of(&mut self, now: Instant, source: Source) -> &mut Instant {
        let mut key = source;
        if self.busy_until.len() >= REMEMBERED && !self.busy_until.contains_key(&key) {
            self.busy_until.retain(|_, until| *until > now);
            if self.busy_until.len() >= REMEMBERED {
                key = Source::UNKNOWN;
            }
        }
        self.busy_until.entry(key).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn so_many_at_once_and_then_at_the_rate() {
        let (mut rate, start) = (Rate::new(SECOND, 3), Instant::now());
        let ann = ip("192.0.2.1");
        (0..3).for_each(|_| assert_eq!(rate.take(start, ann), Ok(())));
        assert_eq!(rate.take(start, ann), Err(SECOND));
        assert_eq!(rate.take(start, ann), Err(SECOND), "a refusal costs nothing");
        assert_eq!(rate.take(start, ip("192.0.2.2")), Ok(()), "others have their own");
        assert_eq!(rate.take(start + SECOND, ann), Ok(()));
        assert!(rate.take(start + SECOND, ann).is_err());
        (0..3).for_each(|_| assert_eq!(rate.take(start + 60 * SECOND, ann), Ok(())));
        assert!(rate.take(start + 60 * SECOND, ann).is_err(), "a pause does not save up more");
    }

    #[test]
    fn who_goes_on_is_held_longer_and_longer_up_to_a_limit() {
        let (mut rate, start) = (Rate::new(SECOND, 2), Instant::now());
        let held: Vec<_> = (0..6).map(|_| rate.hold(start, ip("192.0.2.1"), 3 * SECOND).as_secs()).collect();
        assert_eq!(held, [0, 0, 1, 2, 3, 3]);
        assert_eq!(rate.hold(start, ip("192.0.2.2"), 3 * SECOND), Duration::ZERO);
        assert_eq!(rate.hold(start + 10 * SECOND, ip("192.0.2.1"), 3 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory() {
        let (mut rate, now) = (Rate::new(SECOND, 1), Instant::now());
        let sources = |from: u32| (from..from + 10_000).map(|n| Source::of(IpAddr::V4(n.into())));
        let taken = sources(1).filter(|source| rate.take(now, *source).is_ok()).count();
        assert_eq!(taken, REMEMBERED + 1, "the rest has one account together");
        assert!(rate.busy_until.len() <= REMEMBERED + 1);
        assert!(rate.take(now + 2 * SECOND, ip("192.0.2.1")).is_ok());
        assert!(rate.busy_until.len() < 10, "those who have paused are forgotten");
    }
}
