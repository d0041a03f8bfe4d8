//! What a client predicts of its own player, and how the server's states correct it.
#![allow(clippy::unwrap_used)] // in helpers of tests

mod common;

use common::arena::Room;
use driftless_sim::{
    PlayerId, PlayerInput, Predict, Prediction, Rng, Schema, Seen, Setup, Simulation, Snapshot, Step,
    games::arena::{Arena, ArenaInput, PLAYERS},
    predict::MAX_PENDING,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Rules in which order and number of inputs matter: a ball with inertia, pushed by inputs, that walls stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Ball {
    x: i32,
    v: i32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Push {
    #[prost(sint32, tag = "1")]
    by: i32,
}

impl Ball {
    fn roll(&mut self, push: i32) {
        self.v = self.v * 7 / 8 + push;
        self.x = (self.x + self.v).clamp(-500, 500);
    }
}

/// The ball of player 1.
#[derive(Serialize, Deserialize)]
struct Balls(Ball);

impl Simulation for Balls {
    const KIND: &'static str = "balls";
    type Input = Push;
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("ball", |kind| kind.linear("motion", &["x", "v"], 1).hold("status", &["out"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self(Ball::default()))
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {}
    fn step(&mut self, inputs: &[PlayerInput<Push>], _step: &mut Step<'_, ()>) {
        inputs.iter().for_each(|input| self.0.roll(input.input.by));
    }
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.0.x, self.0.v, 0]);
    }
}

impl Predict for Balls {
    type Own = Ball;

    fn own(seen: &Seen<'_>, _predicted: Option<&Ball>) -> Option<Ball> {
        let [x, v, out] = seen.row(0)?;
        (out == 0).then_some(Ball { x, v })
    }
    fn predict(ball: &mut Ball, push: &Push, _tick_rate: u32) {
        ball.roll(push.by);
    }
    fn shown(ball: &Ball, row: &mut [i32]) {
        row[..2].copy_from_slice(&[ball.x, ball.v]);
    }
}

fn state(ball: Ball, out: bool) -> Snapshot {
    let mut state = Snapshot::new(&Balls::schema());
    state.table_mut(0).push(1, &[ball.x, ball.v, out.into()]);
    state
}

fn started() -> Prediction<Balls> {
    let mut predicted = Prediction::new(1, 20);
    assert!(predicted.reconcile(0, &state(Ball::default(), false)));
    predicted
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
        let mut predicted = started();
        let mut states = VecDeque::new();
        let mut applied = 0;
        for (i, (push, input_lost, state_lost, delay)) in pushes.iter().enumerate() {
            let sequence = i as u32 + 1;
            predicted.push(sequence, Push { by: *push });
            if !input_lost {
                server.roll(*push);
                taken = sequence;
            }
            if !state_lost {
                states.push_back((taken, server));
            }
            // States that arrive late, out of step with the inputs.
            while states.len() > *delay {
                let (input, ball) = states.pop_front().unwrap();
                prop_assert!(predicted.reconcile(input, &state(ball, false)));
                prop_assert!(input >= applied);
                applied = input;
                // What is shown is always the server's word and the inputs it has not answered.
                let mut expected = ball;
                for (j, (push, ..)) in pushes.iter().enumerate().take(i + 1) {
                    if j as u32 + 1 > input {
                        expected.roll(*push);
                    }
                }
                prop_assert_eq!(predicted.own(), Some(&expected));
            }
        }
        // The link falls quiet: the last input arrives, and the state that has it.
        predicted.reconcile(pushes.len() as u32, &state(server, false));
        prop_assert_eq!(predicted.own(), Some(&server));
        prop_assert_eq!(predicted.pending(), 0);
    }

    #[test]
    fn without_loss_a_state_changes_nothing(pushes in prop::collection::vec(-9i32..9, 1..80), lag in 0usize..20) {
        let mut server = Ball::default();
        let mut predicted = started();
        let mut states = VecDeque::new();
        for (i, push) in pushes.iter().enumerate() {
            let sequence = i as u32 + 1;
            predicted.push(sequence, Push { by: *push });
            server.roll(*push);
            states.push_back((sequence, server));
            if states.len() > lag {
                let shown = *predicted.own().unwrap();
                let (input, ball) = states.pop_front().unwrap();
                prop_assert!(predicted.reconcile(input, &state(ball, false)));
                prop_assert_eq!(predicted.own(), Some(&shown));
                prop_assert_eq!(predicted.error(), 0);
            }
        }
    }
}

