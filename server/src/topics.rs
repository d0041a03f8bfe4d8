//! Topics: what a server says to all who read one, over HTTP as Server-Sent Events, or over the connection of
//! a game.
//!
//! | part | what |
//! | --- | --- |
//! | [`id`], [`event`] | ids, and how events are sent: pure |
//! | [`ring`] | a topic's history: pure |
//! | [`topic`] | a topic on this node: its history, and who waits for more |
//! | [`reader`] | a place in a history |
//! | [`subscriptions`], [`publications`], [`wire`] | what the client of a game reads and publishes over its connection |
//! | [`watched`] | where users are, for whoever watches them |
//! | [`remote`], [`stream`], [`history`], [`horizon`] | topics of many nodes, through Redis; what is said to it |
//! | [`readers`], [`spread`] | how many may read, how fast they may come, and in how many topics one may publish |
//!
//! **A reader is a place, not a queue.** An event is encoded once, kept in the topic's ring, and shared by
//! all who read it. A reader has the id up to which it has read, and is woken when there is more. So one that
//! is slow costs nothing. When the ring has dropped what it was to read next, it is closed, and comes back
//! with its last id; then it is told that it has missed something, by an event `gap`.
//!
//! **Events that replace each other** (`latest`) are figures, positions, progress: of those, a topic keeps
//! the newest only. So whoever is slow gets that, and nothing is missed.

mod cursor;
mod event;
mod history;
mod horizon;
mod id;
mod publications;
mod reader;
mod readers;
mod remote;
mod ring;
mod spread;
mod stream;
mod subscriptions;
mod topic;
mod watched;
mod wire;

pub(crate) use event::{Author, EventKind, Message};
pub(crate) use id::{EventId, Since};
pub(crate) use publications::{Publisher, TooManyWait};
pub(crate) use reader::{Goodbye, Reader, Step};
pub(crate) use readers::{CannotRead, between};
pub(crate) use remote::TopicsRedis;
pub(crate) use subscriptions::Subscriptions;
pub(crate) use watched::Watched;

use crate::{
    clock::{self, Clock},
    config::Config,
    ground::{identity::RoomPattern, source::Source, tenure::Tenure},
    metrics::Metrics,
};
use parking_lot::Mutex;
use readers::{ReaderPlace, Readers};
use remote::Remote;
use ring::{Bounds, Ring};
use spread::{Most, Spread};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use topic::Topic;
use watched::{WatchedUser, Watcher};

/// The part of all topics that is for operators alone: one in so many.
const OF_OPERATORS: usize = 4;
/// How long a topic of many nodes is kept here that nobody reads any more: its history need not come again.
const UNREAD: Duration = Duration::from_secs(10);
/// Time between two looks at what is too old, and at who may read no longer.
const LOOK: Duration = Duration::from_millis(500);

/// All topics, as this node has them.
pub struct Topics {
    clock: Clock,
    bounds: Bounds,
    max: usize,
    /// Those that everybody may read.
    open: Vec<RoomPattern>,
    known: Mutex<Known>,
    readers: Arc<Readers>,
    spread: Spread,
    watched: Arc<Watched>,
    /// Redis, if there are other nodes.
    remote: Option<Remote>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Known {
    topics: HashMap<Arc<str>, Found>,
    /// How many of them have a history. Those that somebody only reads are as many as may read: they take no
    /// place from who publishes.
    histories: usize,
    /// Above the ids of topics that were forgotten, and of those before the server was started.
    floor: EventId,
}

#[derive(Debug)]
struct Found {
    topic: Arc<Topic>,
    has_history: bool,
    /// Since when nobody reads it.
    unread: Option<Instant>,
}

/// Why something is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotPublished {
    /// As many topics as may be have a history.
    #[error(
        "{0} topics have a history, as many as may (max_topics): try again when some have been quiet for long"
    )]
    TooManyTopics(usize),
    /// The source publishes in as many topics as it may.
    #[error(
        "{of} publishes in {most} topics, as many as one address may: try again when some have been quiet for long"
    )]
    TooManyOfAddress {
        /// The source.
        of: Source,
        /// The limit.
        most: usize,
    },
    /// Redis does not take it. (Or it has taken it, and not said so in time.)
    #[error("it cannot be published now: {0}")]
    Unavailable(String),
}

