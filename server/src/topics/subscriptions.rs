//! The topics that the client of a game reads over its connection, and publishes in.
//!
//! It is told at most once per tick, and so much at a time that states are not kept waiting; what exceeds
//! that stays in the topics' histories. So it is woken by the ticks of its room, and by nothing else.

use super::{
    Topics,
    cursor::{Cursor, Read},
    event::Event,
    id::Since,
    publications::{Publications, Publisher, TooManyWait},
    topic::Topic,
    watched::{WatchedUser, Watcher},
    wire::{encode, topic},
};
use crate::ground::{credit::Credit, identity::Identity, shares::Share, source::Source};
use bytes::Bytes;
use driftless_proto::{
    limits::{MAX_TOPICS, MAX_WATCHED_USERS},
    names::PRESENCE,
    wire::{Publish, ReadTopic, TopicMessage, topic_message::Kind},
};
use std::{collections::VecDeque, sync::Arc, time::Instant};

/// Topics that a connection may begin to read in a second on average, and at once: for each, a whole history
/// may have to be loaded.
const READ_RATE: f64 = 5.0;
const READS: f64 = 4.0 * MAX_TOPICS as f64;
/// Bytes of topics that a connection may get at once.
const BURST: f64 = 64.0 * 1024.0;
/// Bytes of topics per second that a connection gets on average.
const RATE: f64 = 64.0 * 1024.0;
/// Answers that may wait. (A client that does not read them has no use for more.)
const ANSWERS: usize = 2 * (MAX_TOPICS + MAX_WATCHED_USERS);

/// What one client reads.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    /// A tick has passed since the last look, or there is an answer.
    due: bool,
    all: Vec<Subscription>,
    /// The one that is looked at first, so that each has its turn.
    first: usize,
    answers: VecDeque<Bytes>,
    publications: Publications,
    /// Topics that it may begin to read.
    reads: Credit,
    /// Bytes that may be sent.
    bytes: Credit,
}

#[derive(Debug)]
struct Subscription {
    name: Arc<str>,
    cursor: Cursor,
    /// The version of the topic that was looked at last.
    seen: u64,
    _share: Share,
}

impl Subscriptions {
    /// None yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            due: false,
            all: Vec::new(),
            first: 0,
            answers: VecDeque::new(),
            publications: Publications::new(now),
            reads: Credit::full(READ_RATE, READS, now),
            bytes: Credit::full(RATE, BURST, now),
        }
    }

    /// A tick has passed.
    pub(crate) fn tick(&mut self) {
        self.due = true;
    }

    /// Whether `next` may have something.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// The client wants to read a topic, or to read it no longer.
    pub(crate) fn ask(
        &mut self,
        topics: &Topics,
        identity: &Identity,
        source: Source,
        asked: ReadTopic,
        now: Instant,
    ) {
        self.reads.earn(now);
        let ReadTopic { topic: name, after, stop } = asked;
        self.all.retain(|read| *read.name != *name);
        if stop {
            return;
        }
        match self.find(topics, identity, source, &name, &after) {
            Ok(subscription) => self.all.push(subscription),
            Err((code, reason)) => self.end(&name, code, reason),
        }
        self.due = true;
    }

    /// The client publishes something.
    pub(crate) fn publish(
        &mut self,
        topics: &Arc<Topics>,
        publisher: Publisher<'_>,
        publish: Publish,
        now: Instant,
    ) -> Result<(), TooManyWait> {
        self.due = true;
        self.publications.publish(topics, publisher, publish, now)
    }

    /// The client has other rights now: what it may read no longer is over.
    pub(crate) fn have_rights(&mut self, topics: &Topics, identity: &Identity) {
        let lost: Vec<_> = self.all.extract_if(.., |read| !may_read(topics, identity, &read.name)).collect();
        for read in lost {
            self.end(&read.name, "forbidden", forbidden(identity, &read.name));
        }
    }

    /// Tells the client that it does not read a topic, and why.
    fn end(&mut self, name: &str, code: &str, reason: String) {
        let over =
            TopicMessage { kind: Kind::Over.into(), event: code.to_owned(), text: reason, ..topic(name) };
        if self.answers.len() < ANSWERS {
            self.answers.push_back(encode(over));
        }
        self.due = true;
    }

    fn find(
        &mut self,
        topics: &Topics,
        identity: &Identity,
        source: Source,
        name: &str,
        after: &str,
    ) -> Result<Subscription, (&'static str, String)> {
        if let Some(user) = name.strip_prefix(PRESENCE) {
            return self.find_user(topics, identity, source, name, user);
        }
        if self.all.iter().filter(|read| !read.is_of_user()).count() >= MAX_TOPICS {
            return Err(("too_many_topics", format!("a client may read {MAX_TOPICS} topics")));
        }
        if !may_read(topics, identity, name) {
            return Err(("forbidden", forbidden(identity, name)));
        }
        if !self.reads.take() {
            return Err(("too_often", format!("a client may begin to read {READ_RATE} topics a second")));
        }
        let topic = topics.topic(name);
        Ok(Subscription::new(name, topic, Since::of(after), Share::uncounted()))
    }

    /// The topic of a user. (What the client had before does not matter: it gets the newest.)
    fn find_user(
        &self,
        topics: &Topics,
        identity: &Identity,
        source: Source,
        name: &str,
        user: &str,
    ) -> Result<Subscription, (&'static str, String)> {
        if self.all.iter().filter(|read| read.is_of_user()).count() >= MAX_WATCHED_USERS {
            return Err(("too_many_users", format!("a client may watch {MAX_WATCHED_USERS} users")));
        }
        if !may_read(topics, identity, name) {
            return Err(("forbidden", forbidden(identity, name)));
        }
        let watched = topics.watched.watch(user, Watcher::of(identity, source, user));
        let WatchedUser { topic, share } =
            watched.map_err(|refused| ("too_many_users", refused.to_string()))?;
        Ok(Subscription::new(name, topic, Since::Now, share))
    }

    /// The next message, if there is one and the client may have it now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Bytes> {
        if !self.due {
            return None;
        }
        self.bytes.earn(now);
        let answer = self.answers.pop_front().or_else(|| self.publications.next());
        let message = answer.or_else(|| self.read());
        match &message {
            Some(message) => self.bytes.spend(message.len()),
            None => self.due = false,
        }
        message
    }

    fn read(&mut self) -> Option<Bytes> {
        if !self.bytes.is_left() {
            return None;
        }
        let count = self.all.len();
        let turns = (0..count).map(|n| (self.first + n) % count);
        let (turn, message) = { turns }.find_map(|turn| Some((turn, self.all[turn].read()?)))?;
        self.first = turn + 1;
        Some(message)
    }
}