#[test]
fn older_confirmation_is_ignored() {
    let mut predicted = started();
    (1..=3).for_each(|n| predicted.push(n, Push { by: 1 }));
    assert!(predicted.reconcile(2, &state(Ball { x: 3, v: 1 }, false)));
    let own = *predicted.own().unwrap();
    assert!(!predicted.reconcile(1, &state(Ball { x: 100, v: 0 }, false)));
    assert_eq!(predicted.own(), Some(&own));
}

#[test]
fn inputs_that_are_never_confirmed_are_bounded() {
    let mut predicted = started();
    (1..=10_000).for_each(|n| predicted.push(n, Push { by: n as i32 % 3 - 1 }));
    let mut ball = Ball::default();
    (1..=10_000).for_each(|n| ball.roll(n % 3 - 1));
    assert_eq!((predicted.pending(), predicted.own()), (MAX_PENDING, Some(&ball)));
}

#[test]
fn how_far_off_it_was_is_told() {
    let mut predicted = started();
    predicted.push(1, Push { by: 5 });
    predicted.push(2, Push { by: 5 });
    assert!(predicted.reconcile(1, &state(Ball { x: 2, v: 1 }, false)));
    assert_eq!(predicted.error(), 5); // 3 in x, 4 in v
    assert!(predicted.reconcile(2, &state(Ball { x: 7, v: 5 }, false)));
    assert_eq!(predicted.error(), 0);
}

#[test]
fn between_two_inputs_it_is_on_the_way_to_the_next() {
    let mut predicted = started();
    predicted.push(1, Push { by: 8 });
    assert_eq!(predicted.shown_after(&Push { by: 1 }), Some(&[16, 8, 0][..]));
    assert_eq!(predicted.shown(), Some(&[8, 8, 0][..]), "which was only looked at");
}

#[test]
fn who_is_out_of_the_game_is_shown_as_the_server_says() {
    let mut predicted = started();
    predicted.push(1, Push { by: 8 });
    predicted.reconcile(1, &state(Ball { x: 70, v: 0 }, true));
    predicted.push(2, Push { by: 8 });
    assert_eq!(predicted.own(), None);
    assert_eq!(predicted.shown(), Some(&[70, 0, 1][..]));
    assert_eq!(predicted.shown_after(&Push { by: 8 }), Some(&[70, 0, 1][..]));
    // Back in, with an input under way.
    predicted.reconcile(1, &state(Ball { x: 10, v: 0 }, false));
    assert_eq!(predicted.shown(), Some(&[18, 8, 0][..]));
}

#[test]
fn who_is_not_in_the_state_is_not_shown() {
    let mut predicted = Prediction::<Balls>::new(2, 20);
    assert_eq!(predicted.shown(), None);
    predicted.reconcile(0, &state(Ball::default(), false));
    predicted.push(1, Push { by: 8 });
    assert_eq!(predicted.own(), None);
    assert_eq!(predicted.shown(), None);
}

// The arena's snapshots have places but no speeds: as long as every tick takes one input, the prediction is
// the server's own result, to the unit.
#[test]
fn arena_player_is_predicted_exactly_from_places_alone() {
    const LAG: usize = 6;
    for tick_rate in [7, 20, 60] {
        let mut rng = Rng::new(9);
        let mut room = Room::new(5, tick_rate);
        room.join(1);
        let mut predicted = Prediction::<Arena>::new(1, tick_rate);
        predicted.reconcile(0, &room.seen);
        let mut states = VecDeque::new();
        let mut input = ArenaInput::default();
        let mut corrections = 0;
        for number in 1..400u32 {
            if number % 15 == 0 {
                (input.move_x, input.move_y) = (rng.range(-127..128), rng.range(-127..128));
                (input.aim_x, input.aim_y) = (rng.range(-9..10), rng.range(-9..10));
            }
            predicted.push(number, input);
            room.step(&[(1, input)]);
            let table = &room.seen.tables()[PLAYERS];
            let row: Vec<i32> = (0..table.width()).map(|column| table.value(1, column).unwrap()).collect();
            assert_eq!(predicted.shown(), Some(&row[..]), "{tick_rate} Hz, input {number}");
            states.push_back((number, room.seen.clone()));
            if states.len() > LAG {
                let (input, state) = states.pop_front().unwrap();
                predicted.reconcile(input, &state);
                corrections += u32::from(predicted.error() > 0);
            }
        }
        assert_eq!(corrections, 0);
    }
}
