//! What is shown between states, in virtual time.
#![allow(clippy::unwrap_used)]

mod support;

use driftless_client::{
    Interpolation, InterpolationConfig,
    proto::{moment::Moment, schema::Schema, snapshot::Snapshot, wire},
};
use proptest::prelude::*;
use std::time::Duration;
use support::room::{TICK_RATE, schema, snapshot};

const TICK_US: u64 = 50_000;
const EPOCH_US: u64 = 1_000_000;

fn interpolation(config: InterpolationConfig) -> Interpolation {
    let welcome = wire::Welcome { tick_rate: TICK_RATE, epoch_us: EPOCH_US as i64, ..Default::default() };
    Interpolation::new(&schema(), &welcome, config)
}

/// Shows exactly `delay` in the past.
fn fixed(delay: Duration) -> InterpolationConfig {
    InterpolationConfig { min_delay: delay, max_delay: delay, ..Default::default() }
}

fn due(tick: u32) -> u64 {
    EPOCH_US + u64::from(tick) * TICK_US
}

#[test]
fn nothing_is_shown_before_the_first_state() {
    assert!(interpolation(InterpolationConfig::default()).advance(due(3)).is_none());
}

#[test]
fn linear_fields_are_interpolated_and_held_ones_are_not() {
    let mut buffer = interpolation(fixed(Duration::from_millis(100)));
    buffer.push(due(1), &snapshot(1, &[(7, [100, -100, 9])]));
    buffer.push(due(2), &snapshot(2, &[(7, [200, -300, 5])]));
    let view = buffer.advance(due(1) + 12_500 + 100_000).unwrap();
    let entity = view.entity(0, 7).unwrap();
    assert_eq!([0, 1, 2].map(|c| entity.quanta(c)), [125, -150, 9]);
    assert_eq!([0, 1, 2].map(|c| entity.units(c)), [1.25, -1.5, 9.0]);
}

#[test]
fn a_text_is_as_in_the_earlier_of_two_states() {
    let schema = Schema::new().kind("player", |kind| {
        kind.linear("place", &["x"], 100).text("name", &["name"]).bytes("bag", &["items"])
    });
    let state = |tick, name: &str, items: &[u8]| {
        let mut state = Snapshot::new(&schema);
        state.clear(tick);
        let row = [100, state.text(name), state.bytes(items)];
        state.table_mut(0).push(7, &row);
        state
    };
    let welcome = wire::Welcome { tick_rate: TICK_RATE, epoch_us: EPOCH_US as i64, ..Default::default() };
    let mut buffer = Interpolation::new(&schema, &welcome, fixed(Duration::from_millis(100)));
    buffer.push(due(1), &state(1, "Ada", &[1, 255]));
    buffer.push(due(2), &state(2, "Bob", &[]));
    let mut shown = |now_us: u64| {
        let entity = buffer.advance(now_us + 100_000).unwrap().entity(0, 7).unwrap();
        (entity.text(1).to_owned(), entity.bytes(2).to_owned())
    };
    assert_eq!(shown(due(1) + 40_000), ("Ada".to_owned(), vec![1, 255]));
    assert_eq!(shown(due(2) + 10_000), ("Bob".to_owned(), vec![]));
    let entity = buffer.advance(due(2) + 120_000).unwrap().entity(0, 7).unwrap();
    assert_eq!((entity.text(0), entity.bytes(0)), ("", &[][..]), "a number is no text");
}

#[test]
fn an_entity_that_begins_another_life_jumps_however_near_and_does_not_go_on_from_before_it() {
    let schema = Schema::new()
        .kind("cart", |kind| kind.linear("place", &["x"], 100).hold("status", &["spawns"], 1).life("spawns"));
    let welcome = wire::Welcome { tick_rate: TICK_RATE, epoch_us: EPOCH_US as i64, ..Default::default() };
    let mut buffer = Interpolation::new(&schema, &welcome, fixed(Duration::from_millis(100)));
    let mut state = Snapshot::new(&schema);
    // Two others: one moves as far in the same life.
    for (tick, x, spawns) in [(1, 0, 1), (3, 50, 2)] {
        state.clear(tick);
        state.table_mut(0).push(7, &[x, spawns]);
        state.table_mut(0).push(8, &[x, 1]);
        buffer.push(due(tick), &state);
    }
    let mut shown = |now_us: u64| {
        let view = buffer.advance(now_us + 100_000).unwrap();
        let listed: Vec<_> = view.entities(0).map(|entity| entity.quanta(0)).collect();
        assert_eq!(listed, [7, 8].map(|id| view.entity(0, id).unwrap().quanta(0)));
        (listed[0], listed[1], view.entity(0, 7).unwrap().units(0))
    };
    assert_eq!(shown(due(2)), (0, 25, 0.0));
    assert_eq!(shown(due(3) - 1), (0, 49, 0.0));
    assert_eq!(shown(due(3)), (50, 50, 0.5));
    assert_eq!(shown(due(4)), (50, 75, 0.5), "past the last state");
}

