//! NPCs: seats without a connection, which the game asks for and plays.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode, limits::Limits, session::client::ClientEvent, wire, wire::member::Change,
};
use driftless_server::{
    config::Config,
    ground::{
        id::{ConnectionId, RoomId},
        shared::RoomShared,
    },
    room::{
        core::{Effect, RoomCore},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{
    GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step,
    replay::{EndReason, Recorder, RecordingHeader, Verdict, replay},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufReader,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use util::{Player, TestServer, config, http, join, until};

/// A game for at least a given number of players: NPCs take the seats that people do not. It shows which
/// players are NPCs.
#[derive(Default, Serialize, Deserialize)]
struct Table {
    options: TableOptions,
    /// The players who are there, and whether each is an NPC.
    seats: BTreeMap<PlayerId, bool>,
    asked: u32,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TableOptions {
    fill: usize,
    /// Asks for this many more in every step, and removes its oldest.
    greedy: u32,
}

impl Simulation for Table {
    const KIND: &'static str = "table";
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = TableOptions;

    fn schema() -> Schema {
        Schema::new().kind("seat", |kind| kind.hold("npc", &["npc"], 1))
    }
    fn new(setup: &Setup<TableOptions>) -> Result<Self, String> {
        Ok(Self { options: setup.options.clone(), ..Self::default() })
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
        self.seats.insert(player, false);
    }
    fn join_npc(&mut self, player: PlayerId, name: &str, _step: &mut Step<'_, ()>) {
        assert!(name.starts_with("Bot "), "{name}");
        self.seats.insert(player, true);
        self.asked = self.asked.saturating_sub(1);
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        self.seats.remove(&player);
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], step: &mut Step<'_, ()>) {
        let npcs: Vec<_> = self.seats.iter().filter(|(_, npc)| **npc).map(|(player, _)| *player).collect();
        for n in 0..self.options.greedy {
            step.seat_npc(&format!("Bot {n}"));
        }
        if self.options.greedy > 0 {
            npcs.first().into_iter().for_each(|oldest| step.kick(*oldest, "make room"));
            return;
        }
        for n in self.seats.len() + self.asked as usize..self.options.fill {
            self.asked += 1;
            step.seat_npc(&format!("Bot {n}"));
        }
        let too_many = self.seats.len().saturating_sub(self.options.fill);
        npcs.iter().rev().take(too_many).for_each(|npc| step.kick(*npc, "make room"));
    }
    fn snapshot(&self, out: &mut Snapshot) {
        self.seats.iter().for_each(|(&player, &npc)| out.table_mut(0).push(player, &[i32::from(npc)]));
    }
}

fn server(config: Config) -> TestServer {
    TestServer::with(Config { join_options: true, ..config }, GameKind::of::<Table>())
}

fn ann(server: &TestServer, options: &str) -> Player {
    let join =
        wire::Join { kind: "table".into(), name: "ann".into(), options: options.into(), ..join("lobby") };
    Player::join_as(server.address(), join)
}

/// Whether each player shown is an NPC, by number.
fn shown(snapshot: &Snapshot) -> Vec<bool> {
    (0..snapshot.tables()[0].len()).map(|row| snapshot.tables()[0].column(0)[row] == 1).collect()
}

#[test]
fn npcs_are_members_and_are_counted_apart_from_people() {
    let server = server(config());
    let mut ann = ann(&server, r#"{"fill":3}"#);
    let mut bots = Vec::new();
    ann.wait("two NPCs", |event| {
        let ClientEvent::Presence(presence) = event else { return None };
        bots.extend(presence.members.iter().filter(|member| member.npc).cloned());
        (bots.len() == 2).then_some(())
    });
    assert!(bots.iter().all(|bot| bot.npc && bot.connections == 0), "{bots:?}");
    assert_eq!([&bots[0].players[..], &bots[1].players[..]], [[2], [3]], "numbers of the same row");
    ann.wait_state("all are shown", |snapshot| (shown(snapshot) == [false, true, true]).then_some(()));

    let room = server.get("/v1/rooms/lobby").json();
    assert_eq!((&room["players"], &room["npcs"], &room["connected"]), (&1.into(), &2.into(), &1.into()));
    let presence = server.get("/v1/presence").json();
    assert_eq!(
        (&presence["players"], &presence["npcs"], &presence["member_count"]),
        (&1.into(), &2.into(), &3.into())
    );
    assert_eq!(presence["totals"]["joined"], 1, "{presence}");
    let bot =
        presence["members"].as_array().unwrap().iter().find(|member| member["name"] == "Bot 1").unwrap();
    assert_eq!((&bot["npc"], &bot["state"]), (&true.into(), &"online".into()));
    let state = server.get_as_operator("/v1/rooms/lobby/state").json();
    let npcs: Vec<_> = state["seats"].as_array().unwrap().iter().map(|seat| seat["npc"] == true).collect();
    assert_eq!(npcs, [false, true, true], "{state}");

    // The game frees a seat for somebody who joins: its newest NPC goes.
    let mut bob = Player::join_as(server.address(), wire::Join { name: "bob".into(), ..join("lobby") });
    let gone = ann.wait_presence("Bot 2", Change::Removed);
    assert!(gone.npc && gone.players.is_empty(), "{gone:?}");
    bob.wait_state("one is left", |snapshot| (shown(snapshot) == [false, true, false]).then_some(()));
    bob.leave();
    ann.wait_presence("Bot 2", Change::Joined);
    let presence = server.get("/v1/presence").json();
    assert_eq!((&presence["players"], &presence["npcs"]), (&1.into(), &2.into()), "no ghosts: {presence}");
    assert_eq!(presence["departures"].as_array().unwrap().len(), 1, "people only: {presence}");
}

#[test]
fn an_operator_can_remove_an_npc() {
    let server = server(config());
    let mut ann = ann(&server, r#"{"fill":2}"#);
    let bot = ann.wait_presence("Bot 1", Change::Joined).players[0];
    let path = format!("/v1/rooms/lobby/players/{bot}");
    assert_eq!(http::send(server.address(), "DELETE", &path, &server.authorization(), "").status, 204);
    ann.wait_presence("Bot 1", Change::Removed);
    let next = ann.wait_presence("Bot 1", Change::Joined);
    assert_eq!(next.players, [bot + 1], "a number is given once");
}

#[test]
fn a_room_with_nobody_but_npcs_is_empty_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(Config {
        linger: Duration::from_millis(200),
        record: Some(folder.path().to_owned()),
        ..config()
    });
    let mut ann = ann(&server, r#"{"fill":4}"#);
    ann.wait_presence("Bot 3", Change::Joined);
    ann.leave();
    let metrics = server.running().metrics().clone();
    until("the room has ended", || metrics.rooms.ended.get("empty") == 1);
    until("no ghosts", || {
        let presence = server.get("/v1/presence").json();
        (&presence["players"], &presence["npcs"], &presence["member_count"])
            == (&0.into(), &0.into(), &0.into())
    });
    drop(server);
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let recording = BufReader::new(File::open(file).unwrap());
    let (_, verdict) = replay(recording, &[GameKind::of::<Table>()]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: metrics.rooms.ticks.get() });
}

const MAX_PLAYERS: u32 = 4;

fn core(options: &str) -> (RoomCore, RecordingHeader) {
    let kind = GameKind::of::<Table>();
    let setup = Setup { max_players: MAX_PLAYERS, options: options.into(), ..Setup::new(1, 20) };
    let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, MAX_PLAYERS));
    let schedule = Schedule::new(Instant::now(), 20);
    let game = kind.start(&setup).unwrap();
    let core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), true);
    (core, RecordingHeader { kind: kind.name().into(), room: "lobby".into(), setup })
}

