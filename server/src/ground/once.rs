//! Tokens that may be used once only: a join reserves one, and uses it up if it gets its seat. Bounded: when
//! as many are remembered as may be, and none has expired, no more are accepted.

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Most tokens that are remembered. (About 20 MB.)
pub(crate) const MOST: usize = 200_000;

/// The tokens that are used or reserved, until they expire.
#[derive(Debug, Default)]
pub struct OnceTokens {
    remembered: Mutex<Remembered>,
    kept: OnceLock<Arc<dyn KeepsUsed>>,
    elsewhere: OnceLock<Arc<dyn SharedTokens>>,
    /// Reservations so far.
    reservations: AtomicU64,
}

/// Other servers, at which a token may be used, too.
pub trait SharedTokens: fmt::Debug + Send + Sync {
    /// It may be used here by this reservation, and nowhere else for as long as a join takes, or for the span
    /// if that is shorter; or why not. It takes the place of earlier ones of this process, whose answers
    /// nobody has got.
    fn reserve(&self, id: Id, number: u64, span: Duration) -> BoxFuture<'static, Result<(), TokenRefused>>;
    /// It is used for good, and valid for so long.
    fn use_up(&self, id: Id, span: Duration);
    /// It was not used by this reservation after all. Begins at once, and is done when others may use it.
    fn give_back(&self, id: Id, number: u64) -> BoxFuture<'static, ()>;
}

/// Where used tokens are kept for the next server. It must not wait.
pub trait KeepsUsed: fmt::Debug + Send + Sync {
    /// This one is used, and valid until then (since 1970).
    fn keep(&self, id: Id, expires: Duration);
    /// This one has expired.
    fn forget(&self, id: Id);
}

/// Both clocks: tokens are valid by the time of day, which may be set meanwhile. So one is forgotten when it
/// has expired by that, and the time has passed by the other, too.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The clock that nobody sets.
    pub now: Instant,
    /// The time of day, since 1970.
    pub unix: Duration,
}

#[derive(Debug, Default)]
struct Remembered {
    tokens: HashMap<Id, Token>,
    /// The same, by the time until which they are remembered at least.
    by_end: BTreeSet<(Instant, Id)>,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    state: State,
    /// Since 1970.
    expires: Duration,
    ends: Instant,
}

/// Half of a SHA-256: of the same length however long the token's own id is.
pub type Id = [u8; 16];

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
    id: Id,
    /// Which reservation of this process it is.
    number: u64,
    /// How long it is valid.
    span: Duration,
    /// It is reserved elsewhere, too.
    elsewhere: bool,
}

/// Why a token may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefused {
    /// It was used before.
    Again,
    /// Another join is about to use it.
    Meanwhile,
    /// No more can be remembered.
    Full,
    /// It cannot be found out whether it was used elsewhere.
    Unknown,
}

impl OnceTokens {
    /// Reserves the token with this `jti`, which is valid until `expires` (since 1970).
    ///
    /// # Errors
    /// Why it may not be used.
    pub fn reserve(
        self: &Arc<Self>,
        jti: &str,
        expires: Duration,
        times: Times,
    ) -> Result<Reserved, TokenRefused> {
        let id = id_of(jti);
        self.put(id, State::Reserved, expires, times)?;
        let span = expires.saturating_sub(times.unix);
        let number = self.reservations.fetch_add(1, Relaxed);
        Ok(Reserved { tokens: self.clone(), id, number, span, elsewhere: false })
    }

    /// A token was used at another server, or in another process.
    pub fn remember(&self, id: Id, expires: Duration, times: Times) {
        let _ = self.put(id, State::Used, expires, times); // known already, or one too many
    }

    /// Has used tokens kept there from now on. Once.
    pub fn keep_in(&self, kept: Arc<dyn KeepsUsed>) {
        let _ = self.kept.set(kept);
    }

    /// Has tokens reserved there, too, from now on. Once.
    pub fn share_with(&self, elsewhere: Arc<dyn SharedTokens>) {
        let _ = self.elsewhere.set(elsewhere);
    }

    /// Those that were used, and when they expire (since 1970).
    pub fn used(&self) -> Vec<(Id, Duration)> {
        let remembered = self.remembered.lock();
        let used = remembered.tokens.iter().filter(|(_, token)| token.state == State::Used);
        used.map(|(id, token)| (*id, token.expires)).collect()
    }

