//! How players of the arena move at any tick rate, and that clients can predict it.

mod common;

use common::arena::{Room, goto, predict, stick};
use driftless_sim::games::arena::{ArenaInput, Body, Map, rules};
use proptest::prelude::*;

const RATES: [u32; 10] = [1, 3, 7, 10, 20, 30, 60, 64, 100, 128];

fn run(input: &ArenaInput, seconds: u32, tick_rate: u32) -> (i32, i32) {
    let start = Body::at(rules::WORLD_SIZE / 2, rules::WORLD_SIZE / 2);
    let body =
        (0..seconds * tick_rate).fold(start, |body, _| predict(&Map::default(), body, input, tick_rate));
    body.place()
}

#[test]
fn the_way_in_a_second_does_not_depend_on_the_tick_rate() {
    for (x, y) in [(127, 0), (90, -90), (-127, 13), (-40, -60)] {
        let (x20, y20) = run(&stick(x, y), 2, 20);
        for tick_rate in RATES {
            let (x, y) = run(&stick(x, y), 2, tick_rate);
            assert!(
                (x - x20).abs() <= 3 && (y - y20).abs() <= 3,
                "{tick_rate} Hz: {x}, {y}; 20 Hz: {x20}, {y20}"
            );
        }
    }
}

#[test]
fn full_stick_reaches_the_running_speed_in_any_direction() {
    for (x, y) in [(127, 0), (0, -127), (127, 127), (i32::MIN, i32::MAX)] {
        let (after_1, after_2) = (run(&stick(x, y), 1, 60), run(&stick(x, y), 2, 60));
        let (dx, dy) = (after_2.0 - after_1.0, after_2.1 - after_1.1);
        let speed = (dx * dx + dy * dy).isqrt();
        assert!((rules::RUN_SPEED - 8..=rules::RUN_SPEED).contains(&speed), "stick {x}, {y}: {speed} cm/s");
    }
}

#[test]
fn friction_stops_a_player() {
    let mut body =
        (0..20).fold(Body::at(5_000, 5_000), |b, _| predict(&Map::default(), b, &stick(127, 0), 20));
    for _ in 0..10 {
        body = predict(&Map::default(), body, &stick(0, 0), 20);
    }
    assert_eq!(predict(&Map::default(), body, &stick(0, 0), 20), body);
}

#[test]
fn the_last_movement_holds_for_a_while_and_ends() {
    for tick_rate in [20, 60] {
        let mut room = Room::new(4, tick_rate);
        room.join(1);
        room.walk(&[(1, 100, 100)]);
        room.step(&[(1, stick(127, 0))]);
        let held = rules::HOLD_MS * tick_rate / 1_000;
        room.idle(held - 1);
        let before = room.player(1).x;
        room.idle(1);
        assert!(room.player(1).x > before, "it still runs down");
        room.idle(tick_rate);
        let rest = room.player(1);
        room.idle(5);
        assert_eq!(room.player(1), rest);
    }
}

#[test]
fn of_several_inputs_in_a_tick_the_last_movement_counts() {
    let (mut one, mut other) = (Room::new(4, 20), Room::new(4, 20));
    one.join(1);
    other.join(1);
    for _ in 0..20 {
        one.step(&[(1, stick(-127, 30)), (1, stick(50, 0))]);
        other.step(&[(1, stick(50, 0))]);
        assert_eq!(one.player(1), other.player(1));
    }
}

#[test]
fn a_player_that_is_sent_to_a_place_gets_there_at_the_greatest_speed() {
    let mut room = Room::new(4, 20);
    room.join(1);
    room.walk(&[(1, 100, 100)]);
    let start = room.tick;
    room.walk(&[(1, 5_100, 100)]);
    // 50 m at 10 m/s; rounding may cost a tick.
    assert!((100..=101).contains(&(room.tick - start)), "{} ticks", room.tick - start);
}

#[test]
fn recorded_movement_is_followed_to_the_centimetre() {
    let mut room = Room::new(4, 20);
    room.join(1);
    room.walk(&[(1, 100, 100)]);
    for n in 1..100 {
        let (x, y) = (100 + n * 37 + n % 3, 100 + n % 7);
        room.step(&[(1, goto(x, y))]);
        assert_eq!((room.player(1).x, room.player(1).y), (x, y));
    }
}

#[test]
fn the_client_predicts_what_the_server_computes() {
    for tick_rate in RATES {
        let mut room = Room::new(8, tick_rate);
        room.join(1);
        let map = Map::from_snapshot(&room.seen);
        assert!(!map.obstacles().is_empty());
        let mut body = Body::at(room.player(1).x, room.player(1).y);
        for n in 0..600 {
            let input =
                if n % 50 < 40 { stick(n % 255 - 127, n * 7 % 255 - 127) } else { goto(n * 17, n * 15) };
            room.step(&[(1, input)]);
            body = predict(&map, body, &input, tick_rate);
            assert_eq!(body.place(), (room.player(1).x, room.player(1).y), "{tick_rate} Hz, tick {n}");
        }
    }
}

#[test]
fn a_steady_movement_is_predicted_within_a_quantum() {
    for tick_rate in RATES {
        for n in 0..40 {
            let input = stick(n * 13 % 255 - 127, n * 29 % 255 - 127);
            let advance = |body| predict(&Map::default(), body, &input, tick_rate);
            let body = (0..tick_rate.div_ceil(2)).fold(Body::at(5_000, 5_000), |body, _| advance(body));
            let ways: Vec<_> = std::iter::successors(Some(body), |&b| Some(advance(b))).take(6).collect();
            let places: Vec<_> = ways.iter().map(Body::place).collect();
            for three in places.windows(3) {
                let residual =
                    (three[2].0 - 2 * three[1].0 + three[0].0, three[2].1 - 2 * three[1].1 + three[0].1);
                let at_a_wall = three[2].0.min(three[2].1) <= rules::PLAYER_RADIUS
                    || three[2].0.max(three[2].1) >= rules::WORLD_SIZE - rules::PLAYER_RADIUS;
                assert!(at_a_wall || (residual.0.abs() <= 1 && residual.1.abs() <= 1), "{residual:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_jumps_leaves_the_world_or_enters_a_box(
        seed: u64, rate in 1u32..=128, inputs in prop::collection::vec(any::<(i32, i32, bool)>(), 1..60),
    ) {
        let mut room = Room::new(seed, rate);
        room.join(1);
        let map = Map::from_snapshot(&room.seen);
        let mut before = room.player(1);
        for (x, y, sent) in inputs {
            let input = if sent { goto(x % 10_000, y % 10_000) } else { stick(x % 200, y % 200) };
            room.step(&[(1, input)]);
            let now = room.player(1);
            let (dx, dy) = (i64::from(now.x - before.x), i64::from(now.y - before.y));
            let most = rules::max_distance(1, rate);
            prop_assert!(dx * dx + dy * dy <= most * most, "{:?} to {:?}", before, now);
            let (edge, radius) = (rules::WORLD_SIZE - rules::PLAYER_RADIUS, rules::PLAYER_RADIUS);
            prop_assert!((radius..=edge).contains(&now.x) && (radius..=edge).contains(&now.y));
            for b in map.obstacles() {
                let in_x = now.x > b.x - radius && now.x + 1 < b.x + b.width + radius;
                let in_y = now.y > b.y - radius && now.y + 1 < b.y + b.height + radius;
                prop_assert!(!(in_x && in_y), "{:?} is in {:?}", now, b);
            }
            before = now;
        }
    }
}
