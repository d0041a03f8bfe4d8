//! Joining a room: who gets in, what the welcome says, and with which code others are refused.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, limits::PROTOCOL, wire};
use driftless_server::config::Config;
use std::time::Duration;
use util::{Player, Socket, TestServer, config, join};

/// The close code of a join that is refused.
#[track_caller]
fn refused(server: &TestServer, join: wire::Join) -> CloseCode {
    let protocol = join.protocol;
    let mut player = Player::on(Socket::connect(server.address()), server.address(), join.clone());
    if protocol != PROTOCOL {
        // The session would fill in its own version.
        player = Player::on(Socket::connect(server.address()), server.address(), util::join("x"));
        player.send(wire::client_message::Body::Join(join));
        let first = player.socket.recv();
        let util::Frame::Binary(message) = first else { panic!("{first:?}") };
        let wire::server_message::Body::Goodbye(goodbye) = util::server(&message) else {
            panic!("no goodbye")
        };
        assert_eq!(player.socket.close_code().map(u32::from), Some(goodbye.code));
        return CloseCode::from_number(goodbye.code as u16).unwrap();
    }
    player.ended()
}

#[test]
fn a_join_makes_the_room_and_says_all_in_the_welcome() {
    let server = TestServer::start(Config { tick_rate: 30, ..config() });
    let asked = wire::Join { name: "Ann".into(), ..join("lobby") };
    let mut ann = Player::on(Socket::connect(server.address()), server.address(), asked);
    let welcome = ann.welcomed();

    assert_eq!((welcome.protocol, welcome.player, welcome.resumed), (PROTOCOL, 1, false));
    assert_eq!((&*welcome.room, &*welcome.kind), ("lobby", "arena"));
    assert_eq!((welcome.tick_rate, welcome.resume_token.len()), (30, 16));
    assert_eq!((welcome.resume_window_ms, welcome.timeout_ms), (15_000, 10_000));
    assert_eq!((welcome.input_received, welcome.command_received), (0, 0));
    let kinds: Vec<_> = welcome.schema.as_ref().unwrap().kinds.iter().map(|kind| &*kind.name).collect();
    assert_eq!(kinds, ["player", "projectile", "obstacle"]);

    let tick = ann.next_tick();
    // Tick n is due at epoch + n / rate, so by the server's own clock it cannot have come earlier.
    let due = welcome.epoch_us + i64::from(tick) * 1_000_000 / 30;
    let uptime = welcome.server_time_us as i64 + util::PATIENCE.as_micros() as i64;
    assert!((0..uptime).contains(&due), "tick {tick} due at {due}");
    assert!(ann.sees(1).is_some(), "the first state has the player's own entity");

    let rooms = server.get("/v1/rooms").json();
    assert_eq!((&rooms["rooms"][0]["name"], &rooms["rooms"][0]["players"]), (&"lobby".into(), &1.into()));
}

#[test]
fn two_players_see_each_other_move() {
    let server = TestServer::start(config());
    let mut ann = Player::join(server.address(), "lobby");
    let mut bob = Player::join(server.address(), "lobby");
    let (a, b) = (ann.number(), bob.number());

    sees_move(&mut ann, &mut bob, a);
    sees_move(&mut bob, &mut ann, b);
}

#[track_caller]
fn sees_move(runner: &mut Player, watcher: &mut Player, number: u32) {
    let start = watcher.wait_state("the other's entity", |state| util::player::place(state, number));
    // One of the four directions is free, whatever walls there are.
    let ways = [(127, 0), (-127, 0), (0, 127), (0, -127)];
    let mut tried = 0;
    watcher.wait_state("the other has moved", |state| {
        let (x, y) = ways[tried / 10 % 4];
        runner.run(x, y);
        tried += 1;
        util::player::place(state, number).filter(|place| *place != start)
    });
}

#[test]
fn a_state_names_the_last_input_that_it_contains() {
    let server = TestServer::start(config());
    let mut ann = Player::join(server.address(), "lobby");
    ann.next_tick();
    ann.run(0, 1);
    let sent = ann.run(1, 0);
    ann.wait("a state with the input", |event| match event {
        driftless_proto::session::client::ClientEvent::State { input, .. } => {
            assert!(*input <= sent);
            (*input == sent).then_some(())
        }
        _ => None,
    });
}

