//! The arena in a world larger than 100 m: what players see of it, and that all works as in the small one.

#![allow(clippy::unwrap_used)] // in helpers of tests

mod common;

use common::arena::{Room, fire, goto, stick};
use driftless_sim::{
    Prediction, Rng, Snapshot,
    games::arena::{Arena, ArenaInput, Map, OBSTACLES, PLAYERS, PROJECTILES, SIGHT, arena_event, rules},
};
use std::collections::VecDeque;

/// Farther away nobody sees anything: sight, hysteresis and the diagonal of a cell.
const FARTHEST: f64 = 4_000.0 + 1_000.0 + 8_000.0 * std::f64::consts::SQRT_2;

fn large(seed: u64, side_m: u32, players: u32) -> Room {
    let mut room = Room::with_options(seed, 20, &format!(r#"{{"side_m": {side_m}, "respawn_s": 1}}"#));
    (1..=players).for_each(|player| room.join(player));
    room
}

/// The places of a kind's entities.
fn places(state: &Snapshot, kind: usize) -> Vec<(u32, (i32, i32))> {
    let table = &state.tables()[kind];
    table
        .ids()
        .iter()
        .enumerate()
        .map(|(row, &id)| (id, (table.column(0)[row], table.column(1)[row])))
        .collect()
}

fn distance(a: (i32, i32), b: (i32, i32)) -> f64 {
    f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1))
}

/// Distance from a place to the nearest point of a box.
fn distance_to_box(at: (i32, i32), state: &Snapshot, row: usize) -> f64 {
    let [x, y, width, height] = std::array::from_fn(|column| state.tables()[OBSTACLES].column(column)[row]);
    distance(at, (at.0.clamp(x, x + width), at.1.clamp(y, y + height)))
}

fn wander(rng: &mut Rng, players: u32) -> Vec<(u32, ArenaInput)> {
    let mut any = || rng.range(-127..128);
    let input =
        |player| (player, ArenaInput { buttons: 1, aim_x: any(), aim_y: any(), ..stick(any(), any()) });
    (1..=players).map(input).collect()
}

