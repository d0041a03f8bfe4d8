//! Prediction and reconciliation of the player's own entity, in virtual time.
#![allow(clippy::unwrap_used)]

use driftless_client::{Prediction, Smoothing};
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A ball with inertia, pushed by inputs, that walls stop: rules in which order and number of inputs matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ball {
    x: i32,
    v: i32,
}

fn apply(ball: &mut Ball, push: &i32) {
    ball.v = ball.v * 7 / 8 + push;
    ball.x = (ball.x + ball.v).clamp(-500, 500);
}

proptest! {
    // Promise 2: "A client never applies a state older than one it has applied. State it misses is
    // superseded, never replayed late."
    #[test]
    fn prediction_converges_to_the_authoritative_state_under_loss(
        pushes in prop::collection::vec((-9i32..9, any::<bool>(), any::<bool>(), 0usize..9), 1..120),
    ) {
        let mut server = Ball::default();
        let mut taken = 0;
        let mut predicted = Prediction::new(Ball::default(), apply);
        let mut states = VecDeque::new();
        let mut applied = 0;
        for (i, (push, input_lost, state_lost, delay)) in pushes.iter().enumerate() {
            let sequence = i as u32 + 1;
            predicted.push(sequence, *push);
            if !input_lost {
                apply(&mut server, push);
                taken = sequence;
            }
            if !state_lost {
                states.push_back((taken, server));
            }
            // States that arrive late, out of step with the inputs.
            while states.len() > *delay {
                let (input, state) = states.pop_front().unwrap();
                prop_assert!(predicted.reconcile(input, state).is_some());
                prop_assert!(input >= applied);
                applied = input;
                // What is shown is always the server's word and the inputs it has not answered.
                let mut expected = state;
                for (j, (push, ..)) in pushes.iter().enumerate().take(i + 1) {
                    if j as u32 + 1 > input {
                        apply(&mut expected, push);
                    }
                }
                prop_assert_eq!(*predicted.state(), expected);
            }
        }
        // The link falls quiet: the last input arrives, and the state that has it.
        let last = pushes.len() as u32;
        predicted.reconcile(last, server);
        prop_assert_eq!(*predicted.state(), server);
        prop_assert_eq!(predicted.pending(), 0);
    }

    #[test]
    fn without_loss_a_correction_changes_nothing(pushes in prop::collection::vec(-9i32..9, 1..80), lag in 0usize..20) {
        let mut server = Ball::default();
        let mut predicted = Prediction::new(Ball::default(), apply);
        let mut states = VecDeque::new();
        for (i, push) in pushes.iter().enumerate() {
            let sequence = i as u32 + 1;
            predicted.push(sequence, *push);
            apply(&mut server, push);
            states.push_back((sequence, server));
            if states.len() > lag {
                let (input, state) = states.pop_front().unwrap();
                let shown = predicted.reconcile(input, state);
                prop_assert_eq!(shown, Some(*predicted.state()));
            }
        }
    }
}

#[test]
fn older_confirmation_is_ignored() {
    let mut predicted = Prediction::new(Ball::default(), apply);
    (1..=3).for_each(|n| {
        predicted.push(n, 1);
    });
    predicted.reconcile(2, Ball { x: 3, v: 1 });
    let state = *predicted.state();
    assert_eq!(predicted.reconcile(1, Ball { x: 100, v: 0 }), None);
    assert_eq!(*predicted.state(), state);
}

#[test]
fn inputs_that_are_never_confirmed_are_bounded() {
    let mut predicted = Prediction::new(Ball::default(), apply);
    (1..=10_000).for_each(|n| {
        predicted.push(n, 1);
    });
    assert_eq!(predicted.pending(), driftless_client::prediction::MAX_PENDING);
}

#[test]
fn new_seat_counts_from_one_again() {
    let mut predicted = Prediction::new(Ball::default(), apply);
    predicted.push(1, 5);
    predicted.reconcile(900, Ball::default());
    predicted.reset(Ball { x: 7, v: 0 });
    predicted.push(1, 0);
    assert!(predicted.reconcile(1, Ball { x: 8, v: 0 }).is_some());
    assert_eq!(predicted.state().x, 8);
}

