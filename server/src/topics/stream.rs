//! What is said to Redis, and what it answers: a topic is a stream. No connection, no clock.

use super::{
    NotPublished,
    event::{Author, Event, EventKind, Message},
    id::EventId,
    ring::Bounds,
    spread::Most,
};
use crate::clock::millis;
use bytes::Bytes;
use redis::{Cmd, Pipeline, Script, ScriptInvocation, Value, cmd, pipe};
use std::{str::FromStr, sync::Arc, time::Duration};

/// The fields of an entry.
const TEXT: &str = "text";
const KIND: &str = "kind";
const LATEST: &str = "latest";
const USER: &str = "user";
const NAME: &str = "name";
const BEGINS: &str = "begins";
const AFTER: &str = "after";
const BESIDE: &str = "beside";
/// Most entries of a topic that come at once: they may be long.
const PAGE: usize = 64;
/// Where the topics are that have a history from then on. (No topic's name begins with `-`.)
pub(super) const NEW_TOPICS: &str = "-new";

/// The names of keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// All begin with it.
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The stream of a topic. (No topic's name begins with `-`.)
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}:topic:{name}", self.prefix)
    }

    /// The stream by which a node tells itself to look at what it reads.
    pub(super) fn nudge(&self, node: u64) -> String {
        self.topic(&format!("-{node:016x}"))
    }

    /// The stream of the topics that have a history from then on.
    pub(super) fn new_topics(&self) -> String {
        self.topic(NEW_TOPICS)
    }

    /// The topics that have a history.
    fn topics(&self) -> String {
        format!("{}:topics", self.prefix)
    }

    /// The topic of a stream.
    fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)?.strip_prefix(":topic:")
    }
}

/// What loads.
pub(super) fn loader() -> Script {
    Script::new(include_str!("load.lua"))
}

/// What has whoever reads a stream wake up: also in a Redis that is full.
pub(super) fn waker() -> Script {
    Script::new(include_str!("wake.lua"))
}

/// What publishes.
pub(super) fn publisher() -> Script {
    Script::new(include_str!("topics.lua"))
}

/// Publishes, unless as many topics as may be have a history, and drops what exceeds the bounds.
pub(super) fn publish<'a>(
    publisher: &'a Script,
    keys: &Keys,
    name: &str,
    message: &Message,
    most: Most,
    bounds: &Bounds,
) -> ScriptInvocation<'a> {
    let Message { text, kind, latest, author } = message;
    let kind = kind.as_ref().map(ToString::to_string).unwrap_or_default();
    let user = author.as_ref().map_or("", |author| &*author.user);
    let shown = author.as_ref().and_then(|author| author.name.as_deref()).unwrap_or_default();
    let (source, most_of_source) = most.source.unzip();
    let source = source.map(|source| source.to_string()).unwrap_or_default();
    let mut call = publisher.key(keys.topics());
    call.arg(&keys.prefix).arg(name).arg(most.topics);
    call.arg(bounds.events).arg(bounds.bytes).arg(millis(bounds.age));
    call.arg(&**text).arg(kind).arg(if *latest { LATEST } else { "" }).arg(user).arg(shown);
    call.arg(source).arg(most_of_source.unwrap_or_default());
    call
}

/// A page of what there is of a topic: Redis's time, when its history is over, what is known of it and of all
/// histories, and the newest entries before this one, the newest first.
pub(super) fn load<'a>(
    loader: &'a Script,
    keys: &Keys,
    name: &str,
    before: Option<EventId>,
) -> ScriptInvocation<'a> {
    let mut call = loader.key(keys.topics());
    call.arg(&keys.prefix).arg(name);
    call.arg(before.map_or("+".to_owned(), |before| format!("({before}"))).arg(PAGE);
    call
}

/// The newest of the topics that have a history from then on.
pub(super) fn newest_topic(keys: &Keys) -> Cmd {
    let mut newest = cmd("XREVRANGE");
    newest.arg(keys.new_topics()).arg("+").arg("-").arg("COUNT").arg(1);
    newest
}

/// What comes after these ids, as soon as there is something; and Redis's time before and after it has waited
/// for that.
pub(super) fn read(streams: &[(String, EventId)], block: Duration) -> Pipeline {
    let mut all = pipe();
    all.cmd("TIME");
    all.cmd("XREAD").arg("COUNT").arg(PAGE).arg("BLOCK").arg(millis(block)).arg("STREAMS");
    for (key, _) in streams {
        all.arg(key);
    }
    for (_, after) in streams {
        all.arg(after.to_string());
    }
    all.cmd("TIME");
    all
}

/// Writes to this stream, if anything can be written.
pub(super) fn probe(key: &str) -> Pipeline {
    let mut all = pipe();
    all.cmd("XADD").arg(key).arg("MAXLEN").arg(1).arg("*").arg("x").arg(1).ignore();
    all.cmd("PEXPIRE").arg(key).arg(60_000).ignore();
    all
}

