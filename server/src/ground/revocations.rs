//! Users who may not be here for a time, whatever their tokens say. That time is measured by a clock that
//! nobody sets: a revocation neither ends too early nor lasts too long when the time of day is corrected.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The revoked users, and until when they are.
///
/// Bounded: see [`MOST`](Self::MOST).
#[derive(Debug, Default)]
pub struct Revocations {
    until: Mutex<HashMap<Arc<str>, Instant>>,
    /// Rises with each revocation, so that a connection need not look again until it has.
    version: AtomicU64,
}

impl Revocations {
    /// Most users that are revoked at a time. (About 20 MB.)
    pub const MOST: usize = 100_000;

    /// Revokes a user for so long from now on. False: there are as many as are kept, and none of them has run
    /// out.
    pub fn revoke(&self, user: Arc<str>, span: Duration, now: Instant) -> bool {
        let Some(until) = now.checked_add(span) else { return false };
        let mut all = self.until.lock();
        if all.len() >= Self::MOST && !all.contains_key(&user) {
            all.retain(|_, until| *until > now);
            if all.len() >= Self::MOST {
                return false;
            }
        }
        all.insert(user, until);
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    /// Lets a user in again. False: the user is not revoked.
    pub fn pardon(&self, user: &str, now: Instant) -> bool {
        self.until.lock().remove(user).is_some_and(|until| until > now)
    }

    /// Whether a user is revoked.
    pub fn is_revoked(&self, user: &str, now: Instant) -> bool {
        self.until.lock().get(user).is_some_and(|until| *until > now)
    }

    /// Those who are revoked, and for how much longer.
    pub fn current(&self, now: Instant) -> Vec<(Arc<str>, Duration)> {
        let all = self.until.lock();
        let left = |until: &Instant| until.saturating_duration_since(now);
        all.iter()
            .map(|(user, until)| (user.clone(), left(until)))
            .filter(|(_, left)| !left.is_zero())
            .collect()
    }

    /// Rises with each revocation.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_revocation_runs_out_or_is_taken_back() {
        let (revocations, now) = (Revocations::default(), Instant::now());
        assert!(revocations.revoke("ann".into(), 9 * SECOND, now));
        assert!(revocations.is_revoked("ann", now + 8 * SECOND));
        assert_eq!(revocations.current(now + 8 * SECOND), [("ann".into(), SECOND)]);
        assert!(!revocations.is_revoked("ann", now + 9 * SECOND));
        assert_eq!(revocations.current(now + 9 * SECOND), []);
        assert!(!revocations.is_revoked("bob", now));
        assert!(revocations.pardon("ann", now) && !revocations.is_revoked("ann", now));
        assert!(!revocations.pardon("ann", now));
    }

    // Promise 4
    #[test]
    fn only_so_many_are_kept_and_those_that_have_run_out_make_room() {
        let (revocations, now) = (Revocations::default(), Instant::now());
        for n in 0..Revocations::MOST {
            assert!(revocations.revoke(n.to_string().into(), (1 + n as u32 % 2) * SECOND, now));
        }
        assert!(!revocations.revoke("ann".into(), 9 * SECOND, now), "full");
        assert!(revocations.revoke("0".into(), 2 * SECOND, now), "already there");
        let later = now + SECOND;
        assert!(revocations.revoke("ann".into(), 9 * SECOND, later));
        assert!(revocations.is_revoked("ann", later) && revocations.is_revoked("1", later));
    }
}
