//! What is said to Redis, and what it answers: a topic is a stream. No connection, no clock.

use super::{
    event::{Event, EventKind, Message},
    id::EventId,
    ring::{Bounds, Ring},
};
use crate::clock::millis;
use bytes::Bytes;
use redis::{Cmd, Pipeline, Script, ScriptInvocation, Value, cmd, pipe};
use std::{sync::Arc, time::Duration};

/// The fields of an entry.
const TEXT: &str = "text";
const KIND: &str = "kind";
const LATEST: &str = "latest";
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

    /// What is known of a topic's history besides.
    fn history(&self, name: &str) -> String {
        format!("{}:history:{name}", self.prefix)
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
    most_topics: usize,
    bounds: &Bounds,
) -> ScriptInvocation<'a> {
    let Message { text, kind, latest } = message;
    let kind = kind.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut call = publisher.key(keys.topics());
    call.arg(&keys.prefix).arg(name).arg(most_topics);
    call.arg(bounds.events).arg(bounds.bytes).arg(millis(bounds.age));
    call.arg(&**text).arg(kind).arg(if *latest { LATEST } else { "" });
    call
}

/// What there is of a topic: Redis's time, when its history is over, what was dropped of it, and the newest
/// entries, the newest first.
pub(super) fn load(keys: &Keys, name: &str, bounds: &Bounds) -> Pipeline {
    let mut all = pipe();
    all.atomic();
    all.cmd("TIME");
    all.cmd("ZSCORE").arg(keys.topics()).arg(name);
    all.cmd("HGET").arg(keys.history(name)).arg("lost");
    all.cmd("XREVRANGE").arg(keys.topic(name)).arg("+").arg("-").arg("COUNT").arg(bounds.events);
    all
}

/// The newest of the topics that have a history from then on.
pub(super) fn newest_topic(keys: &Keys) -> Cmd {
    let mut newest = cmd("XREVRANGE");
    newest.arg(keys.new_topics()).arg("+").arg("-").arg("COUNT").arg(1);
    newest
}

/// What comes after these ids, as soon as there is something.
pub(super) fn read(streams: &[(String, EventId)], block: Duration) -> Cmd {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(1_000).arg("BLOCK").arg(millis(block)).arg("STREAMS");
    for (key, _) in streams {
        read.arg(key);
    }
    for (_, after) in streams {
        read.arg(after.to_string());
    }
    read
}

/// Has whoever reads this stream wake up.
pub(super) fn nudge(key: &str) -> Pipeline {
    let mut all = pipe();
    all.cmd("XADD").arg(key).arg("MAXLEN").arg(1).arg("*").arg("x").arg(1).ignore();
    all.cmd("PEXPIRE").arg(key).arg(60_000).ignore();
    all
}

/// A topic as Redis has it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub ring: Ring,
    /// Whether it has a history. If not, it is told when it has one.
    pub has_history: bool,
}

/// What `load` has answered. None: it makes no sense.
pub(super) fn loaded(answer: &[Value], now_ms: u64, bounds: &Bounds) -> Option<Loaded> {
    let [time, over, lost, history] = answer else { return None };
    let Value::Array(time) = time else { return None };
    let parsed = |value: &Value| text(value)?.parse::<f64>().ok();
    let redis_ms = parsed(time.first()?)? * 1_000.0 + parsed(time.get(1)?)? / 1_000.0;
    let has_history = match over {
        Value::Nil => false,
        over => parsed(over)? > redis_ms.floor(),
    };
    let lost = match lost {
        Value::Nil => EventId::ZERO,
        lost => text(lost)?.parse().ok()?,
    };
    let entries = entries(history)?;
    let oldest = entries.last().map_or(EventId::ZERO, |(id, _)| id.predecessor());
    // There may have been an earlier history, of which nothing is known.
    let too_old = EventId::at(now_ms.saturating_sub(millis(bounds.age)));
    let floor = if entries.len() < bounds.events { oldest.min(too_old).max(lost) } else { oldest };
    let mut ring = Ring::empty(floor);
    entries.into_iter().rev().filter_map(|(_, event)| event).for_each(|event| ring.push(event, bounds));
    Some(Loaded { ring, has_history })
}

