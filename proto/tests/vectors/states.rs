//! States, each of one message.

use crate::{
    files, hex, replaced,
    schema::{VectorSchema, coding},
    unhex, updates,
};
use bytes::Bytes;
use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::Schema,
    snapshot::Snapshot,
    state::StateHead,
    wire,
};
use prost::Message;
use serde::Deserialize;
use std::fs;

#[derive(Deserialize)]
struct Vector {
    schema: VectorSchema,
    schema_message: String,
    prior: Option<State>,
    baseline: Option<State>,
    current: State,
    input: u32,
    coding: String,
    checked: bool,
    checksum: u32,
    message: String,
}

#[derive(Deserialize)]
struct State {
    tick: u32,
    tables: Vec<Table>,
    #[serde(default)]
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    number: i32,
    bytes: String,
}

#[derive(Deserialize)]
struct Table {
    ids: Vec<u32>,
    columns: Vec<Vec<i32>>,
}

impl State {
    fn snapshot(&self, schema: &Schema) -> Snapshot {
        let mut snapshot = Snapshot::new(schema);
        snapshot.clear(self.tick);
        for text in &self.texts {
            assert_eq!(snapshot.bytes(&unhex(&text.bytes)), text.number);
        }
        for (kind, table) in self.tables.iter().enumerate() {
            for (row, &id) in table.ids.iter().enumerate() {
                let values: Vec<i32> = table.columns.iter().map(|c| c[row]).collect();
                snapshot.table_mut(kind).push(id, &values);
            }
        }
        snapshot
    }
}

#[test]
fn every_vector_is_what_the_codec_writes_and_reads() {
    let files = files("");
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        let vector: Vector = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (schema_message, checksum, message) = written(&vector);
        if updates() {
            let text = replaced(&text, "schema_message", |_| Some(format!("\"{schema_message}\"")));
            let text = replaced(&text, "checksum", |_| Some(checksum.to_string()));
            let text = replaced(&text, "message", |_| Some(format!("\"{message}\"")));
            fs::write(&file, text).unwrap();
            continue;
        }
        assert_eq!(schema_message, vector.schema_message, "{name}: schema");
        assert_eq!(checksum, vector.checksum, "{name}: checksum");
        assert_eq!(message, vector.message, "{name}: message");
        read(&vector, &name.to_string());
    }
}

/// The bytes that this codec writes for a vector's states.
fn written(vector: &Vector) -> (String, u32, String) {
    let schema = vector.schema.schema();
    let snapshot = |state: &Option<State>| state.as_ref().map(|s| s.snapshot(&schema));
    let (prior, baseline) = (snapshot(&vector.prior), snapshot(&vector.baseline));
    let current = vector.current.snapshot(&schema);
    let checksum = current.checksum();
    let references = References { baseline: baseline.as_ref(), prior: prior.as_ref() };
    let mut shared = Vec::new();
    let carried = vector.checked.then_some(checksum);
    Encoder::default().encode(&schema, references, &current, coding(&vector.coding), carried, &mut shared);
    let head = StateHead {
        tick: current.tick(),
        baseline: baseline.as_ref().map(Snapshot::tick),
        prior: prior.as_ref().map(Snapshot::tick),
        input: vector.input,
        number: current.tick(),
        apart: false,
    };
    let mut message = Vec::new();
    head.write(shared.len(), &mut message);
    message.extend(shared);
    (hex(&schema.to_wire().encode_to_vec()), checksum, hex(&message))
}

/// Reads the bytes of the file, as a client would.
fn read(vector: &Vector, name: &str) {
    let wire_schema = wire::Schema::decode(&*unhex(&vector.schema_message)).unwrap();
    let schema = Schema::from_wire(&wire_schema).unwrap();
    let (head, shared) = StateHead::split(&Bytes::from(unhex(&vector.message))).unwrap().unwrap();
    let find = |tick: Option<u32>, state: &Option<State>| {
        let found = tick.map(|tick| state.as_ref().filter(|s| s.tick == tick).unwrap());
        found.map(|s| s.snapshot(&schema))
    };
    let baseline = find(head.baseline, &vector.baseline);
    let prior = find(head.prior, &vector.prior);
    let references = References { baseline: baseline.as_ref(), prior: prior.as_ref() };
    let mut out = Snapshot::default();
    let checksum = Decoder::default().apply(&schema, references, head.tick, &shared, &mut out);
    assert_eq!(checksum, Ok(vector.checked.then_some(vector.checksum)), "{name}");
    assert_eq!(out, vector.current.snapshot(&schema), "{name}");
}
