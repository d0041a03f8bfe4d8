//! The room of a recording at one of its ticks.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use bytes::Bytes;
use common::{Script, record};
use driftless_sim::{
    GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step,
    games::{self, arena::Arena},
    replay::{
        Action, EndReason, RecordedSeat, Recorder, Recording, RecordingHeader, ReplayError, SceneError,
        Start, TickRecord, Verdict, replay, scene,
    },
};
use serde::{Deserialize, Serialize};

fn records(file: &[u8]) -> Vec<TickRecord> {
    let mut recording = Recording::open(file).unwrap();
    std::iter::from_fn(|| recording.next_record().unwrap()).collect()
}

// Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
// replay gives the same checksums."
#[test]
fn a_room_goes_on_from_any_tick_of_its_recording_as_it_did() {
    let file = record("arena", &mut Script::new(11), 20, 200);
    let records = records(&file);
    for at in [0, 1, 57, 120, 200] {
        let scene = scene(&file[..], &games::kinds(), Some(at)).unwrap();
        assert_eq!(scene.tick, at);
        if let Some(record) = records.iter().find(|record| record.tick == at && record.checksum.is_some()) {
            assert_eq!(Some(scene.game.checksum()), record.checksum, "tick {at}");
        }
        let mut recorder = Recorder::starting_from(Vec::new(), &scene.header, &scene.start()).unwrap();
        let rest = records.iter().filter(|record| record.tick > at);
        rest.clone().for_each(|record| recorder.record(record).unwrap());
        recorder.end(EndReason::RoomEnded).unwrap();
        let ticks = rest.filter(|record| record.checksum.is_some()).count() as u64;
        let (_, verdict) = replay(&recorder.into_inner()[..], &games::kinds()).unwrap();
        assert_eq!(verdict, Verdict::Same { ticks }, "from tick {at}");
    }
    let last = scene(&file[..], &games::kinds(), None).unwrap();
    assert_eq!(last.tick, 200);
    let arena: Arena = last.simulation().unwrap();
    let mut shown = Snapshot::new(&Arena::schema());
    arena.snapshot(&mut shown);
    assert!(!shown.tables()[0].ids().is_empty());
}

/// Gives every order that a room follows.
#[derive(Default, Serialize, Deserialize)]
struct Orders;

impl Simulation for Orders {
    const KIND: &'static str = "orders";
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new()
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self)
    }
    fn join(&mut self, _player: PlayerId, _name: &str, step: &mut Step<'_, ()>) {
        step.seat_npc("Bot");
        step.seat_npc("Other");
        step.info("season", "spring");
        step.info("gone", "soon");
    }
    fn leave(&mut self, _player: PlayerId, step: &mut Step<'_, ()>) {
        step.close_joins(true);
        step.info("gone", "");
    }
    fn join_npc(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn command(&mut self, _player: PlayerId, _command: (), step: &mut Step<'_, ()>) -> Result<(), String> {
        step.seat_npc("Late");
        Ok(())
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, _out: &mut Snapshot) {}
}

fn tick(tick: u32, actions: Vec<Action>) -> TickRecord {
    TickRecord { tick, actions, ..TickRecord::default() }
}

