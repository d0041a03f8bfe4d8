//! What operators see and do: the stream of events, inspecting a room, closing, removing, draining; and who
//! is not an operator.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, wire};
use driftless_server::config::{AdminToken, Config};
use serde_json::{Value, json};
use std::{
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};
use util::{Player, TestServer, config, events::Events, http, join, socket::narrow, until};

fn delete(server: &TestServer, path: &str) -> http::Response {
    server.operate("DELETE", path, "")
}

fn metric(server: &TestServer, sample: &str) -> f64 {
    server.get("/metrics").metric(sample)
}

// Promise 5: "A player is reported joined once, left once, with the true reason".
#[test]
fn players_are_seen_to_come_and_go() {
    let server = TestServer::start(config());
    let mut events = Events::open(&server, "").unwrap();
    assert!(events.head.contains("content-type: text/event-stream"), "{}", events.head);
    assert_eq!(events.next().name, "hello");
    let mut changes = Vec::new();
    let mut next = |events: &mut Events| -> Value {
        if changes.is_empty() {
            changes = events.wait("presence").data["changes"].as_array().unwrap().clone();
        }
        changes.remove(0)
    };
    let mut player = Player::named(server.address(), "lobby", "ann");
    let joined = next(&mut events);
    let told = |change: &Value, key: &str| change[key].clone();
    assert_eq!((told(&joined, "change"), told(&joined, "name")), (json!("joined"), json!("ann")));
    assert_eq!((told(&joined, "room"), told(&joined, "player")), (json!("lobby"), json!(player.number())));
    player.lose_connection();
    let lost = next(&mut events);
    assert_eq!((told(&lost, "change"), told(&lost, "why")), (json!("lost"), json!("disconnected")));
    player.reconnect();
    player.welcomed();
    assert_eq!(next(&mut events)["change"], "back");
    player.leave();
    let left = next(&mut events);
    assert_eq!((told(&left, "change"), told(&left, "why")), (json!("left"), json!("left")));
    assert_eq!(left["name"], "ann");
}

#[test]
fn the_figures_are_those_of_the_metrics() {
    let server = TestServer::start(config());
    let mut player = Player::named(server.address(), "lobby", "ann");
    let mut events = Events::open(&server, "").unwrap();
    (0..30).for_each(|n| {
        player.next_tick();
        player.run(n, 0);
    });
    player.leave();
    // Nothing changes any more except the ticks.
    let figures = events.find("server", |data| data["players"] == 0 && data["sent_bytes"].as_u64() > Some(0));
    let mut last = figures.data;
    until("the figures stand still", || {
        let next = events.wait("server").data;
        let still = next["sent_bytes"] == last["sent_bytes"];
        last = next;
        still
    });
    let sent = "driftless_sent_bytes_total{transport=\"websocket\"}";
    assert_eq!(last["sent_bytes"].as_f64().unwrap(), metric(&server, sent));
    assert_eq!(last["states_sent"].as_f64().unwrap(), metric(&server, "driftless_states_sent_total"));
    assert_eq!(last["inputs"].as_f64().unwrap(), metric(&server, "driftless_inputs_total"));
    assert_eq!(last["connections"]["websocket"], 0);
    assert_eq!(last["rooms"], 1);
    assert!(last["tick_duration"]["p99_us"].as_f64() > Some(0.0), "{last}");
}

#[test]
fn a_room_is_seen_with_what_it_costs() {
    let server = TestServer::start(config());
    let player = Player::named(server.address(), "lobby", "ann").in_background();
    let mut events = Events::open(&server, "").unwrap();
    let seen = |data: &Value| {
        let room = &data["rooms"][0];
        room["sent_bytes"].as_u64() > Some(1_000) && room["tick_duration"]["mean_us"].as_f64() > Some(0.0)
    };
    let rooms = events.find("rooms", seen).data;
    assert_eq!(rooms["total"], 1);
    let room = &rooms["rooms"][0];
    assert_eq!((&room["name"], &room["kind"]), (&json!("lobby"), &json!("arena")));
    assert_eq!(
        (&room["players"], &room["connected"], &room["tick_rate"]),
        (&json!(1), &json!(1), &json!(20))
    );
    let (mean, max) = (&room["tick_duration"]["mean_us"], &room["tick_duration"]["max_us"]);
    assert!(max.as_f64() >= mean.as_f64(), "{room}");
    player.stop();
}

