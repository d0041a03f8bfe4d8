//! Tables stay sorted, and a snapshot's checksum is that of its documented bytes.

use driftless_proto::{schema::Schema, snapshot::Snapshot};
use proptest::prelude::*;

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

/// Bit by bit, to check the fast one by.
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
}