/// A page of a history.
#[derive(Debug)]
pub(super) struct Page {
    pub now_ms: u64,
    pub has_history: bool,
    /// The newest event of it that was dropped.
    pub lost: Option<EventId>,
    pub begun: Option<EventId>,
    /// Since when Redis knows what was published.
    pub since_ms: u64,
    /// The shortest time for which an event may have been kept.
    pub shortest_ms: u64,
    /// The newest first.
    pub entries: Vec<Entry>,
}

impl Page {
    /// Whether there is nothing before it.
    pub(super) fn is_last(&self) -> bool {
        self.entries.len() < PAGE
    }
}

/// What `load` has answered. None: it makes no sense.
pub(super) fn page(answer: &[Value], bounds: &Bounds) -> Option<Page> {
    let [time, over, history, histories, entries] = answer else { return None };
    let now_ms = time_ms(time)?;
    let has_history = match over {
        Value::Nil => false,
        over => parsed::<f64>(over)? > now_ms as f64,
    };
    let [lost, begun] = fields(history)?;
    let [since, age] = fields(histories)?;
    let (since, age) = (since.map(parsed), age.map(parsed));
    Some(Page {
        now_ms,
        has_history,
        lost: lost.map_or(Some(None), |lost| parsed(lost).map(Some))?,
        begun: begun.map_or(Some(None), |begun| parsed(begun).map(Some))?,
        since_ms: since.unwrap_or(Some(now_ms))?,
        shortest_ms: age.unwrap_or(Some(u64::MAX))?.min(millis(bounds.age)),
        entries: self::entries(entries)?,
    })
}

/// The values of two fields that were asked for.
fn fields(answer: &Value) -> Option<[Option<&Value>; 2]> {
    let Value::Array(values) = answer else { return None };
    let [a, b] = &**values else { return None };
    Some([a, b].map(|value| (*value != Value::Nil).then_some(value)))
}

/// The time that Redis tells, milliseconds since 1970.
fn time_ms(time: &Value) -> Option<u64> {
    let Value::Array(time) = time else { return None };
    Some(parsed::<u64>(time.first()?)? * 1_000 + parsed::<u64>(time.get(1)?)? / 1_000)
}

/// The id that `newest_topic` has answered; 0 if there is none. None: it makes no sense.
pub(super) fn newest(answer: &Value) -> Option<EventId> {
    Some(entries(answer)?.first().map_or(EventId::ZERO, |entry| entry.id))
}

/// The topics that an event of [`Keys::new_topics`] names.
pub(super) fn new_topic(event: &Event) -> &str {
    str::from_utf8(&event.text).unwrap_or_default()
}

/// What has come.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// Redis's time when it was asked.
    pub asked_ms: u64,
    pub streams: Vec<Arrived<'a>>,
    /// Up to this time of Redis, nothing else was there.
    pub until_ms: u64,
}

/// What has come of a stream.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    /// Its topic's name. (The streams of nudges and of new topics count as topics.)
    pub name: &'a str,
    /// Those that are events: somebody else may have written others.
    pub events: Vec<Arc<Event>>,
    /// The id of the last entry, whatever it is.
    pub newest: EventId,
    before: Before,
}

impl Arrived<'_> {
    /// Whether events between this one and these have been dropped.
    pub(super) fn misses_some_after(&self, read: EventId) -> bool {
        // One that another has replaced since is none that is missed.
        let replaced = || self.events.iter().any(|event| event.latest);
        let is_missed = |before: Option<EventId>| before.is_some_and(|before| before > read);
        is_missed(self.before.plain) || (is_missed(self.before.latest) && !replaced())
    }

    /// Whether it is a history that these begin.
    pub(super) fn is_new(&self) -> bool {
        self.before.none
    }
}

/// What an entry says of those that were there before it.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    /// The newest that nothing replaces.
    plain: Option<EventId>,
    /// The one of those that replace each other, if this is none.
    latest: Option<EventId>,
    /// There is none.
    none: bool,
}

/// What `read` has answered. None: it makes no sense.
pub(super) fn told<'a>(keys: &Keys, answer: &'a [Value]) -> Option<Told<'a>> {
    let [asked, streams, until] = answer else { return None };
    let (asked_ms, until_ms) = (time_ms(asked)?, time_ms(until)?);
    let streams = match streams {
        Value::Nil => Vec::new(),
        Value::Array(streams) => streams.iter().map(|stream| arrived(keys, stream)).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(Told { asked_ms, streams, until_ms })
}

