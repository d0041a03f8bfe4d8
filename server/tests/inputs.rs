//! The input contract: which of its players' inputs a game gets, tick by tick, without a clock.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use bytes::Bytes;
use driftless_proto::{limits::Limits, session::server::PlayerInput as Sent};
use driftless_server::{
    ground::{
        id::{ConnectionId, RoomId},
        seat::Seat,
        shared::RoomShared,
    },
    room::{
        core::{RoomCore, Ticked},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{
    GameKind, Moment, PlayerId, PlayerInput, Predict, Prediction, Schema, Seen, Setup, Simulation, Snapshot,
    Step,
    games::arena::{Arena, ArenaInput, PLAYERS},
    replay::{EndReason, Recorder, RecordingHeader, TickRecord, Verdict, replay},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// A move to the right, without a limit.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Move {
    #[prost(int32, tag = "1")]
    by: i32,
}

/// A game as a beginner would write it: every input is added. Its state shows each player's place, the number
/// of the last input, and what the player saw then.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Walkers(BTreeMap<PlayerId, [i32; 3]>);

impl Simulation for Walkers {
    const KIND: &'static str = "walkers";
    type Input = Move;
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("walker", |kind| kind.hold("all", &["x", "number", "moment"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
        self.0.insert(player, [0; 3]);
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        self.0.remove(&player);
    }
    fn step(&mut self, inputs: &[PlayerInput<Move>], _step: &mut Step<'_, ()>) {
        for PlayerInput { player, number, moment, input } in inputs {
            let walker = self.0.get_mut(player).unwrap();
            let moment = moment.map_or(0, |moment| moment.tick());
            *walker = [walker[0] + input.by, *number as i32, moment as i32];
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        self.0.iter().for_each(|(&player, columns)| out.table_mut(0).push(player, columns));
    }
}

impl Predict for Walkers {
    type Own = i32;

    fn own(seen: &Seen<'_>, _predicted: Option<&i32>) -> Option<i32> {
        let [x] = seen.row(0)?;
        Some(x)
    }
    fn predict(x: &mut i32, input: &Move, _tick_rate: u32) {
        *x += input.by;
    }
    fn shown(x: &i32, row: &mut [i32]) {
        row[0] = *x;
    }
}

struct Room {
    core: RoomCore,
    seats: Vec<Arc<Seat>>,
    sent: Vec<u32>,
    tick: u32,
    records: Vec<TickRecord>,
}

fn setup() -> Setup<String> {
    Setup::new(7, 20)
}

impl Room {
    fn new(players: u64) -> Self {
        let kind = GameKind::of::<Walkers>();
        let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
        let schedule = Schedule::new(Instant::now(), 20);
        let game = kind.start(&setup()).unwrap();
        let mut core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), true);
        let seats = (1..=players).map(|n| core.join(ConnectionId(n), "u".into(), "n".into()).unwrap());
        let seats: Vec<_> = seats.collect();
        Self { core, sent: vec![0; seats.len()], seats, tick: 0, records: Vec::new() }
    }

    /// A player's client sends its next input.
    fn send(&mut self, index: usize) {
        self.send_by(index, 1);
    }

    fn send_by(&mut self, index: usize, by: i32) {
        self.sent[index] += 1;
        let payload = Bytes::from(Move { by }.encode_to_vec());
        self.seats[index].take_input(Sent {
            sequence: self.sent[index],
            moment: Some(Moment::at(self.tick)),
            payload,
        });
    }

    fn tick(&mut self) -> Ticked {
        self.tick += 1;
        let due = Due { tick: self.tick.into(), late: Duration::ZERO, skipped: 0 };
        let ticked = self.core.tick(due).unwrap();
        self.records.push(self.core.take_record().unwrap());
        ticked
    }

    /// A player's place, and number and moment of the last input that the game had, from the state and from
    /// its head.
    fn walker(&self, index: usize) -> [i32; 3] {
        let state = self.core.newest().unwrap();
        let player = self.seats[index].player;
        let table = &state.snapshot().tables()[0];
        let walker = [0, 1, 2].map(|column| table.value(player, column).unwrap());
        assert_eq!(
            state.input_of(self.seats[index].index, player) as i32,
            walker[1],
            "the head says what the game has had"
        );
        walker
    }
}

// A game's natural loop, which adds up its inputs, must not allow speed hacks.
#[test]
fn one_three_and_seven_inputs_a_tick_move_a_player_equally_far() {
    let mut room = Room::new(4);
    let mut dropped = 0;
    for _ in 0..200 {
        for (index, count) in [1, 3, 7, 0].into_iter().enumerate() {
            (0..count).for_each(|_| room.send(index));
        }
        dropped += room.tick().late;
    }
    assert_eq!([0, 1, 2, 3].map(|index| room.walker(index)[0]), [200, 200, 200, 0]);
    let waiting = 3 + 3;
    assert_eq!(dropped, 200 * (2 + 6) - waiting);
    // The oldest are dropped: the others lag behind by no more than what may wait.
    assert_eq!([0, 1, 2].map(|index| room.walker(index)[1]), [200, 597, 1397]);
}

#[test]
fn late_inputs_are_given_one_a_tick_with_what_was_seen() {
    let mut room = Room::new(1);
    room.tick();
    room.tick();
    (0..3).for_each(|_| room.send(0));
    for number in 1..=3 {
        assert_eq!(room.tick().inputs, 1);
        assert_eq!(room.walker(0), [number, number, 2]);
    }
    assert_eq!(room.tick().inputs, 0);
}

// A client shows its own player with all inputs that it has sent. An input that waits is not in the state
// yet, and is applied again.
#[test]
fn what_a_client_predicts_is_right_though_inputs_come_late_and_together() {
    let mut room = Room::new(1);
    let mut predicted = Prediction::<Walkers>::new(1, 20);
    room.tick();
    predicted.reconcile(0, room.core.newest().unwrap().snapshot());
    let mut under_way = VecDeque::new();
    let (mut late, mut waited, mut corrections) = (0, 0, 0);
    for number in 1..=400 {
        let by = number as i32 % 7 - 3;
        predicted.push(number, Move { by });
        under_way.push_back(by);
        // Twice per second, nothing arrives for three ticks.
        if number % 10 >= 3 {
            under_way.drain(..).for_each(|by| room.send_by(0, by));
        }
        late += room.tick().late;
        let [_, had, _] = room.walker(0);
        waited += u32::from(had < number as i32);
        predicted.reconcile(had as u32, room.core.newest().unwrap().snapshot());
        corrections += u32::from(predicted.error() > 0);
    }
    assert!(waited > 300, "{waited}");
    assert_eq!((late, corrections), (0, 0));
}

#[test]
fn what_a_player_is_shown_does_not_go_back() {
    let mut room = Room::new(1);
    let moments = [None, Some(3), Some(5), Some(4), None, Some(4), Some(6)];
    for (sequence, moment) in (1..).zip(moments) {
        let moment = moment.map(Moment::at);
        room.seats[0].take_input(Sent { sequence, moment, payload: Bytes::new() });
        room.tick();
        room.walker(0);
    }
    let given = room.records.iter().map(|tick| tick.inputs[0].moment.map(|moment| moment.tick()));
    assert_eq!(given.collect::<Vec<_>>(), [None, Some(3), Some(5), Some(5), None, Some(5), Some(6)]);
}

#[test]
fn inputs_of_a_player_who_has_left_are_not_given() {
    let mut room = Room::new(2);
    (0..4).for_each(|_| room.send(0));
    assert_eq!(room.tick().inputs, 1);
    room.core.leave(ConnectionId(1)).unwrap();
    assert_eq!(room.tick().inputs, 0);
}

// Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
// replay gives the same checksums."
#[test]
fn a_recording_has_what_the_game_got() {
    let mut room = Room::new(2);
    for tick in 0..50 {
        (0..tick % 4).for_each(|_| room.send(0));
        (0..tick % 7).for_each(|_| room.send(1));
        room.tick();
    }
    let header = RecordingHeader { kind: Walkers::KIND.into(), room: "lobby".into(), setup: setup() };
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    room.records.iter().for_each(|tick| recorder.record(tick).unwrap());
    recorder.end(EndReason::RoomEnded).unwrap();
    assert!(room.records.iter().all(|tick| tick.inputs.len() <= 2));
    let replayed = replay(&recorder.into_inner()[..], &[GameKind::of::<Walkers>()]).unwrap();
    assert_eq!(replayed.1, Verdict::Same { ticks: 50 });
}

/// The arena asks for more than one input, and makes one move of them.
#[test]
fn neither_does_the_arena_move_who_sends_more_farther() {
    let far = [1, 3, 7].map(|count| {
        let kind = GameKind::of::<Arena>();
        let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
        let schedule = Schedule::new(Instant::now(), 20);
        let game = kind.start(&setup()).unwrap();
        let mut core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false);
        let seat = core.join(ConnectionId(1), "u".into(), "n".into()).unwrap();
        let payload = Bytes::from(ArenaInput { move_x: 127, ..ArenaInput::default() }.encode_to_vec());
        for tick in 1..=10 {
            for n in 0..count {
                seat.take_input(Sent {
                    sequence: tick as u32 * 10 + n,
                    moment: None,
                    payload: payload.clone(),
                });
            }
            core.tick(Due { tick, late: Duration::ZERO, skipped: 0 }).unwrap();
        }
        core.newest().unwrap().snapshot().tables()[PLAYERS].value(1, 0).unwrap()
    });
    assert_eq!(far, [far[0]; 3]);
}