#[test]
fn a_reader_that_comes_back_gets_what_it_missed() {
    let server = TestServer::start(config());
    let mut events = Events::open(&server, "").unwrap();
    let _ann = Player::named(server.address(), "lobby", "ann");
    let last = events.wait("presence").id;
    drop(events);
    let _bob = Player::named(server.address(), "lobby", "bob");
    let mut back = Events::open(&server, &format!("last-event-id: {last}\r\n")).unwrap();
    let missed = back.wait("presence").data;
    assert_eq!(missed["changes"][0]["name"], "bob", "{missed}");
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn a_reader_that_stalls_gets_the_newest_figures_next() {
    let server = TestServer::start(config());
    let mut prompt = Events::open(&server, "").unwrap();
    let mut slow = Events::on(narrow(server.address(), 2048), &server.authorization()).unwrap();
    slow.wait("server");
    // Far more than the sockets in between hold: most events are superseded while the slow reader reads
    // nothing.
    let feed = server.running().feed().clone();
    let filler = "x".repeat(10_000);
    for n in 0..400 {
        feed.push(driftless_server::feed::Topic::Rooms, &json!({ "n": n, "filler": filler }));
        prompt.find("rooms", |data| data["n"] == n);
    }
    let mut seen = 0;
    slow.find("rooms", |data| {
        seen += 1;
        data["n"] == 399
    });
    assert!(seen < 300, "{seen} of 400 events of 10 kB were kept for a reader that did not read");
}

#[test]
fn places_of_readers_that_are_gone_are_given_back() {
    let server = TestServer::start(config());
    let readers: Vec<_> = (0..64).map(|_| Events::open(&server, "").unwrap()).collect();
    let refused = Events::open(&server, "").err().expect("there is no place");
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "too_many_readers"));
    drop(readers);
    until("the places are free", || server.running().feed().readers() == 0);
    Events::open(&server, "").unwrap();
}

#[test]
fn a_look_into_a_room_shows_schema_seats_and_entities() {
    let server = TestServer::start(config());
    let mut player = Player::named(server.address(), "lobby", "ann");
    player.next_tick();
    let number = player.number();
    let seen = server.get_as_operator("/v1/rooms/lobby/state");
    assert_eq!(seen.status, 200);
    let seen = seen.json();
    assert_eq!(
        (&seen["room"], &seen["kind"], &seen["truncated"]),
        (&json!("lobby"), &json!("arena"), &json!(false))
    );
    assert_eq!((&seen["seats"][0]["name"], &seen["seats"][0]["connected"]), (&json!("ann"), &json!(true)));
    let table = &seen["tables"].as_array().unwrap().iter().find(|t| t["kind"] == "player").unwrap();
    assert_eq!((&table["count"], &table["ids"][0]), (&json!(1), &json!(number)));
    let fields = table["fields"].as_array().unwrap();
    assert_eq!(fields.len(), table["columns"].as_array().unwrap().len());
    assert!(fields[0]["quanta_per_unit"].as_u64() > Some(0) && fields[0]["predictor"].is_string(), "{table}");
    assert_eq!(server.get_as_operator("/v1/rooms/nowhere/state").error_code(), "no_such_room");
}

#[test]
fn a_room_that_is_closed_says_goodbye_with_its_code() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    let mut elsewhere = Player::join(server.address(), "other");
    assert_eq!(delete(&server, "/v1/rooms/lobby").status, 204);
    assert_eq!(player.ended(), CloseCode::RoomClosed);
    assert_eq!(delete(&server, "/v1/rooms/lobby").error_code(), "no_such_room");
    elsewhere.next_tick();
    assert_eq!(metric(&server, "driftless_rooms_ended_total{reason=\"closed\"}"), 1.0);
}

// Promise 5: "left once, with the true reason".
#[test]
fn a_player_who_is_removed_is_told_and_loses_the_seat() {
    let server = TestServer::start(config());
    let mut bad = Player::named(server.address(), "lobby", "bad");
    let mut good = Player::named(server.address(), "lobby", "good");
    good.wait_presence("bad", wire::member::Change::Joined);
    let path = format!("/v1/rooms/lobby/players/{}", bad.number());
    assert_eq!(delete(&server, &path).status, 204);
    let goodbye = bad.goodbye();
    assert_eq!(goodbye.code as u16, CloseCode::Kicked.number());
    assert_eq!(goodbye.reason, "an operator removed the player");
    good.wait_presence("bad", wire::member::Change::Removed);
    assert_eq!(delete(&server, &path).error_code(), "no_such_player");
    for path in ["/v1/rooms/lobby/players/99", "/v1/rooms/lobby/players/x", "/v1/rooms/lobby/players/-1"] {
        assert_eq!(delete(&server, path).error_code(), "no_such_player", "{path}");
    }
    assert_eq!(delete(&server, "/v1/rooms/nowhere/players/1").error_code(), "no_such_room");
    good.next_tick();
}