// A game with lag compensation judges by it.
#[test]
fn the_moment_shown_is_that_of_the_picture() {
    let mut buffer = interpolation(fixed(Duration::from_millis(100)));
    assert_eq!(buffer.shown(), None);
    buffer.push(due(3), &snapshot(3, &[(7, [0, 0, 0])]));
    buffer.push(due(4), &snapshot(4, &[(7, [100, 0, 0])]));
    let mut parts = |now_us: u64| {
        buffer.advance(now_us + 100_000).unwrap();
        buffer.shown().map(Moment::parts)
    };
    assert_eq!(parts(due(1)), Some(3 * 128), "the first state, before it is due");
    assert_eq!(parts(due(3)), Some(3 * 128));
    assert_eq!(parts(due(3) + 12_500), Some(3 * 128 + 32));
    assert_eq!(parts(due(5)), Some(5 * 128), "movement goes on past the last state");
    assert_eq!(parts(due(20)), Some(6 * 128), "but not for long");
}

#[test]
fn an_old_room_is_shown_as_smoothly_as_a_young_one() {
    const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;
    // A server that has been up for a long time, the time at which the room began, its tick rate, and the
    // tick.
    for (epoch_us, tick_rate, tick) in
        [(0, 128, u32::MAX - 3), (30 * DAY_US, 20, 30 * 86_400 * 20), (36_500 * DAY_US, 128, u32::MAX - 3)]
    {
        let welcome = wire::Welcome { tick_rate, epoch_us: epoch_us as i64, ..Default::default() };
        let mut buffer = Interpolation::new(&schema(), &welcome, fixed(Duration::ZERO));
        let due = |tick: u32| epoch_us + u64::from(tick) * 1_000_000 / u64::from(tick_rate);
        let step = 1_000_000 / u64::from(tick_rate);
        buffer.push(due(tick), &snapshot(tick, &[(7, [0, 0, 0])]));
        buffer.push(due(tick + 1), &snapshot(tick + 1, &[(7, [1_000, 0, 0])]));
        let mut shown = 0;
        for tenth in 1..10 {
            let entity = buffer.advance(due(tick) + step * tenth / 10).unwrap().entity(0, 7).unwrap();
            let expected = 100 * i32::try_from(tenth).unwrap();
            assert!(
                entity.quanta(0).abs_diff(expected) <= 1,
                "tick {tick}: {} of {expected}",
                entity.quanta(0)
            );
            assert!(
                (entity.units(0) - expected as f32 / 100.0).abs() < 0.02,
                "tick {tick}: {}",
                entity.units(0)
            );
            assert!(entity.quanta(0) > shown);
            shown = entity.quanta(0);
        }
    }
}

#[test]
fn a_clock_that_moved_begins_the_moment_shown_anew() {
    let states = |buffer: &mut Interpolation, ticks: std::ops::Range<u32>, ahead: u64| {
        for tick in ticks {
            buffer.push(due(tick) + ahead, &snapshot(tick, &[(7, [0, 0, 0])]));
            buffer.advance(due(tick) + ahead);
        }
    };
    const MOVED: u64 = 5_000_000;
    // The clock was believed to be 5 s ahead, and is not: what was shown last is now in the future.
    let mut buffer = interpolation(InterpolationConfig::default());
    states(&mut buffer, 100..140, MOVED);
    buffer.restart();
    states(&mut buffer, 140..160, 0);
    let behind = due(159) as i64 - buffer.shown_us().unwrap();
    assert!((0..=100_000).contains(&behind), "{behind}");
    // And states that seemed to be 5 s old leave no delay behind.
    assert!(buffer.delay() <= Duration::from_millis(100), "{:?}", buffer.delay());
}

