//! Tables stay sorted, and a snapshot's checksum is that of its documented bytes.

use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::Schema,
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use proptest::{collection::vec, prelude::*};

fn schema() -> Schema {
    Schema::new()
        .kind("player", |k| k.linear("position", &["x", "y"], 1))
        .kind("flag", |k| k.hold("f", &["f"], 1))
}

#[test]
fn ids_are_sorted_whatever_the_order_of_pushes() {
    let mut snapshot = Snapshot::new(&schema());
    let table = snapshot.table_mut(0);
    for (id, x) in [(5, 50), (1, 10), (9, 90), (5, 55)] {
        table.push(id, &[x, -x]);
    }
    assert_eq!(table.ids(), [1, 5, 9]);
    assert_eq!(table.column(0), [10, 55, 90]);
    assert_eq!(table.value(5, 1), Some(-55));
    assert_eq!(table.value(6, 1), None);
}

#[test]
#[should_panic(expected = "values of entity 3")]
fn a_row_of_the_wrong_width_panics() {
    Snapshot::new(&schema()).table_mut(0).push(3, &[1]);
}

#[test]
fn the_checksum_is_that_of_the_documented_bytes() {
    // The check value of CRC-32C: RFC 3720 appendix B.4, 32 bytes of zeros, is 0x8a9136aa.
    let flags = Schema::new().kind("flag", |k| k.hold("f", &["f"], 1));
    let mut snapshot = Snapshot::new(&flags);
    assert_eq!(snapshot.checksum(), crc(&[0, 0]));
    snapshot.clear(3);
    snapshot.table_mut(0).push(7, &[-2]);
    assert_eq!(snapshot.checksum(), crc(&[3, 1, 7, -2_i32 as u32]));
    assert_eq!(crc(&[0; 8]), 0x8a91_36aa);
}

/// Bit by bit, to verify the fast implementation.
fn crc(words: &[u32]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    let byte = |crc: u32, byte: u8| (0..8).fold(crc ^ u32::from(byte), step);
    !words.iter().flat_map(|w| w.to_le_bytes()).fold(!0, byte)
}

proptest! {
    #[test]
    fn a_copy_equals_its_original(ids in prop::collection::btree_set(any::<u32>(), 0..600), tick: u32) {
        let mut snapshot = Snapshot::new(&schema());
        snapshot.clear(tick);
        let mut words = vec![tick, ids.len() as u32];
        words.extend(&ids);
        words.extend(ids.iter().map(|&id| id ^ 5));
        words.extend(ids.iter().map(|&id| id ^ 6));
        words.push(0);
        for &id in &ids {
            snapshot.table_mut(0).push(id, &[(id ^ 5) as i32, (id ^ 6) as i32]);
        }
        prop_assert_eq!(snapshot.checksum(), crc(&words));
        let mut copy = Snapshot::default();
        copy.copy_from(&snapshot);
        prop_assert_eq!(copy, snapshot);
    }

    /// For each tick: the players' ids and places, and whether the flag has moved.
    #[test]
    fn what_clones_share_changes_in_none_of_the_others(
        ticks in vec((vec((0_u32..3, 0_i32..2), 0..3), any::<bool>()), 1..20),
    ) {
        let (mut kept, mut flag) = (Vec::<(Snapshot, Snapshot)>::new(), 0);
        for ((players, flag_moves), tick) in ticks.into_iter().zip(1..) {
            // Like a room: there are three, and the oldest is reused.
            let mut snapshot = match kept.len() {
                0 => Snapshot::new(&schema()),
                1 | 2 => kept[kept.len() - 1].0.clone(),
                _ => kept.remove(0).0,
            };
            let mut alone = Snapshot::new(&schema());
            flag += i32::from(flag_moves);
            for snapshot in [&mut snapshot, &mut alone] {
                snapshot.clear(tick);
                players.iter().for_each(|&(id, x)| snapshot.table_mut(0).push(id, &[x, -x]));
                snapshot.table_mut(1).push(1, &[flag]);
            }
            kept.push((snapshot, alone));
            for (snapshot, alone) in &kept {
                prop_assert_eq!(snapshot, alone);
                prop_assert_eq!(snapshot.checksum(), alone.checksum());
            }
            let of = |n: usize| kept.len().checked_sub(n).map(|at| &kept[at]);
            let encode = |current, baseline, prior| {
                let mut body = Vec::new();
                let references = References { baseline, prior };
                let coding = ColumnCoding::Packed;
                Encoder::default().encode(&schema(), references, current, coding, None, &mut body);
                body
            };
            let (shared, single) = (&kept[kept.len() - 1].0, &kept[kept.len() - 1].1);
            let body = encode(shared, of(2).map(|s| &s.0), of(3).map(|s| &s.0));
            prop_assert_eq!(&body, &encode(single, of(2).map(|s| &s.1), of(3).map(|s| &s.1)));
            let references = References { baseline: of(2).map(|s| &s.0), prior: of(3).map(|s| &s.0) };
            let mut received = shared.clone();
            Decoder::default().apply(&schema(), references, tick, &body, &mut received).unwrap();
            prop_assert_eq!(&received, single);
        }
    }
}