fn arrived<'a>(keys: &Keys, stream: &'a Value) -> Option<Arrived<'a>> {
    let Value::Array(parts) = stream else { return None };
    let [key, all] = &**parts else { return None };
    let (name, all) = (keys.name(text(key)?)?, entries(all)?);
    let (before, newest) = (all.first()?.before, all.last()?.id);
    Some(Arrived { name, events: all.into_iter().filter_map(|entry| entry.event).collect(), newest, before })
}

/// What `publish` has answered, of one who may publish in at most so many topics. None: it makes no sense.
pub(super) fn published(answer: &[String], most: Most) -> Option<Result<EventId, NotPublished>> {
    match (answer, most.source) {
        ([word], _) if word == "full" => Some(Err(NotPublished::TooManyTopics(most.topics))),
        ([word], Some((of, most))) if word == "source" => {
            Some(Err(NotPublished::TooManyOfAddress { of, most }))
        }
        ([word, id], _) if word == "done" => id.parse().ok().map(Ok),
        _ => None,
    }
}

/// An entry of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: EventId,
    /// None: somebody else has written it, and it is none.
    pub event: Option<Arc<Event>>,
    before: Before,
}

fn entries(answer: &Value) -> Option<Vec<Entry>> {
    let Value::Array(entries) = answer else { return matches!(answer, Value::Nil).then(Vec::new) };
    entries.iter().map(entry).collect()
}

fn entry(entry: &Value) -> Option<Entry> {
    let Value::Array(parts) = entry else { return None };
    let [id, fields] = &**parts else { return None };
    let id = parsed(id)?;
    let (message, before) = message(fields).unzip();
    let event = message.map(|message| Event::new(id, message));
    Some(Entry { id, event, before: before.unwrap_or_default() })
}

#[cfg(test)]
impl Entry {
    /// One with an event.
    pub(super) fn of(event: Arc<Event>) -> Self {
        Self { id: event.id, event: Some(event), before: Before::default() }
    }
}

fn message(fields: &Value) -> Option<(Message, Before)> {
    let Value::Array(fields) = fields else { return None };
    let mut message = Message::default();
    let (mut user, mut name) = (None, None);
    let mut before = Before::default();
    for [field, value] in fields.as_chunks::<2>().0 {
        match text(field)? {
            TEXT => message.text = Bytes::copy_from_slice(bytes(value)?),
            KIND => message.kind = EventKind::new(text(value)?),
            LATEST => message.latest = true,
            USER => user = text(value),
            NAME => name = text(value),
            AFTER => before.plain = Some(parsed(value)?),
            BESIDE => before.latest = Some(parsed(value)?),
            BEGINS => before.none = true,
            // Of a newer version.
            _ => {}
        }
    }
    message.author = user.and_then(|user| Author::read(user, name));
    Some((message, before))
}