// Promise 4; Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and
// commands."
#[test]
fn a_game_that_asks_for_npcs_in_every_step_gets_as_many_as_there_may_be_players() {
    let (mut room, header) = core(r#"{"greedy":1000}"#);
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    let (mut seated, mut warned) = (0, 0);
    for tick in 1..=500_u32 {
        if tick == 7 {
            // They take no seats from people.
            for n in 0..MAX_PLAYERS {
                room.join(ConnectionId(n.into()), format!("guest-{n}").into(), "Ann".into()).unwrap();
            }
        }
        // It skips some ticks, so that a join is not always right before its tick.
        let due = Due { tick: u64::from(tick * 2), late: Duration::ZERO, skipped: 1 };
        room.tick(due).unwrap();
        recorder.record(&room.take_record().unwrap()).unwrap();
        for effect in room.take_effects() {
            match effect {
                Effect::NpcSeated(_) => seated += 1,
                Effect::TooManyNpcs => warned += 1,
                Effect::Kick { player, reason } => drop(room.kick(player, CloseCode::Kicked, &reason)),
                other => panic!("{other:?}"),
            }
        }
        assert!(room.npcs().len() <= MAX_PLAYERS as usize);
    }
    assert!(seated > 400, "{seated}");
    assert_eq!((room.npcs().len(), room.shared().npcs.load(Relaxed), warned), (3, 3, 1));
    assert_eq!(room.shared().players.load(Relaxed), MAX_PLAYERS);
    if let Some(rest) = room.end_record() {
        recorder.record(&rest).unwrap();
    }
    recorder.end(EndReason::RoomEnded).unwrap();
    let (_, verdict) = replay(&recorder.into_inner()[..], &[GameKind::of::<Table>()]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: 500 });
}

#[test]
fn a_game_that_asks_once_for_more_npcs_than_there_may_be_is_told_so_in_the_log() {
    let (mut room, _) = core(r#"{"fill":10}"#);
    let mut effects = Vec::new();
    for tick in 1..=10 {
        room.tick(Due { tick, late: Duration::ZERO, skipped: 0 }).unwrap();
        effects.extend(room.take_effects());
    }
    let warnings = effects.iter().filter(|effect| matches!(effect, Effect::TooManyNpcs));
    assert_eq!((room.npcs().len(), warnings.count()), (MAX_PLAYERS as usize, 1), "{effects:?}");
}