#[test]
fn correction_is_hidden_at_first_and_halves() {
    let now = Instant::now();
    let half_life = Duration::from_millis(50);
    let mut smoothing = Smoothing::new(half_life, 100.0);
    assert_eq!(smoothing.offset(now), [0.0, 0.0]);
    smoothing.correct(now, [10.0, 0.0], [2.0, 4.0]);
    assert_eq!(smoothing.offset(now), [8.0, -4.0]); // shown as before
    assert_eq!(smoothing.offset(now + half_life), [4.0, -2.0]);
    assert!(smoothing.offset(now + half_life * 20)[0].abs() < 0.001);
}

#[test]
fn corrections_add_up_without_a_step() {
    let now = Instant::now();
    let mut smoothing = Smoothing::new(Duration::from_millis(50), 100.0);
    smoothing.correct(now, [10.0], [2.0]);
    let later = now + Duration::from_millis(20);
    let shown = 2.0 + smoothing.offset(later)[0];
    smoothing.correct(later, [2.0], [5.0]);
    assert!((5.0 + smoothing.offset(later)[0] - shown).abs() < 1e-4);
}

#[test]
fn far_correction_is_not_hidden() {
    let now = Instant::now();
    let mut smoothing = Smoothing::new(Duration::from_millis(50), 100.0);
    smoothing.correct(now, [1000.0], [0.0]);
    assert_eq!(smoothing.offset(now), [0.0]);
    smoothing.correct(now, [f32::NAN], [0.0]);
    assert_eq!(smoothing.offset(now), [0.0]);
}

// The arena's snapshots have places but no speeds: as long as every tick takes one input, the prediction is the
// server's own result, to the unit.
#[test]
fn arena_player_is_predicted_exactly_from_places_alone() {
    use driftless_sim::{
        Output, PlayerInput, Setup, Simulation, Snapshot, Step,
        games::arena::{Arena, ArenaInput, Body, Map, PLAYERS, predict},
    };
    const LAG: usize = 6;
    let mut rng = fastrand::Rng::with_seed(9);
    let mut output = Output::new();
    let mut arena = Arena::new(&Setup::new(5, 20)).unwrap();
    arena.join(1, "one", &mut Step::new(0, &mut output));
    let mut snapshot = Snapshot::new(&Arena::schema());
    arena.snapshot(&mut snapshot);
    let place = |s: &Snapshot| {
        let value = |column| s.tables()[PLAYERS].value(1, column).unwrap();
        (value(0), value(1))
    };
    let (map, (x, y)) = (Map::from_snapshot(&snapshot), place(&snapshot));
    // A player enters in the middle of a unit; the first state that it stands still in says where.
    let step = |body: &mut Body, input: &ArenaInput| *body = predict(&map, *body, input, 20);
    let mut predicted = Prediction::new(Body::at(x, y), step);
    let (mut states, mut corrections) = (VecDeque::new(), 0);
    let mut input = ArenaInput::default();
    for tick in 1..400u32 {
        if tick % 15 == 0 {
            (input.move_x, input.move_y) = (rng.i32(-127..=127), rng.i32(-127..=127));
        }
        predicted.push(tick, input);
        arena.step(&[PlayerInput::new(1, input)], &mut Step::new(tick, &mut output));
        snapshot.clear(tick);
        arena.snapshot(&mut snapshot);
        states.push_back((tick, place(&snapshot)));
        if states.len() > LAG {
            let (input, (x, y)) = states.pop_front().unwrap();
            predicted.reconcile_with(input, |then| {
                if then.place() == (x, y) {
                    return *then;
                }
                corrections += 1;
                Body::at(x, y)
            });
        }
        assert_eq!(predicted.state().place(), place(&snapshot), "tick {tick}");
    }
    assert_eq!(corrections, 0);
}