#[test]
fn a_player_who_is_away_can_be_removed() {
    let server = TestServer::start(config());
    let mut away = Player::named(server.address(), "lobby", "away");
    let mut here = Player::named(server.address(), "lobby", "here");
    away.lose_connection();
    here.wait_presence("away", wire::member::Change::Away);
    assert_eq!(delete(&server, &format!("/v1/rooms/lobby/players/{}", away.number())).status, 204);
    here.wait_presence("away", wire::member::Change::Removed);
    away.reconnect();
    assert_eq!(away.ended(), CloseCode::UnknownSession);
}

#[test]
fn a_drain_that_an_operator_asks_for_is_one() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    let answer = server.post("/v1/drain", "");
    assert_eq!((answer.status, &answer.json()["players"]), (202, &json!(1)));
    assert_eq!(player.ended(), CloseCode::Draining);
}

#[test]
fn a_drain_ends_the_process() {
    let mut process = util::process::Process::start(&[]);
    let drained = http::send(process.address(), "POST", "/v1/drain", &process.authorization(), "");
    assert_eq!(drained.status, 202);
    assert!(process.wait().0.success());
}

const OPERATORS_ONLY: [(&str, &str); 7] = [
    ("GET", "/v1/stream"),
    ("GET", "/v1/rooms/lobby/state"),
    ("POST", "/v1/rooms"),
    ("DELETE", "/v1/rooms/lobby"),
    ("DELETE", "/v1/rooms/lobby/players/1"),
    ("GET", "/v1/drain"),
    ("POST", "/v1/drain"),
];

/// What a proxy on the same machine may make of a request from anywhere: nginx's own recipe for WebSocket
/// names itself as the host and adds nothing; others add headers.
const THROUGH_A_PROXY: [&str; 5] = [
    "",
    "host: localhost:7777\r\n",
    "host: backend\r\nx-real-ip: 127.0.0.1\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-host: localhost\r\n",
    "host: 127.0.0.1\r\nforwarded: for=127.0.0.1;host=localhost\r\nvia: 1.1 proxy\r\n",
    "host: localhost\r\norigin: http://localhost:7777\r\nsec-fetch-site: same-origin\r\n",
];

#[test]
fn nobody_is_an_operator_without_the_token_wherever_from() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    for (method, path) in OPERATORS_ONLY {
        for headers in THROUGH_A_PROXY {
            let host = if headers.contains("host: ") { "" } else { "host: 127.0.0.1:7777\r\n" };
            let text = format!("{method} {path} HTTP/1.1\r\n{host}{headers}connection: close\r\n\r\n");
            let refused = http::request(server.address(), &text);
            assert_eq!((refused.status, &*refused.error_code()), (401, "unauthorized"), "{text}");
            assert!(refused.head.contains("www-authenticate: bearer"), "{refused:?}");
        }
    }
    player.next_tick();
    assert_eq!(server.get("/v1/rooms").status, 200, "what is for everybody stays so");
}

#[test]
fn the_token_that_the_server_makes_is_printed_with_the_dashboard() {
    let process = util::process::Process::start(&[]);
    let (url, token) = process.dashboard().split_once("#token=").expect("a token");
    assert_eq!(url, format!("http://{}/dashboard", process.address()));
    assert!(token.len() >= 32, "{token}");
    assert_eq!(http::get(process.address(), "/dashboard").status, 200);
    let state = http::send(process.address(), "GET", "/v1/rooms/lobby/state", &process.authorization(), "");
    assert_eq!((state.status, &*state.error_code()), (404, "no_such_room"));

    let own = util::process::Process::start(&["--admin-token", "correct-horse-battery-staple"]);
    assert_eq!(own.dashboard(), format!("http://{}/dashboard", own.address()), "who set the token knows it");
}

#[test]
fn a_token_that_was_set_is_the_only_one() {
    const TOKEN: &str = "correct-horse-battery-staple";
    let server = TestServer::start(Config { admin_token: AdminToken::new(TOKEN), ..config() });
    assert_eq!(server.running().made_token(), None);
    let _player = Player::join(server.address(), "lobby");
    let look = |token: &str| {
        let headers = format!("authorization: Bearer {token}\r\n");
        http::send(server.address(), "GET", "/v1/rooms/lobby/state", &headers, "").status
    };
    assert_eq!(look("wrong-wrong-wrong"), 401);
    assert_eq!(look(TOKEN), 200);
}

