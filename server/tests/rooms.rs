//! The life of rooms: they end when empty, fail alone, skip ticks that they cannot keep up with, and belong
//! to their server.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, session::client::ClientEvent, wire};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use std::time::Duration;
use util::{
    Player, TestServer, config,
    games::{Ask, Obedient, Stillborn},
    join, until,
};

fn with_obedient(config: Config) -> TestServer {
    TestServer::with(config, GameKind::of::<Obedient>())
}

fn obedient(server: &TestServer, room: &str) -> Player {
    Player::join_as(server.address(), wire::Join { kind: "obedient".into(), ..join(room) })
}

#[test]
fn a_room_that_an_operator_has_made_may_stay_whoever_is_there() {
    let lingers = Duration::from_millis(50);
    let config = Config { linger: lingers, operator_linger: Some(Duration::MAX), ..config() };
    let server = TestServer::start(config);
    assert_eq!(server.operate("POST", "/v1/rooms", r#"{"name":"world"}"#).status, 201);
    // One after the other, so that the first has been empty for longer.
    for room in ["world", "lobby"] {
        Player::join(server.address(), room).leave();
    }
    until("the other has ended", || server.get("/v1/rooms/lobby").status == 404);
    assert_eq!(server.get("/v1/rooms/world").status, 200);
}

#[test]
fn an_empty_room_lingers_then_ends() {
    let server = TestServer::start(Config { linger: Duration::from_millis(200), ..config() });
    let metrics = server.running().metrics();
    let mut ann = Player::join(server.address(), "lobby");
    ann.leave();
    until("the seat is free", || server.players() == 0);
    // It lingers: a player who comes back in time finds the same room, where no number is reused.
    let mut ann = Player::join(server.address(), "lobby");
    assert_eq!((ann.number(), metrics.rooms.created.get()), (2, 1));
    ann.leave();
    until("the room has ended", || metrics.rooms.ended.get("empty") == 1);
    assert_eq!((metrics.rooms.current.get(), server.get("/v1/rooms/lobby").status), (0, 404));

    // The name is free again.
    assert_eq!(Player::join(server.address(), "lobby").number(), 1);
}

#[test]
fn a_room_that_nobody_ever_joined_ends_too() {
    let server = TestServer::start(Config { linger: Duration::from_millis(100), ..config() });
    assert_eq!(server.post("/v1/rooms", r#"{"name":"hall"}"#).status, 201);
    until("the room has ended", || server.running().metrics().rooms.ended.get("empty") == 1);
}

#[test]
fn a_room_with_a_player_away_does_not_end() {
    let config = Config { linger: Duration::ZERO, resume_window: Duration::from_millis(300), ..config() };
    let server = TestServer::start(config);
    let metrics = server.running().metrics();
    let mut ann = Player::join(server.address(), "lobby");
    ann.lose_connection();
    until("she is away", || server.connections() == 0);
    let ticks = metrics.rooms.ticks.get();
    until("the room goes on", || metrics.rooms.ticks.get() > ticks + 1);
    until("the room ends with the seat", || metrics.rooms.ended.get("empty") == 1);
    assert_eq!(server.players(), 0);
}

// Promise 6, for the game's author instead of a peer: a panic inside one room's `step` ends only that room,
// with a goodbye to its players and an error in the log.
#[test]
fn a_panic_in_a_step_ends_its_room_alone() {
    let server = with_obedient(config());
    let metrics = server.running().metrics();
    let mut ann = obedient(&server, "doomed");
    let mut bob = obedient(&server, "doomed");
    let other = obedient(&server, "other").in_background();
    ann.command(&Ask { panic: true, ..Ask::default() });
    assert_eq!((ann.ended(), bob.ended()), (CloseCode::RoomFailed, CloseCode::RoomFailed));
    until("the room is counted as failed", || metrics.rooms.ended.get("failed") == 1);
    other.wait_ticks(5);
    until("only the other room's seat is left", || server.players() == 1);
    assert_eq!(metrics.rooms.current.get(), 1);
    let presence = server.get("/v1/presence").json();
    assert_eq!(presence["players"], 1, "no ghosts of the failed room: {presence}");
    assert_eq!(presence["totals"]["removed"], 2);

    // The dead room's tokens are worthless; its name can be used again.
    ann.reconnect();
    assert_eq!(ann.ended(), CloseCode::UnknownSession);
    assert_eq!(obedient(&server, "doomed").number(), 1);
    other.stop();
}

#[test]
fn a_panic_in_a_join_or_a_leave_ends_its_room_alone() {
    let server = with_obedient(Config { resume_window: Duration::from_millis(100), ..config() });
    let metrics = server.running().metrics();
    let other = obedient(&server, "other").in_background();

    let mut ann = obedient(&server, "join");
    let asked = wire::Join { kind: "obedient".into(), name: "panic".into(), ..join("join") };
    let mut bad = Player::on(util::Socket::connect(server.address()), server.address(), asked);
    assert_eq!((bad.ended(), ann.ended()), (CloseCode::RoomFailed, CloseCode::RoomFailed));
    until("the room has failed", || metrics.rooms.ended.get("failed") == 1);

    // When a player leaves, and when a seat ends with its window.
    for (n, lost) in [(2, false), (3, true)] {
        let mut ann = obedient(&server, "leave");
        let mut bob = obedient(&server, "leave");
        ann.command(&Ask { panic_at_leave: true, ..Ask::default() });
        ann.next_tick();
        ann.next_tick();
        if lost {
            bob.lose_connection()
        } else {
            bob.leave()
        }
        assert_eq!(ann.ended(), CloseCode::RoomFailed);
        until("the room has failed", || metrics.rooms.ended.get("failed") == n);
    }
    other.wait_ticks(5);
    until("only the other room's seat is left", || server.players() == 1);
    assert_eq!(server.get("/v1/presence").json()["players"], 1);
    other.stop();
}

#[test]
fn a_room_whose_game_cannot_start_fails_alone() {
    let server = TestServer::with(config(), GameKind::of::<Stillborn>());
    let metrics = server.running().metrics();
    let other = Player::join(server.address(), "other").in_background();
    let asked = wire::Join { kind: "stillborn".into(), ..join("doomed") };
    let mut ann = Player::on(util::Socket::connect(server.address()), server.address(), asked);
    assert_eq!(ann.ended(), CloseCode::RoomFailed);
    until("the room is forgotten", || metrics.rooms.current.get() == 1);
    assert_eq!(metrics.rooms.ended.get("failed"), 1);
    other.wait_ticks(5);
    other.stop();
}

// Promise 7: "unless the machine is saturated; then it is skipped and counted, never queued."
#[test]
fn ticks_of_an_overloaded_room_are_skipped_and_counted() {
    let server = with_obedient(Config { tick_rate: 50, ..config() });
    let metrics = server.running().metrics();
    let mut ann = obedient(&server, "slow");
    ann.next_tick();
    // Every step takes five ticks' time.
    ann.command(&Ask { block_ms: 100, ..Ask::default() });
    let mut ticks = Vec::new();
    let mut steps = Vec::new();
    while ticks.len() < 12 {
        ticks.push(ann.next_tick());
        steps.push(ann.session.snapshot().unwrap().tables()[0].value(1, 0).unwrap());
    }
    // From the first blocked step on, each tick that runs is at least five after the previous one: none is
    // caught up.
    let gaps: Vec<_> = ticks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let first = gaps.iter().position(|gap| *gap >= 5).expect("steps that block");
    assert!(first <= 4 && gaps[first..].iter().all(|gap| *gap >= 5), "{ticks:?}");
    assert!(steps.windows(2).all(|pair| pair[1] > pair[0]), "{steps:?}");
    // All ticks are either run or counted as skipped.
    ann.leave();
    let room = server.get("/v1/rooms/slow").json();
    assert!(room["ticks_skipped"].as_u64().unwrap() >= 40, "{room}");
    assert!(metrics.rooms.ticks_skipped.get() >= 40);
}

// Promise 4: "One client […] does not delay another's tick". Likewise, one game does not delay another on a
// different thread.
#[test]
fn an_overloaded_room_does_not_stop_rooms_of_other_threads() {
    let server = with_obedient(Config { tick_rate: 50, threads: 2, ..config() });
    let mut slow = obedient(&server, "slow");
    let other = obedient(&server, "other").in_background();
    slow.command(&Ask { block_ms: 1_000, ..Ask::default() });
    other.wait_ticks(10);
    let before = slow.next_tick();
    other.wait_ticks(30);
    drop(other.stop());
    let after = slow.next_tick();
    assert!(after > before);
}

// Promise 4, for a game instead of a client: one that blocks makes its neighbours late once, and then lives
// apart.
#[test]
fn a_room_that_blocks_makes_others_late_once() {
    let server = with_obedient(Config { tick_rate: 50, threads: 1, ..config() });
    let metrics = server.running().metrics();
    let mut slow = obedient(&server, "slow");
    let other = obedient(&server, "other").in_background();
    // Ten ticks each time.
    slow.command(&Ask { block_ms: 200, ..Ask::default() });
    until("it has moved", || metrics.rooms.moved.get() == 1);
    other.wait_ticks(50);
    let before = slow.next_tick();
    other.wait_ticks(50);
    assert!(slow.next_tick() > before, "it goes on where it is");
    let skipped =
        |room: &str| server.get(&format!("/v1/rooms/{room}")).json()["ticks_skipped"].as_u64().unwrap();
    assert!(skipped("slow") > 50, "{}", skipped("slow"));
    assert!(skipped("other") <= 12, "{}", skipped("other"));
    // Requests still reach it.
    slow.reconnect();
    let before = slow.next_tick();
    assert!(slow.next_tick() > before);
    let mut bob = obedient(&server, "slow");
    bob.next_tick();
    bob.leave();
    slow.leave();
    until("both seats are free", || server.players() == 1);
    drop(other.stop());
    assert_eq!(metrics.rooms.moved.get(), 1);
}

#[test]
fn two_servers_in_one_process_share_nothing() {
    let (one, two) = (TestServer::start(config()), TestServer::start(config()));
    let mut ann = Player::named(one.address(), "lobby", "ann");
    let mut bob = Player::named(two.address(), "lobby", "bob");
    assert_eq!((ann.number(), bob.number()), (1, 1), "two rooms of one name");
    assert_eq!((one.players(), two.players()), (1, 1));
    ann.chat("hello?");
    assert_eq!(ann.next_chat().1, "hello?");
    bob.chat("nobody here");
    assert_eq!(bob.next_chat(), (1, "nobody here".to_owned()));
    for (server, name) in [(&one, "ann"), (&two, "bob")] {
        let members = server.get("/v1/presence").json()["members"].clone();
        assert_eq!((members.as_array().unwrap().len(), &members[0]["name"]), (1, &name.into()));
    }
    // Tokens are not shared either.
    let token = ann.token();
    ann.lose_connection();
    let mut thief = Player::on(util::Socket::connect(two.address()), two.address(), join("lobby"));
    thief.send(wire::client_message::Body::Resume(wire::Resume {
        protocol: 1,
        room: "lobby".into(),
        token,
        ..wire::Resume::default()
    }));
    thief.session.disconnected();
    assert_eq!(thief.socket.close_code(), Some(CloseCode::UnknownSession.number()));
    drop(one);
    assert!(bob.next_tick() > 0, "the other server goes on");
}

#[test]
fn a_room_closed_by_its_operator_says_so() {
    let server = TestServer::start(config());
    let mut ann = Player::join(server.address(), "lobby");
    assert!(server.running().registry().close("lobby"));
    assert_eq!(ann.ended(), CloseCode::RoomClosed);
    until("the room is gone", || server.running().metrics().rooms.current.get() == 0);
    assert_eq!(server.players(), 0);
    assert!(!server.running().registry().close("lobby"));
}

#[test]
fn states_carry_checksums_that_hold() {
    // The session checks the checksums; this only makes sure that there are some.
    let server = TestServer::start(Config { tick_rate: 20, ..config() });
    let mut ann = Player::join(server.address(), "lobby");
    let first = ann.next_tick();
    ann.wait("a state after a second", |event| match event {
        ClientEvent::State { tick, .. } => (*tick >= first + 21).then_some(()),
        _ => None,
    });
}
