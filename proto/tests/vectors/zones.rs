//! Sessions in a room with zones: what each message makes of what a client shows.

use crate::{
    files, hex, replaced,
    schema::{VectorSchema, coding},
    unhex, updates,
    util::{join, server},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    delta::{DeltaError, Encoder, References},
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientSession, ServerError},
    },
    snapshot::Snapshot,
    state::StateHead,
    wire::{self, ClientMessage, Welcome, client_message, server_message},
};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "about")]
    _about: String,
    schema: VectorSchema,
    schema_message: String,
    delivery: String,
    tick_rate: u32,
    steps: Vec<Step>,
}

/// A message, what it contains, and what has come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    about: String,
    /// The message is the first of another connection.
    #[serde(default)]
    reconnected: bool,
    #[serde(default)]
    lost: bool,
    /// Of which the message is made. None: it was made otherwise.
    state: Option<State>,
    message: String,
    error: Option<String>,
    /// None: as before.
    shown: Option<Shown>,
    ack: Option<(u32, u32)>,
    /// The boats that are late.
    late: Option<Vec<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    tick: u32,
    number: Option<u32>,
    baseline: Option<u32>,
    prior: Option<u32>,
    #[serde(default)]
    input: u32,
    /// None: the message says nothing of zone 0.
    zone_0: Option<Content>,
    #[serde(default)]
    left: Vec<u32>,
    #[serde(default)]
    deferred: Vec<u32>,
    #[serde(default)]
    zones: Vec<Zone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Zone {
    zone: u32,
    baseline: Option<u32>,
    prior: Option<u32>,
    content: Content,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    rows: Kinds,
    #[serde(default)]
    coding: Option<String>,
    #[serde(default)]
    checksum: Checksum,
}

/// Whether a zone has a checksum: its own, or another.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Checksum {
    Own(bool),
    Other(u32),
}

impl Default for Checksum {
    fn default() -> Self {
        Self::Own(false)
    }
}

/// The values of each entity, by kind and id.
type Kinds = BTreeMap<String, BTreeMap<u32, Vec<Value>>>;

#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(untagged)]
enum Value {
    Number(i32),
    Text(String),
}

#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Shown {
    tick: u32,
    rows: Kinds,
}

#[test]
fn every_session_with_zones_is_what_the_codec_writes_and_a_client_shows() {
    let files = files("zones");
    assert!(files.len() > 20);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display().to_string();
        let vector: Vector = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let schema = vector.schema.schema();
        let schema_message = hex(&schema.to_wire().encode_to_vec());
        let written = |n: usize| Some(hex(&vector.written(&schema, vector.steps[n].state.as_ref()?)));
        if updates() {
            let text = replaced(&text, "schema_message", |_| Some(format!("\"{schema_message}\"")));
            let text = replaced(&text, "message", |n| Some(format!("\"{}\"", written(n)?)));
            fs::write(&file, text).unwrap();
            continue;
        }
        assert_eq!(schema_message, vector.schema_message, "{name}: schema");
        for (n, step) in vector.steps.iter().enumerate() {
            if let Some(written) = written(n) {
                assert_eq!(written, step.message, "{name}: step {n}: {}", step.about);
            }
        }
        replay(&vector, &schema, &name);
    }
}

