//! Bots of the arena: how many there are, and that they play.

mod common;

use common::arena::{Room, fire};
use driftless_sim::games::arena::{arena_command, arena_event, rules};

const RATE: u32 = 20;

#[test]
fn bots_fill_up_a_small_room_and_leave_as_people_come() {
    let mut room = Room::with_options(1, RATE, r#"{"bots": 3}"#);
    room.idle(5 * RATE);
    assert_eq!(room.bots(), 0, "nobody is there to play with");
    for (people, bots) in [(1, 3), (2, 2), (3, 1), (4, 0), (5, 0)] {
        room.join(people * 100);
        room.idle(5 * RATE);
        assert_eq!(room.bots(), bots, "with {people} people");
    }
    for (left, bots) in [(4, 0), (3, 1), (2, 2), (1, 3), (0, 0)] {
        room.leave((left + 1) * 100);
        room.idle(5 * RATE);
        assert_eq!(room.bots(), bots, "with {left} people");
    }
}

#[test]
fn a_match_brings_its_bots() {
    let mut room = Room::new(1, RATE);
    room.join(1);
    room.idle(5 * RATE);
    assert_eq!(room.bots(), 0);
    let wanted = arena_command::Match { round_s: 180, bots: 2 };
    room.command(1, arena_command::Body::Match(wanted)).unwrap();
    room.idle(5 * RATE);
    assert_eq!(room.bots(), 2);
}

#[test]
fn bots_fight_move_and_stay_out_of_boxes() {
    for (seed, rate) in [(1, 20), (2, 60), (3, 7)] {
        let mut room = Room::with_options(seed, rate, r#"{"bots": 7}"#);
        room.join(1_000);
        let (mut kills, mut moved) = (0, 0);
        for _ in 0..90 {
            let before = room.seen.clone();
            room.idle(rate);
            let kind = driftless_sim::games::arena::PLAYERS;
            let (was, is) = (&before.tables()[kind], &room.seen.tables()[kind]);
            for &id in is.ids().iter().filter(|&&id| id != 1_000) {
                let at = |table: &driftless_proto::snapshot::Table| (table.value(id, 0), table.value(id, 1));
                moved += u32::from(at(was) != at(is));
            }
            let told = room.events();
            kills += told.iter().filter(|event| matches!(event, arena_event::Body::Kill(_))).count();
        }
        // Some of them are dead, some of the time.
        assert!(moved > 90 * 7 * 7 / 10, "seed {seed}: a bot moved in {moved} of 630 seconds");
        assert!((10..200).contains(&kills), "seed {seed}: {kills} kills");
    }
}

#[test]
fn a_bot_gives_whoever_enters_a_moment() {
    for seed in 0..20 {
        let mut room = Room::with_options(seed, RATE, r#"{"bots": 1}"#);
        room.join(1_000);
        room.idle(RATE);
        assert_eq!(room.bots(), 1);
        assert_eq!(room.player(1_000).health, i32::from(rules::MAX_HEALTH), "seed {seed}");
    }
}

#[test]
fn a_bot_can_be_shot_and_is_back() {
    let mut room = Room::with_options(3, RATE, r#"{"bots": 1}"#);
    room.join(1_000);
    room.idle(RATE);
    let mut died = false;
    for _ in 0..120 * RATE {
        let bot = room.find_bot().unwrap();
        let me = room.player(1_000);
        room.step(&[(1_000, fire(bot.x - me.x, bot.y - me.y))]);
        died |= room.find_bot().unwrap().health == 0;
        if died && room.find_bot().unwrap().health > 0 {
            return;
        }
    }
    panic!("it did not die ({died}), or did not come back");
}

// Promise 1
#[test]
fn rooms_with_bots_play_alike() {
    let play = || {
        let mut room = Room::with_options(9, RATE, r#"{"bots": 7, "round_s": 20}"#);
        room.join(1_000);
        (0..60 * RATE).for_each(|n| room.step(&[(1_000, fire(n as i32 % 200 - 100, 50))]));
        room.seen
    };
    assert_eq!(play(), play());
}
