//! Teams of the arena, and their fog of war.

#![allow(clippy::unwrap_used)] // in helpers of tests

mod common;

use common::arena::{Room, fire, goto};
use driftless_sim::{
    Rng, Snapshot,
    game::CommandError,
    games::arena::{ArenaInput, PLAYERS, PROJECTILES, SIGHT, arena_command, rules},
};

fn room(seed: u64, side_m: u32, players: u32) -> Room {
    room_at(20, seed, side_m, players)
}

fn room_at(tick_rate: u32, seed: u64, side_m: u32, players: u32) -> Room {
    let options = format!(r#"{{"side_m": {side_m}, "teams": true, "respawn_s": 1}}"#);
    let mut room = Room::with_options(seed, tick_rate, &options);
    (1..=players).for_each(|player| room.join(player));
    room
}

/// Team by colour, place, and whether it lives.
fn players(state: &Snapshot) -> Vec<(u32, i32, (i32, i32), bool)> {
    let table = &state.tables()[PLAYERS];
    let row = |(row, &id): (usize, &u32)| {
        let at = |column: usize| table.column(column)[row];
        (id, at(6), (at(0), at(1)), at(3) > 0)
    };
    table.ids().iter().enumerate().map(row).collect()
}

fn team(state: &Snapshot, player: u32) -> i32 {
    state.tables()[PLAYERS].value(player, 6).unwrap()
}

fn is_near(a: (i32, i32), b: (i32, i32)) -> bool {
    let square = |n: i32| i64::from(n) * i64::from(n);
    square(a.0 - b.0) + square(a.1 - b.1) <= square(SIGHT)
}

#[test]
fn players_join_the_smaller_team() {
    let mut room = room(1, 100, 7);
    let count =
        |room: &Room, colour: u8| players(&room.all()).iter().filter(|p| p.1 == i32::from(colour)).count();
    let [red, blue] = rules::TEAM_COLOURS;
    assert_eq!((count(&room, red), count(&room, blue)), (4, 3));
    let of_blue: Vec<_> = players(&room.all()).into_iter().filter(|p| p.1 == i32::from(blue)).collect();
    room.leave(of_blue[0].0);
    room.leave(of_blue[1].0);
    (8..=10).for_each(|player| room.join(player));
    assert_eq!((count(&room, red), count(&room, blue)), (4, 4));
}

#[test]
fn nobody_chooses_another_colour_than_that_of_the_team() {
    let mut room = room(1, 100, 2);
    let refused = room.command(1, arena_command::Body::Colour(5));
    assert_eq!(refused, Err(CommandError::Refused("players have the colours of their teams".into())));
}

#[test]
fn shots_fly_through_friends_and_hit_enemies() {
    for rewound in [false, true] {
        let mut room = room(2, 100, 3);
        assert_eq!([1, 2, 3].map(|player| team(&room.all(), player)), [1, 8, 1]);
        // 3, a friend, stands before 2.
        room.walk(&[(1, 100, 100), (2, 700, 100), (3, 400, 100)]);
        room.idle(6);
        let view = rewound.then(|| driftless_sim::Moment::at(room.tick - 5));
        room.step_seen(&[(1, view, fire(1, 0))]);
        room.idle(10);
        let health = |player| room.all().tables()[PLAYERS].value(player, 3).unwrap();
        assert_eq!([1, 2, 3].map(health), [100, 75, 100]);
    }
}

#[test]
fn bots_do_not_attack_their_friends() {
    let mut room = Room::with_options(4, 20, r#"{"teams": true, "bots": 8}"#);
    room.join(1);
    room.idle(60 * 20);
    let mut hits = 0;
    for event in room.events() {
        if let driftless_sim::games::arena::arena_event::Body::Kill(kill) = event {
            assert_ne!(team(&room.all(), kill.killer), team(&room.all(), kill.victim));
            hits += 1;
        }
    }
    assert!(hits > 5, "{hits}");
}

// Promise 8
#[test]
fn in_a_thousand_games_no_enemy_is_shown_who_is_out_of_sight() {
    let (mut hidden, mut spotted) = (0, 0);
    for seed in 0..1_000 {
        let mut rng = Rng::new(seed);
        let side_m = [100, 150, 260, 400][rng.below(4) as usize];
        let count = 4 + rng.below(8);
        let mut room = room_at(2, seed, side_m, count);
        let mut inputs = vec![];
        for tick in 0..14 {
            if tick % 5 == 0 {
                let mut any = || rng.range(0..100 * side_m as i32);
                let to = |player| {
                    (
                        player,
                        ArenaInput {
                            buttons: 1,
                            aim_x: any() - 5_000,
                            aim_y: any() - 5_000,
                            ..goto(any(), any())
                        },
                    )
                };
                inputs = (1..=count).map(to).collect::<Vec<_>>();
            }
            if tick == 12 {
                room.leave(1);
                inputs.retain(|(player, _)| *player != 1);
            }
            room.step(&inputs);
            if tick % 2 == 0 {
                continue; // a room of every second tick is random enough
            }
            let all = room.all();
            let everybody = players(&all);
            for &(me, team, my_place, _) in &everybody {
                let shown = room.shown_to(me);
                let in_sight = |at: (i32, i32)| {
                    everybody
                        .iter()
                        .any(|&(_, other, place, lives)| lives && other == team && is_near(at, place))
                };
                for &(id, other, at, _) in &everybody {
                    let is_shown = shown.tables()[PLAYERS].row(id).is_some();
                    if other == team {
                        assert!(
                            is_shown || !is_near(at, my_place),
                            "seed {seed}, tick {tick}: {id} of {me}'s team"
                        );
                    } else {
                        assert!(!is_shown || in_sight(at), "seed {seed}, tick {tick}: {me} sees {id}");
                        let is_due = in_sight(at) && (side_m == 100 || is_near(at, my_place));
                        assert!(is_shown || !is_due, "seed {seed}, tick {tick}: {me} does not see {id}");
                        hidden += u32::from(!is_shown);
                        spotted += u32::from(is_shown);
                    }
                }
                let shots = &all.tables()[PROJECTILES];
                for (row, &id) in shots.ids().iter().enumerate() {
                    let at = (shots.column(0)[row], shots.column(1)[row]);
                    let is_shown = shown.tables()[PROJECTILES].row(id).is_some();
                    let owner = all.tables()[PLAYERS].row(shots.column(2)[row] as u32);
                    let is_enemys = owner.is_some_and(|row| all.tables()[PLAYERS].column(6)[row] != team);
                    assert!(
                        !is_shown || !is_enemys || in_sight(at),
                        "seed {seed}, tick {tick}: {me} sees shot {id}"
                    );
                }
            }
        }
    }
    assert!(hidden > 2_000 && spotted > 2_000, "{hidden} hidden, {spotted} spotted");
}

// Promise 8
#[test]
fn a_place_to_spawn_does_not_tell_where_a_hidden_enemy_is() {
    let mut near = 0;
    for seed in 0..40 {
        let mut room = room_at(2, seed, 600, 1);
        room.join(2);
        let all = room.all();
        let [a, b] = [0, 1].map(|row| [0, 1].map(|c| all.tables()[PLAYERS].column(c)[row]));
        near += u32::from(a[0].abs_diff(b[0]).max(a[1].abs_diff(b[1])) < 2_000);
    }
    assert!(near <= 4, "{near} of 40 near the only enemy of a world of 600 m");
}

// Promise 8: a spectator may know somebody who plays.
#[test]
fn spectators_see_who_is_spotted_and_nobody_who_is_hidden() {
    let (mut hidden, mut spotted) = (0, 0);
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let mut room = room_at(2, seed, 100, 4);
        let mut any = || rng.range(0..10_000);
        let inputs: Vec<_> = (1..=4).map(|player| (player, goto(any(), any()))).collect();
        for _ in 0..10 {
            room.step(&inputs);
            let everybody = players(&room.all());
            let is_spotted = |&&(_, team, at, _): &&(u32, i32, (i32, i32), bool)| {
                everybody.iter().any(|&(_, other, place, lives)| lives && other != team && is_near(at, place))
            };
            let expected: Vec<_> = everybody.iter().filter(is_spotted).map(|player| player.0).collect();
            assert_eq!(room.shown_to_spectators().tables()[PLAYERS].ids(), expected, "seed {seed}");
            (hidden, spotted) = (hidden + everybody.len() - expected.len(), spotted + expected.len());
        }
    }
    assert!(hidden > 300 && spotted > 300, "{hidden} hidden, {spotted} spotted");
}

#[test]
fn spectators_of_a_room_without_secrets_see_all_of_it() {
    let mut room = Room::with_options(2, 20, "{}");
    (1..=3).for_each(|player| room.join(player));
    room.idle(2);
    assert_eq!(room.shown_to_spectators(), room.all());
}