#[test]
fn a_room_made_by_post_is_joined_as_it_is() {
    let server = TestServer::start(config());
    let spec = r#"{"kind":"cursors","name":"desk","tick_rate":50,"max_players":2,"seed":7}"#;
    let made = server.post("/v1/rooms", spec);
    assert_eq!((made.status, &made.json()["max_players"]), (201, &2.into()));
    assert_eq!(server.post("/v1/rooms", spec).error_code(), "room_exists");

    let ann = Player::join(server.address(), "desk");
    let welcome = ann.session.welcome().unwrap();
    assert_eq!((welcome.tick_rate, &*welcome.kind), (50, "cursors"));
    let _bob = Player::join_as(server.address(), wire::Join { kind: "cursors".into(), ..join("desk") });
    assert_eq!(refused(&server, join("desk")), CloseCode::RoomFull);
    assert_eq!(server.players(), 2, "who was refused has no seat");
}

#[test]
fn a_full_room_has_a_place_again_when_somebody_leaves() {
    let server = TestServer::start(Config { max_players: 1, ..config() });
    let mut ann = Player::join(server.address(), "lobby");
    assert_eq!(refused(&server, join("lobby")), CloseCode::RoomFull);
    ann.leave();
    util::until("the seat is free", || server.players() == 0);
    assert_eq!(Player::join(server.address(), "lobby").number(), 2, "a number is never used again");
}

// Promise 6: "Bad input gets a named error and a documented close code."
#[test]
fn who_asks_for_what_there_is_not_is_told_by_code() {
    let server = TestServer::start(Config { max_rooms: 1, ..config() });
    let _ann = Player::join(server.address(), "lobby");
    let kind = |kind: &str| wire::Join { kind: kind.into(), ..join("lobby") };
    let name = |name: &str| wire::Join { name: name.into(), ..join("lobby") };

    assert_eq!(refused(&server, join("board")), CloseCode::ServerFull, "there is one room already");
    assert_eq!(
        refused(&server, wire::Join { kind: "chess".into(), ..join("board") }),
        CloseCode::UnknownKind
    );
    assert_eq!(refused(&server, kind("chess")), CloseCode::UnknownKind, "the room is of another kind");
    assert_eq!(refused(&server, kind("cursors")), CloseCode::UnknownKind, "the room is of another kind");
    assert_eq!(refused(&server, kind("no kind!")), CloseCode::UnknownKind);
    for room in ["", ".", "..", ".room", "-room", "a room", "../etc", "ä", &"x".repeat(65)] {
        assert_eq!(refused(&server, join(room)), CloseCode::BadName, "{room:?}");
    }
    for bad in ["line\nbreak", &"x".repeat(65)] {
        assert_eq!(refused(&server, name(bad)), CloseCode::BadName, "{bad:?}");
    }
    for protocol in [0, 2, u32::MAX] {
        assert_eq!(refused(&server, wire::Join { protocol, ..join("lobby") }), CloseCode::UnsupportedVersion);
    }
    assert_eq!(refused(&server, join("other")), CloseCode::ServerFull, "all rooms are in use");
    assert_eq!((server.players(), server.running().metrics().rooms.current.get()), (1, 1));
}

#[test]
fn an_unknown_kind_makes_no_room() {
    let server = TestServer::start(config());
    assert_eq!(
        refused(&server, wire::Join { kind: "chess".into(), ..join("board") }),
        CloseCode::UnknownKind
    );
    assert_eq!(server.running().metrics().rooms.current.get(), 0);
    util::until("the connection is gone", || server.connections() == 0);
}

#[test]
fn who_says_nothing_is_turned_away_after_the_deadline() {
    let mut config = config();
    config.limits.handshake = Duration::from_millis(150);
    let server = TestServer::start(config);
    let mut silent = Player::on(Socket::connect(server.address()), server.address(), join("lobby"));
    silent.session.disconnected(); // so that it says nothing
    assert_eq!(silent.socket.close_code(), Some(CloseCode::HandshakeTimeout.number()));
    drop(silent);
    util::until("the connection is gone", || server.connections() == 0);
    assert_eq!(server.disconnects("handshake_timeout"), 1);
}