impl NotPublished {
    /// In a word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooManyTopics(_) => "too_many_topics",
            Self::TooManyOfAddress { .. } => "too_many_topics_of_address",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Topics {
    /// None yet. At most `most` may read at a time, whatever the configuration says. `redis`: what belongs to
    /// Redis, if there are other nodes.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        config: &Config,
        most: usize,
        redis: Option<TopicsRedis>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> io::Result<Arc<Self>> {
        let bounds = Bounds {
            events: config.topic_history,
            bytes: config.topic_history_bytes,
            age: config.topic_history_age,
        };
        let start = |around| Remote::start(around, bounds, clock, metrics.clone());
        let remote = redis.map(start).transpose()?;
        let floor = EventId::at(clock.unix_ms(clock.now()));
        Ok(Arc::new(Self {
            clock,
            bounds,
            max: config.max_topics,
            open: config.topics_open.clone(),
            known: Mutex::new(Known { topics: HashMap::new(), histories: 0, floor }),
            readers: Readers::new(config, most, metrics.clone()),
            spread: Spread::new(config.max_topics, config.topic_history_age),
            remote,
            watched: Watched::new(metrics.clone()),
            metrics,
        }))
    }

    /// Whether everybody may read the topic with this name.
    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.open.iter().any(|pattern| pattern.fits(name))
    }

    /// Publishes something. Returns its id. `of`: from where it comes; None: from an operator, who has topics
    /// that nobody else can take.
    pub(crate) async fn publish(
        &self,
        name: &str,
        message: Message,
        of: Option<Source>,
    ) -> Result<EventId, NotPublished> {
        // A load test, or clients of a proxy that was not named as one, are not one stranger.
        let source = of.filter(|of| !of.is_loopback()).map(|of| (of, self.spread.most()));
        let most = Most { topics: self.max - of.map_or(0, |_| self.max / OF_OPERATORS), source };
        let id = match &self.remote {
            Some(remote) => remote.publish(name, message, most).await?,
            None => self.publish_here(name, message, most)?,
        };
        self.metrics.topics.events.inc();
        Ok(id)
    }

    fn publish_here(&self, name: &str, message: Message, most: Most) -> Result<EventId, NotPublished> {
        let now = clock::now();
        if let Some((of, _)) = most.source {
            let published = self.spread.publishes(now, of, name);
            published.map_err(|most| NotPublished::TooManyOfAddress { of, most })?;
        }
        let topic = self.topic_with_history(name, most.topics).inspect_err(|_| {
            if let Some((of, _)) = most.source {
                self.spread.takes_back(now, of, name);
            }
        })?;
        Ok(topic.publish(self.now_ms(), message, &self.bounds))
    }

    /// Reads a topic. `tenure`: who does, if that matters.
    pub(crate) fn read(
        &self,
        name: &str,
        since: &Since,
        tenure: Option<Tenure>,
        source: Source,
    ) -> Result<Reader, CannotRead> {
        let place = self.readers.enter(source)?;
        Ok(Reader::of_topic(self.topic(name), since, tenure, place))
    }

    /// Reads where users are. `tenure`: who does; None: an operator.
    pub(crate) fn watch(
        &self,
        users: &[Arc<str>],
        tenure: Option<Tenure>,
        source: Source,
    ) -> Result<Reader, CannotRead> {
        let place = self.readers.enter(source)?;
        let watch = |user: &Arc<str>| {
            let watcher = |tenure: &Tenure| Watcher::of(tenure.identity(), source, user);
            self.watched.watch(user, tenure.as_ref().map_or(Watcher::Operator, watcher))
        };
        let users: Vec<WatchedUser> = users.iter().map(watch).collect::<Result<_, _>>()?;
        Ok(Reader::of_users(users, tenure, place))
    }

    /// The users that somebody watches.
    pub(crate) fn watched(&self) -> &Arc<Watched> {
        &self.watched
    }

    /// Counts something that is published from there. The error says how long to wait.
    pub(crate) fn may_publish(&self, source: Source) -> Result<(), Duration> {
        self.readers.may_publish(source)
    }

    /// How many read.
    pub(crate) fn readers(&self) -> usize {
        self.readers.count()
    }

    /// Says goodbye to all who read. They come back within this time.
    pub(crate) fn drain(&self, spread: Duration) {
        self.readers.drain(spread);
        self.wake();
    }

