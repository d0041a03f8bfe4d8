//! Events of rooms reach their listeners: created, reported, ended.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, wire};
use driftless_server::{RoomEvent, Server, config::Config};
use driftless_sim::{GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};
use util::{PATIENCE, Player, TestServer, config, join, until};

/// A match won by the first player who claims it; that player also says how often to report it.
#[derive(Default, Serialize, Deserialize)]
struct Match {
    won: u32,
    by: PlayerId,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Win {
    #[prost(uint32, tag = "1")]
    reports: u32,
    #[prost(uint32, tag = "2")]
    bytes: u32,
}

#[derive(Serialize)]
struct Result {
    winner: PlayerId,
    comment: String,
}

impl Simulation for Match {
    const KIND: &'static str = "match";
    type Input = ();
    type Command = Win;
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("match", |kind| kind.hold("won", &["by"], 1))
    }
    fn new(_setup: &Setup) -> std::result::Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {}
    fn command(
        &mut self,
        winner: PlayerId,
        win: Win,
        step: &mut Step<'_, ()>,
    ) -> std::result::Result<(), String> {
        (self.won, self.by) = (win.reports, winner);
        for _ in 0..win.reports {
            step.report(&Result { winner, comment: "x".repeat(win.bytes as usize) });
        }
        Ok(())
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], step: &mut Step<'_, ()>) {
        if self.won > 0 {
            step.report(&json!({ "over": true }));
            step.end("there is a winner");
        }
    }
    fn snapshot(&self, _out: &mut Snapshot) {}
}

/// A server whose events are kept as JSON.
fn server(config: Config) -> (TestServer, Arc<Mutex<Vec<Value>>>) {
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let hear = heard.clone();
    let server = Server::new(&[GameKind::of::<Match>()])
        .on(|event| assert!(!matches!(event, RoomEvent::Made { .. }), "a fault, as asked"))
        .on(move |event| hear.lock().unwrap().push(serde_json::to_value(event).unwrap()));
    (TestServer::of(server, config), heard)
}

#[test]
fn the_world_outside_hears_of_a_room_from_its_beginning_to_its_end_in_order() {
    let (server, heard) = server(config());
    let mut ann = Player::join_as(server.address(), wire::Join { name: "ann".into(), ..join("final") });
    ann.next_tick();
    ann.command(&Win { reports: 2, bytes: 3 });
    assert_eq!(ann.ended(), CloseCode::GameEnded);
    until("all is heard", || heard.lock().unwrap().len() >= 5);
    let heard = heard.lock().unwrap().clone();
    let what: Vec<_> = heard.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(what, ["made", "reported", "reported", "reported", "ended"], "{heard:?}");
    assert_eq!(
        heard[0],
        json!({ "event": "made", "id": 1, "room": "final", "kind": "match", "tick": 0, "players": 0 })
    );
    assert_eq!(heard[1]["report"], json!({ "winner": 1, "comment": "xxx" }));
    assert_eq!((&heard[3]["report"], &heard[3]["players"]), (&json!({ "over": true }), &json!(1)));
    let tick = heard[3]["tick"].as_u64().unwrap();
    assert!(tick > 0 && heard[4]["tick"].as_u64().unwrap() >= tick, "{heard:?}");
    assert_eq!((&heard[4]["why"], &heard[4]["reason"]), (&json!("game_ended"), &json!("there is a winner")));
}

// Promise 4
#[test]
fn reports_that_are_too_long_or_too_many_are_not_passed_on() {
    let (server, heard) = server(config());
    let mut ann = Player::join(server.address(), "long");
    ann.command(&Win { reports: 1, bytes: 20_000 });
    let mut bob = Player::join(server.address(), "many");
    bob.command(&Win { reports: 100, bytes: 1 });
    assert_eq!([ann.ended(), bob.ended()], [CloseCode::GameEnded; 2]);
    let of = |room: &str, event: &str| {
        let heard = heard.lock().unwrap();
        heard.iter().filter(|heard| heard["room"] == room && heard["event"] == event).count()
    };
    until("both have ended", || of("long", "ended") + of("many", "ended") == 2);
    assert_eq!((of("long", "reported"), of("many", "reported")), (1, 4));
}

#[test]
fn a_server_that_stops_tells_the_end_of_all_its_rooms_even_to_who_is_slow() {
    let ended = Arc::new(AtomicUsize::new(0));
    let heard = ended.clone();
    let server = Server::new(&[GameKind::of::<Match>()]).on(move |event| {
        if let RoomEvent::Ended { why: "server_stopped", .. } = event {
            thread::sleep(Duration::from_millis(200)); // this one is slow
            heard.fetch_add(1, Relaxed);
        }
    });
    let server = TestServer::of(server, config());
    let _ann = Player::join(server.address(), "one");
    let _bob = Player::join(server.address(), "two");
    drop(server);
    assert_eq!(ended.load(Relaxed), 2);
}

// Promise 4
#[test]
fn whoever_hears_and_does_not_come_back_keeps_no_room_waiting() {
    let (block, blocked) = mpsc::sync_channel::<()>(0);
    let blocked = Mutex::new(blocked);
    let server = Server::new(&[GameKind::of::<Match>()]).on(move |_| {
        let _ = blocked.lock().unwrap().recv_timeout(PATIENCE);
    });
    let server = TestServer::of(server, Config { linger: Duration::ZERO, ..config() });
    let mut ann = Player::join(server.address(), "one");
    ann.command(&Win { reports: 4, bytes: 1 });
    assert_eq!(ann.ended(), CloseCode::GameEnded);
    let metrics = server.running().metrics();
    until("the room has ended", || metrics.rooms.ended.get("game_ended") == 1);
    drop(block); // the events that wait are heard one after the other
}
