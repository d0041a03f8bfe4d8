//! What a game says of inputs before it takes them, and of whom it knows.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use bytes::Bytes;
use driftless_proto::{code::CloseCode, limits::Limits, session::server::PlayerInput as Sent, wire};
use driftless_server::{
    Server,
    config::Config,
    ground::{
        id::{ConnectionId, RoomId},
        seat::Seat,
        shared::RoomShared,
    },
    room::{
        core::{Effect, RoomCore},
        reports::ReportLimit,
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{
    GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step, Validation,
    replay::{Action, EndReason, Recorder, RecordingHeader, TickRecord, Verdict, replay},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use util::{Player, TestServer, config, join, until};

/// A move. 1 to 3 is as the rules have it; up to 10 is too eager, 11 impossible, and more is a cheat. (A
/// second clamp of what was clamped would change it again.)
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Move {
    #[prost(int32, tag = "1")]
    by: i32,
}

/// Where all are; and how many letters the names of the known users have who are here.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Road(BTreeMap<PlayerId, i32>, u32);

impl Simulation for Road {
    const KIND: &'static str = "road";
    type Input = Move;
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("walker", |kind| kind.hold("all", &["x"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, ()>) {
        self.0.insert(player, step.user(player).map_or(0, |user| 1_000 * user.len() as i32));
    }
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, ()>) {
        self.0.remove(&player);
        self.1 += step.user(player).map_or(0, |user| user.len() as u32);
    }
    fn validate(&self, player: PlayerId, input: &Move) -> Validation<Move> {
        assert!(self.0.contains_key(&player), "who sends has joined");
        match input.by {
            ..=3 => Validation::Accept,
            4..=10 => Validation::Clamp(Move { by: input.by / 2 }),
            11 => Validation::Reject,
            by => Validation::report(format!("moves by {by}")),
        }
    }
    fn step(&mut self, inputs: &[PlayerInput<Move>], step: &mut Step<'_, ()>) {
        for PlayerInput { player, input, .. } in inputs {
            self.0.entry(*player).and_modify(|x| *x += input.by);
        }
        self.1 = self.0.keys().filter_map(|player| step.user(*player)).map(|user| user.len() as u32).sum();
    }
    fn snapshot(&self, out: &mut Snapshot) {
        self.0.iter().for_each(|(&player, &x)| out.table_mut(0).push(player, &[x]));
    }
}

struct Room {
    core: RoomCore,
    seats: Vec<Arc<Seat>>,
    sent: u32,
    tick: u32,
    records: Vec<TickRecord>,
}

impl Room {
    fn of(users: &[&str]) -> Self {
        let kind = GameKind::of::<Road>();
        let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
        let schedule = Schedule::new(Instant::now(), 20);
        let game = kind.start(&Setup::new(7, 20)).unwrap();
        let mut core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), true);
        let seats =
            (1..).zip(users).map(|(n, user)| core.join(ConnectionId(n), (*user).into(), "n".into()).unwrap());
        Self { seats: seats.collect(), core, sent: 0, tick: 0, records: Vec::new() }
    }

    /// The first player moves, and what comes of it.
    fn moves(&mut self, by: i32) -> Vec<Effect> {
        self.sent += 1;
        let payload = Bytes::from(Move { by }.encode_to_vec());
        self.seats[0].take_input(Sent { sequence: self.sent, moment: None, payload });
        self.tick()
    }

    fn tick(&mut self) -> Vec<Effect> {
        self.tick += 1;
        self.core.tick(Due { tick: self.tick.into(), late: Duration::ZERO, skipped: 0 }).unwrap();
        self.records.push(self.core.take_record().unwrap());
        self.core.take_effects()
    }

    fn x(&self, player: PlayerId) -> i32 {
        self.core.newest().unwrap().snapshot().tables()[0].value(player, 0).unwrap()
    }

    fn replayed(&self) -> Verdict {
        let setup = Setup::new(7, 20);
        let header = RecordingHeader { kind: Road::KIND.into(), room: "lobby".into(), setup };
        let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
        self.records.iter().for_each(|tick| recorder.record(tick).unwrap());
        recorder.end(EndReason::RoomEnded).unwrap();
        replay(&recorder.into_inner()[..], &[GameKind::of::<Road>()]).unwrap().1
    }
}

// Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
// replay gives the same checksums."
#[test]
fn a_step_gets_what_is_valid_and_a_replay_gets_the_same() {
    let mut room = Room::of(&["guest-1"]);
    let expected = [(3, 3), (10, 8), (11, 8), (99, 8), (-5, 3), (8, 7)];
    for (by, x) in expected {
        room.moves(by);
        assert_eq!(room.x(1), x, "after {by}");
        let newest = room.core.newest().unwrap();
        assert_eq!(newest.input_of(0, 1), room.sent, "its client does not predict it any longer");
    }
    let recorded = room.records.iter().flat_map(|tick| &tick.inputs);
    let recorded = recorded.map(|input| (input.number, Move::decode(&input.input[..]).unwrap().by));
    assert_eq!(recorded.collect::<Vec<_>>(), [(1, 3), (2, 5), (5, -5), (6, 4)]);
    assert_eq!(room.replayed(), Verdict::Same { ticks: 6 });
}

#[test]
fn a_player_is_removed_who_is_reported_too_often_in_too_short_a_time() {
    let mut room = Room::of(&["guest-1"]);
    room.core.limit_reports(ReportLimit { reports: 3, within: 40 });
    let reported = |effects: Vec<Effect>| {
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::PlayerReported { player: 1, reports, reason, removed } => {
                assert_eq!(reason, "moves by 99");
                Some((*reports, *removed))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let closed = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Close { code, .. } if *code == CloseCode::TooManyReports));
        (told, closed)
    };
    assert_eq!(reported(room.moves(99)), (vec![(1, false)], false));
    assert_eq!(reported(room.moves(99)), (vec![], false), "told once a second");
    (0..40).for_each(|_| drop(room.moves(1)));
    assert_eq!(reported(room.moves(99)), (vec![(3, false)], false), "the first two are long ago");
    assert_eq!(reported(room.moves(99)), (vec![], false));
    assert_eq!(reported(room.moves(99)), (vec![(5, true)], true));
    assert_eq!(reported(room.moves(99)), (vec![], false), "once is enough");
    assert_eq!(room.replayed(), Verdict::Same { ticks: room.tick.into() });
}

// Promise 1
#[test]
fn a_game_and_its_replay_know_users_from_guests() {
    let mut room = Room::of(&["ann", "guest-7"]);
    room.tick();
    assert_eq!([1, 2].map(|player| room.x(player)), [3_000, 0]);
    let first: Vec<_> = room.records[0].actions.iter().collect();
    assert!(matches!(first[0], Action::User { player: 1, user } if user == "ann"), "{first:?}");
    assert_eq!(first.len(), 3, "a user and two joins: {first:?}");
    room.core.leave(ConnectionId(1)).unwrap();
    room.tick();
    assert_eq!(room.replayed(), Verdict::Same { ticks: 2 });
}

#[test]
fn a_restored_game_knows_its_users() {
    let kind = GameKind::of::<Road>();
    let mut game = kind.start(&Setup::new(7, 20)).unwrap();
    game.identify(3, "ann");
    game.join(1, 3, "Ann");
    game.step(1);
    let saved = game.save();
    let mut restored = kind.restore(&saved).unwrap();
    for tick in 2..4 {
        game.step(tick);
        restored.step(tick);
        assert_eq!(restored.checksum(), game.checksum());
    }
    assert_eq!(restored.save(), game.save());
    for at in 0..saved.len() {
        let mut damaged = saved.clone();
        damaged[at] ^= 1;
        assert!(kind.restore(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn operators_hear_of_reports_and_the_reported_are_sent_off() {
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let hear = heard.clone();
    let server = Server::new(&[GameKind::of::<Road>()])
        .on(move |event| hear.lock().unwrap().push(serde_json::to_value(event).unwrap()));
    let server = TestServer::of(server, Config { reports_limit: 2, ..config() });
    let metrics = server.running().metrics();
    let cheat = wire::Join { name: "cheat".into(), ..join("road") };
    let mut cheat = Player::join_as(server.address(), cheat);
    let honest = Player::join(server.address(), "road").in_background();
    for reports in 1..=2 {
        cheat.input(&Move { by: 50 });
        until("it is reported", || metrics.rooms.player_reports.get() == reports);
    }
    assert_eq!(cheat.ended(), CloseCode::TooManyReports);
    until("its seat has ended", || server.players() == 1);
    honest.wait_ticks(3);
    honest.stop();
    until("all is heard", || heard.lock().unwrap().len() >= 3);
    let heard = heard.lock().unwrap().clone();
    let removed = heard.iter().find(|event| event["removed"] == true).expect("it was removed");
    assert_eq!(removed["event"], "player_reported", "{heard:?}");
    assert_eq!((&removed["name"], &removed["reports"]), (&"cheat".into(), &2.into()), "{removed}");
    assert_eq!((&removed["reason"], &removed["player"]), (&"moves by 50".into(), &1.into()), "{removed}");
    let user = removed["user"].as_str().unwrap();
    assert!(user.starts_with("guest-"), "{user}");
    assert_eq!(server.get("/v1/presence").json()["totals"]["removed"], 1);
}
