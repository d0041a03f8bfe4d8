//! Options of rooms: who may set them, and how the game refuses invalid ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, wire};
use driftless_server::config::Config;
use util::{Player, Socket, TestServer, config, join, until};

const WRONG: &str = r#"{"respawn_s": 61}"#;
const WHY: &str = "bad options: respawn_s is 61, outside 1..=60";

fn with(options: &str, room: &str) -> wire::Join {
    wire::Join { options: options.to_owned(), ..join(room) }
}

#[track_caller]
fn refused(server: &TestServer, join: wire::Join) -> String {
    let goodbye = Player::on(Socket::connect(server.address()), server.address(), join).goodbye();
    assert_eq!(goodbye.code, u32::from(CloseCode::BadOptions.number()), "{goodbye:?}");
    goodbye.reason
}

fn taking_options() -> TestServer {
    TestServer::start(Config { join_options: true, ..config() })
}

#[test]
fn a_room_is_made_with_options_that_its_game_takes() {
    let server = TestServer::start(config());
    let made = |options: &str| server.post("/v1/rooms", &format!(r#"{{"name":"r","options":{options}}}"#));
    for (options, why) in [
        (WRONG, WHY),
        (r#"{"respwan_s": 5}"#, "bad options: unknown option `respwan_s`"),
        (r#"{"respawn_s": -1}"#, "bad options: invalid value: integer `-1`, expected u32"),
    ] {
        let answer = made(options);
        assert_eq!((answer.status, &*answer.error_code()), (422, "bad_options"), "{answer:?}");
        let message = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(message.starts_with(why), "{message}");
    }
    assert_eq!(made("3").status, 400);
    assert!(server.running().registry().is_empty(), "a refused room is not kept");
    assert_eq!(server.running().metrics().rooms.ended.get("refused"), 3);
    assert_eq!(made(r#"{"respawn_s": 60}"#).status, 201);
    assert_eq!(made("{}").error_code(), "room_exists");
}

#[test]
fn a_join_brings_no_options_unless_the_operator_allows_it() {
    let server = TestServer::start(config());
    assert!(refused(&server, with("{}", "lobby")).contains("--join-options"));
    let _room = Player::join(server.address(), "lobby");
    assert!(refused(&server, with(r#"{"respawn_s": 5}"#, "lobby")).contains("--join-options"));
}

#[test]
fn a_join_whose_options_are_refused_is_told_why_and_leaves_no_room() {
    let server = taking_options();
    assert_eq!(refused(&server, with(WRONG, "lobby")), WHY);
    assert_eq!(
        refused(&server, with(&" ".repeat(1025), "lobby")),
        "options of 1025 bytes; at most 1024 are allowed"
    );
    until("the room is forgotten", || server.running().registry().is_empty());
    Player::join_as(server.address(), with(r#"{"respawn_s": 5}"#, "lobby"));
}

#[test]
fn a_room_that_is_there_keeps_its_options() {
    let server = taking_options();
    let _ann = Player::join(server.address(), "lobby");
    let bob = Player::join_as(server.address(), with(WRONG, "lobby"));
    assert_eq!(bob.number(), 2);
}