fn parsed<T: FromStr>(value: &Value) -> Option<T> {
    text(value)?.parse().ok()
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::SimpleString(text) => Some(text),
        value => str::from_utf8(bytes(value)?).ok(),
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { events: 3, bytes: 1 << 20, age: Duration::from_secs(10) };

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry_of(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())])
    }

    fn list(texts: &[Option<&str>]) -> Value {
        Value::Array(texts.iter().map(|text| text.map_or(Value::Nil, bulk)).collect())
    }

    fn id(text: &str) -> EventId {
        text.parse().unwrap()
    }

    /// The answer to [`load`] at 30 s, of a topic whose history is over at this time.
    fn answer(over: Option<&str>, history: [Option<&str>; 2], all: [Option<&str>; 2]) -> Vec<Value> {
        let over = over.map_or(Value::Nil, bulk);
        vec![list(&[Some("30"), Some("999")]), over, list(&history), list(&all), Value::Array(Vec::new())]
    }

    #[test]
    fn what_redis_knows_of_a_history_comes_with_each_page() {
        let begun = [None, Some("21000-3")];
        let known = page(&answer(Some("40000"), begun, [Some("7000"), Some("2000")]), &BOUNDS).unwrap();
        assert_eq!((known.now_ms, known.has_history, known.lost), (30_000, true, None));
        assert_eq!((known.begun, known.since_ms, known.shortest_ms), (Some(id("21000-3")), 7_000, 2_000));
        let nothing = page(&answer(None, [None; 2], [None; 2]), &BOUNDS).unwrap();
        assert_eq!((nothing.has_history, nothing.since_ms, nothing.shortest_ms), (false, 30_000, 10_000));
        let over = |at| page(&answer(Some(at), begun, [None; 2]), &BOUNDS).unwrap().has_history;
        assert_eq!((over("30000"), over("30001")), (false, true));
        for nonsense in [[Some("x"), None], [None, Some("")]] {
            assert!(page(&answer(None, nonsense, [None; 2]), &BOUNDS).is_none());
            assert!(page(&answer(None, [None; 2], nonsense), &BOUNDS).is_none());
        }
        assert!(page(&[Value::Nil], &BOUNDS).is_none());
    }

    /// What has come of a topic at once.
    fn told_of(entries: &[Value]) -> Value {
        let streams = vec![bulk("{driftless}:topic:news"), Value::Array(entries.to_vec())];
        Value::Array(vec![Value::Array(streams)])
    }

    #[test]
    fn a_node_sees_that_events_were_dropped_before_it_has_read_them() {
        let keys = Keys::new("{driftless}");
        let misses = |entries: &[Value], read: &str| {
            let answer = [list(&[Some("30"), Some("0")]), told_of(entries), list(&[Some("30"), Some("0")])];
            told(&keys, &answer).unwrap().streams[0].misses_some_after(id(read))
        };
        let plain = entry_of("9-0", &[TEXT, "x", AFTER, "8-0"]);
        assert!(!misses(std::slice::from_ref(&plain), "8-0"));
        assert!(misses(&[plain], "7-0"), "8-0 is gone");
        let beside = entry_of("9-0", &[TEXT, "x", AFTER, "6-0", BESIDE, "8-0"]);
        assert!(!misses(std::slice::from_ref(&beside), "8-0"));
        assert!(misses(std::slice::from_ref(&beside), "7-0"), "8-0 is gone, and nothing has replaced it");
        let latest = entry_of("10-0", &[TEXT, "x", LATEST, "1", AFTER, "9-0"]);
        assert!(!misses(&[beside, latest], "7-0"), "that one has");
    }

    #[test]
    fn what_arrives_is_told_apart_and_nonsense_is_nothing() {
        let keys = Keys::new("{driftless}");
        let (topic, nudge) = (keys.topic("news"), keys.nudge(5));
        let events = Value::Array(vec![
            entry_of("1-0", &[TEXT, "a", KIND, "price", LATEST, "1", BEGINS, "1"]),
            entry_of("1-1", &["unknown", "", TEXT, "b"]),
        ]);
        let streams = Value::Array(vec![
            Value::Array(vec![bulk(&nudge), Value::Array(vec![entry_of("9-0", &["x", "1"])])]),
            Value::Array(vec![bulk(&topic), events]),
        ]);
        let answer = |streams: &Value| {
            [list(&[Some("3"), Some("4000")]), streams.clone(), list(&[Some("5"), Some("6999")])]
        };
        let answered = answer(&streams);
        let Told { asked_ms, streams: got, until_ms } = told(&keys, &answered).unwrap();
        assert_eq!((asked_ms, until_ms), (3_004, 5_006));
        assert_eq!((got[0].name, got[1].name), ("-0000000000000005", "news"));
        assert_eq!((got[0].newest, got[1].newest), (id("9-0"), id("1-1")));
        assert_eq!((got[0].is_new(), got[1].is_new()), (false, true));
        let events = &got[1].events;
        assert_eq!(&*events[0].sse, b"id: 1-0\nevent: price\ndata: a\n\n");
        assert!(events[0].latest && !events[1].latest);
        assert_eq!(told(&keys, &answer(&Value::Nil)).unwrap().streams.len(), 0, "the time was over");
        for nonsense in
            [Value::Int(1), Value::Array(vec![Value::Int(1)]), Value::Array(vec![entry_of("x", &[])])]
        {
            assert!(told(&keys, &answer(&nonsense)).is_none(), "{nonsense:?}");
        }
    }

    #[test]
    fn an_entry_that_is_no_event_is_passed_over_and_stops_no_other() {
        let no_text = || Value::BulkString(vec![0xff]);
        let entry = |id: &str, fields: [Value; 2]| Value::Array(vec![bulk(id), Value::Array(fields.into())]);
        let entries = vec![
            entry("1-0", [bulk(TEXT), bulk("a")]),
            entry("2-0", [no_text(), bulk("b")]),
            entry("3-0", [bulk(KIND), no_text()]),
            Value::Array(vec![bulk("4-0"), Value::Nil]),
        ];
        let told = [list(&[Some("0"), Some("0")]), told_of(&entries), list(&[Some("0"), Some("0")])];
        let keys = Keys::new("{driftless}");
        let got = &super::told(&keys, &told).unwrap().streams[0];
        assert_eq!(got.events.iter().map(|event| event.id).collect::<Vec<_>>(), [id("1-0")]);
        assert_eq!(got.newest, id("4-0"), "it is not asked for again");
        let mut history = answer(Some("40000"), [None; 2], [None; 2]);
        history[4] = Value::Array(entries.into_iter().rev().collect());
        let page = page(&history, &BOUNDS).unwrap();
        assert_eq!(page.entries.iter().filter_map(|entry| entry.event.as_ref()).count(), 1);
    }
}