impl Subscription {
    fn new(name: &str, topic: Arc<Topic>, since: Since, share: Share) -> Self {
        Self { name: name.into(), cursor: Cursor::new(topic, since), seen: 0, _share: share }
    }

    fn is_of_user(&self) -> bool {
        self.name.starts_with(PRESENCE)
    }

    fn read(&mut self) -> Option<Bytes> {
        let version = self.cursor.topic().version();
        if version == self.seen {
            return None;
        }
        let message = self.look();
        if message.is_none() {
            self.seen = version; // read before looking, so that what comes meanwhile is looked at again
        }
        message
    }

    fn look(&mut self) -> Option<Bytes> {
        let (at, kind) = match self.cursor.next(None)? {
            Read::Event(event) => return Some(event.wire(|event| encode_event(&self.name, event))),
            Read::Begun { at, missed_after: None } => (at, Kind::Begun),
            Read::Begun { at, missed_after: Some(_) } => (at, Kind::Gap),
            // Not the client's fault: it is told no faster than states allow.
            Read::Lost => (self.cursor.skip()?, Kind::Gap),
        };
        Some(encode(TopicMessage { kind: kind.into(), id: at.to_string(), ..topic(&self.name) }))
    }
}

fn may_read(topics: &Topics, identity: &Identity, name: &str) -> bool {
    match name.strip_prefix(PRESENCE) {
        Some(user) => identity.may_find(user),
        None => topics.is_open(name) || identity.topics.may_read(name),
    }
}

fn forbidden(identity: &Identity, name: &str) -> String {
    format!("{} may not read topic {name:?}", identity.user)
}

fn encode_event(name: &str, event: &Event) -> Bytes {
    // Publishers' texts are UTF-8; what somebody else has written to Redis may be anything.
    let text = String::from_utf8_lossy(&event.text).into_owned();
    let kind = event.kind.as_ref().map(ToString::to_string).unwrap_or_default();
    let (user, name_of) = event.author.as_ref().map(|author| (&*author.user, author.name.as_deref())).unzip();
    encode(TopicMessage {
        id: event.id.to_string(),
        event: kind,
        text,
        user: user.unwrap_or_default().to_owned(),
        name: name_of.flatten().unwrap_or_default().to_owned(),
        ..topic(name)
    })
}
