//! Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
//! replay gives the same checksums."

mod common;

use common::{Script, play, start};
use driftless_sim::{Setup, games};
use proptest::prelude::*;

const KINDS: [&str; 2] = ["arena", "cursors"];

fn checksums(kind: &str, seed: u64, script: u64, tick_rate: u32, ticks: u32) -> Vec<u32> {
    let mut game = start(kind, seed, tick_rate);
    let mut script = Script::new(script).skipping();
    (1..=ticks).filter_map(|tick| script.tick(tick)).map(|record| play(&mut *game, &record)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_seed_and_actions_give_the_same_checksums(
        seed: u64, script: u64, tick_rate in 1u32..=128, kind in 0..2usize,
    ) {
        let [one, other] = [(); 2].map(|()| checksums(KINDS[kind], seed, script, tick_rate, 100));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_restored_checkpoint_goes_on_identically(
        seed: u64, script: u64, tick_rate in 1u32..=128, at in 1u32..100, kind in 0..2usize,
    ) {
        let kind = &games::kinds()[kind];
        let mut game = kind.start(&Setup::new(seed, tick_rate)).unwrap();
        let mut script = Script::new(script);
        let records: Vec<_> = (1..=150).filter_map(|tick| script.tick(tick)).collect();
        let (before, after) = records.split_at(at as usize);
        for record in before {
            play(&mut *game, record);
        }
        let mut restored = kind.restore(&game.save()).unwrap();
        prop_assert_eq!(game.checksum(), restored.checksum());
        for record in after {
            prop_assert_eq!(play(&mut *game, record), play(&mut *restored, record));
        }
    }

    #[test]
    fn damaged_checkpoints_are_refused(cut in 0usize..2_000, at in 0usize..2_000, bit in 0u8..8) {
        for kind in games::kinds() {
            let mut game = kind.start(&Setup::new(1, 20)).unwrap();
            let mut script = Script::new(1);
            for record in (1..=30).filter_map(|tick| script.tick(tick)) {
                play(&mut *game, &record);
            }
            let mut saved = game.save();
            let cut = cut % saved.len();
            prop_assert!(kind.restore(&saved[..cut]).is_err());
            let at = at % saved.len();
            saved[at] ^= 1 << bit;
            prop_assert!(kind.restore(&saved).is_err());
        }
    }
}

#[test]
fn other_seeds_give_other_rooms() {
    assert_ne!(checksums("arena", 1, 1, 20, 5), checksums("arena", 2, 1, 20, 5));
}

#[test]
fn a_checkpoint_of_another_kind_is_refused() {
    let [arena, cursors, ..] = &games::kinds()[..] else { panic!("two kinds") };
    let mut room = cursors.start(&Setup::new(1, 20)).unwrap();
    room.join(1, 1, "");
    let error = arena.restore(&room.save()).err().unwrap();
    assert_eq!(error.kind, "arena");
    let error = cursors.restore(&arena.start(&Setup::new(1, 20)).unwrap().save()).err().unwrap();
    assert!(error.to_string().starts_with("not a saved state of kind cursors: "), "{error}");
}

#[test]
fn a_checkpoint_ends_with_the_checksum() {
    let mut game = start("arena", 3, 20);
    let mut script = Script::new(3);
    for record in (1..=100).filter_map(|tick| script.tick(tick)) {
        let checksum = play(&mut *game, &record);
        assert!(game.save().ends_with(&checksum.to_le_bytes()));
    }
}

/// The same number on every machine. It changes only when a rule or the state changes, which makes earlier
/// recordings unusable: note that in the change log.
#[test]
fn a_thousand_ticks_end_in_the_golden_checksum() {
    let golden = |kind| checksums(kind, 1, 1, 20, 1_000).pop();
    assert_eq!(golden("arena"), Some(0x7bf4_7d0a), "arena");
    assert_eq!(golden("cursors"), Some(0xa181_9830), "cursors");
}
