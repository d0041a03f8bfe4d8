//! Topics of many nodes: streams in Redis. One thread publishes over one connection, and reads all topics
//! that have readers here over another.

use super::{
    NotPublished,
    event::Message,
    id::EventId,
    ring::Bounds,
    stream::{self, Keys, Loaded},
    topic::Topic,
};
use crate::{
    clock::Clock,
    config::RedisUrl,
    health::Part,
    metrics::Metrics,
    nodes::{REMEDY, connect},
    thread,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{AsyncConnectionConfig, RedisError, RedisResult, Script, Value, aio::MultiplexedConnection};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::{
    runtime::Builder,
    select,
    sync::{Notify, mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::warn;

/// Longest time for an answer of Redis.
const ANSWER: Duration = Duration::from_secs(2);
/// How long Redis waits for something to answer. (Then it is asked again: so a connection that is dead is
/// noticed.)
const BLOCK: Duration = Duration::from_secs(5);
/// Time between two attempts to connect.
const AGAIN: Duration = Duration::from_millis(250);
/// Events that may wait to be published.
const WAITING: usize = 4_096;
/// Histories that are got at a time: what is published meanwhile does not wait for all of them.
const HISTORIES: usize = 64;
/// How long Redis waits if there are more.
const MOMENT: Duration = Duration::from_millis(1);

/// The way to the topics of all nodes.
pub(super) struct Remote {
    to: mpsc::Sender<Wish>,
}

/// What the thread needs of the server.
pub(crate) struct Surroundings {
    pub url: RedisUrl,
    /// What the names of keys begin with.
    pub prefix: String,
    /// A number that no other node has.
    pub node: u64,
    pub health: Arc<Part>,
}

enum Wish {
    Publish {
        topic: Arc<str>,
        message: Message,
        tell: oneshot::Sender<Result<EventId, NotPublished>>,
    },
    /// Somebody reads it here.
    Follow {
        name: Arc<str>,
        topic: Weak<Topic>,
    },
}

/// What the thread knows.
struct State {
    around: Surroundings,
    keys: Keys,
    bounds: Bounds,
    /// Most topics of all nodes that have a history.
    most: usize,
    publisher: Script,
    clock: Clock,
    metrics: Arc<Metrics>,
    followed: RefCell<HashMap<Arc<str>, Followed>>,
    /// There is something to follow.
    more: Notify,
    nudging: Cell<Nudging>,
    /// The connection for everything but waiting.
    connection: RefCell<Option<MultiplexedConnection>>,
    /// Held while it is made, so that one is made for all who need it.
    making: tokio::sync::Mutex<()>,
}

/// A topic that is read here.
struct Followed {
    topic: Weak<Topic>,
    at: Place,
}

/// What has arrived of a topic.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Its history is not here yet.
    Unknown,
    /// It has no history, so nothing is asked of it until it has: however many want to read what nobody
    /// publishes, Redis is asked for no more than there is.
    Silent,
    After(EventId),
}

/// Whether this node is telling itself to look at what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nudging {
    No,
    Is,
    /// And has to do so once more.
    Again,
}

/// Why Redis has not answered.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("it answers {0}")]
    Nonsense(String),
}

impl Remote {
    /// Starts the thread.
    pub(super) fn start(
        around: Surroundings,
        bounds: Bounds,
        most: usize,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let (to, wishes) = mpsc::channel(WAITING);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("topics".to_owned()).spawn(move || {
            thread::prefer_latency();
            let state = State {
                keys: Keys::new(&around.prefix),
                around,
                bounds,
                most,
                publisher: stream::publisher(),
                clock,
                metrics,
                followed: RefCell::default(),
                more: Notify::new(),
                nudging: Cell::new(Nudging::No),
                connection: RefCell::default(),
                making: tokio::sync::Mutex::default(),
            };
            runtime.block_on(async {
                select! {
                    () = state.fulfil(wishes) => {}
                    () = state.follow() => {}
                }
            });
        })?;
        Ok(Self { to })
    }

    /// Publishes something.
    pub(super) async fn publish(&self, topic: &str, message: Message) -> Result<EventId, NotPublished> {
        let (tell, told) = oneshot::channel();
        let wish = Wish::Publish { topic: topic.into(), message, tell };
        let busy = |_| NotPublished::Unavailable("too many events wait for Redis".to_owned());
        self.to.try_send(wish).map_err(busy)?;
        let gone = |_| Err(NotPublished::Unavailable("the thread that asks Redis has ended".to_owned()));
        told.await.unwrap_or_else(gone)
    }