/// The id that `newest_topic` has answered; 0 if there is none. None: it makes no sense.
pub(super) fn newest(answer: &Value) -> Option<EventId> {
    Some(entries(answer)?.first().map_or(EventId::ZERO, |(id, _)| *id))
}

/// The topics that an event of [`Keys::new_topics`] names.
pub(super) fn new_topic(event: &Event) -> &str {
    str::from_utf8(&event.text).unwrap_or_default()
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
}

/// What `read` has answered. None: it makes no sense.
pub(super) fn arrived<'a>(keys: &Keys, answer: &'a Value) -> Option<Vec<Arrived<'a>>> {
    let Value::Array(streams) = answer else { return matches!(answer, Value::Nil).then(Vec::new) };
    let stream = |stream: &'a Value| {
        let Value::Array(parts) = stream else { return None };
        let [key, all] = &**parts else { return None };
        let (name, all) = (keys.name(text(key)?)?, entries(all)?);
        let newest = all.last()?.0;
        Some(Arrived { name, events: all.into_iter().filter_map(|(_, event)| event).collect(), newest })
    };
    streams.iter().map(stream).collect()
}

/// What `publish` has answered: the id; or there are as many topics as may be. None: it makes no sense.
pub(super) fn published(answer: &[String]) -> Option<Option<EventId>> {
    match answer {
        [word] if word == "full" => Some(None),
        [word, id] if word == "done" => id.parse().ok().map(Some),
        _ => None,
    }
}

type Entry = (EventId, Option<Arc<Event>>);

fn entries(answer: &Value) -> Option<Vec<Entry>> {
    let Value::Array(entries) = answer else { return matches!(answer, Value::Nil).then(Vec::new) };
    entries.iter().map(entry).collect()
}

/// An entry, and the event that it is. (One that somebody else has written may be none, and stops nothing.)
fn entry(entry: &Value) -> Option<Entry> {
    let Value::Array(parts) = entry else { return None };
    let [id, fields] = &**parts else { return None };
    let id: EventId = text(id)?.parse().ok()?;
    Some((id, message(fields).map(|message| Event::new(id, message))))
}

