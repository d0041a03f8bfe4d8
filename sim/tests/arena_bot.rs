//! The arena's bots play it.
#![allow(clippy::unwrap_used)] // in helpers of tests

mod common;

use common::arena::Room;
use driftless_sim::{
    Bot, Rng, Seen,
    games::arena::{Arena, ArenaInput, BotMemory, arena_event::Body},
};
use std::collections::BTreeSet;

const BOTS: u32 = 8;

/// What they do in a minute: kills, and the places where each was, in cells of 10 m.
fn minute(tick_rate: u32) -> (usize, Vec<BTreeSet<(i32, i32)>>) {
    let mut room = Room::new(3, tick_rate);
    (1..=BOTS).for_each(|player| room.join(player));
    let mut bots: Vec<_> =
        (1..=BOTS).map(|player| (player, BotMemory::default(), Rng::new(player.into()))).collect();
    let (mut kills, mut places) = (0, vec![BTreeSet::new(); bots.len()]);
    for _ in 0..60 * tick_rate {
        let inputs: Vec<_> = bots
            .iter_mut()
            .map(|(player, memory, rng)| {
                let seen = Seen { state: &room.seen, player: *player, tick_rate };
                (*player, Arena::act(memory, &seen, rng))
            })
            .collect();
        room.step(&inputs);
        kills += room.events().iter().filter(|event| matches!(event, Body::Kill(_))).count();
        for (at, player) in places.iter_mut().zip(1..) {
            let seen = room.player(player);
            at.insert((seen.x / 1_000, seen.y / 1_000));
        }
    }
    (kills, places)
}

#[test]
fn bots_get_about_and_shoot_each_other_at_any_tick_rate() {
    for tick_rate in [10, 20, 60] {
        let (kills, places) = minute(tick_rate);
        assert!((10..200).contains(&kills), "{tick_rate} Hz: {kills} kills");
        assert!(places.iter().all(|cells| cells.len() >= 5), "{tick_rate} Hz: {places:?}");
    }
}

#[test]
fn the_same_bots_do_the_same() {
    assert_eq!(minute(20), minute(20));
}

#[test]
fn a_bot_that_is_dead_or_not_there_does_nothing() {
    let room = Room::new(3, 20);
    let seen = Seen { state: &room.seen, player: 1, tick_rate: 20 };
    assert_eq!(Arena::act(&mut BotMemory::default(), &seen, &mut Rng::new(1)), ArenaInput::default());
}
