//! Users who may not be here for a time, whatever their tokens say.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The revoked users, and until when they are. Times are since 1970.
///
/// Bounded: see [`MOST`](Self::MOST).
#[derive(Debug, Default)]
pub struct Revocations {
    until: Mutex<HashMap<Arc<str>, Duration>>,
    /// Rises with each revocation, so that a connection need not look again until it has.
    version: AtomicU64,
}

impl Revocations {
    /// Most users that are revoked at a time. (About 20 MB.)
    pub const MOST: usize = 100_000;

    /// Revokes a user. False: there are as many as are kept, and none of them has run out.
    pub fn revoke(&self, user: Arc<str>, until: Duration, now: Duration) -> bool {
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
    pub fn pardon(&self, user: &str, now: Duration) -> bool {
        self.until.lock().remove(user).is_some_and(|until| until > now)
    }

    /// All of them, and until when.
    pub fn all(&self) -> Vec<(Arc<str>, Duration)> {
        self.until.lock().iter().map(|(user, until)| (user.clone(), *until)).collect()
    }

    /// Whether a user is revoked.
    pub fn is_revoked(&self, user: &str, now: Duration) -> bool {
        self.until.lock().get(user).is_some_and(|until| *until > now)
    }

    /// Those who are revoked, and until when.
    pub fn current(&self, now: Duration) -> Vec<(Arc<str>, Duration)> {
        let all = self.until.lock();
        all.iter().filter(|(_, until)| **until > now).map(|(user, until)| (user.clone(), *until)).collect()
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
        let revocations = Revocations::default();
        assert!(revocations.revoke("ann".into(), 10 * SECOND, SECOND));
        assert!(revocations.is_revoked("ann", 9 * SECOND) && !revocations.is_revoked("ann", 10 * SECOND));
        assert!(!revocations.is_revoked("bob", SECOND));
        assert!(revocations.pardon("ann", SECOND) && !revocations.is_revoked("ann", SECOND));
        assert!(!revocations.pardon("ann", SECOND));
    }

    // Promise 4
    #[test]
    fn only_so_many_are_kept_and_those_that_have_run_out_make_room() {
        let revocations = Revocations::default();
        for n in 0..Revocations::MOST {
            assert!(revocations.revoke(n.to_string().into(), (1 + n as u32 % 2) * SECOND, Duration::ZERO));
        }
        assert!(!revocations.revoke("ann".into(), 9 * SECOND, Duration::ZERO), "full");
        assert!(revocations.revoke("0".into(), 2 * SECOND, Duration::ZERO), "already there");
        assert!(revocations.revoke("ann".into(), 9 * SECOND, SECOND));
        assert!(revocations.is_revoked("ann", SECOND) && revocations.is_revoked("1", SECOND));
    }
}
