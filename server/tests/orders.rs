//! What a game makes its room do: remove a player, end, refuse new players, publish and log something.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, session::client::ClientEvent, wire};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use prost::Message as _;
use serde_json::json;
use std::time::Duration;
use util::{
    Player, Socket, TestServer, Wire, config,
    games::{Ask, Obedient, Told},
    join,
    quic::BOTH,
    until,
};

fn server() -> TestServer {
    let config = Config { resume_window: Duration::from_secs(60), ..config() };
    TestServer::with(config, GameKind::of::<Obedient>())
}

fn asked(room: &str) -> wire::Join {
    wire::Join { kind: "obedient".into(), ..join(room) }
}

fn player(server: &TestServer, room: &str) -> Player {
    Player::join_as(server.address(), asked(room))
}

#[track_caller]
fn refused(server: &TestServer, room: &str) -> wire::Goodbye {
    Player::on(Socket::connect(server.address()), server.address(), asked(room)).goodbye()
}

// Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts after the
// timeout."
#[test]
fn a_game_removes_a_player_who_is_here_and_one_who_is_away() {
    let server = server();
    let mut ann = player(&server, "lobby");
    let (mut bob, mut eve) = (player(&server, "lobby"), player(&server, "lobby"));
    ann.command(&Ask { kick: bob.number(), ..Ask::default() });
    let goodbye = bob.goodbye();
    assert_eq!((goodbye.code, &*goodbye.reason), (u32::from(CloseCode::Kicked.number()), "as asked"));
    until("the seat has ended", || server.players() == 2);

    eve.lose_connection();
    until("the connection is gone", || server.connections() == 1);
    ann.command(&Ask { kick: eve.number(), ..Ask::default() });
    until("the seat has ended", || server.players() == 1);
    ann.command(&Ask { kick: 99, ..Ask::default() });
    ann.command(&Ask { kick: ann.number(), ..Ask::default() });
    assert_eq!(ann.ended(), CloseCode::Kicked);
}

/// Plays until the goodbye. Returns the last number of steps shown, the messages received, and the reason.
fn to_the_end<W: Wire>(player: &mut Player<W>) -> (i32, Vec<u32>, String) {
    let (mut shown, mut told) = (0, Vec::new());
    loop {
        match player.next() {
            ClientEvent::State { .. } => {
                shown = player.session.snapshot().unwrap().tables()[0].value(1, 0).unwrap();
            }
            ClientEvent::Event(event) => told.push(Told::decode(&event.payload[..]).unwrap().number),
            ClientEvent::Goodbye(goodbye) => {
                assert_eq!(goodbye.code, u32::from(CloseCode::GameEnded.number()));
                return (shown, told, goodbye.reason);
            }
            _ => {}
        }
    }
}

#[test]
fn when_a_game_ends_its_room_all_get_the_last_state_and_what_was_told_with_it() {
    let server = server();
    let mut ann = player(&server, "lobby");
    let mut others = BOTH.map(|kind| Player::join_over_as(kind, server.quic(), asked("lobby")));
    let mut gone = player(&server, "lobby");
    gone.lose_connection();
    ann.command(&Ask { end: true, ..Ask::default() });
    let (steps, told, reason) = to_the_end(&mut ann);
    assert_eq!((&told[..], &*reason), (&[1][..], "as asked"));
    for other in &mut others {
        assert_eq!(to_the_end(other), (steps, vec![1], "as asked".to_owned()));
    }
    until("the room is gone", || server.running().registry().is_empty() && server.players() == 0);
    assert_eq!(server.running().metrics().rooms.ended.get("game_ended"), 1);
    // The name is free again: this is another room.
    assert_eq!(player(&server, "lobby").number(), 1);
}

#[test]
fn a_room_that_is_closed_for_joins_still_takes_back_who_has_a_seat() {
    let server = server();
    let mut ann = player(&server, "lobby");
    let mut bob = player(&server, "lobby");
    let closed = |server: &TestServer| server.get("/v1/rooms/lobby").json()["joins_closed"].clone();
    assert_eq!(closed(&server), json!(false));
    ann.command(&Ask { close_joins: Some(true), ..Ask::default() });
    until("it is closed", || closed(&server) == json!(true));
    let goodbye = refused(&server, "lobby");
    assert_eq!(goodbye.code, u32::from(CloseCode::JoinsClosed.number()));
    assert_eq!(goodbye.reason, "room \"lobby\" admits no new players now");
    bob.lose_connection();
    bob.reconnect();
    assert!(bob.welcomed().resumed);
    ann.command(&Ask { close_joins: Some(false), ..Ask::default() });
    until("it is open", || closed(&server) == json!(false));
    player(&server, "lobby");
}

#[test]
fn what_a_game_shows_is_listed() {
    let server = server();
    let mut ann = player(&server, "lobby");
    assert_eq!(server.get("/v1/rooms/lobby").json()["info"], json!({}));
    ann.command(&Ask { show: "round 2".into(), ..Ask::default() });
    until("it is shown", || {
        server.get("/v1/rooms").json()["rooms"][0]["info"] == json!({ "shown": "round 2" })
    });
}