    /// Has the topic's events come here, its history first.
    pub(super) fn follow(&self, name: Arc<str>, topic: Weak<Topic>) -> bool {
        self.to.try_send(Wish::Follow { name, topic }).is_ok()
    }
}

impl State {
    /// Does what is wished, until nobody can wish for anything any more.
    async fn fulfil(&self, mut wishes: mpsc::Receiver<Wish>) {
        let mut working = FuturesUnordered::new();
        loop {
            select! {
                wish = wishes.recv() => match wish {
                    Some(wish) => working.push(self.grant(wish)),
                    None => return,
                },
                Some(()) = working.next() => {}
            }
        }
    }

    async fn grant(&self, wish: Wish) {
        match wish {
            Wish::Publish { topic, message, tell } => {
                let published = self.publish(&topic, &message).await;
                self.judge(&published);
                let _ = tell.send(match published {
                    Ok(id) => id.ok_or(NotPublished::TooManyTopics(self.most)),
                    Err(failure) => Err(NotPublished::Unavailable(failure.to_string())),
                });
            }
            Wish::Follow { name, topic } => {
                self.followed.borrow_mut().insert(name, Followed { topic, at: Place::Unknown });
                self.more.notify_one();
                self.nudge().await;
            }
        }
    }

    /// None: there are as many topics as may be.
    async fn publish(&self, topic: &str, message: &Message) -> Result<Option<EventId>, Failure> {
        let call = stream::publish(&self.publisher, &self.keys, topic, message, self.most, &self.bounds);
        let answer: Vec<String> =
            self.ask(async |mut connection| call.invoke_async(&mut connection).await).await?;
        stream::published(&answer).ok_or_else(|| Failure::Nonsense(format!("{answer:?}")))
    }

    /// Has this node look at what it reads: once for all that has come meanwhile.
    async fn nudge(&self) {
        if self.nudging.replace(Nudging::Again) != Nudging::No {
            return;
        }
        while self.nudging.get() == Nudging::Again {
            self.nudging.set(Nudging::Is);
            let nudge = stream::nudge(&self.nudge_key());
            // If that fails, it is noticed when Redis has waited for long enough.
            let _: Result<(), _> =
                self.ask(async |mut connection| nudge.query_async(&mut connection).await).await;
        }
        self.nudging.set(Nudging::No);
    }

    fn nudge_key(&self) -> String {
        self.keys.nudge(self.around.node)
    }