impl Vector {
    fn written(&self, schema: &Schema, state: &State) -> Vec<u8> {
        let State { tick, input, baseline, prior, .. } = *state;
        let zone_0 = state.zone_0.as_ref();
        let mut shared =
            zone_0.map_or_else(Vec::new, |content| self.body(schema, 0, content, tick, (baseline, prior)));
        let lists = wire::State {
            left: gaps(&state.left),
            deferred: gaps(&state.deferred),
            ..wire::State::default()
        };
        shared.extend(lists.encode_to_vec());
        let mut last = 0;
        for Zone { zone, baseline, prior, content } in &state.zones {
            let references = match (baseline, prior) {
                _ if (*baseline, *prior) == (state.baseline, state.prior) => 0,
                (None, _) => 1,
                (Some(baseline), None) => 2 + (tick - 1 - baseline),
                (Some(baseline), Some(prior)) => 2 + (tick - 1 - baseline) + 64 * (baseline - prior),
            };
            let head = wire::ZoneDelta { zone: zone - last - 1, references, ..wire::ZoneDelta::default() };
            let mut entry = head.encode_to_vec();
            entry.extend(self.body(schema, *zone, content, tick, (*baseline, *prior)));
            encode_key(13, WireType::LengthDelimited, &mut shared);
            encode_varint(entry.len() as u64, &mut shared);
            shared.extend(entry);
            last = *zone;
        }
        let number = state.number.unwrap_or(tick);
        let head = StateHead { tick, baseline, prior, input, number, apart: zone_0.is_none() };
        let mut message = Vec::new();
        head.write(shared.len(), &mut message);
        message.extend(shared);
        message
    }

    /// The shared fields of a zone.
    fn body(
        &self,
        schema: &Schema,
        zone: u32,
        content: &Content,
        tick: u32,
        ticks: (Option<u32>, Option<u32>),
    ) -> Vec<u8> {
        let reference = |tick: Option<u32>| Some(snapshot(schema, tick?, self.content(zone, tick?)));
        let (baseline, prior) = (reference(ticks.0), reference(ticks.1));
        let references = References { baseline: baseline.as_ref(), prior: prior.as_ref() };
        let current = snapshot(schema, tick, &content.rows);
        let checksum = match content.checksum {
            Checksum::Own(has) => has.then(|| current.checksum()),
            Checksum::Other(checksum) => Some(checksum),
        };
        let coding = coding(content.coding.as_deref().unwrap_or("packed"));
        let mut body = Vec::new();
        Encoder::default().encode(schema, references, &current, coding, checksum, &mut body);
        body
    }

    /// What a zone contained at a tick: what the newest state up to then says that speaks of it.
    fn content(&self, zone: u32, tick: u32) -> &Kinds {
        let states = self.steps.iter().filter_map(|step| step.state.as_ref());
        let contents = states.filter(|state| state.tick <= tick).filter_map(|state| {
            let content = match zone {
                0 => state.zone_0.as_ref()?,
                _ => &state.zones.iter().find(|entry| entry.zone == zone)?.content,
            };
            Some((state.tick, &content.rows))
        });
        contents.max_by_key(|(tick, _)| *tick).expect("a reference to a content that the file has").1
    }
}

/// Ascending numbers, each as its distance to the one before, less 1.
fn gaps(zones: &[u32]) -> Vec<u32> {
    let mut last = 0;
    zones.iter().map(|&zone| zone - std::mem::replace(&mut last, zone) - 1).collect()
}

fn snapshot(schema: &Schema, tick: u32, kinds: &Kinds) -> Snapshot {
    let mut snapshot = Snapshot::new(schema);
    snapshot.clear(tick);
    for (kind, rows) in kinds {
        let kind = schema.find(kind).unwrap();
        for (&id, values) in rows {
            let value = |value: &Value| match value {
                Value::Number(number) => *number,
                Value::Text(text) => snapshot.text(text),
            };
            let values: Vec<i32> = values.iter().map(value).collect();
            snapshot.table_mut(kind).push(id, &values);
        }
    }
    snapshot
}

/// Takes the messages of a file as a client does.
fn replay(vector: &Vector, schema: &Schema, name: &str) {
    let mut client = Client::new(vector);
    let mut shown = None;
    for (n, step) in vector.steps.iter().enumerate() {
        let at = format!("{name}: step {n}: {}", step.about);
        if step.reconnected {
            client.reconnect(vector);
        }
        if step.lost {
            continue;
        }
        let error = client.take(&step.message).err();
        assert_eq!(error.as_ref().map(name_of), step.error.as_deref(), "{at}: {error:?}");
        shown = step.shown.clone().or(shown);
        assert_eq!(client.shown(schema), shown, "{at}");
        if let Some(late) = &step.late {
            let boats = 0..200;
            assert_eq!(boats.filter(|&id| client.session.is_late(0, id)).collect::<Vec<_>>(), *late, "{at}");
        }
        if let Some(ack) = step.ack {
            assert_eq!(client.ack(), Some(ack), "{at}");
        }
    }
}

