//! The codec does not allocate in steady state.

#![allow(unsafe_code, reason = "a counting allocator")]

use bytes::Bytes;
use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::Schema,
    snapshot::Snapshot,
    state::StateHead,
    wire::ColumnCoding,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn schema() -> Schema {
    Schema::new()
        .kind("player", |k| k.linear("position", &["x", "y"], 100).hold("health", &["health"], 1))
        .kind("bullet", |k| k.linear("position", &["x", "y", "z"], 100))
        .kind("label", |k| k.text("name", &["name"]).bytes("items", &["items"]))
}

/// The names of labels.
const NAMES: [&str; 7] = ["", "Ada", "Bob", "Cleo", "Dan", "Eve", "Flo"];

/// 200 players, some of whom come and go, 50 bullets whose ids are always new, and 100 labels with texts that
/// some exchange.
fn fill(snapshot: &mut Snapshot, tick: u32) {
    snapshot.clear(tick);
    for id in 0..200 {
        if !(id + tick).is_multiple_of(17) {
            let wave = (id * tick * 31 % 97) as i32;
            snapshot.table_mut(0).push(id, &[wave, -wave * 300, (tick / 9 + id) as i32 % 5]);
        }
    }
    for id in 0..50 {
        snapshot.table_mut(1).push(tick * 3 + id, &[id as i32, (id * tick) as i32, 4]);
    }
    for id in 0..100 {
        let name = snapshot.text(NAMES[(if id < 90 { id } else { id + tick }) as usize % NAMES.len()]);
        let items = snapshot.bytes(&[3; 64]);
        snapshot.table_mut(2).push(id, &[name, items]);
    }
}

#[test]
fn a_steady_state_allocates_nothing() {
    let schema = schema();
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut frames = [(); 4].map(|()| Snapshot::new(&schema));
    let mut decoded = Snapshot::default();
    let mut body = Vec::new();
    let mut round = |from: u32| {
        for tick in from..from + 300 {
            let [prior, baseline, current, kept] = &mut frames;
            fill(prior, tick);
            fill(baseline, tick + 1 + tick % 7);
            fill(current, tick + 9);
            for (coding, has_prior) in [
                (ColumnCoding::Packed, true),
                (ColumnCoding::Rice, true),
                (ColumnCoding::Dense, true),
                (ColumnCoding::Packed, false),
            ] {
                let references = References { baseline: Some(baseline), prior: has_prior.then_some(prior) };
                body.clear();
                let checksum = Some(current.checksum());
                encoder.encode(&schema, references, current, coding, checksum, &mut body);
                decoder.apply(&schema, references, current.tick(), &body, &mut decoded).unwrap();
                kept.copy_from(&decoded);
            }
        }
    };
    round(0);
    let before = ALLOCATIONS.get();
    round(0);
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn splitting_a_message_allocates_nothing() {
    let head =
        StateHead { tick: 900, baseline: Some(890), prior: None, input: 77, number: 900, apart: false };
    let mut message = Vec::new();
    head.write(3, &mut message);
    message.extend([0x7a, 1, 0]);
    let message = Bytes::from(message);
    // The first slice makes the bytes shared.
    let _ = StateHead::split(&message);
    let before = ALLOCATIONS.get();
    assert!(StateHead::split(&message).unwrap().is_some());
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

// Promise 4: "One client, however slow or hostile, does not … grow memory without bound." Likewise for a
// hostile server and its client.
#[test]
fn a_short_message_makes_no_large_allocation() {
    let schema = schema();
    let counts = |count: u8| vec![0xff, 0xff, 0xff, count];
    let mut messages = Vec::new();
    for count in [0x07, 0x7f] {
        // Kind 0: a Rice row set of millions of rows; a group of Rice values; a spawned id with large gaps.
        let rice = [&[0x42, 4][..], &counts(count), &[0x3a, 2, 0x2a, 0]].concat();
        let spawned = [&[0x1a, 4][..], &counts(count), &[0x22, 2, 0x2a, 0, 0x22, 4, 8, 1, 0x2a, 0]].concat();
        messages.extend([rice, spawned]);
    }
    let mut baseline = Snapshot::new(&schema);
    fill(&mut baseline, 1);
    let tables = messages.iter().map(|table| [&[0x4a, table.len() as u8][..], table].concat());
    for body in tables {
        let references = References { baseline: Some(&baseline), prior: None };
        let mut decoder = Decoder::default();
        let mut out = Snapshot::new(&schema);
        let before = BYTES.get();
        assert!(decoder.apply(&schema, references, 2, &body, &mut out).is_err(), "{body:x?}");
        let allocated = BYTES.get() - before;
        // The copy of the baseline's 250 rows with their row numbers, and nothing more.
        assert!(allocated < 64 * 1024, "{allocated} bytes");
    }
}

// Promise 4, as above.
#[test]
fn dense_ids_without_values_take_no_memory_for_them() {
    const IDS: usize = 2_000;
    let schema = schema();
    let mut many = Snapshot::new(&schema);
    many.clear(1);
    for id in 0..IDS {
        many.table_mut(0).push(id as u32, &vec![0; schema.kinds()[0].columns()]);
    }
    let mut body = Vec::new();
    let references = References::default();
    Encoder::default().encode(&schema, references, &many, ColumnCoding::Dense, None, &mut body);
    // After the tag and a length of two bytes: for each id, a bit that there is one and a bit for its gap.
    let ids = &body[3..][..IDS / 4];
    let body = [&[0x7a, ids.len() as u8 | 0x80, (ids.len() >> 7) as u8], ids].concat();
    let (mut decoder, mut out) = (Decoder::default(), Snapshot::new(&schema));
    let before = BYTES.get();
    assert!(decoder.apply(&schema, references, 1, &body, &mut out).is_err());
    let allocated = BYTES.get() - before;
    assert!(allocated < 40 * body.len(), "{allocated} bytes");
}
