//! What Redis has been told of this node's users, and what it is to be told next. Pure: time is an argument.
//!
//! ```text
//!             everything is here      Done                    Lost, or another incarnation
//!   Unknown ─────────────────► Anew ────────► Known ───────────────────────────────────────► Unknown
//! ```
//!
//! Batches are numbered, and the number of the last one is kept beside what it has written. So a Redis that
//! has forgotten some of it is noticed with the next batch, and is told everything anew. One is on its way at
//! a time; changes that come meanwhile wait, only the last one of each user.

use super::{Incarnation, Told};
use crate::ground::shrink::give_back;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Most users of a batch: Redis does nothing else meanwhile.
const MOST: usize = if cfg!(test) { 3 } else { 1_000 };
/// Time between two attempts after a failure.
const AGAIN: Duration = Duration::from_millis(250);
/// How often everything is asked for, until it comes.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What Redis has been told, and what it is to be told.
#[derive(Debug)]
pub(super) struct Ledger {
    me: Incarnation,
    state: State,
    /// The number of the batch that was sent last.
    sent: u64,
    /// What is to be told of each user. Empty: it is not here.
    waiting: HashMap<Arc<str>, String>,
    flying: Option<Batch>,
    /// After this time without a change, Redis is told that nothing has changed.
    every: Duration,
    due: Instant,
    quiet_until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Redis may have anything. Everything is to be asked for, then.
    Unknown { ask_at: Instant },
    /// Everything waits to be told, and nothing is yet.
    Anew,
    /// Redis has what was told up to this batch, at least.
    Known(u64),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Do {
    /// Find out everything about this node's users.
    AskForAll,
    Tell(Batch),
}

/// What Redis is told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub me: Incarnation,
    /// The batch before: one of these. None: what is there does not count.
    pub after: Option<(u64, u64)>,
    pub number: u64,
    /// Users, and their visits. Empty: there are none.
    pub users: Vec<(Arc<str>, String)>,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    /// It has not what was before.
    Lost,
}

impl Ledger {
    /// Nothing is known.
    pub(super) fn new(me: Incarnation, every: Duration, now: Instant) -> Self {
        let state = State::Unknown { ask_at: now };
        Self { me, state, sent: 0, waiting: HashMap::new(), flying: None, every, due: now, quiet_until: now }
    }

    /// The node goes on as another incarnation, of which Redis knows nothing.
    pub(super) fn begin(&mut self, now: Instant, me: &Incarnation) {
        if self.me != *me {
            self.me = me.clone();
            self.flying = None;
            self.forget(now);
        }
    }

    /// What presence says.
    pub(super) fn told(&mut self, told: Told) {
        match (told, self.state) {
            // They are in what was asked for.
            (Told::Changed(_), State::Unknown { .. }) => {}
            (Told::Changed(users), _) => self.waiting.extend(users),
            (Told::All(users), State::Unknown { .. }) => {
                self.waiting = users.into_iter().collect();
                self.state = State::Anew;
            }
            // It was asked for twice, or is too old.
            (Told::All(_), _) => {}
        }
    }

