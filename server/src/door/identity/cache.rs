//! When a source of keys is read again, and how long what it gave last is used. Pure: time is an argument.

use super::keys::Key;
use std::time::{Duration, Instant};

/// Shortest time between two reads of a source on average, whoever asks for keys that it does not have:
/// unknown keys are free to name.
pub(super) const SOONEST: Duration = Duration::from_secs(10);
/// Such reads at once, so that whoever names one does not keep others from a key that is new.
const AT_ONCE: u32 = 4;

/// How often keys are read, and how long they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Time between two reads.
    pub refresh: Duration,
    /// How long keys are used that could not be read again.
    pub stale: Duration,
}

/// What one source has given.
#[derive(Debug, Default)]
pub(super) struct Cached {
    keys: Vec<Key>,
    /// When they were read.
    read_at: Option<Instant>,
    /// When that was last tried.
    tried_at: Option<Instant>,
    /// Why the last read failed, if it did.
    failure: Option<String>,
    /// When all reads that were asked for have had their time (GCRA).
    hurried_until: Option<Instant>,
}

impl Cached {
    /// The result of a read.
    pub(super) fn take(&mut self, now: Instant, read: Result<Vec<Key>, String>) {
        self.tried_at = Some(now);
        match read {
            Ok(keys) => (self.keys, self.read_at, self.failure) = (keys, Some(now), None),
            Err(why) => self.failure = Some(why),
        }
    }

    /// There is nothing any more that could check a token: what was there before counts no more.
    pub(super) fn withdraw(&mut self, now: Instant, why: String) {
        (self.keys, self.read_at) = (Vec::new(), None);
        (self.tried_at, self.failure) = (Some(now), Some(why));
    }

    /// Whether the last read failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Why the last read failed, and for how long the keys that were read before it are used. None: it has
    /// not failed.
    pub(super) fn failure(&self, now: Instant, pace: Pace) -> Option<(&str, Duration)> {
        let until = self.read_at.and_then(|read_at| read_at.checked_add(pace.refresh + pace.stale));
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        self.failure.as_deref().map(|why| (why, left))
    }

    /// The keys, unless they are too old.
    pub(super) fn keys(&self, now: Instant, pace: Pace) -> &[Key] {
        let fresh = |read_at: Instant| now.saturating_duration_since(read_at) <= pace.refresh + pace.stale;
        if self.read_at.is_some_and(fresh) { &self.keys } else { &[] }
    }

    /// When it is to be read again if nobody asks earlier. A failure is tried again soon.
    pub(super) fn due(&self, now: Instant, pace: Pace) -> Instant {
        let wait = if self.failure.is_some() { SOONEST.min(pace.refresh) } else { pace.refresh };
        self.tried_at.map_or(now, |tried_at| tried_at + wait)
    }

    /// It is to be read already, because a key is missing. The error says in how long it may be.
    pub(super) fn hurry(&mut self, now: Instant) -> Result<(), Duration> {
        let until = self.hurried_until.map_or(now, |until| until.max(now)) + SOONEST;
        let wait = until.saturating_duration_since(now + AT_ONCE * SOONEST);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.hurried_until = Some(until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PACE: Pace = Pace { refresh: Duration::from_secs(300), stale: Duration::from_secs(3600) };

    fn keys() -> Result<Vec<Key>, String> {
        Ok(vec![Key::secret(&[7; 32]).unwrap()])
    }

    fn failed() -> Result<Vec<Key>, String> {
        Err("status 500".to_owned())
    }

    #[test]
    fn keys_are_read_at_the_pace_and_sooner_after_a_failure() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        assert_eq!(cached.due(now, PACE), now);
        cached.take(now, keys());
        assert_eq!(cached.due(now, PACE), now + 300 * SECOND);
        cached.take(now + 300 * SECOND, failed());
        assert_eq!(cached.due(now, PACE), now + 310 * SECOND);
    }

    #[test]
    fn whoever_names_unknown_keys_cannot_have_them_read_too_often() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        for _ in 0..AT_ONCE {
            assert_eq!(cached.hurry(now), Ok(()));
            cached.take(now, keys());
        }
        assert_eq!(cached.hurry(now + SECOND), Err(9 * SECOND));
        assert_eq!(cached.hurry(now + 10 * SECOND), Ok(()));
        assert_eq!(cached.hurry(now + 11 * SECOND), Err(9 * SECOND));
        let later = now + 60 * SECOND;
        assert!((0..AT_ONCE).all(|_| cached.hurry(later).is_ok()) && cached.hurry(later).is_err());
    }

    #[test]
    fn keys_that_were_withdrawn_are_used_no_longer() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        cached.take(now, keys());
        cached.withdraw(now + SECOND, "none".to_owned());
        assert!(cached.keys(now + SECOND, PACE).is_empty());
        assert_eq!(cached.failure(now + SECOND, PACE), Some(("none", Duration::ZERO)));
    }

    #[test]
    fn keys_that_cannot_be_read_again_are_used_for_the_time_that_is_said() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        assert!(cached.keys(now, PACE).is_empty());
        cached.take(now, keys());
        assert_eq!(cached.failure(now, PACE), None);
        cached.take(now + 300 * SECOND, failed());
        assert_eq!(cached.failure(now + 3899 * SECOND, PACE), Some(("status 500", SECOND)));
        assert_eq!(cached.keys(now + 3900 * SECOND, PACE).len(), 1);
        assert!(cached.keys(now + 3901 * SECOND, PACE).is_empty());
        cached.take(now + 4000 * SECOND, keys());
        assert_eq!(cached.failure(now + 4000 * SECOND, PACE), None);
        assert_eq!(cached.keys(now + 4000 * SECOND, PACE).len(), 1);
    }
}