#[test]
fn in_a_world_of_100_m_there_are_no_zones() {
    let mut room = Room::with_options(3, 20, r#"{"side_m": 100}"#);
    (1..=5).for_each(|player| room.join(player));
    room.step(&[(1, fire(1, 1))]);
    assert_eq!(room.seen.zones().count(), 0);
    assert!(room.seen.tables()[OBSTACLES].row(0).is_none());
    assert_eq!(room.shown_to(1), room.seen);
}

#[test]
fn players_see_all_that_is_near_and_nothing_that_is_far() {
    for side_m in [101, 350, 800] {
        let mut room = large(5, side_m, 60);
        let mut rng = Rng::new(5);
        let mut inputs = vec![];
        for tick in 0..20 {
            if tick % 5 == 0 {
                inputs = wander(&mut rng, 60);
            }
            room.step(&inputs);
            let all = room.all();
            for player in 1..=60 {
                let shown = room.shown_to(player);
                let me = places(&shown, PLAYERS).iter().find(|(id, _)| *id == player).unwrap().1;
                for kind in [PLAYERS, PROJECTILES] {
                    for (id, at) in places(&all, kind) {
                        let is_shown = shown.tables()[kind].row(id).is_some();
                        let far = distance(me, at);
                        assert!(
                            is_shown || far > f64::from(SIGHT),
                            "{side_m} m, {player}: {kind} {id}, {far}"
                        );
                        assert!(!is_shown || far <= FARTHEST, "{side_m} m, {player}: {kind} {id}, {far}");
                    }
                }
                // A box is where its middle is; half the diagonal of the largest is 6.4 m.
                for (row, &id) in all.tables()[OBSTACLES].ids().iter().enumerate() {
                    let is_shown = shown.tables()[OBSTACLES].row(id).is_some();
                    let far = distance_to_box(me, &all, row);
                    assert!(
                        is_shown || far > f64::from(SIGHT - 640),
                        "{side_m} m, {player}: box {id}, {far}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_world_is_as_large_and_as_full_as_asked_for() {
    for side_m in [100, 300, 1_000, 2_000] {
        let room = large(8, side_m, 0);
        let map = Map::from_snapshot(&room.all());
        assert_eq!(map.side(), side_m as i32 * 100);
        let per_hectare = map.obstacles().len() as f64 / f64::from(side_m * side_m) * 1e4;
        assert!((11.0..=16.0).contains(&per_hectare), "{side_m} m: {per_hectare}");
        for (n, a) in map.obstacles().iter().enumerate() {
            assert!(a.x >= 300 && a.x + a.width <= map.side() - 300);
            for b in &map.obstacles()[..n] {
                let apart = |a: i32, size: i32, b: i32| b - (a + size);
                let gap = apart(a.x, a.width, b.x)
                    .max(apart(b.x, b.width, a.x))
                    .max(apart(a.y, a.height, b.y))
                    .max(apart(b.y, b.height, a.y));
                assert!(gap >= 300, "{a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn sides_outside_the_range_are_refused() {
    let kind = &driftless_sim::games::kinds()[0];
    for side_m in [0, 99, 2_001, u32::MAX] {
        let options = format!(r#"{{"side_m": {side_m}}}"#);
        let setup = driftless_sim::Setup { options, ..driftless_sim::Setup::new(1, 20) };
        let refused = kind.start(&setup).err().unwrap();
        assert_eq!(refused, format!("side_m is {side_m}, outside 100..=2000"));
    }
}

#[test]
fn players_run_and_are_sent_up_to_the_walls_of_a_large_world() {
    let mut room = large(4, 300, 1);
    let corner = 30_000 - rules::PLAYER_RADIUS;
    room.walk(&[(1, corner, corner)]);
    room.step(&[(1, goto(40_000, 40_000))]);
    (0..20).for_each(|_| room.step(&[(1, stick(127, 127))]));
    let shown = room.shown_to(1);
    assert_eq!(places(&shown, PLAYERS), [(1, (corner, corner))]);
}

#[test]
fn a_client_that_sees_only_its_zones_predicts_its_player_exactly() {
    let mut maps = std::collections::BTreeSet::new();
    for seed in 0..8 {
        let mut room = large(seed, 400, 1);
        let mut rng = Rng::new(seed);
        let mut predicted = Prediction::<Arena>::new(1, 20);
        predicted.reconcile(0, &room.shown_to(1));
        let (mut states, mut input) = (VecDeque::new(), ArenaInput::default());
        let mut corrections = 0;
        for number in 1..1_200 {
            if number % 40 == 1 {
                input = stick(rng.range(-127..128), rng.range(-127..128));
            }
            predicted.push(number, input);
            room.step(&[(1, input)]);
            let shown = room.shown_to(1);
            maps.insert((seed, shown.tables()[OBSTACLES].ids().to_vec()));
            states.push_back((number, shown));
            if states.len() > 6 {
                let (number, state) = states.pop_front().unwrap();
                predicted.reconcile(number, &state);
                corrections += u32::from(predicted.error() > 0);
            }
        }
        assert_eq!(corrections, 0, "seed {seed}");
    }
    assert!(maps.len() > 20, "they have crossed few borders: {}", maps.len());
}

#[test]
fn of_a_kill_hear_the_two_and_those_who_are_near() {
    let mut room = large(9, 400, 4);
    room.walk(&[(1, 1_000, 100), (2, 1_400, 100), (3, 1_000, 3_000), (4, 39_000, 39_000)]);
    room.events_to();
    let told = loop {
        room.step(&[(1, fire(1, 0))]);
        let events = room.events_to().into_iter();
        let mut told: Vec<_> = events
            .filter_map(|(to, event)| matches!(event, arena_event::Body::Kill(_)).then_some(to))
            .collect();
        if !told.is_empty() {
            told.sort_by_key(|to| format!("{to:?}"));
            break told;
        }
    };
    assert_eq!(told, [1, 2, 3].map(driftless_sim::Recipient::Player));
}

#[test]
fn the_dead_see_what_is_where_they_died() {
    let mut room = large(9, 400, 2);
    room.walk(&[(1, 1_000, 100), (2, 1_400, 100)]);
    room.shown_to(2);
    while places(&room.all(), PLAYERS).len() == 2 && health(&room.all(), 2) > 0 {
        room.step(&[(1, fire(1, 0))]);
    }
    let shown = room.shown_to(2);
    assert_eq!(health(&shown, 2), 0);
    assert_eq!(places(&shown, PLAYERS).len(), 2);
}

fn health(state: &Snapshot, player: u32) -> i32 {
    state.tables()[PLAYERS].value(player, 3).unwrap()
}

#[test]
fn a_rewound_shot_hits_in_a_large_world_too() {
    let mut room = large(9, 400, 2);
    room.walk(&[(1, 1_000, 100), (2, 1_400, 100)]);
    // 2 has run on; 1 is shown where it stood.
    let tick = room.tick;
    (0..5).for_each(|_| room.step(&[(2, stick(0, 127))]));
    room.step_seen(&[(1, Some(driftless_sim::Moment::at(tick)), fire(1, 0))]);
    assert_eq!(health(&room.all(), 2), 75);
}
