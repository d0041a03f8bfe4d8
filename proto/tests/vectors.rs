//! The wire format matches the golden vectors: see `proto/vectors/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // in helpers of tests

use bytes::Bytes;
use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::{FieldType, Predictor, Schema},
    snapshot::Snapshot,
    state::StateHead,
    wire::{self, ColumnCoding},
};
use prost::Message;
use serde::Deserialize;
use std::{fmt::Write, fs, path::PathBuf};

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
struct VectorSchema {
    kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    fields: Vec<String>,
    predictor: String,
    quanta_per_unit: u32,
    #[serde(rename = "type", default)]
    field_type: Option<String>,
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

impl Vector {
    fn schema(&self) -> Schema {
        let field_type = |group: &Group| match group.field_type.as_deref() {
            None => FieldType::Number,
            Some("text") => FieldType::Text,
            Some("bytes") => FieldType::Bytes,
            Some(other) => panic!("type {other}"),
        };
        let field = |name: &String, g: &Group| wire::Field {
            name: name.clone(),
            quanta_per_unit: g.quanta_per_unit,
            field_type: field_type(g).into(),
        };
        let group = |g: &Group| wire::Group {
            name: g.name.clone(),
            fields: g.fields.iter().map(|name| field(name, g)).collect(),
            predictor: match g.predictor.as_str() {
                "hold" => Predictor::Hold,
                "linear" => Predictor::Linear,
                other => panic!("predictor {other}"),
            }
            .into(),
        };
        let kind =
            |k: &Kind| wire::Kind { name: k.name.clone(), groups: k.groups.iter().map(group).collect() };
        Schema::from_wire(&wire::Schema { kinds: self.schema.kinds.iter().map(kind).collect() }).unwrap()
    }

    fn coding(&self) -> ColumnCoding {
        match self.coding.as_str() {
            "packed" => ColumnCoding::Packed,
            "rice" => ColumnCoding::Rice,
            "dense" => ColumnCoding::Dense,
            other => panic!("coding {other}"),
        }
    }
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
    let mut files: Vec<PathBuf> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        let vector: Vector = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (schema_message, checksum, message) = written(&vector);
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            let text = replaced(&text, "schema_message", &format!("\"{schema_message}\""));
            let text = replaced(&text, "checksum", &checksum.to_string());
            let text = replaced(&text, "message", &format!("\"{message}\""));
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
    let schema = vector.schema();
    let snapshot = |state: &Option<State>| state.as_ref().map(|s| s.snapshot(&schema));
    let (prior, baseline) = (snapshot(&vector.prior), snapshot(&vector.baseline));
    let current = vector.current.snapshot(&schema);
    let checksum = current.checksum();
    let references = References { baseline: baseline.as_ref(), prior: prior.as_ref() };
    let mut shared = Vec::new();
    let carried = vector.checked.then_some(checksum);
    Encoder::default().encode(&schema, references, &current, vector.coding(), carried, &mut shared);
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

/// Replaces a top-level value, which is on a line of its own, and leaves the rest of the file unchanged.
fn replaced(text: &str, key: &str, value: &str) -> String {
    let start = format!("  \"{key}\": ");
    let line = |line: &str| match line.strip_prefix(&start) {
        Some(old) if old.ends_with(',') => format!("{start}{value},\n"),
        Some(_) => format!("{start}{value}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "not hexadecimal");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
