//! Any bytes as the shared part of a state are refused, or give a valid snapshot that can be encoded and read
//! again.
#![no_main]

use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::Schema,
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

struct World {
    schema: Schema,
    prior: Snapshot,
    baseline: Snapshot,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let schema = Schema::new()
        .kind("player", |k| k.linear("position", &["x", "y"], 100).hold("health", &["health"], 1))
        .kind("body", |k| k.linear("position", &["x", "y", "z"], 1000).hold("awake", &["awake"], 1))
        .kind("odd", |k| k.hold("a", &["a"], 1).linear("bcde", &["b", "c", "d", "e"], 1))
        .kind("label", |k| k.text("name", &["name"]).bytes("items", &["items"]));
    let state = |tick: u32, ids: std::ops::Range<i32>| {
        let mut state = Snapshot::new(&schema);
        state.clear(tick);
        for id in ids {
            let t = tick as i32;
            state.table_mut(0).push(id as u32 * 3, &[id * t, -id * t, 100]);
            state.table_mut(1).push(id as u32, &[id * t, i32::MAX - t, i32::MIN + t, 1]);
            state.table_mut(2).push(u32::MAX - 20 + id as u32, &[id, t, t * t, -id, 7]);
            let (name, items) = (state.text(["", "Ada", "Bob"][id as usize % 3]), state.bytes(&[id as u8; 3]));
            state.table_mut(3).push(id as u32, &[name, items]);
        }
        state
    };
    World { prior: state(3, 0..11), baseline: state(7, 1..12), schema }
});

fuzz_target!(|data: &[u8]| {
    let [mode, body @ ..] = data else { return };
    let World { schema, prior, baseline } = &*WORLD;
    let references = References {
        baseline: (mode & 1 == 0).then_some(baseline),
        prior: (mode & 2 == 0).then_some(prior),
    };
    let (tick, mut decoder) = (11, Decoder::default());
    let mut state = Snapshot::default();
    let read = decoder.apply(schema, references, tick, body, &mut state);
    for table in state.tables() {
        assert!(table.ids().is_sorted_by(|a, b| a < b));
        (0..table.width()).for_each(|c| assert_eq!(table.column(c).len(), table.len()));
    }
    if read.is_err() {
        return;
    }
    for coding in [ColumnCoding::Packed, ColumnCoding::Rice, ColumnCoding::Dense] {
        let mut again = Vec::new();
        Encoder::default().encode(schema, references, &state, coding, Some(state.checksum()), &mut again);
        let mut out = Snapshot::default();
        assert_eq!(decoder.apply(schema, references, tick, &again, &mut out), Ok(Some(state.checksum())));
        assert_eq!(out, state);
    }
});
