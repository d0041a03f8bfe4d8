//! A delta turns the states that the receiver has into the state that the sender has.
#![allow(clippy::unwrap_used, clippy::expect_used)] // in helpers of tests

mod worlds;

use driftless_proto::{
    delta::{Decoder, DeltaError, Encoder, References},
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use proptest::prelude::*;
use worlds::{World, schema, worlds};

const CODINGS: [ColumnCoding; 3] = [ColumnCoding::Packed, ColumnCoding::Rice, ColumnCoding::Dense];

proptest! {
    #[test]
    fn applying_a_delta_gives_the_encoded_state(
        World { prior, baseline, current } in worlds(),
        has_prior: bool, has_baseline: bool, checked: bool,
    ) {
        let references = References {
            baseline: has_baseline.then_some(&baseline),
            prior: has_prior.then_some(&prior),
        };
        let checksum = checked.then(|| current.checksum());
        for coding in CODINGS {
            let mut body = Vec::new();
            Encoder::default().encode(&schema(), references, &current, coding, checksum, &mut body);
            let mut out = Snapshot::default();
            let read = Decoder::default().apply(&schema(), references, current.tick(), &body, &mut out);
            prop_assert_eq!(read, Ok(checksum));
            prop_assert_eq!(&out, &current);
        }
    }

    #[test]
    fn encoder_and_decoder_carry_nothing_over(first in worlds(), second in worlds()) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let mut out = Snapshot::default();
        for world in [&first, &second, &first] {
            let mut body = Vec::new();
            encoder.encode(&schema(), world.references(), &world.current, ColumnCoding::Packed, None, &mut body);
            let mut fresh = Vec::new();
            Encoder::default().encode(&schema(), world.references(), &world.current, ColumnCoding::Packed, None, &mut fresh);
            prop_assert_eq!(&body, &fresh);
            decoder.apply(&schema(), world.references(), world.current.tick(), &body, &mut out).unwrap();
            prop_assert_eq!(&out, &world.current);
        }
    }

    // Promise 6: "Nothing a peer sends panics the server. Bad input gets a named error". The client runs the
    // same code.
    #[test]
    fn a_cut_message_is_refused_or_harmless(world in worlds(), coding in 0..3_usize, cut: prop::sample::Index) {
        let body = world.encode(CODINGS[coding], Some(world.current.checksum()));
        let len = cut.index(body.len());
        harmless(&world, &body[..len])?;
    }

    // Promise 6, as above.
    #[test]
    fn a_changed_message_is_refused_or_harmless(
        world in worlds(), coding in 0..3_usize, at: prop::sample::Index, byte: u8, kind in 0..3,
    ) {
        let mut body = world.encode(CODINGS[coding], None);
        if !body.is_empty() {
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        harmless(&world, &body)?;
    }

    // Promise 6, as above.
    #[test]
    fn random_bytes_are_refused_or_harmless(world in worlds(), body: Vec<u8>) {
        harmless(&world, &body)?;
    }
}

/// Applies a message. Whatever the result, it is a valid snapshot, and the next delta can build on it.
fn harmless(world: &World, body: &[u8]) -> Result<(), TestCaseError> {
    let mut out = Snapshot::default();
    let tick = world.current.tick();
    let mut decoder = Decoder::default();
    let read = decoder.apply(&schema(), world.references(), tick, body, &mut out);
    for table in out.tables() {
        prop_assert!(table.ids().is_sorted_by(|a, b| a < b));
        for column in 0..table.width() {
            prop_assert_eq!(table.column(column).len(), table.len());
        }
    }
    if read.is_ok() {
        // Whatever text a row refers to is there: else this would panic.
        let mut again = Vec::new();
        let none = References::default();
        Encoder::default().encode(&schema(), none, &out, ColumnCoding::Packed, None, &mut again);
    }
    if let Ok(Some(checksum)) = read {
        prop_assert_eq!(checksum, out.checksum());
    }
    // The decoder still works.
    let body = world.encode(ColumnCoding::Packed, None);
    prop_assert_eq!(decoder.apply(&schema(), world.references(), tick, &body, &mut out), Ok(None));
    prop_assert_eq!(&out, &world.current);
    Ok(())
}

#[test]
fn a_state_as_predicted_is_no_bytes() {
    let mut world = worlds::straight_line();
    assert!(world.encode(ColumnCoding::Packed, None).is_empty());
    world.current.table_mut(0).push(1, &[13, -7, 100]);
    assert!(!world.encode(ColumnCoding::Packed, None).is_empty());
}

#[test]
fn a_huge_count_of_rows_is_refused() {
    let world = worlds::straight_line();
    // Kind 0, spawned id 5, group 0 with a `rows` set, which spawned groups may not have.
    let body = [0x4a, 10, 0x1a, 1, 5, 0x22, 5, 0x12, 1, 1, 0x22, 0];
    let mut out = Snapshot::default();
    let read = Decoder::default().apply(&schema(), world.references(), 6, &body, &mut out);
    assert_eq!(read, Err(DeltaError::SpawnedGroups));
}

/// The shared bytes of a state with this `dense`.
fn dense(bytes: &[u8]) -> Vec<u8> {
    [&[0x7a, bytes.len() as u8], bytes].concat()
}

fn read(world: &World, body: &[u8]) -> Result<Option<u32>, DeltaError> {
    Decoder::default().apply(
        &schema(),
        world.references(),
        world.current.tick(),
        body,
        &mut Snapshot::default(),
    )
}

#[test]
fn a_content_in_two_codings_is_refused() {
    let mut world = worlds::straight_line();
    world.current.table_mut(0).push(1, &[13, -7, 100]);
    let [packed, dense] =
        [ColumnCoding::Packed, ColumnCoding::Dense].map(|coding| world.encode(coding, None));
    assert_eq!(read(&world, &[&packed[..], &dense].concat()), Err(DeltaError::TwoCodings));
    assert_eq!(read(&world, &[&dense[..], &packed].concat()), Err(DeltaError::TwoCodings));
    assert_eq!(read(&world, &[&dense[..], &dense].concat()), Err(DeltaError::Repeated("dense")));
}

#[test]
fn a_dense_content_ends_where_its_bytes_end() {
    let mut world = worlds::straight_line();
    world.current.table_mut(0).push(1, &[13, -7, 100]);
    let body = world.encode(ColumnCoding::Dense, None);
    let bytes = &body[2..];
    assert_eq!(read(&world, &dense(bytes)), Ok(None));
    assert_eq!(read(&world, &dense(&bytes[..bytes.len() - 1])), Err(DeltaError::ValueCount));
    assert_eq!(read(&world, &dense(&[bytes, &[0]].concat())), Err(DeltaError::ValueCount));
    assert_eq!(read(&world, &dense(&[])), Err(DeltaError::ValueCount));
}

#[test]
fn a_dense_content_names_no_row_or_id_that_cannot_be() {
    let world = worlds::straight_line();
    // Kind 0 differs (1), a row is gone (1), and it is row 1 of 1 (gap 1 with k = 3: 0 and 100).
    assert_eq!(read(&world, &dense(&[0b1_0011])), Err(DeltaError::Row { field: "despawned", rows: 1 }));
    // None is gone (0); 1 is new (1), not above the baseline's (0): gap 1 with k = 5 (0 and 10000).
    assert_eq!(read(&world, &dense(&[0b0010_0101, 0])), Err(DeltaError::SpawnedTwice(1)));
    // Ones without end: a gap of more than 32 bits.
    assert_eq!(read(&world, &dense(&[0xff; 100])), Err(DeltaError::Residual));
}