    /// The topic, for one who reads it.
    fn topic(&self, name: &str) -> Arc<Topic> {
        let mut known = self.known.lock();
        if let Some(found) = known.topics.get(name) {
            return found.topic.clone();
        }
        let (name, topic) = (Arc::from(name), self.new_topic(known.floor));
        if let Some(remote) = &self.remote {
            remote.follow(Arc::clone(&name), Arc::downgrade(&topic));
        }
        known.topics.insert(name, Found { topic: topic.clone(), has_history: false, unread: None });
        self.metrics.topics.known.set(known.topics.len() as i64);
        topic
    }

    /// The topic, for one who publishes in it.
    fn topic_with_history(&self, name: &str, most: usize) -> Result<Arc<Topic>, NotPublished> {
        let mut known = self.known.lock();
        let Known { topics, histories, floor } = &mut *known;
        if let Some(found) = topics.get(name).filter(|found| found.has_history) {
            return Ok(found.topic.clone());
        }
        if *histories >= most {
            return Err(NotPublished::TooManyTopics(most));
        }
        *histories += 1;
        let new = || Found { topic: self.new_topic(*floor), has_history: true, unread: None };
        let found = topics.entry(name.into()).or_insert_with(new);
        found.has_history = true;
        let topic = found.topic.clone();
        self.metrics.topics.known.set(topics.len() as i64);
        Ok(topic)
    }

    fn new_topic(&self, floor: EventId) -> Arc<Topic> {
        Arc::new(match &self.remote {
            Some(remote) => Topic::of_nodes(remote.horizon()),
            None => Topic::new(Some(Ring::empty(floor))),
        })
    }

    /// Wakes all who read.
    fn wake(&self) {
        let topics: Vec<_> = self.known.lock().topics.values().map(|found| found.topic.clone()).collect();
        topics.iter().for_each(|topic| topic.wake());
        self.watched.wake();
    }

    /// Drops what is too old, and topics of which nobody has anything.
    fn tidy(&self) {
        self.watched.tidy();
        let now = clock::now();
        self.spread.tidy(now);
        let now_ms = self.now_ms();
        let mut known = self.known.lock();
        let Known { topics, histories, floor } = &mut *known;
        topics.retain(|_, Found { topic, has_history, unread }| {
            topic.expire(now_ms, &self.bounds);
            // (Of one in which something is just being published, the next look tells.)
            let ended_at = topic.ended_at();
            *has_history = ended_at.is_none();
            // Whoever is about to read or publish has got it from here, and has a reference, too.
            if Arc::strong_count(topic) > 1 {
                *unread = None;
                return true;
            }
            let ended_at = match &self.remote {
                // Redis has it.
                Some(_) => {
                    let since = *unread.get_or_insert(now);
                    (now.saturating_duration_since(since) >= UNREAD).then_some(EventId::ZERO)
                }
                None => ended_at,
            };
            let Some(ended_at) = ended_at else { return true };
            *floor = ended_at.max(*floor);
            false
        });
        *histories = topics.values().filter(|found| found.has_history).count();
        self.metrics.topics.known.set(known.topics.len() as i64);
    }

    fn now_ms(&self) -> u64 {
        self.clock.unix_ms(self.clock.now())
    }
}

/// Looks after the topics for as long as somebody holds them. `revoked` rises with each user whose access is
/// revoked.
pub(crate) async fn tend(topics: Weak<Topics>, revoked: impl Fn() -> u64) {
    let mut seen = revoked();
    let mut looks = actix_rt::time::interval(LOOK);
    loop {
        looks.tick().await;
        let Some(topics) = topics.upgrade() else { return };
        topics.tidy();
        let now = revoked();
        if std::mem::replace(&mut seen, now) != now {
            topics.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    pub(super) fn topics(max: usize) -> Arc<Topics> {
        let config = Config { max_topics: max, ..Config::default() };
        Topics::start(&config, usize::MAX, None, Clock::start(), Arc::new(Metrics::new())).unwrap()
    }

    pub(super) fn message() -> Message {
        Message { text: "hi".into(), ..Message::default() }
    }

    #[test]
    fn a_topic_in_which_nothing_was_published_counts_for_nobody() {
        // Six for those who are no operators, and eight for an address.
        let topics = topics(8);
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| Source::of(address.parse().unwrap()));
        let publish = |of, n: u32| {
            topics.publish(&format!("chat-{n}"), message(), Some(of)).now_or_never().unwrap().map(drop)
        };
        assert!((0..6).all(|n| publish(there, n).is_ok()));
        assert!((6..20).all(|n| publish(here, n) == Err(NotPublished::TooManyTopics(6))));
        assert!((0..6).all(|n| publish(here, n).is_ok()), "it may where others do");
    }
}
