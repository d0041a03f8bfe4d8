//! What was said last of each user: that his access is revoked, or given back. Each word has the id under
//! which Redis has first had it, and the newer one counts: a Redis that has come back older than it was is
//! told what it has forgotten, and nobody undoes by that what others have said since.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long it is known at least that something was said of a user.
pub(super) const KNOWN: Duration = Duration::from_secs(3_600);
/// A revocation that ends so much later is another one.
const TOLERANCE: Duration = Duration::from_secs(1);
/// Most users of whom that is known: as many as a node keeps revocations.
pub(super) const MOST: usize = crate::ground::revocations::Revocations::MOST;

/// The words of all users.
#[derive(Debug, Default)]
pub(super) struct Words(HashMap<Arc<str>, Word>);

/// When something was said: the id of an entry of a stream. Zero: nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said(u64, u64);

#[derive(Debug, Clone, Copy)]
struct Word {
    said: Said,
    /// The user is revoked until then. None: is let in again.
    until: Option<Instant>,
    forgotten: Instant,
}

impl Words {
    /// A user is revoked for so much longer; or with zero, let in again. False: something newer was said.
    pub(super) fn hear(&mut self, user: &Arc<str>, said: Said, left: Duration, now: Instant) -> bool {
        if self.0.get(user).is_some_and(|word| word.said > said) {
            return false;
        }
        if self.0.len() >= MOST && !self.0.contains_key(user) {
            self.0.retain(|_, word| word.forgotten > now);
        }
        let after = |span| now.checked_add(span).unwrap_or(now + KNOWN);
        let word =
            Word { said, until: (!left.is_zero()).then(|| after(left)), forgotten: after(left.max(KNOWN)) };
        if self.0.len() < MOST || self.0.contains_key(user) {
            self.0.insert(user.clone(), word);
        }
        true
    }

    /// What there is to say again: who is revoked here, and who was let in again.
    pub(super) fn again(
        &self,
        revoked: Vec<(Arc<str>, Duration)>,
        now: Instant,
    ) -> Vec<(Arc<str>, Said, Duration)> {
        let let_in = self.0.iter().filter(|(_, word)| word.until.is_none() && word.forgotten > now);
        let let_in = let_in.map(|(user, word)| (user.clone(), (word.said, Duration::ZERO)));
        let mut all: HashMap<_, _> = let_in.collect();
        for (user, left) in revoked {
            let said = match self.0.get(&user) {
                None => Said::default(),
                Some(Word { said, until: Some(until), .. }) if now + left <= *until + TOLERANCE => *said,
                // An operator has revoked it since, while Redis was away.
                Some(Word { said: Said(ms, number), .. }) => Said(*ms, number + 1),
            };
            all.insert(user, (said, left));
        }
        all.into_iter().map(|(user, (said, left))| (user, said, left)).collect()
    }
}

impl FromStr for Said {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, number) = text.split_once('-').ok_or(())?;
        Ok(Self(ms.parse().map_err(drop)?, number.parse().map_err(drop)?))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_newer_word_counts_whichever_comes_first() {
        let (mut words, now) = (Words::default(), Instant::now());
        let (ann, bob) = (Arc::<str>::from("ann"), Arc::<str>::from("bob"));
        assert!(words.hear(&ann, Said(5, 0), Duration::ZERO, now));
        assert!(
            !words.hear(&ann, Said(4, 9), 9 * SECOND, now),
            "somebody says again what he knew before that"
        );
        let mut again = words.again(vec![(bob.clone(), SECOND)], now);
        again.sort_unstable();
        let both = [(ann.clone(), Said(5, 0), Duration::ZERO), (bob, Said(0, 0), SECOND)];
        assert_eq!(again, both, "of bob nobody knows when it was said");
        assert!(words.hear(&ann, "10-2".parse().unwrap(), 9 * SECOND, now));
        let revoked = |left: u32| words.again(vec![(ann.clone(), left * SECOND)], now + SECOND);
        assert_eq!(revoked(8), [(ann.clone(), Said(10, 2), 8 * SECOND)]);
        assert_eq!(revoked(80), [(ann.clone(), Said(10, 3), 80 * SECOND)], "that is newer");
        assert_eq!(words.again(Vec::new(), now + 9 * SECOND), [], "it has run out");
    }

    // Promise 4
    #[test]
    fn only_so_many_are_kept() {
        let (mut words, now) = (Words::default(), Instant::now());
        for n in 0..=MOST {
            assert!(words.hear(&n.to_string().into(), Said(1, 0), SECOND, now), "it is heard all the same");
        }
        assert_eq!(words.0.len(), MOST);
        words.hear(&"later".into(), Said(2, 0), SECOND, now + KNOWN);
        assert_eq!(words.0.len(), 1);
    }
}