#[test]
fn entity_is_shown_from_its_spawn_to_its_despawn() {
    let mut buffer = interpolation(fixed(Duration::from_millis(150)));
    buffer.push(due(1), &snapshot(1, &[(1, [0, 0, 0])]));
    buffer.push(due(2), &snapshot(2, &[(1, [0, 0, 0]), (2, [0, 0, 0])]));
    buffer.push(due(3), &snapshot(3, &[(2, [0, 0, 0])]));
    let mut ids = |shown_us: u64| {
        let view = buffer.advance(shown_us + 150_000).unwrap();
        view.entities(0).map(|e| e.id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(due(1)), [1]);
    assert_eq!(ids(due(2) - 1), [1]);
    assert_eq!(ids(due(2)), [1, 2]);
    assert_eq!(ids(due(3) - 1), [1, 2]);
    assert_eq!(ids(due(3)), [2]);
}

#[test]
fn without_a_newer_state_entities_go_on_for_the_cap_then_stand() {
    let config = InterpolationConfig { extrapolation: Duration::from_millis(25), ..fixed(Duration::ZERO) };
    let mut buffer = interpolation(config);
    buffer.push(due(1), &snapshot(1, &[(1, [0, 0, 3])]));
    buffer.push(due(2), &snapshot(2, &[(1, [100, 0, 4])]));
    let mut x = |now: u64| {
        let entity = buffer.advance(now).unwrap().entity(0, 1).unwrap();
        (entity.quanta(0), entity.quanta(2))
    };
    assert_eq!(x(due(2)), (100, 4));
    assert_eq!(x(due(2) + 12_500), (125, 4));
    assert_eq!(x(due(2) + 25_000), (150, 4));
    assert_eq!(x(due(2) + 400_000), (150, 4));
}

#[test]
fn jump_is_not_interpolated() {
    let config = InterpolationConfig { jump: Some(50), ..fixed(Duration::from_millis(50)) };
    let mut buffer = interpolation(config);
    buffer.push(due(1), &snapshot(1, &[(1, [0, 0, 0])]));
    buffer.push(due(2), &snapshot(2, &[(1, [1000, 50, 0])]));
    let entity = buffer.advance(due(1) + 25_000 + 50_000).unwrap().entity(0, 1).unwrap();
    assert_eq!((entity.quanta(0), entity.quanta(1)), (0, 25));
}

#[test]
fn state_that_is_older_is_ignored() {
    let mut buffer = interpolation(fixed(Duration::ZERO));
    assert!(buffer.push(due(2), &snapshot(2, &[(1, [5, 0, 0])])));
    assert!(!buffer.push(due(2), &snapshot(1, &[(1, [9, 0, 0])])));
    assert_eq!(buffer.advance(due(2)).unwrap().entity(0, 1).unwrap().quanta(0), 5);
}

#[test]
fn more_of_a_state_replaces_it_and_is_no_second_state() {
    let mut buffer = interpolation(fixed(Duration::from_millis(50)));
    buffer.push(due(1), &snapshot(1, &[(1, [0, 0, 0])]));
    buffer.push(due(2), &snapshot(2, &[(1, [100, 0, 0])]));
    assert!(buffer.push(due(2) + 9_000, &snapshot(2, &[(1, [200, 0, 0]), (2, [7, 0, 0])])));
    let halfway = |buffer: &mut Interpolation| {
        let view = buffer.advance(due(1) + 25_000 + 50_000).unwrap();
        view.entity(0, 1).unwrap().quanta(0)
    };
    assert_eq!(halfway(&mut buffer), 100);
    let there = buffer.advance(due(2) + 50_000).unwrap();
    assert_eq!(there.entities(0).map(|entity| entity.id()).collect::<Vec<_>>(), [1, 2]);

    // Zones of low priority that always come later do not delay what is shown.
    let (mut whole, mut parts) = (interpolation(Default::default()), interpolation(Default::default()));
    for tick in 1..100 {
        whole.push(due(tick) + 20_000, &snapshot(tick, &[]));
        parts.push(due(tick) + 20_000, &snapshot(tick, &[]));
        parts.push(due(tick) + 45_000, &snapshot(tick, &[(1, [0, 0, 0])]));
    }
    assert_eq!(whole.delay(), parts.delay());
}

#[test]
fn entity_that_left_view_and_comes_back_does_not_come_from_its_old_place() {
    let mut buffer = interpolation(fixed(Duration::from_millis(100)));
    for (tick, x) in [(1, Some(0)), (2, Some(10)), (3, None), (4, None), (5, Some(900)), (6, Some(910))] {
        let entity = x.map(|x| (1, [x, 0, 0]));
        buffer.push(due(tick), &snapshot(tick, entity.as_slice()));
    }
    let mut shown = |at: u64| Some(buffer.advance(at + 100_000)?.entity(0, 1)?.quanta(0));
    assert_eq!(shown(due(2) - 10_000), Some(8));
    assert_eq!(shown(due(2)), Some(10));
    assert_eq!(shown(due(3) - 1), Some(10), "until the first state without it, where it was last");
    assert_eq!(shown(due(3)), None);
    assert_eq!(shown(due(5) - 1), None);
    assert_eq!(shown(due(5)), Some(900), "from the first state that has it again");
    assert_eq!(shown(due(5) + 25_000), Some(905));
}

#[test]
fn delay_covers_the_jitter_and_shrinks_again() {
    let mut buffer = interpolation(InterpolationConfig::default());
    let mut rng = fastrand::Rng::with_seed(11);
    for tick in 1..200 {
        buffer.push(due(tick) + 20_000 + rng.u64(0..60_000), &snapshot(tick, &[]));
    }
    let jittery = buffer.delay();
    assert!(jittery >= Duration::from_millis(50 + 80), "{jittery:?}"); // a gap and the latest state
    for tick in 200..400 {
        buffer.push(due(tick) + 20_000, &snapshot(tick, &[]));
    }
    let calm = buffer.delay();
    assert!(calm < Duration::from_millis(80) && calm >= Duration::from_millis(70), "{calm:?}");
}

#[test]
fn extreme_values_and_times_do_not_overflow() {
    for epoch_us in [i64::MIN, 0, i64::MAX] {
        let welcome = wire::Welcome { tick_rate: 0, epoch_us, ..Default::default() };
        let mut buffer = Interpolation::new(&schema(), &welcome, InterpolationConfig::default());
        buffer.push(u64::MAX, &snapshot(1, &[(1, [i32::MIN, i32::MAX, 0])]));
        buffer.push(0, &snapshot(u32::MAX, &[(1, [i32::MAX, i32::MIN, 0])]));
        for now in [0, 1, u64::MAX, 5] {
            let entity = buffer.advance(now).unwrap().entity(0, 1).unwrap();
            let _ = (entity.quanta(0), entity.units(1));
        }
    }
}

proptest! {
    // An entity moves steadily and is despawned at some tick; states come late, some not at all; the clock
    // that drives the screen jitters. The time shown never goes backwards, and the entity is not shown at or
    // after its despawn.
    #[test]
    fn shown_time_never_goes_back_and_no_entity_outlives_its_despawn(
        frames in prop::collection::vec((0u64..120_000, prop::bool::weighted(0.2), -30_000i64..30_000), 20..100),
        dies in 5u32..60,
    ) {
        let config = InterpolationConfig { extrapolation: Duration::ZERO, ..Default::default() };
        let mut buffer = interpolation(config);
        let (mut shown, mut x, mut gone_known) = (i64::MIN, i32::MIN, None);
        for (i, (late, lost, clock)) in frames.iter().enumerate() {
            let tick = i as u32 + 1;
            let now = due(tick) + late;
            if !lost {
                let alive = [(1, [tick as i32 * 10, 0, 0])];
                buffer.push(now, &snapshot(tick, if tick < dies { &alive } else { &[] }));
                if tick >= dies {
                    gone_known.get_or_insert(due(tick) as i64);
                }
            }
            for step in 0..4 {
                let screen = (now + step * 12_000).saturating_add_signed(*clock);
                let Some(view) = buffer.advance(screen) else { continue };
                let entity = view.entity(0, 1).map(|e| e.quanta(0));
                let now_shown = buffer.shown_us().unwrap();
                prop_assert!(now_shown >= shown);
                shown = now_shown;
                if let Some(now_x) = entity {
                    prop_assert!(now_x >= x);
                    x = now_x;
                    prop_assert!(gone_known.is_none_or(|gone| now_shown < gone));
                }
            }
        }
    }
}

#[test]
fn each_entity_is_interpolated_with_itself() {
    let mut buffer = interpolation(fixed(Duration::from_millis(50)));
    let at = |x| [x, 0, 0];
    buffer.push(due(1), &snapshot(1, &[(1, at(10)), (5, at(50)), (6, at(60)), (9, at(90))]));
    buffer.push(due(2), &snapshot(2, &[(5, at(150)), (7, at(700)), (9, at(190)), (10, at(0))]));
    let view = buffer.advance(due(1) + 25_000 + 50_000).unwrap();
    let places: Vec<_> = view.entities(0).map(|e| (e.id(), e.quanta(0))).collect();
    assert_eq!(places, [(1, 10), (5, 100), (6, 60), (9, 140)]);
    assert!(view.entities(0).all(|e| view.entity(0, e.id()).unwrap().quanta(0) == e.quanta(0)));
}

#[test]
fn clock_that_is_set_far_back_stops_the_picture_and_far_forward_moves_it_at_once() {
    let mut buffer = interpolation(fixed(Duration::ZERO));
    buffer.push(due(100), &snapshot(100, &[]));
    let mut shown = |now: u64| {
        buffer.advance(now).unwrap();
        buffer.shown_us().unwrap() as u64
    };
    assert_eq!(shown(due(100)), due(100));
    assert_eq!(shown(due(60)), due(100));
    assert_eq!(shown(due(60) + 10_000), due(100));
    assert_eq!(shown(due(200)), due(200));
}
