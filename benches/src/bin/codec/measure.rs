//! Runs the codec over a recording.

use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::Schema,
    snapshot::Snapshot,
    state::StateHead,
    wire::{ColumnCoding, ServerMessage, TableDelta, server_message::Body},
};
use prost::Message;
use serde::Serialize;
use std::{error::Error, time::Instant};

/// A recording: one snapshot per tick.
pub struct Recording {
    pub name: &'static str,
    pub schema: Schema,
    /// In order, at ticks 0, 1, …
    pub frames: Vec<Snapshot>,
}

/// The results for one baseline and one column coding.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub data: &'static str,
    /// Ticks from the baseline to the state.
    pub baseline: usize,
    pub coding: &'static str,
    pub packets: usize,
    pub entities_per_packet: f64,
    /// Of the whole message.
    pub bytes_per_packet: f64,
    pub bytes_per_entity: f64,
    /// Of the coded residuals only.
    pub column_bytes_per_entity: f64,
    pub encode_ns_per_entity: f64,
    pub decode_ns_per_entity: f64,
}

/// How often the packets are timed; the fastest pass counts.
const PASSES: usize = 5;

/// Measures every coding with the baseline this many ticks back. As many frames at the start are skipped.
pub fn run(recording: &Recording, age: usize) -> Result<Vec<Figures>, Box<dyn Error>> {
    [ColumnCoding::Packed, ColumnCoding::Rice, ColumnCoding::Dense]
        .map(|coding| run_coding(recording, age, coding))
        .into_iter()
        .collect()
}

fn run_coding(recording: &Recording, age: usize, coding: ColumnCoding) -> Result<Figures, Box<dyn Error>> {
    let Recording { name, schema, frames } = recording;
    let packets = frames.len().checked_sub(age).filter(|&n| n > 0).ok_or("the recording is too short")?;
    let references = |t: usize| References {
        baseline: Some(&frames[t - age]),
        prior: t.checked_sub(2 * age).map(|prior| &frames[prior]),
    };
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut encode = |t: usize, out: &mut Vec<u8>| {
        encoder.encode(schema, references(t), &frames[t], coding, None, out);
    };

    let mut bodies = Vec::with_capacity(packets);
    let (mut bytes, mut column_bytes, mut entities) = (0, 0, 0);
    let mut decoded = Snapshot::new(schema);
    for (t, frame) in frames.iter().enumerate().skip(age) {
        let mut body = Vec::new();
        encode(t, &mut body);
        decoder.apply(schema, references(t), frame.tick(), &body, &mut decoded)?;
        if &decoded != frame {
            return Err(format!("packet of tick {t} decodes to another state").into());
        }
        let message = message(frame, references(t), &body);
        bytes += message.len();
        column_bytes += columns_len(&message)?;
        entities += frame.tables().iter().map(|t| t.len()).sum::<usize>();
        bodies.push(body);
    }

    let mut body = Vec::new();
    let encode_seconds = fastest(|| {
        for t in age..frames.len() {
            body.clear();
            encode(t, &mut body);
        }
    });
    let mut failed = None;
    let decode_seconds = fastest(|| {
        for (t, body) in (age..).zip(&bodies) {
            failed =
                decoder.apply(schema, references(t), frames[t].tick(), body, &mut decoded).err().or(failed);
        }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    let each = |sum: usize, of: usize| sum as f64 / of as f64;
    Ok(Figures {
        data: name,
        baseline: age,
        coding: match coding {
            ColumnCoding::Packed => "packed",
            ColumnCoding::Rice => "rice",
            ColumnCoding::Dense => "dense",
        },
        packets,
        entities_per_packet: each(entities, packets),
        bytes_per_packet: each(bytes, packets),
        bytes_per_entity: each(bytes, entities),
        column_bytes_per_entity: each(column_bytes, entities),
        encode_ns_per_entity: encode_seconds * 1e9 / entities as f64,
        decode_ns_per_entity: decode_seconds * 1e9 / entities as f64,
    })
}

/// The message as a client gets it.
fn message(current: &Snapshot, references: References<'_>, body: &[u8]) -> Vec<u8> {
    let tick = |snapshot: Option<&Snapshot>| snapshot.map(Snapshot::tick);
    let head = StateHead {
        tick: current.tick(),
        baseline: tick(references.baseline),
        prior: tick(references.prior),
        input: current.tick(),
        number: current.tick(),
        apart: false,
    };
    let mut message = Vec::with_capacity(head.message_len(body.len()));
    head.write(body.len(), &mut message);
    message.extend_from_slice(body);
    message
}

/// Bytes of coded residuals in a message, as another protobuf library finds them.
fn columns_len(message: &[u8]) -> Result<usize, Box<dyn Error>> {
    let Some(Body::State(state)) = ServerMessage::decode(message)?.body else {
        return Err("not a state".into());
    };
    let groups = |table: &TableDelta| {
        let groups = table.groups.iter().chain(&table.spawned_groups);
        let packed = |n: &u64| prost::encoding::encoded_len_varint(*n);
        groups.map(|g| g.rice.len() + g.packed.iter().map(packed).sum::<usize>()).sum::<usize>()
    };
    Ok(state.dense.len() + state.tables.iter().map(groups).sum::<usize>())
}

/// Seconds of the fastest pass.
fn fastest(mut pass: impl FnMut()) -> f64 {
    (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            pass();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