struct Client {
    now: Instant,
    delivery: Delivery,
    session: ClientSession,
}

impl Client {
    fn new(vector: &Vector) -> Self {
        let delivery = match vector.delivery.as_str() {
            "ordered" => Delivery::Ordered,
            "datagram" => Delivery::Datagram,
            other => panic!("delivery {other}"),
        };
        let now = Instant::now();
        let config = ClientConfig { delivery, ..ClientConfig::default() };
        let mut client = Self { now, delivery, session: ClientSession::join(now, config, join()) };
        client.enter(vector, false);
        client
    }

    fn enter(&mut self, vector: &Vector, resumed: bool) {
        assert!(self.session.poll_transmit(self.now, &mut BytesMut::new()), "the join or resume");
        let welcome = Welcome {
            protocol: 1,
            player: 1,
            resume_token: vec![1; 16].into(),
            tick_rate: vector.tick_rate,
            schema: Some(vector.schema.schema().to_wire()),
            timeout_ms: 10_000,
            resumed,
            ..Welcome::default()
        };
        self.session.handle_message(self.now, server(server_message::Body::Welcome(welcome))).unwrap();
    }

    fn reconnect(&mut self, vector: &Vector) {
        self.session.disconnected();
        self.session.reconnected(self.now, false, self.delivery);
        self.enter(vector, true);
    }

    fn take(&mut self, message: &str) -> Result<(), ServerError> {
        self.now += Duration::from_millis(50);
        self.session.handle_message(self.now, Bytes::from(unhex(message)))
    }

    /// What is shown, with texts instead of their numbers. None: nothing yet.
    fn shown(&self, schema: &Schema) -> Option<Shown> {
        let state = self.session.snapshot()?;
        let mut rows = Kinds::new();
        for (kind, table) in schema.kinds().iter().zip(state.tables()).filter(|(_, table)| !table.is_empty())
        {
            let texts: Vec<usize> = kind.text_columns().collect();
            let value = |column: usize, row: usize| match table.column(column)[row] {
                number if texts.contains(&column) => Value::Text(state.text_of(number).into()),
                number => Value::Number(number),
            };
            let values = |row: usize| (0..table.width()).map(|column| value(column, row)).collect();
            let entities = table.ids().iter().enumerate().map(|(row, &id)| (id, values(row)));
            rows.insert(kind.name().into(), entities.collect());
        }
        Some(Shown { tick: state.tick(), rows })
    }

    /// The state that it acknowledges next, and which before it are missing.
    fn ack(&mut self) -> Option<(u32, u32)> {
        self.now += Duration::from_millis(100);
        let mut out = BytesMut::new();
        while self.session.poll_transmit(self.now, &mut out) {
            let message = ClientMessage::decode(out.split()).unwrap();
            if let Some(client_message::Body::Ack(ack)) = message.body {
                return Some((ack.state_ack, ack.state_missing));
            }
        }
        None
    }
}

fn name_of(error: &ServerError) -> &'static str {
    match error {
        ServerError::Stale { .. } => "stale",
        ServerError::Unexpected(_) => "unexpected",
        ServerError::UnknownBaseline { .. } => "unknown baseline",
        ServerError::TooManyZones(_) => "too many zones",
        ServerError::Delta(DeltaError::BeforeStart) => "before start",
        ServerError::Delta(DeltaError::Checksum { .. }) => "checksum",
        ServerError::Delta(DeltaError::FieldOrder(_)) => "field order",
        ServerError::Delta(DeltaError::HeadInShared(_)) => "head in shared",
        ServerError::Delta(DeltaError::Repeated(_)) => "repeated",
        ServerError::Delta(DeltaError::TooLarge { .. }) => "too large",
        other => panic!("{other}"),
    }
}
