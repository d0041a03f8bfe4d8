//! What is said to Redis, and what it answers: a topic is a stream. No connection, no clock.

use super::{
    event::{Event, EventKind, Message},
    id::EventId,
    ring::{Bounds, Ring},
};
use bytes::Bytes;
use redis::{Cmd, Pipeline, Value, cmd, pipe};
use std::{sync::Arc, time::Duration};

/// The fields of an entry.
const TEXT: &str = "text";
const KIND: &str = "kind";
const LATEST: &str = "latest";

/// The names of keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// All begin with it. In braces, so that a Redis Cluster keeps them in one place.
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: format!("{{{prefix}}}:topic") }
    }

    /// The stream of a topic. (No topic's name begins with `-`.)
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// The stream by which a node tells itself to look at what it reads.
    pub(super) fn nudge(&self, node: u64) -> String {
        format!("{}:-{node:016x}", self.prefix)
    }

    /// The topic of a stream.
    fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)?.strip_prefix(':')
    }
}

/// Publishes, and drops what is too old. Answers the id first.
pub(super) fn publish(key: &str, message: &Message, now_ms: u64, bounds: &Bounds) -> Pipeline {
    let mut add = cmd("XADD");
    add.arg(key).arg("MAXLEN").arg("~").arg(bounds.events).arg("*").arg(TEXT).arg(&*message.text);
    if let Some(kind) = &message.kind {
        add.arg(KIND).arg(kind.to_string());
    }
    if message.latest {
        add.arg(LATEST).arg(1);
    }
    let age = millis(bounds.age);
    let mut all = pipe();
    all.add_command(add);
    all.cmd("XTRIM").arg(key).arg("MINID").arg("~").arg(now_ms.saturating_sub(age)).ignore();
    all.cmd("PEXPIRE").arg(key).arg(age).ignore();
    all
}

/// The newest entries, the newest first.
pub(super) fn load(key: &str, bounds: &Bounds) -> Cmd {
    let mut load = cmd("XREVRANGE");
    load.arg(key).arg("+").arg("-").arg("COUNT").arg(bounds.events);
    load
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

/// The history that `load` has answered. None: it makes no sense.
pub(super) fn loaded(answer: &Value, now_ms: u64, bounds: &Bounds) -> Option<Ring> {
    let entries = entries(answer)?;
    let oldest = entries.last().map_or(EventId::ZERO, |event| event.id.predecessor());
    // One that has fewer than it may has lost nothing but what was too old.
    let too_old = EventId::at(now_ms.saturating_sub(millis(bounds.age)));
    let floor = if entries.len() < bounds.events { oldest.min(too_old) } else { oldest };
    let mut ring = Ring::empty(floor);
    entries.into_iter().rev().for_each(|event| ring.push(event, bounds));
    Some(ring)
}

/// Events by their topics' names.
type Arrivals<'a> = Vec<(&'a str, Vec<Arc<Event>>)>;

/// What `read` has answered. (The stream of nudges counts as a topic.) None: it makes no sense.
pub(super) fn arrived<'a>(keys: &Keys, answer: &'a Value) -> Option<Arrivals<'a>> {
    let Value::Array(streams) = answer else { return matches!(answer, Value::Nil).then(Vec::new) };
    let stream = |stream: &'a Value| {
        let Value::Array(parts) = stream else { return None };
        let [key, events] = &**parts else { return None };
        Some((keys.name(text(key)?)?, entries(events)?))
    };
    streams.iter().map(stream).collect()
}

/// The id that `publish` has answered.
pub(super) fn published(answer: &[Value]) -> Option<EventId> {
    text(answer.first()?)?.parse().ok()
}

fn entries(answer: &Value) -> Option<Vec<Arc<Event>>> {
    let Value::Array(entries) = answer else { return matches!(answer, Value::Nil).then(Vec::new) };
    entries.iter().map(entry).collect()
}

fn entry(entry: &Value) -> Option<Arc<Event>> {
    let Value::Array(parts) = entry else { return None };
    let [id, Value::Array(fields)] = &**parts else { return None };
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
    Some(Event::new(text(id)?.parse().ok()?, message))
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

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
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

    fn history(ids: &[&str]) -> Value {
        Value::Array(ids.iter().map(|id| entry_of(id, &[TEXT, "x"])).collect())
    }

    fn id(text: &str) -> EventId {
        text.parse().unwrap()
    }

    #[test]
    fn a_history_that_is_as_long_as_may_be_has_lost_what_was_before_it() {
        let full = loaded(&history(&["30000-0", "29000-0", "28000-0"]), 30_000, &BOUNDS).unwrap();
        assert!(full.start(Some(id("27000-0"))).gap && !full.start(Some(id("28000-0"))).gap);
        let short = loaded(&history(&["30000-0", "29000-0"]), 30_000, &BOUNDS).unwrap();
        assert!(!short.start(Some(id("20000-0"))).gap, "nothing was dropped yet");
        assert!(short.start(Some(id("19999-0"))).gap, "it was too old");
        let After::Event(first) = short.after(id("20000-0")) else { panic!("it has events") };
        assert_eq!(first.id, id("29000-0"));
    }

    #[test]
    fn a_stream_that_is_not_there_has_no_history() {
        for nothing in [Value::Nil, Value::Array(Vec::new())] {
            let ring = loaded(&nothing, 30_000, &BOUNDS).unwrap();
            assert_eq!(ring.start(None), Start { at: EventId::ZERO, gap: false });
            assert!(ring.start(Some(id("5-0"))).gap);
        }
    }

    #[test]
    fn what_arrives_is_told_apart_and_nonsense_is_nothing() {
        let keys = Keys::new("driftless");
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
        assert_eq!((got[0].0, got[1].0), ("-0000000000000005", "news"));
        assert_eq!(&*got[1].1[0].sse, b"id: 1-0\nevent: price\ndata: a\n\n");
        assert!(got[1].1[0].latest && !got[1].1[1].latest);
        assert_eq!(arrived(&keys, &Value::Nil).unwrap().len(), 0, "the time was over");
        for nonsense in
            [Value::Int(1), Value::Array(vec![Value::Int(1)]), Value::Array(vec![entry_of("x", &[])])]
        {
            assert!(arrived(&keys, &nonsense).is_none(), "{nonsense:?}");
        }
    }
}
