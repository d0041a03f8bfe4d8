//! Where players of the arena enter.

mod common;

use common::arena::{Room, Seen, fire};
use driftless_sim::games::arena::rules;

/// What the narrowest page shows to each side of its player, cm.
const SIGHT: i32 = 800;

fn apart(a: Seen, b: Seen) -> i32 {
    (a.x - b.x).abs().max((a.y - b.y).abs())
}

#[test]
fn the_second_of_a_fresh_room_enters_in_sight_of_the_first() {
    for seed in 0..200 {
        let mut room = Room::new(seed, 20);
        room.join(1);
        room.join(2);
        let far = apart(room.player(1), room.player(2));
        assert!((300..SIGHT).contains(&far), "seed {seed}: {far} cm");
    }
}

#[test]
fn whoever_enters_sees_somebody() {
    for seed in 0..50 {
        let mut room = Room::new(seed, 20);
        room.join(1);
        for player in 2..=12 {
            room.join(player);
            let me = room.player(player);
            let nearest = (1..player).map(|other| apart(me, room.player(other))).min().unwrap();
            assert!(nearest < SIGHT, "seed {seed}, player {player}: {nearest} cm");
        }
    }
}

#[test]
fn nobody_enters_where_somebody_aims() {
    for seed in 0..200 {
        let mut room = Room::new(seed, 20);
        room.join(1);
        // Aims to the right and has a friend, so that both sides are places to enter.
        room.step(&[(1, fire(1, 0))]);
        let first = room.player(1);
        room.join(2);
        let second = room.player(2);
        let (along, across) = (second.x - first.x, (second.y - first.y).abs());
        assert!(along < 0 || across * 6 >= along, "seed {seed}: {along} cm ahead, {across} cm aside");
    }
}

#[test]
fn with_many_alive_a_player_enters_anywhere() {
    let mut room = Room::new(5, 20);
    (1..=40).for_each(|player| room.join(player));
    let all = || (17..=40).map(|player| room.player(player));
    let (least, most) = (all().map(|p| p.x).min().unwrap(), all().map(|p| p.x).max().unwrap());
    assert!(most - least > rules::WORLD_SIZE / 2, "{least} to {most}");
}
