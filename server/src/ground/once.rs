//! Tokens that may be used once only: a join reserves one, and uses it up if it gets its seat. Bounded: when
//! as many are remembered as may be, and none has expired, no more are accepted.

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// Most tokens that are remembered. (About 20 MB.)
const MOST: usize = 200_000;

/// The tokens that are used or reserved, until they expire. Times are since 1970.
#[derive(Debug, Default)]
pub struct OnceTokens(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    tokens: HashMap<Id, State>,
    /// The same, by the time until which they are remembered.
    by_expiry: BTreeSet<(Duration, Id)>,
}

/// Half of a SHA-256: of the same length however long the token's own id is.
type Id = [u8; 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A join may use it up.
    Reserved,
    Used,
}

/// A token that nobody else can use while this exists. Dropping it without [`use_up`](Self::use_up) gives the
/// token back.
#[derive(Debug)]
pub struct Reserved {
    tokens: Arc<OnceTokens>,
    expires: Duration,
    id: Id,
}

/// Why a token may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was used before.
    Again,
    /// Another join is about to use it.
    Meanwhile,
    /// No more can be remembered.
    Full,
}

impl OnceTokens {
    /// Reserves the token with this `jti`, which is valid until `expires`.
    ///
    /// # Errors
    /// Why it may not be used.
    pub fn reserve(
        self: &Arc<Self>,
        jti: &str,
        expires: Duration,
        now: Duration,
    ) -> Result<Reserved, Refused> {
        let mut remembered = self.0.lock();
        remembered.forget_expired(now);
        let id = id_of(jti);
        match remembered.tokens.get(&id) {
            Some(State::Used) => return Err(Refused::Again),
            Some(State::Reserved) => return Err(Refused::Meanwhile),
            None if remembered.tokens.len() >= MOST => return Err(Refused::Full),
            None => {}
        }
        remembered.tokens.insert(id, State::Reserved);
        remembered.by_expiry.insert((expires, id));
        Ok(Reserved { tokens: self.clone(), expires, id })
    }
}

impl Remembered {
    fn forget_expired(&mut self, now: Duration) {
        while let Some((until, id)) = self.by_expiry.first().copied()
            && until <= now
        {
            self.by_expiry.pop_first();
            self.tokens.remove(&id);
        }
    }
}

impl Reserved {
    /// It is used for good.
    pub fn use_up(self) {
        if let Some(state) = self.tokens.0.lock().tokens.get_mut(&self.id) {
            *state = State::Used;
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut remembered = self.tokens.0.lock();
        if remembered.tokens.get(&self.id) == Some(&State::Reserved) {
            remembered.tokens.remove(&self.id);
            remembered.by_expiry.remove(&(self.expires, self.id));
        }
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

    fn sizes(tokens: &OnceTokens) -> (usize, usize) {
        let remembered = tokens.0.lock();
        (remembered.tokens.len(), remembered.by_expiry.len())
    }

    #[test]
    fn a_token_is_used_once_until_it_has_expired() {
        let tokens = Arc::<OnceTokens>::default();
        let take = |jti, expires: u32, now: u32| {
            tokens.reserve(jti, expires * SECOND, now * SECOND).map(Reserved::use_up)
        };
        assert_eq!(take("a", 10, 1), Ok(()));
        assert_eq!(take("b", 5, 1), Ok(()));
        assert_eq!(take("a", 10, 9), Err(Refused::Again));
        assert_eq!(take("a", 20, 10), Ok(()), "it had expired");
        assert_eq!(sizes(&tokens), (1, 1));
    }

    #[test]
    fn a_token_that_is_reserved_is_nobody_elses_until_it_is_given_back() {
        let tokens = Arc::<OnceTokens>::default();
        let reserve = || tokens.reserve("a", 10 * SECOND, SECOND);
        let first = reserve().unwrap();
        assert_eq!(reserve().unwrap_err(), Refused::Meanwhile);
        drop(first);
        assert_eq!(sizes(&tokens), (0, 0));
        reserve().unwrap().use_up();
        assert_eq!(reserve().unwrap_err(), Refused::Again);
    }

    // Promise 4
    #[test]
    fn only_so_many_are_remembered() {
        let tokens = Arc::<OnceTokens>::default();
        let reserve = |jti: &str, expires, now| tokens.reserve(jti, expires, now).map(Reserved::use_up);
        (0..MOST).for_each(|n| assert_eq!(reserve(&n.to_string(), 10 * SECOND, SECOND), Ok(())));
        assert_eq!(reserve("one more", 10 * SECOND, SECOND), Err(Refused::Full));
        assert_eq!(reserve("one more", 20 * SECOND, 10 * SECOND), Ok(()));
        assert_eq!(sizes(&tokens), (1, 1));
    }
}
