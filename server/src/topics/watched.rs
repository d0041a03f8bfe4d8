//! Topics of users: where each is, for whoever watches. The server itself publishes there, and only the
//! newest counts; so they need no Redis, and are there for as long as somebody reads them.

use super::{
    event::{Event, Message},
    id::EventId,
    ring::{Bounds, Ring},
    topic::Topic,
};
use crate::{ground::shrink::give_back, metrics::Metrics};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::HashMap, mem, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// Most users that are watched. Each takes some 600 bytes.
pub(super) const MOST: usize = 200_000;
/// Of each, the newest event.
const BOUNDS: Bounds = Bounds { events: 1, bytes: usize::MAX, age: Duration::MAX };

/// The users that somebody watches here.
pub(crate) struct Watched {
    known: Mutex<Known>,
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

struct User {
    topic: Arc<Topic>,
    /// What was said last.
    said: Option<Bytes>,
}

impl Watched {
    /// None yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let (any, _) = watch::channel(false);
        Arc::new(Self { known: Mutex::default(), any, new: Notify::new(), metrics })
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

    /// All of them.
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
        let message = Message { text: text.clone(), kind: None, latest: true };
        if said.replace(text).is_some() {
            topic.publish(now_ms, message, &BOUNDS);
        } else {
            let before = EventId::at(now_ms);
            let mut ring = Ring::empty(before);
            ring.push(Event::new(before.next(now_ms), message), &BOUNDS);
            topic.load(ring);
        }
    }

    /// The topic of a user. None: there are as many as may be.
    pub(super) fn topic(&self, user: &str) -> Option<Arc<Topic>> {
        let mut known = self.known.lock();
        if let Some(user) = known.users.get(user) {
            return Some(user.topic.clone());
        }
        if known.users.len() >= MOST {
            return None;
        }
        let (user, topic) = (Arc::<str>::from(user), Arc::new(Topic::new(None)));
        known.new.push(user.clone());
        known.users.insert(user, User { topic: topic.clone(), said: None });
        self.count(&known);
        self.new.notify_one();
        Some(topic)
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
        self.metrics.presence_watched.set(known.users.len() as i64);
        let is_any = !known.users.is_empty();
        self.any.send_if_modified(|any| mem::replace(any, is_any) != is_any);
    }
}
