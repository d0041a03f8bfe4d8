//! Tokens that were used and may be used once only. Bounded: when as many are remembered as may be, and none
//! has expired, no more are accepted.

use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

/// Most tokens that are remembered. (About 20 MB.)
const MOST: usize = 200_000;

/// The used tokens, until they expire. Times are since 1970.
#[derive(Debug, Default)]
pub(super) struct Used {
    ids: HashSet<Id>,
    /// The same, by the time until which they are remembered.
    by_expiry: BTreeSet<(Duration, Id)>,
}

/// Half of a SHA-256: of the same length however long the token's own id is.
type Id = [u8; 16];

/// Why a token may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Again,
    Full,
}

impl Used {
    /// Uses the token with this `jti`, which is valid until `expires`.
    pub(super) fn take(&mut self, jti: &str, expires: Duration, now: Duration) -> Result<(), Refused> {
        while let Some((until, id)) = self.by_expiry.first().copied()
            && until <= now
        {
            self.by_expiry.pop_first();
            self.ids.remove(&id);
        }
        let id = id_of(jti);
        if self.ids.contains(&id) {
            return Err(Refused::Again);
        }
        if self.ids.len() >= MOST {
            return Err(Refused::Full);
        }
        self.ids.insert(id);
        self.by_expiry.insert((expires, id));
        Ok(())
    }
}

fn id_of(jti: &str) -> Id {
    let mut id = Id::default();
    id.copy_from_slice(&digest(&SHA256, jti.as_bytes()).as_ref()[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_token_is_used_once_until_it_has_expired() {
        let mut used = Used::default();
        assert_eq!(used.take("a", 10 * SECOND, SECOND), Ok(()));
        assert_eq!(used.take("b", 5 * SECOND, SECOND), Ok(()));
        assert_eq!(used.take("a", 10 * SECOND, 9 * SECOND), Err(Refused::Again));
        assert_eq!(used.take("a", 20 * SECOND, 10 * SECOND), Ok(()), "it had expired");
        assert_eq!((used.ids.len(), used.by_expiry.len()), (1, 1));
    }

    // Promise 4
    #[test]
    fn only_so_many_are_remembered() {
        let mut used = Used::default();
        (0..MOST).for_each(|n| assert_eq!(used.take(&n.to_string(), 10 * SECOND, SECOND), Ok(())));
        assert_eq!(used.take("one more", 10 * SECOND, SECOND), Err(Refused::Full));
        assert_eq!(used.take("one more", 20 * SECOND, 10 * SECOND), Ok(()));
        assert_eq!(used.ids.len(), 1);
    }
}