#[test]
fn seats_and_orders_are_known_as_of_the_tick() {
    let kind = GameKind::of::<Orders>();
    let header = RecordingHeader { kind: "orders".into(), room: "r".into(), setup: Setup::new(1, 20) };
    let game = kind.start(&header.setup).unwrap();
    let checksum = Some(game.checksum());
    let (player, name) = (1, "Ann".to_owned());
    let ticks = [
        tick(
            3,
            vec![
                Action::User { player, user: "u".into() },
                Action::Join { player, name },
                Action::JoinNpc { player: 2, name: "Bot".into() },
            ],
        ),
        tick(
            5,
            vec![
                Action::Join { player: 3, name: "Bob".into() },
                Action::Command { player, payload: Bytes::new() },
            ],
        ),
        tick(
            6,
            vec![Action::Away { player: 1, why: driftless_sim::Away::TimedOut }, Action::Leave { player: 3 }],
        ),
        // It did not complete.
        tick(7, vec![Action::Leave { player: 1 }]),
    ];
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    for (n, tick) in ticks.iter().enumerate() {
        recorder.record(&TickRecord { checksum: checksum.filter(|_| n < 3), ..tick.clone() }).unwrap();
    }
    let file = recorder.into_inner();
    let at = |tick| scene(&file[..], std::slice::from_ref(&kind), tick).unwrap();
    let names = |scene: &driftless_sim::replay::Scene| {
        scene.room.seats.iter().map(|seat| seat.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!((at(Some(2)).tick, names(&at(Some(2))).len()), (0, 0));
    let four = at(Some(4));
    let ann_and_bot = vec!["Ann".to_owned(), "Bot".to_owned()];
    assert_eq!((four.tick, names(&four)), (3, ann_and_bot.clone()), "tick 4 was left out");
    assert!(four.room.npcs_asked.is_empty(), "there was no place for the other one");
    assert_eq!(four.room.info.len(), 2);
    let ann = RecordedSeat { player: 1, name: "Ann".into(), user: "u".into(), npc: false, away: false };
    assert_eq!(at(Some(5)).room.seats[0], ann);
    assert_eq!(at(Some(5)).room.npcs_asked, ["Late"], "the next tick has a seat for it, or nobody has");
    let last = at(None);
    assert_eq!((last.tick, names(&last)), (6, ann_and_bot));
    assert!(last.room.npcs_asked.is_empty());
    assert!(last.room.joins_closed && last.room.seats[0].away && last.room.seats[1].npc);
    assert_eq!((last.room.last_player, last.room.info.get("gone")), (3, None));
    // All of it survives a file.
    let again = Recorder::starting_from(Vec::new(), &header, &last.start()).unwrap().into_inner();
    assert_eq!(Recording::open(&again[..]).unwrap().start(), Some(&last.start()));
    let again = scene(&again[..], std::slice::from_ref(&kind), None).unwrap();
    assert_eq!((again.tick, again.room), (last.tick, last.room));
}

#[test]
fn what_shows_no_room_is_named() {
    let file = record("cursors", &mut Script::new(3), 20, 50);
    let error = |file: &[u8], tick| scene(file, &games::kinds(), tick).err().unwrap();
    assert!(matches!(error(&file, Some(51)), SceneError::Beyond { tick: 51, last: 50 }));
    let other = [GameKind::of::<Orders>()];
    let unknown = scene(&file[..], &other, None).err().unwrap();
    assert!(matches!(unknown, SceneError::Replay(ReplayError::UnknownKind(kind)) if kind == "cursors"));
    let mut damaged = file.clone();
    damaged[file.len() / 2] ^= 1;
    assert!(matches!(error(&damaged, None), SceneError::Replay(_)));

    let at = scene(&file[..], &games::kinds(), Some(20)).unwrap();
    let mut start = at.start();
    let from = |start: &Start| Recorder::starting_from(Vec::new(), &at.header, start).unwrap().into_inner();
    assert!(matches!(error(&from(&start), Some(19)), SceneError::Before { tick: 19, first: 20 }));
    start.schema ^= 1;
    assert!(matches!(error(&from(&start), None), SceneError::Replay(ReplayError::Schema)));
    start.schema ^= 1;
    start.state.pop();
    assert!(matches!(error(&from(&start), None), SceneError::Replay(ReplayError::State(_))));

    let mut first = records(&file).remove(0);
    first.checksum = first.checksum.map(|checksum| !checksum);
    let mut recorder = Recorder::new(Vec::new(), &at.header).unwrap();
    recorder.record(&first).unwrap();
    assert!(matches!(error(&recorder.into_inner(), None), SceneError::Diverged { tick: 1 }));
}
