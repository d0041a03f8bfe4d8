//! When a source of keys is read again, and how long what it gave last is used. Pure: time is an argument.

use super::keys::Key;
use std::time::{Duration, Instant};

/// Shortest time between two reads of a source, whoever asks for keys that it does not have: unknown keys are
/// free to name.
pub(super) const SOONEST: Duration = Duration::from_secs(10);

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
    /// When that was last tried, and whether it failed.
    tried_at: Option<Instant>,
    failed: bool,
}

impl Cached {
    /// The result of a read.
    pub(super) fn take(&mut self, now: Instant, read: Option<Vec<Key>>) {
        (self.tried_at, self.failed) = (Some(now), read.is_none());
        if let Some(keys) = read {
            (self.keys, self.read_at) = (keys, Some(now));
        }
    }

    /// The keys, unless they are too old.
    pub(super) fn keys(&self, now: Instant, pace: Pace) -> &[Key] {
        let fresh = |read_at: Instant| now.saturating_duration_since(read_at) <= pace.refresh + pace.stale;
        if self.read_at.is_some_and(fresh) { &self.keys } else { &[] }
    }

    /// When it is to be read again if nobody asks earlier. A failure is tried again soon.
    pub(super) fn due(&self, now: Instant, pace: Pace) -> Instant {
        let wait = if self.failed { SOONEST.min(pace.refresh) } else { pace.refresh };
        self.tried_at.map_or(now, |tried_at| tried_at + wait)
    }

    /// Whether it may be read already, because a key is missing.
    pub(super) fn may_hurry(&self, now: Instant) -> bool {
        self.tried_at.is_none_or(|tried_at| now.saturating_duration_since(tried_at) >= SOONEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PACE: Pace = Pace { refresh: Duration::from_secs(300), stale: Duration::from_secs(3600) };

    fn keys() -> Option<Vec<Key>> {
        Some(vec![Key::secret(&[7; 32]).unwrap()])
    }

    #[test]
    fn keys_are_read_at_the_pace_and_sooner_after_a_failure() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        assert_eq!(cached.due(now, PACE), now);
        cached.take(now, keys());
        assert_eq!(cached.due(now, PACE), now + 300 * SECOND);
        cached.take(now + 300 * SECOND, None);
        assert_eq!(cached.due(now, PACE), now + 310 * SECOND);
    }

    #[test]
    fn whoever_names_unknown_keys_cannot_have_them_read_too_often() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        assert!(cached.may_hurry(now));
        cached.take(now, keys());
        assert!(!cached.may_hurry(now + 9 * SECOND) && cached.may_hurry(now + 10 * SECOND));
    }

    #[test]
    fn keys_that_cannot_be_read_again_are_used_for_the_time_that_is_said() {
        let (mut cached, now) = (Cached::default(), Instant::now());
        assert!(cached.keys(now, PACE).is_empty());
        cached.take(now, keys());
        cached.take(now + 300 * SECOND, None);
        assert_eq!(cached.keys(now + 3900 * SECOND, PACE).len(), 1);
        assert!(cached.keys(now + 3901 * SECOND, PACE).is_empty());
        cached.take(now + 4000 * SECOND, keys());
        assert_eq!(cached.keys(now + 4000 * SECOND, PACE).len(), 1);
    }
}