fn message(fields: &Value) -> Option<Message> {
    let Value::Array(fields) = fields else { return None };
    let mut message = Message { text: Bytes::new(), kind: None, latest: false };
    for [field, value] in fields.as_chunks::<2>().0 {
        match text(field)? {
            TEXT => message.text = Bytes::copy_from_slice(bytes(value)?),
            KIND => message.kind = EventKind::new(text(value)?),
            LATEST => message.latest = true,
            // Of a newer version.
            _ => {}
        }
    }
    Some(message)
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
    use super::{
        super::ring::{After, Start},
        *,
    };

    const BOUNDS: Bounds = Bounds { events: 3, bytes: 1 << 20, age: Duration::from_secs(10) };

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry_of(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())])
    }

    /// The answer to [`load`] at 30 s, of a topic whose history is over at this time.
    fn answer(over: Option<&str>, lost: Option<&str>, ids: &[&str]) -> Vec<Value> {
        let (over, lost) = (over.map_or(Value::Nil, bulk), lost.map_or(Value::Nil, bulk));
        let history = ids.iter().map(|id| entry_of(id, &[TEXT, "x"])).collect();
        vec![Value::Array(vec![bulk("30"), bulk("999")]), over, lost, Value::Array(history)]
    }

    fn history(lost: Option<&str>, ids: &[&str]) -> Ring {
        loaded(&answer(Some("40000"), lost, ids), 30_000, &BOUNDS).unwrap().ring
    }

    fn id(text: &str) -> EventId {
        text.parse().unwrap()
    }

    #[test]
    fn a_history_that_is_as_long_as_may_be_has_lost_what_was_before_it() {
        let full = history(None, &["30000-0", "29000-0", "28000-0"]);
        assert!(full.start(Some(id("27000-0"))).gap && !full.start(Some(id("28000-0"))).gap);
        let short = history(None, &["30000-0", "29000-0"]);
        assert!(!short.start(Some(id("20000-0"))).gap, "nothing was dropped yet");
        assert!(short.start(Some(id("19999-0"))).gap, "it was too old");
        let After::Event(first) = short.after(id("20000-0")) else { panic!("it has events") };
        assert_eq!(first.id, id("29000-0"));
    }

    #[test]
    fn a_history_that_is_shorter_than_may_be_has_lost_what_was_dropped() {
        let short = history(Some("28000-0"), &["30000-0", "29000-0"]);
        assert!(short.start(Some(id("27000-0"))).gap && !short.start(Some(id("28000-0"))).gap);
    }

    #[test]
    fn a_stream_that_is_not_there_has_no_history() {
        let nothing = loaded(&answer(None, None, &[]), 30_000, &BOUNDS).unwrap();
        assert!(!nothing.has_history);
        assert_eq!(nothing.ring.start(None), Start { at: EventId::ZERO, gap: false });
        assert!(nothing.ring.start(Some(id("5-0"))).gap);
    }

    #[test]
    fn a_history_is_over_when_redis_says_so() {
        let has = |over| loaded(&answer(Some(over), None, &[]), 90_000, &BOUNDS).unwrap().has_history;
        assert_eq!((has("30000"), has("30001")), (false, true));
        assert!(loaded(&[Value::Nil], 0, &BOUNDS).is_none());
    }

    #[test]
    fn what_arrives_is_told_apart_and_nonsense_is_nothing() {
        let keys = Keys::new("{driftless}");
        let (topic, nudge) = (keys.topic("news"), keys.nudge(5));
        let events = Value::Array(vec![
            entry_of("1-0", &[TEXT, "a", KIND, "price", LATEST, "1"]),
            entry_of("1-1", &["unknown", "", TEXT, "b"]),
        ]);
        let answer = Value::Array(vec![
            Value::Array(vec![bulk(&nudge), Value::Array(vec![entry_of("9-0", &["x", "1"])])]),
            Value::Array(vec![bulk(&topic), events]),
        ]);
        let got = arrived(&keys, &answer).unwrap();
        assert_eq!((got[0].name, got[1].name), ("-0000000000000005", "news"));
        assert_eq!((got[0].newest, got[1].newest), (id("9-0"), id("1-1")));
        let events = &got[1].events;
        assert_eq!(&*events[0].sse, b"id: 1-0\nevent: price\ndata: a\n\n");
        assert!(events[0].latest && !events[1].latest);
        assert_eq!(arrived(&keys, &Value::Nil).unwrap().len(), 0, "the time was over");
        for nonsense in
            [Value::Int(1), Value::Array(vec![Value::Int(1)]), Value::Array(vec![entry_of("x", &[])])]
        {
            assert!(arrived(&keys, &nonsense).is_none(), "{nonsense:?}");
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
        let keys = Keys::new("{driftless}");
        let of_topic = vec![bulk(&keys.topic("news")), Value::Array(entries.clone())];
        let arrived = Value::Array(vec![Value::Array(of_topic)]);
        let got = super::arrived(&keys, &arrived).unwrap();
        assert_eq!(got[0].events.iter().map(|event| event.id).collect::<Vec<_>>(), [id("1-0")]);
        assert_eq!(got[0].newest, id("4-0"), "it is not asked for again");
        let mut history = answer(Some("40000"), None, &[]);
        history[3] = Value::Array(entries.into_iter().rev().collect());
        assert_eq!(loaded(&history, 0, &BOUNDS).unwrap().ring.newest(), id("1-0"));
    }
}
