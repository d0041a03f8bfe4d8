//! Topics of many nodes: streams in Redis. One thread publishes over one connection, and reads all topics
//! that have readers here over another.

use super::{
    NotPublished,
    event::Message,
    history::{Coming, Loaded, Watch},
    horizon::Horizon,
    id::EventId,
    ring::Bounds,
    spread::Most,
    stream::{self, Arrived, Keys, Told},
    topic::Topic,
};
use crate::{
    clock::{self, Clock},
    health::Part,
    metrics::Metrics,
    nodes::{Failure, Own, Way},
    thread,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use redis::{RedisResult, Script, Value, aio::MultiplexedConnection};
use std::{
    collections::HashMap,
    fmt, io, mem,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::{
    select,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::sleep,
};
use tracing::warn;

/// Longest time for an answer of Redis.
const ANSWER: Duration = Duration::from_secs(2);
/// How long Redis waits for something to answer. (Then it is asked again: so a connection that is dead is
/// noticed.)
const BLOCK: Duration = Duration::from_secs(5);
/// Time between two attempts.
const AGAIN: Duration = Duration::from_millis(250);
/// Time between two attempts to read a topic whose key is no stream.
const BAD: Duration = Duration::from_secs(5);
/// Events that may be on their way to Redis at a time.
const UNANSWERED: usize = 4_096;
/// Pages of histories that are got at a time: what is published meanwhile does not wait for all of them.
const PAGES: usize = 64;
/// Bytes of histories that are got at a time.
const BYTES: usize = 1 << 20;
/// How long Redis waits if there are more.
const MOMENT: Duration = Duration::from_millis(1);

/// The way to the topics of all nodes.
pub(super) struct Remote {
    to: mpsc::UnboundedSender<Publish>,
    places: Arc<Semaphore>,
    reads: Arc<Reads>,
    horizon: Arc<Horizon>,
}

/// What the thread needs of the server.
pub(crate) struct TopicsRedis {
    pub way: Way,
    /// A number that no other node has.
    pub node: u64,
    /// Whether what is published gets to Redis.
    pub publishing: Arc<Part>,
    /// Whether what is read here comes from there.
    pub reading: Arc<Part>,
}

/// An event that is to be published.
struct Publish {
    topic: Arc<str>,
    message: Message,
    most: Most,
    tell: oneshot::Sender<Result<EventId, NotPublished>>,
    _place: OwnedSemaphorePermit,
}

/// The topics that are read here.
#[derive(Default)]
struct Reads {
    topics: Mutex<HashMap<Arc<str>, Followed>>,
    /// There are others.
    more: Notify,
}

/// A topic that is read here.
struct Followed {
    topic: Weak<Topic>,
    at: ReadTo,
}

/// What has arrived of a topic.
#[derive(Debug)]
enum ReadTo {
    /// Its history is not all here yet.
    Coming(Coming),
    /// It had no history then, so nothing is asked of it until it has: however many want to read what nobody
    /// publishes, Redis is asked for no more than there is.
    Silent(EventId),
    After(EventId),
    /// Its key is no stream. It was looked at then.
    Bad(Instant),
}

impl ReadTo {
    /// Nothing is here yet.
    fn unknown() -> Self {
        Self::Coming(Coming::default())
    }
}

/// What the thread knows.
struct State {
    around: TopicsRedis,
    keys: Keys,
    bounds: Bounds,
    publisher: Script,
    loader: Script,
    waker: Script,
    clock: Clock,
    metrics: Arc<Metrics>,
    reads: Arc<Reads>,
    horizon: Arc<Horizon>,
    /// There is something to read, after there was nothing.
    begin: Notify,
    /// Something was not published.
    lost: Notify,
}

impl Remote {
    /// Starts the thread.
    pub(super) fn start(
        around: TopicsRedis,
        bounds: Bounds,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let (to, wishes) = mpsc::unbounded_channel();
        let (reads, horizon) = (Arc::<Reads>::default(), Arc::<Horizon>::default());
        let state = State {
            keys: Keys::new(around.way.prefix()),
            around,
            bounds,
            publisher: stream::publisher(),
            loader: stream::loader(),
            waker: stream::waker(),
            clock,
            metrics,
            reads: reads.clone(),
            horizon: horizon.clone(),
            begin: Notify::new(),
            lost: Notify::new(),
        };
        thread::runs("topics", async move || {
            thread::prefer_latency();
            select! {
                () = state.publish_all(wishes) => {}
                () = state.follow() => {}
                () = state.look_for_more() => {}
                () = state.look_for_redis() => {}
            }
        })?;
        Ok(Self { to, places: Arc::new(Semaphore::new(UNANSWERED)), reads, horizon })
    }

    /// Publishes something, in one of at most so many topics.
    pub(super) async fn publish(
        &self,
        topic: &str,
        message: Message,
        most: Most,
    ) -> Result<EventId, NotPublished> {
        let (tell, told) = oneshot::channel();
        let busy = |_| NotPublished::Unavailable("too many events wait for Redis".to_owned());
        let place = self.places.clone().try_acquire_owned().map_err(busy)?;
        let _ = self.to.send(Publish { topic: topic.into(), message, most, tell, _place: place });
        let gone = |_| Err(NotPublished::Unavailable("the thread that asks Redis has ended".to_owned()));
        told.await.unwrap_or_else(gone)
    }

    /// Up to when events may have been published that have not come here yet.
    pub(super) fn horizon(&self) -> Arc<Horizon> {
        self.horizon.clone()
    }

    /// Has the topic's events come here, its history first.
    pub(super) fn follow(&self, name: Arc<str>, topic: Weak<Topic>) {
        self.reads.topics.lock().insert(name, Followed { topic, at: ReadTo::unknown() });
        self.reads.more.notify_one();
    }
}

/// A topic whose history is not all here.
struct Missing {
    name: Arc<str>,
    topic: Weak<Topic>,
    before: Option<EventId>,
    bytes: usize,
    was_bad: bool,
}

impl Reads {
    /// The topics whose histories are not all here, those first of which least has come: one that is long
    /// keeps no other waiting.
    fn missing(&self) -> Vec<Missing> {
        let missing = |(name, Followed { topic, at }): (&Arc<str>, &Followed)| {
            let (before, bytes, was_bad) = match at {
                ReadTo::Coming(coming) => (coming.before(), coming.bytes(), false),
                ReadTo::Bad(since) if since.elapsed() >= BAD => (None, 0, true),
                ReadTo::Silent(_) | ReadTo::After(_) | ReadTo::Bad(_) => return None,
            };
            Some(Missing { name: name.clone(), topic: topic.clone(), before, bytes, was_bad })
        };
        let mut all: Vec<_> = self.topics.lock().iter().filter_map(missing).collect();
        all.sort_by_key(|missing| missing.bytes);
        all.truncate(PAGES + 1);
        all
    }

    fn is_any_coming(&self) -> bool {
        self.topics.lock().values().any(|followed| matches!(followed.at, ReadTo::Coming(_)))
    }
}

impl State {
    /// Publishes what is to be published, until nobody can publish anything any more. None waits for another.
    async fn publish_all(&self, mut wishes: mpsc::UnboundedReceiver<Publish>) {
        let mut working = FuturesUnordered::new();
        loop {
            select! {
                wish = wishes.recv() => match wish {
                    Some(wish) => working.push(self.publish(wish)),
                    None => return,
                },
                Some(()) = working.next() => {}
            }
        }
    }

    async fn publish(&self, wish: Publish) {
        let Publish { topic, message, most, tell, _place } = wish;
        let call = stream::publish(&self.publisher, &self.keys, &topic, &message, most, &self.bounds);
        let answer: Result<Vec<String>, _> =
            self.ask(async |connection| call.invoke_async(connection).await).await;
        let published = answer.and_then(|answer| {
            stream::published(&answer, most).ok_or_else(|| Failure::Refused(format!("it answers {answer:?}")))
        });
        match &published {
            Ok(_) => self.around.publishing.is_well(),
            Err(failure) if failure.is_passing() => {
                let remedy = failure.remedy();
                self.around
                    .publishing
                    .fails(format!("nothing can be published to topics: {failure}: {remedy}"));
                self.lost.notify_one();
            }
            // Of this topic.
            Err(failure) => warn!(topic = &*topic, %failure, "it cannot be published"),
        }
        let _ = tell.send(match published {
            Ok(published) => published,
            Err(failure) => Err(NotPublished::Unavailable(failure.to_string())),
        });
    }

    /// Once something could not be published: notices when it could be.
    async fn look_for_redis(&self) {
        loop {
            self.lost.notified().await;
            while self.probe().await.is_err() {
                sleep(AGAIN).await;
            }
            self.around.publishing.is_well();
        }
    }

    /// Has topics read that were not read before.
    async fn look_for_more(&self) {
        loop {
            self.reads.more.notified().await;
            self.begin.notify_one();
            // If that fails, it is noticed when Redis has waited for long enough.
            let wake = self.waker.key(self.nudge_key());
            let _: Result<(), _> = self.ask(async |connection| wake.invoke_async(connection).await).await;
        }
    }

    async fn probe(&self) -> Result<(), Failure> {
        let probe = stream::probe(&self.nudge_key());
        self.ask(async |connection| probe.query_async(connection).await).await
    }

    fn nudge_key(&self) -> String {
        self.keys.nudge(self.around.node)
    }

    async fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let sent = Instant::now();
        let answer = self.around.way.ask(ANSWER, ask).await;
        self.metrics.nodes.redis_duration.observe(sent.elapsed());
        answer
    }

    /// Has the events of all topics that are read here come here, for ever.
    async fn follow(&self) {
        loop {
            if self.forget_unread() {
                self.around.reading.is_well();
                self.begin.notified().await;
                continue;
            }
            let followed = async { self.follow_over(self.around.way.own(ANSWER).await?).await };
            if let Err(failure) = followed.await {
                let remedy = failure.remedy();
                self.around.reading.fails(format!("the events of topics do not come: {failure}: {remedy}"));
                sleep(AGAIN).await;
            }
            // What has been dropped meanwhile shows in the histories: they are read anew.
            self.reads.topics.lock().values_mut().for_each(|followed| followed.at = ReadTo::unknown());
        }
    }

    /// The same over one connection, until nothing is read here any more.
    async fn follow_over(&self, mut connection: Own) -> Result<(), Failure> {
        // Before any history: whatever begins after this is told.
        let newest = stream::newest_topic(&self.keys);
        let answer: Value = connection.ask(ANSWER, async |redis| newest.query_async(redis).await).await?;
        let newest = stream::newest(&answer).ok_or_else(|| nonsense(&answer))?;
        let mut own = vec![(self.nudge_key(), EventId::ZERO), (self.keys.new_topics(), newest)];
        let mut watch = Watch::default();
        while !self.forget_unread() {
            let more = self.load(&mut connection, &mut watch).await?;
            let mut streams = own.clone();
            streams.extend(self.reads.topics.lock().iter().filter_map(|(name, followed)| {
                let ReadTo::After(at) = followed.at else { return None };
                Some((self.keys.topic(name), at))
            }));
            let read = stream::read(&streams, if more { MOMENT } else { BLOCK });
            self.around.reading.is_well();
            let asked = clock::now();
            let answer: Vec<Value> =
                connection.ask(BLOCK + ANSWER, async |redis| read.query_async(redis).await).await?;
            let Told { asked_ms, streams, until_ms } =
                stream::told(&self.keys, &answer).ok_or_else(|| nonsense(&answer))?;
            watch.looks(asked_ms);
            self.horizon.told(asked, asked_ms);
            self.arrived(streams, &mut own, &watch);
            watch.has_seen(until_ms);
        }
        Ok(())
    }

    /// Gets some pages of the histories that are not all here yet. Returns whether there are more. A topic
    /// whose history makes no sense is nobody else's trouble: its readers wait.
    async fn load(&self, connection: &mut Own, watch: &mut Watch) -> Result<bool, Failure> {
        let (mut pages, mut bytes) = (0, 0);
        for Missing { name, topic, before, was_bad, .. } in self.reads.missing() {
            if pages == PAGES || bytes >= BYTES {
                return Ok(true);
            }
            pages += 1;
            let asked = clock::now();
            let load = stream::load(&self.loader, &self.keys, &name, before);
            let answer: Result<Vec<Value>, _> =
                connection.ask(ANSWER, async |redis| load.invoke_async(redis).await).await;
            let page = match answer {
                Ok(answer) => stream::page(&answer, &self.bounds),
                Err(failure) if failure.is_passing() => return Err(failure),
                Err(failure) => {
                    if !was_bad {
                        warn!(topic = &*name, %failure, "the topic cannot be read: its readers wait");
                    }
                    None
                }
            };
            let mut topics = self.reads.topics.lock();
            // Meanwhile it may have been forgotten, and be read again.
            let Some(followed) = topics.get_mut(&name).filter(|of| of.topic.ptr_eq(&topic)) else {
                continue;
            };
            let Some(page) = page else {
                followed.at = ReadTo::Bad(Instant::now());
                continue;
            };
            watch.looks(page.now_ms);
            self.horizon.told(asked, page.now_ms);
            let coming = match mem::replace(&mut followed.at, ReadTo::unknown()) {
                ReadTo::Coming(coming) => coming,
                ReadTo::Silent(_) | ReadTo::After(_) | ReadTo::Bad(_) => Coming::default(),
            };
            let had = coming.bytes();
            let now_ms = page.now_ms;
            match coming.add(page, &self.bounds, watch) {
                Err(coming) => {
                    bytes += coming.bytes() - had;
                    followed.at = ReadTo::Coming(coming);
                }
                Ok(Loaded { ring, has_history }) => {
                    bytes += ring.bytes().saturating_sub(had);
                    followed.at = if has_history {
                        ReadTo::After(ring.newest())
                    } else {
                        ReadTo::Silent(EventId::at(now_ms.saturating_sub(1)))
                    };
                    if let Some(topic) = topic.upgrade() {
                        topic.load(ring);
                    }
                }
            }
        }
        Ok(self.reads.is_any_coming())
    }

    /// Hands events to their readers. `own`: the streams that are no topics, and what was read of them.
    fn arrived(&self, arrived: Vec<Arrived<'_>>, own: &mut [(String, EventId)], watch: &Watch) {
        let mut topics = self.reads.topics.lock();
        for arrived in arrived {
            let key = self.keys.topic(arrived.name);
            if let Some((_, read)) = own.iter_mut().find(|(of, _)| *of == key) {
                *read = arrived.newest;
                if arrived.name == stream::NEW_TOPICS {
                    arrived.events.iter().for_each(|event| begins(&mut topics, stream::new_topic(event)));
                }
                continue;
            }
            // One that was forgotten meanwhile, and is read again, gets its history first.
            let Some(Followed { topic, at: place @ ReadTo::After(_) }) = topics.get_mut(arrived.name) else {
                continue;
            };
            let ReadTo::After(read) = *place else { continue };
            let may_have_passed = arrived.is_new() && !watch.is_unbroken_since(read);
            if may_have_passed || arrived.misses_some_after(read) {
                // What has been dropped shows in the history.
                *place = ReadTo::unknown();
                continue;
            }
            *place = ReadTo::After(arrived.newest);
            arrived.events.iter().for_each(|event| self.observe(event.id));
            if let Some(topic) = topic.upgrade() {
                topic.append(arrived.events, &self.bounds);
            }
        }
    }

    /// An event has come.
    fn observe(&self, id: EventId) {
        let late = Duration::from_millis(self.now_ms().saturating_sub(id.ms));
        self.metrics.topics.lateness.observe(late);
    }

    /// Forgets topics that nobody reads here. True: there are no others.
    fn forget_unread(&self) -> bool {
        let mut topics = self.reads.topics.lock();
        topics.retain(|_, followed| followed.topic.strong_count() > 0);
        topics.is_empty()
    }

    fn now_ms(&self) -> u64 {
        self.clock.unix_ms(self.clock.now())
    }
}

/// A topic has a history from now on.
fn begins(topics: &mut HashMap<Arc<str>, Followed>, name: &str) {
    if let Some(Followed { at, .. }) = topics.get_mut(name)
        && let ReadTo::Silent(since) = *at
    {
        *at = ReadTo::Coming(Coming::since(since));
    }
}

fn nonsense(answer: &impl fmt::Debug) -> Failure {
    Failure::Refused(format!("it answers {answer:?}"))
}
