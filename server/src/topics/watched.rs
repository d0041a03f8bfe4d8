//! Topics of users: where each is, for whoever watches. The server itself publishes there, and only the
//! newest counts; so they need no Redis, and are there for as long as somebody reads them.
//!
//! There are only so many. A part of them is for operators, no source has more than its part, and who watches
//! himself always may.

use super::{
    CannotRead, OF_OPERATORS,
    event::{Event, Message},
    id::EventId,
    ring::{Bounds, Ring},
    topic::Topic,
};
use crate::{
    ground::{
        identity::{Identity, Role},
        shares::{Share, Shares},
        shrink::give_back,
        source::Source,
    },
    metrics::Metrics,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::HashMap, mem, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// Most users that are watched. Each takes some 600 bytes.
const MOST: usize = 200_000;
/// The part of them that a source may watch: one in so many. (Each counts as often as it is watched.)
const OF_SOURCE: usize = 8;
/// Of each, the newest event.
const BOUNDS: Bounds = Bounds { events: 1, bytes: usize::MAX, age: Duration::MAX };

/// The users that somebody watches here.
pub(crate) struct Watched {
    most: usize,
    known: Mutex<Known>,
    of_source: Arc<Shares>,
    /// Whether there are any.
    any: watch::Sender<bool>,
    /// Told when there is one of whom nothing is known.
    new: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Known {
    users: HashMap<Arc<str>, User>,
    /// Those of whom nothing is known yet.
    new: Vec<Arc<str>>,
}

/// Who watches a user.
#[derive(Debug, Clone, Copy)]
pub(super) enum Watcher {
    Operator,
    /// The user.
    Oneself,
    Other(Source),
}

/// A user, as somebody watches him.
#[derive(Debug)]
pub(super) struct WatchedUser {
    pub(super) topic: Arc<Topic>,
    pub(super) share: Share,
}

struct User {
    topic: Arc<Topic>,
    /// What was said last.
    said: Option<Bytes>,
}

impl Watcher {
    /// What somebody with this identity is to a user.
    pub(super) fn of(identity: &Identity, source: Source, user: &str) -> Self {
        match identity.role {
            _ if **identity.user.id() == *user => Self::Oneself,
            Role::Admin => Self::Operator,
            Role::Player | Role::Spectator => Self::Other(source),
        }
    }
}

impl Watched {
    /// None yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Self::at_most(MOST, metrics)
    }

    fn at_most(most: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let (any, _) = watch::channel(false);
        let of_source = Shares::new(most / OF_SOURCE);
        Arc::new(Self { most, known: Mutex::default(), of_source, any, new: Notify::new(), metrics })
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> watch::Receiver<bool> {
        self.any.subscribe()
    }

    /// Waits until there is one of whom nothing is known.
    pub(crate) async fn newcomer(&self) {
        self.new.notified().await;
    }

    /// Those of whom nothing is known yet. Each is named once.
    pub(crate) fn new_ones(&self) -> Vec<Arc<str>> {
        mem::take(&mut self.known.lock().new)
    }

    /// All users that are watched.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        self.known.lock().users.keys().cloned().collect()
    }

    /// Those of these users who are watched.
    pub(crate) fn among(&self, mut users: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let known = self.known.lock();
        users.retain(|user| known.users.contains_key(user));
        users
    }

    /// Tells whoever watches a user where he is, if that is not what they know.
    pub(crate) fn tell(&self, user: &str, text: Bytes, now_ms: u64) {
        let mut known = self.known.lock();
        let Some(User { topic, said }) = known.users.get_mut(user) else { return };
        if said.as_ref() == Some(&text) {
            return;
        }
        let message = Message { text: text.clone(), latest: true, ..Message::default() };
        if said.replace(text).is_some() {
            topic.publish(now_ms, message, &BOUNDS);
        } else {
            let before = EventId::at(now_ms);
            let mut ring = Ring::empty(before);
            ring.push(Event::new(before.next(now_ms), message), &BOUNDS);
            topic.load(ring);
        }
    }

    /// Watches a user.
    pub(super) fn watch(&self, user: &str, watcher: Watcher) -> Result<WatchedUser, CannotRead> {
        let share = match watcher {
            Watcher::Operator | Watcher::Oneself => Share::uncounted(),
            Watcher::Other(source) => {
                let most = self.of_source.max();
                self.of_source.take(source).ok_or(CannotRead::TooManyUsersOfAddress(most))?
            }
        };
        let most = match watcher {
            Watcher::Operator => self.most,
            Watcher::Oneself => usize::MAX,
            Watcher::Other(_) => self.most - self.most / OF_OPERATORS,
        };
        Ok(WatchedUser { topic: self.topic(user, most)?, share })
    }

    /// The topic of a user, if there are not that many others.
    fn topic(&self, user: &str, most: usize) -> Result<Arc<Topic>, CannotRead> {
        let mut known = self.known.lock();
        if let Some(user) = known.users.get(user) {
            return Ok(user.topic.clone());
        }
        if known.users.len() >= most {
            return Err(CannotRead::TooManyUsers(most));
        }
        let (user, topic) = (Arc::<str>::from(user), Arc::new(Topic::new(None)));
        known.new.push(user.clone());
        known.users.insert(user, User { topic: topic.clone(), said: None });
        self.count(&known);
        self.new.notify_one();
        Ok(topic)
    }

    /// Forgets those whom nobody watches any more.
    pub(super) fn tidy(&self) {
        let mut known = self.known.lock();
        known.users.retain(|_, user| Arc::strong_count(&user.topic) > 1);
        give_back(&mut known.users);
        self.count(&known);
    }

    /// Wakes all who read.
    pub(super) fn wake(&self) {
        let topics: Vec<_> = self.known.lock().users.values().map(|user| user.topic.clone()).collect();
        topics.iter().for_each(|topic| topic.wake());
    }

    fn count(&self, known: &Known) {
        self.metrics.nodes.presence_watched.set(known.users.len() as i64);
        let is_any = !known.users.is_empty();
        self.any.send_if_modified(|any| mem::replace(any, is_any) != is_any);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 4
    #[test]
    fn nobody_watches_so_many_that_others_or_operators_cannot_and_one_may_always_watch_oneself() {
        let watched = Watched::at_most(16, Arc::new(Metrics::new()));
        let source = |n: u8| Watcher::Other(Source::of([192, 0, 2, n].into()));
        let watch = |user: &str, by| watched.watch(user, by);
        let mut all = Vec::new();
        for n in 0..6 {
            all.push(watch(&format!("a{n}"), source(n)).unwrap());
            all.push(watch(&format!("b{n}"), source(n)).unwrap());
            let third = watch(&format!("c{n}"), source(n)).unwrap_err();
            assert_eq!(third, CannotRead::TooManyUsersOfAddress(2));
        }
        assert_eq!(watch("d", source(6)).unwrap_err(), CannotRead::TooManyUsers(12));
        all.push(watch("a0", source(6)).expect("somebody watches already"));
        for n in 0..4 {
            all.push(watch(&format!("e{n}"), Watcher::Operator).unwrap());
        }
        assert_eq!(watch("f", Watcher::Operator).unwrap_err(), CannotRead::TooManyUsers(16));
        all.push(watch("d", Watcher::Oneself).unwrap());
        drop(all.remove(0));
        all.push(watch("b0", source(0)).expect("what was given up counts no more"));
        drop(all);
        watched.tidy();
        assert!(watched.all().is_empty());
    }
}