/// An attacker behind the same proxy has the operator's address: the attacker is slowed down, the operator is
/// not.
#[test]
fn wrong_tokens_are_counted_and_slowed_down_and_the_right_one_is_let_in_at_once() {
    let server = TestServer::start(Config { threads: 1, ..config() });
    let _player = Player::join(server.address(), "lobby");
    let path = "/v1/rooms/lobby/state";
    let guess = |n: u32| {
        let headers = format!("authorization: Bearer wrong-wrong-wrong-{n}\r\n");
        http::send(server.address(), "GET", path, &headers, "").status
    };
    (0..5).for_each(|n| assert_eq!(guess(n), 401));
    // Those are answered at once; each of these waits a second longer than the previous one. All at the same
    // time, on one thread.
    let start = Instant::now();
    thread::scope(|scope| {
        let guesses: Vec<_> = (0..3).map(|n| scope.spawn(move || (guess(n), start.elapsed()))).collect();
        until("they are held back", || metric(&server, WRONG_TOKENS) == 8.0);
        assert_eq!(server.get_as_operator(path).status, 200);
        assert!(guesses.iter().all(|guess| !guess.is_finished()), "the operator did not wait for them");
        let longest = guesses.into_iter().map(|guess| guess.join().unwrap());
        let longest = longest.inspect(|(status, _)| assert_eq!(*status, 401)).map(|(_, took)| took).max();
        assert!(longest >= Some(Duration::from_secs(2)), "{longest:?}");
    });
}

const WRONG_TOKENS: &str = "driftless_requests_refused_total{reason=\"wrong_token\"}";

#[test]
fn rooms_are_made_by_operators_unless_all_may() {
    let post =
        |server: &TestServer| http::send(server.address(), "POST", "/v1/rooms", "", r#"{"name":"hall"}"#);
    let server = TestServer::start(config());
    assert_eq!(post(&server).error_code(), "unauthorized");
    assert_eq!(server.get("/v1/rooms").json()["rooms"], json!([]));
    let open = TestServer::start(Config { open_rooms: true, ..config() });
    assert_eq!(post(&open).status, 201);
}

#[test]
fn a_reader_of_the_stream_that_asks_for_an_upgrade_takes_no_place() {
    let server = TestServer::start(config());
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for _ in 0..70 {
        let refused = Events::open(&server, upgrade).err().expect("there is no WebSocket");
        assert_eq!((refused.status, &*refused.error_code()), (400, "no_upgrade"));
    }
    assert_eq!(server.running().feed().readers(), 0);
    Events::open(&server, "").unwrap().wait("server");
}

#[test]
fn a_reader_that_ends_its_half_gives_its_place_back() {
    let server = TestServer::start(config());
    let stream = TcpStream::connect(server.address()).unwrap();
    let mut reader = Events::on(stream.try_clone().unwrap(), &server.authorization()).unwrap();
    reader.wait("server");
    assert_eq!(server.running().feed().readers(), 1);
    // As one whose process has ended: nothing tells the two apart before a write fails.
    stream.shutdown(Shutdown::Write).unwrap();
    until("the place is free", || server.running().feed().readers() == 0);
}

#[test]
fn a_join_after_a_closed_room_finds_a_new_one() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    delete(&server, "/v1/rooms/lobby");
    player.ended();
    let mut again = Player::on(util::Socket::connect(server.address()), server.address(), join("lobby"));
    again.welcomed();
    assert_eq!(again.number(), 1);
}

// What was answered after the snapshot for the next process would be lost.
#[test]
fn nothing_is_changed_while_another_process_follows_the_server() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    ann.next_tick();
    server.running().registry().drain_state().hand_over();
    for (method, path, body) in [
        ("POST", "/v1/users/ann/revoke", ""),
        ("DELETE", "/v1/users/ann/revoke", ""),
        ("DELETE", "/v1/rooms/lobby", ""),
        ("DELETE", "/v1/rooms/lobby/players/1", ""),
        ("POST", "/v1/topics/news", "hello"),
        ("POST", "/v1/drain", ""),
    ] {
        let answer = server.operate(method, path, body);
        assert_eq!((answer.status, answer.error_code()), (503, "draining".to_owned()), "{method} {path}");
    }
    ann.next_tick();
    assert_eq!(server.get("/v1/rooms/lobby").status, 200, "who only reads may");
}