    fn put(&self, id: Id, state: State, expires: Duration, times: Times) -> Result<(), TokenRefused> {
        let mut remembered = self.remembered.lock();
        for forgotten in remembered.forget_expired(times) {
            self.kept.get().into_iter().for_each(|kept| kept.forget(forgotten));
        }
        match remembered.tokens.get(&id).map(|token| token.state) {
            Some(State::Used) => return Err(TokenRefused::Again),
            Some(State::Reserved) => return Err(TokenRefused::Meanwhile),
            None if remembered.tokens.len() >= MOST => return Err(TokenRefused::Full),
            None => {}
        }
        let ends = times.after(expires);
        remembered.tokens.insert(id, Token { state, expires, ends });
        remembered.by_end.insert((ends, id));
        Ok(())
    }
}

impl Times {
    /// When this time of day comes, unless the clock is set. (Or so late that nobody lives to see it.)
    fn after(self, unix: Duration) -> Instant {
        let left = unix.saturating_sub(self.unix);
        self.now.checked_add(left).unwrap_or(self.now + Duration::from_secs(1 << 32))
    }
}

impl Remembered {
    /// Returns those that were used.
    fn forget_expired(&mut self, times: Times) -> Vec<Id> {
        let mut forgotten = Vec::new();
        while let Some((ends, id)) = self.by_end.first().copied()
            && ends <= times.now
        {
            self.by_end.pop_first();
            let Some(token) = self.tokens.get_mut(&id) else { continue };
            if token.expires > times.unix {
                // The time of day was set back: it is valid again.
                token.ends = times.after(token.expires);
                self.by_end.insert((token.ends, id));
            } else if self.tokens.remove(&id).is_some_and(|token| token.state == State::Used) {
                forgotten.push(id);
            }
        }
        forgotten
    }
}

impl Reserved {
    /// Whether it has to be reserved elsewhere, too.
    pub fn is_shared(&self) -> bool {
        self.tokens.elsewhere.get().is_some() && !self.elsewhere
    }

    /// Reserves it elsewhere, too.
    ///
    /// # Errors
    /// Why it may not be used.
    pub async fn everywhere(mut self) -> Result<Self, TokenRefused> {
        if let Some(elsewhere) = self.tokens.elsewhere.get() {
            elsewhere.reserve(self.id, self.number, self.span).await?;
            self.elsewhere = true;
        }
        Ok(self)
    }

    /// It is not used: whoever is told to go elsewhere can use it there when this is done.
    pub async fn give_back(mut self) {
        let shared = self.tokens.elsewhere.get().filter(|_| std::mem::take(&mut self.elsewhere));
        let done = shared.map(|elsewhere| elsewhere.give_back(self.id, self.number));
        drop(self);
        if let Some(done) = done {
            done.await;
        }
    }