    /// Asks over the connection that does not wait.
    async fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let sent = Instant::now();
        let answer = within(ANSWER, async { Ok(ask(self.connection().await?).await?) }).await;
        self.metrics.redis_duration.observe(sent.elapsed());
        if answer.is_err() {
            *self.connection.borrow_mut() = None;
        }
        answer
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        let _making = self.making.lock().await;
        if let Some(there) = &*self.connection.borrow() {
            return Ok(there.clone());
        }
        let made = self.connect().await?;
        *self.connection.borrow_mut() = Some(made.clone());
        Ok(made)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Failure> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(None);
        Ok(connect(&self.around.url, &self.nudge_key(), &config).await?)
    }

    /// Has the events of all topics that are read here come here, for ever.
    async fn follow(&self) {
        loop {
            if self.forget_unread() {
                self.more.notified().await;
                continue;
            }
            let failure = match self.connect().await {
                Ok(connection) => self.follow_over(connection).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = failure {
                warn!(%failure, "the events of topics do not come from Redis");
                self.judge(&Err::<(), _>(failure));
                sleep(AGAIN).await;
            }
            // What has been dropped meanwhile shows in the histories: they are read anew.
            self.followed.borrow_mut().values_mut().for_each(|followed| followed.at = Place::Unknown);
        }
    }

    /// The same over one connection, until nothing is read here any more.
    async fn follow_over(&self, mut connection: MultiplexedConnection) -> Result<(), Failure> {
        // Before any history: whatever begins after this is told.
        let newest = stream::newest_topic(&self.keys);
        let answer: Value = within(ANSWER, async { Ok(newest.query_async(&mut connection).await?) }).await?;
        let newest = stream::newest(&answer).ok_or_else(|| Failure::Nonsense(format!("{answer:?}")))?;
        let mut own = vec![(self.nudge_key(), EventId::ZERO), (self.keys.new_topics(), newest)];
        while !self.forget_unread() {
            let more = self.load(&mut connection).await?;
            self.judge(&Ok::<_, Failure>(()));
            let mut streams = own.clone();
            streams.extend(self.followed.borrow().iter().filter_map(|(name, followed)| {
                let Place::After(at) = followed.at else { return None };
                Some((self.keys.topic(name), at))
            }));
            let read = stream::read(&streams, if more { MOMENT } else { BLOCK });
            let answer =
                within(BLOCK + ANSWER, async { Ok(read.query_async(&mut connection).await?) }).await?;
            self.arrived(&answer, &mut own)?;
        }
        Ok(())
    }

    /// Gets some of the histories that are not here yet. Returns whether there are more.
    async fn load(&self, connection: &mut MultiplexedConnection) -> Result<bool, Failure> {
        let missing: Vec<_> = {
            let followed = self.followed.borrow();
            let missing = followed.iter().filter(|(_, followed)| matches!(followed.at, Place::Unknown));
            let some = missing.take(HISTORIES + 1);
            some.map(|(name, followed)| (name.clone(), followed.topic.clone())).collect()
        };
        for (name, topic) in missing.iter().take(HISTORIES) {
            let load = stream::load(&self.keys, name, &self.bounds);
            let answer: Vec<Value> =
                within(ANSWER, async { Ok(load.query_async(connection).await?) }).await?;
            let loaded = stream::loaded(&answer, self.now_ms(), &self.bounds);
            let Loaded { ring, has_history } =
                loaded.ok_or_else(|| Failure::Nonsense(format!("{answer:?}")))?;
            let mut followed = self.followed.borrow_mut();
            // Meanwhile it may have been forgotten, and be read again.
            let Some(followed) = followed.get_mut(name).filter(|of| of.topic.ptr_eq(topic)) else {
                continue;
            };
            followed.at = if has_history { Place::After(ring.newest()) } else { Place::Silent };
            if let Some(topic) = topic.upgrade() {
                topic.load(ring);
            }
        }
        Ok(missing.len() > HISTORIES)
    }

    /// Hands events to their readers. `own`: the streams that are no topics, and what was read of them.
    fn arrived(&self, answer: &Value, own: &mut [(String, EventId)]) -> Result<(), Failure> {
        let all = stream::arrived(&self.keys, answer);
        let all = all.ok_or_else(|| Failure::Nonsense(format!("{answer:?}")))?;
        let mut followed = self.followed.borrow_mut();
        for (name, events) in all {
            let Some(newest) = events.last().map(|event| event.id) else { continue };
            let key = self.keys.topic(name);
            if let Some((_, read)) = own.iter_mut().find(|(of, _)| *of == key) {
                *read = newest;
                if name == stream::NEW_TOPICS {
                    for event in &events {
                        begins(&mut followed, stream::new_topic(event));
                    }
                }
                continue;
            }
            // One that was forgotten meanwhile, and is read again, gets its history first.
            if let Some(Followed { topic, at: at @ Place::After(_) }) = followed.get_mut(name) {
                *at = Place::After(newest);
                events.iter().for_each(|event| self.observe(event.id));
                if let Some(topic) = topic.upgrade() {
                    topic.append(events, &self.bounds);
                }
            }
        }
        Ok(())
    }

    /// An event has come.
    fn observe(&self, id: EventId) {
        let late = Duration::from_millis(self.now_ms().saturating_sub(id.ms));
        self.metrics.topic_lateness.observe(late);
    }

    /// Forgets topics that nobody reads here. True: there are no others.
    fn forget_unread(&self) -> bool {
        let mut followed = self.followed.borrow_mut();
        followed.retain(|_, followed| followed.topic.strong_count() > 0);
        followed.is_empty()
    }

    fn judge<T>(&self, result: &Result<T, Failure>) {
        match result {
            Ok(_) => self.around.health.is_well(),
            Err(failure) => {
                let what = "nothing is published in topics, and readers wait";
                self.around.health.fails(format!("{what}: Redis does not do its part: {failure}: {REMEDY}"))
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.unix_ms(self.clock.now())
    }
}

/// A topic has a history from now on.
fn begins(followed: &mut HashMap<Arc<str>, Followed>, name: &str) {
    if let Some(Followed { at: at @ Place::Silent, .. }) = followed.get_mut(name) {
        *at = Place::Unknown;
    }
}

async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limit, asked).await.unwrap_or(Err(Failure::Slow(limit)))
}
