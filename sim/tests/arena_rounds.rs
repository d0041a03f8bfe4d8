//! Rounds of the arena: their end, their winner, and the rematch.

mod common;

use common::arena::{Room, fire, goto};
use driftless_sim::games::arena::{arena_event, rules};

const RATE: u32 = 20;
const PAUSE: u32 = rules::PAUSE_MS / 1_000;

/// Two players near each other, in rounds of a minute.
fn room() -> Room {
    let mut room = Room::with_options(21, RATE, r#"{"round_s": 60}"#);
    room.join(1);
    room.join(2);
    room.walk(&[(1, 100, 100), (2, 400, 100)]);
    room
}

#[test]
fn a_round_ends_with_its_winner_and_another_begins_without_scores() {
    let mut room = room();
    room.rounds();
    while room.player(2).health > 0 {
        room.step(&[(1, fire(1, 0))]);
    }
    room.idle(60 * RATE - room.tick);
    let over = arena_event::Round { number: 1, playing: false, seconds_left: PAUSE, winner: 1, score: 1 };
    assert_eq!(room.rounds(), [over]);
    assert!(room.projectiles().is_empty());

    room.step(&[(1, fire(1, 0))]);
    assert!(room.projectiles().is_empty(), "nobody shoots between rounds");
    let spawns = room.player(1).spawns;
    room.idle(PAUSE * RATE - 1);
    let next = arena_event::Round { number: 2, playing: true, seconds_left: 60, winner: 0, score: 0 };
    assert_eq!(room.rounds(), [next]);
    let player = room.player(1);
    assert_eq!((player.score, player.spawns, player.health), (0, spawns + 1, i32::from(rules::MAX_HEALTH)));
}

#[test]
fn a_round_in_which_nobody_has_more_than_all_others_has_no_winner() {
    let mut room = room();
    room.idle(60 * RATE - room.tick);
    let over = room.rounds().pop().unwrap();
    assert_eq!((over.playing, over.winner, over.score), (false, 0, 0));
}

#[test]
fn without_the_option_there_are_no_rounds() {
    let mut room = Room::new(21, RATE);
    room.join(1);
    room.idle(100 * RATE);
    assert!(room.rounds().is_empty());
}

#[test]
fn in_a_match_nobody_who_is_sent_to_a_place_is_faster_than_those_who_run() {
    for (options, most) in [(r#"{"round_s": 60}"#, rules::RUN_SPEED), ("", rules::MAX_SPEED)] {
        let mut room = Room::with_options(21, RATE, options);
        room.join(1);
        room.walk(&[(1, 100, 100)]);
        (0..RATE).for_each(|_| room.step(&[(1, goto(5_000, 100))]));
        assert_eq!(room.player(1).x, 100 + most, "{options}");
    }
}
