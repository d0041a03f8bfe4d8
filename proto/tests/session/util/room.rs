//! A room whose state is a function of its tick, so that what a client applied can be checked without a
//! history.

use bytes::{BufMut as _, BytesMut};
use driftless_proto::{
    delta::{Encoder, References},
    schema::Schema,
    session::server::{StateSend, StateTick},
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use std::sync::Arc;

/// A tick's state, shared by everybody who sends it.
#[derive(Debug, Clone)]
pub struct Published(pub Arc<Snapshot>);

impl StateTick for Published {
    fn tick(&self) -> u32 {
        self.0.tick()
    }
}

#[derive(Debug)]
pub struct Room {
    pub schema: Schema,
    pub tick: u32,
    encoder: Encoder,
}

impl Room {
    pub fn new() -> Self {
        let schema = Schema::new()
            .kind("boat", |k| k.linear("position", &["x", "y"], 100).hold("hull", &["health"], 1))
            .kind("flag", |k| k.hold("owner", &["player"], 1));
        Self { schema, tick: 0, encoder: Encoder::default() }
    }

    pub fn step(&mut self) -> Published {
        self.tick += 1;
        Published(Arc::new(world(&self.schema, self.tick)))
    }

    /// The whole message of a state.
    pub fn encode(
        &mut self,
        send: &StateSend<'_, Published>,
        input: u32,
        coding: ColumnCoding,
        out: &mut BytesMut,
    ) {
        let references =
            References { baseline: send.baseline.map(|s| &*s.0), prior: send.prior.map(|s| &*s.0) };
        let current = &*send.current.0;
        let mut shared = BytesMut::new();
        self.encoder.encode(&self.schema, references, current, coding, Some(current.checksum()), &mut shared);
        send.head(input).write(shared.len(), out);
        out.put(shared);
    }
}

/// The world at a tick: boats that come, go and move, and a flag that changes hands.
pub fn world(schema: &Schema, tick: u32) -> Snapshot {
    let mut state = Snapshot::new(schema);
    state.clear(tick);
    let t = (tick % 1_000_000) as i32;
    for id in 1..=12u32 {
        if !(tick / 7 + id).is_multiple_of(3) {
            let n = i32::try_from(id).unwrap();
            state.table_mut(0).push(id, &[n * 1000 + t * n, -3 * t + (t / 5) * n, 100 - t / 10 % 7]);
        }
    }
    state.table_mut(1).push(40, &[t / 20]);
    state
}