    /// When to call [`poll`](Self::poll), if nothing happens before. None: only an answer leads on.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            _ if self.flying.is_some() => None,
            State::Unknown { ask_at } => Some(ask_at),
            State::Anew => Some(self.quiet_until),
            State::Known(_) if !self.waiting.is_empty() => Some(self.quiet_until),
            State::Known(_) => Some(self.due.max(self.quiet_until)),
        }
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Do> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return None;
        }
        let after = match &mut self.state {
            State::Unknown { ask_at } => {
                *ask_at = now + ASK_AGAIN;
                return Some(Do::AskForAll);
            }
            State::Anew => None,
            State::Known(least) => Some((*least, self.sent)),
        };
        let some: Vec<_> = self.waiting.keys().take(MOST).cloned().collect();
        let users = some.into_iter().filter_map(|user| self.waiting.remove_entry(&user)).collect();
        give_back(&mut self.waiting);
        self.sent += 1;
        let batch = Batch { me: self.me.clone(), after, number: self.sent, users };
        self.flying = Some(batch.clone());
        Some(Do::Tell(batch))
    }

    /// The answer to a batch. None: there is none, and nobody knows whether it counts.
    pub(super) fn answered(&mut self, now: Instant, number: u64, said: Option<Said>) {
        let Some(batch) = self.flying.take_if(|flying| flying.number == number) else { return };
        self.due = now + self.every;
        match said {
            Some(Said::Done) => self.state = State::Known(number),
            Some(Said::Lost) => self.forget(now),
            None => {
                for (user, visits) in batch.users {
                    self.waiting.entry(user).or_insert(visits); // what has come since counts
                }
                self.quiet_until = now + AGAIN;
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        self.waiting = HashMap::new();
        self.state = State::Unknown { ask_at: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::collections::BTreeMap;

    const EVERY: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// What the script does, in Rust.
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Redis {
        hashes: BTreeMap<String, (u64, BTreeMap<Arc<str>, String>)>,
    }

    impl Redis {
        fn tell(&mut self, batch: &Batch) -> Said {
            let key = batch.me.to_string();
            match (batch.after, self.hashes.get(&key)) {
                (None, _) => drop(self.hashes.remove(&key)),
                (Some((least, most)), Some((last, _))) if (least..=most).contains(last) => {}
                (Some(_), _) => return Said::Lost,
            }
            let (last, users) = self.hashes.entry(key).or_default();
            *last = batch.number;
            for (user, visits) in &batch.users {
                match visits.is_empty() {
                    true => drop(users.remove(user)),
                    false => drop(users.insert(user.clone(), visits.clone())),
                }
            }
            Said::Done
        }
    }

    fn me(n: u32) -> Incarnation {
        Incarnation(format!("a-{n}").into())
    }

    fn users(of: &[(&str, &str)]) -> Vec<(Arc<str>, String)> {
        of.iter().map(|(user, visits)| ((*user).into(), (*visits).to_owned())).collect()
    }

    fn batch(done: Option<Do>) -> Batch {
        match done {
            Some(Do::Tell(batch)) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// One that Redis has been told everything of.
    fn known(now: Instant) -> Ledger {
        let mut ledger = Ledger::new(me(1), EVERY, now);
        assert_eq!(ledger.poll(now), Some(Do::AskForAll));
        ledger.told(Told::All(Vec::new()));
        let first = batch(ledger.poll(now));
        assert_eq!(first.after, None, "what was there before does not count");
        ledger.answered(now, first.number, Some(Said::Done));
        ledger
    }

    #[test]
    fn many_joins_are_one_command_and_only_the_last_word_on_each_counts() {
        let now = Instant::now();
        let mut ledger = known(now);
        for n in 0..10_000 {
            ledger.told(Told::Changed(users(&[("ann", &n.to_string()), ("bob", "x")])));
        }
        let told = batch(ledger.poll(now));
        assert_eq!(told.users.len(), 2);
        assert!(told.users.contains(&("ann".into(), "9999".into())));
        ledger.told(Told::Changed(users(&[("ann", "")])));
        assert_eq!(ledger.poll(now), None, "one is on its way");
        ledger.answered(now, told.number, Some(Said::Done));
        assert_eq!(batch(ledger.poll(now)).users, users(&[("ann", "")]));
    }

    #[test]
    fn a_node_at_which_nothing_happens_says_so_now_and_then() {
        let now = Instant::now();
        let mut ledger = known(now);
        assert_eq!(ledger.poll_timeout(), Some(now + EVERY));
        assert_eq!(ledger.poll(now + EVERY - MS), None);
        assert_eq!(batch(ledger.poll(now + EVERY)).users, []);
    }

    #[test]
    fn what_comes_while_everything_is_asked_for_is_in_the_answer() {
        let now = Instant::now();
        let mut ledger = Ledger::new(me(1), EVERY, now);
        assert_eq!(ledger.poll(now), Some(Do::AskForAll));
        ledger.told(Told::Changed(users(&[("ann", "")])));
        assert_eq!(ledger.poll(now), None);
        ledger.told(Told::All(users(&[("bob", "x")])));
        ledger.told(Told::Changed(users(&[("cat", "y")])));
        let mut told = batch(ledger.poll(now)).users;
        told.sort();
        assert_eq!(told, users(&[("bob", "x"), ("cat", "y")]));
    }

    // Promise 5: "no ghosts [...]". Whatever fails, Redis has in the end what the node has, and no more.
    #[test]
    fn redis_has_what_the_node_has_whatever_fails() {
        for seed in 0..2_000 {
            story(seed);
        }
    }

    fn story(seed: u64) {
        let (mut rng, start) = (Rng::with_seed(seed), Instant::now());
        let (mut redis, mut replica) = (Redis::default(), Redis::default());
        let mut truth = BTreeMap::<Arc<str>, String>::new();
        let (mut now, mut life) = (start, 1);
        let mut ledger = Ledger::new(me(life), EVERY, now);
        for step in 0..400 {
            let calm = step >= 300;
            now += MS * rng.u32(1..400);
            if !calm || step == 300 {
                let user: Arc<str> = format!("u{}", rng.u32(0..9)).into();
                let visits = if rng.bool() { String::new() } else { rng.u32(1..99).to_string() };
                match visits.is_empty() {
                    true => drop(truth.remove(&user)),
                    false => drop(truth.insert(user.clone(), visits.clone())),
                }
                ledger.told(Told::Changed(vec![(user, visits)]));
            }
            match if calm { 9 } else { rng.u32(0..40) } {
                0 => redis = Redis::default(),
                1 => redis = replica.clone(),
                2 => replica = redis.clone(),
                3 => {
                    life += 1;
                    ledger.begin(now, &me(life));
                }
                _ => {}
            }
            match ledger.poll(now) {
                Some(Do::AskForAll) => {
                    let all = truth.iter().map(|(user, visits)| (user.clone(), visits.clone()));
                    ledger.told(Told::All(all.collect()));
                }
                Some(Do::Tell(batch)) => {
                    let lost = if calm { 9 } else { rng.u32(0..10) };
                    let said = (lost != 0).then(|| redis.tell(&batch));
                    ledger.answered(now, batch.number, said.filter(|_| lost != 1));
                }
                None => {}
            }
        }
        let has = redis.hashes.get(&me(life).to_string()).map(|(_, users)| users);
        assert_eq!(has, Some(&truth), "seed {seed}");
    }
}