    /// It is used for good.
    pub fn use_up(self) {
        let mut remembered = self.tokens.remembered.lock();
        let Some(token) = remembered.tokens.get_mut(&self.id) else { return };
        token.state = State::Used;
        let expires = token.expires;
        self.tokens.kept.get().into_iter().for_each(|kept| kept.keep(self.id, expires));
        if self.elsewhere {
            self.tokens
                .elsewhere
                .get()
                .into_iter()
                .for_each(|elsewhere| elsewhere.use_up(self.id, self.span));
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut remembered = self.tokens.remembered.lock();
        if let Some(Token { state: State::Reserved, ends, .. }) = remembered.tokens.get(&self.id).copied() {
            remembered.tokens.remove(&self.id);
            remembered.by_end.remove(&(ends, self.id));
            if self.elsewhere {
                self.tokens
                    .elsewhere
                    .get()
                    .into_iter()
                    .for_each(|elsewhere| drop(elsewhere.give_back(self.id, self.number)));
            }
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
        let remembered = tokens.remembered.lock();
        (remembered.tokens.len(), remembered.by_end.len())
    }

    /// Both clocks, so many seconds after `start`.
    fn times(start: Instant, now: u32) -> Times {
        Times { now: start + now * SECOND, unix: now * SECOND }
    }

    #[test]
    fn a_token_is_used_once_until_it_has_expired() {
        let (tokens, start) = (Arc::<OnceTokens>::default(), Instant::now());
        let take = |jti, expires: u32, now: u32| {
            tokens.reserve(jti, expires * SECOND, times(start, now)).map(Reserved::use_up)
        };
        assert_eq!(take("a", 10, 1), Ok(()));
        assert_eq!(take("b", 5, 1), Ok(()));
        assert_eq!(take("a", 10, 9), Err(TokenRefused::Again));
        assert_eq!(take("a", 20, 10), Ok(()), "it had expired");
        assert_eq!(sizes(&tokens), (1, 1));
    }

    #[test]
    fn a_token_that_is_reserved_is_nobody_elses_until_it_is_given_back() {
        let (tokens, now) = (Arc::<OnceTokens>::default(), times(Instant::now(), 1));
        let reserve = || tokens.reserve("a", 10 * SECOND, now);
        let first = reserve().unwrap();
        assert_eq!(reserve().unwrap_err(), TokenRefused::Meanwhile);
        drop(first);
        assert_eq!(sizes(&tokens), (0, 0));
        reserve().unwrap().use_up();
        assert_eq!(reserve().unwrap_err(), TokenRefused::Again);
    }

    #[test]
    fn a_clock_that_is_set_makes_no_token_good_twice() {
        let (tokens, start) = (Arc::<OnceTokens>::default(), Instant::now());
        let at = |now: u32, unix: u32| Times { now: start + now * SECOND, unix: unix * SECOND };
        let reserve = |times| tokens.reserve("a", 100 * SECOND, times).map(Reserved::use_up);
        reserve(at(0, 50)).unwrap();
        assert_eq!(reserve(at(1, 5_000)), Err(TokenRefused::Again), "ahead for a moment");
        assert_eq!(reserve(at(2, 52)), Err(TokenRefused::Again));
        assert_eq!(reserve(at(60, 40)), Err(TokenRefused::Again), "set back: it is still valid");
        assert_eq!(reserve(at(119, 99)), Err(TokenRefused::Again));
        assert_eq!(reserve(at(120, 100)), Ok(()));
    }

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<(Id, Option<Duration>)>>);

    impl KeepsUsed for Kept {
        fn keep(&self, id: Id, expires: Duration) {
            self.0.lock().push((id, Some(expires)));
        }
        fn forget(&self, id: Id) {
            self.0.lock().push((id, None));
        }
    }

    #[test]
    fn what_is_used_is_kept_until_it_expires() {
        let (tokens, start, kept) = (Arc::<OnceTokens>::default(), Instant::now(), Arc::<Kept>::default());
        tokens.keep_in(kept.clone());
        drop(tokens.reserve("a", 10 * SECOND, times(start, 1)).unwrap());
        assert_eq!(*kept.0.lock(), [], "given back");
        tokens.reserve("a", 10 * SECOND, times(start, 1)).unwrap().use_up();
        tokens.remember(id_of("b"), 9 * SECOND, times(start, 1));
        assert_eq!(tokens.reserve("b", 9 * SECOND, times(start, 2)).unwrap_err(), TokenRefused::Again);
        assert_eq!(tokens.used().len(), 2);
        drop(tokens.reserve("c", 20 * SECOND, times(start, 10)).unwrap());
        let kept = kept.0.lock();
        assert_eq!(*kept, [(id_of("a"), Some(10 * SECOND)), (id_of("b"), None), (id_of("a"), None)]);
    }

    // Promise 4
    #[test]
    fn only_so_many_are_remembered() {
        let (tokens, start) = (Arc::<OnceTokens>::default(), Instant::now());
        let reserve =
            |jti: &str, expires, now| tokens.reserve(jti, expires, times(start, now)).map(Reserved::use_up);
        (0..MOST).for_each(|n| assert_eq!(reserve(&n.to_string(), 10 * SECOND, 1), Ok(())));
        assert_eq!(reserve("one more", 10 * SECOND, 1), Err(TokenRefused::Full));
        assert_eq!(reserve("one more", 20 * SECOND, 10), Ok(()));
        assert_eq!(sizes(&tokens), (1, 1));
    }
}
