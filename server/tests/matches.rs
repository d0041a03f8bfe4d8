//! Finding a match: a room that fits is found or made, and its seats are kept for a moment.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, limits::Limits, wire};
use driftless_server::{
    Groups, MatchFunction, Proposal, Round, Server, Ticket,
    config::{Config, Guests},
    ground::{
        drain::Step,
        id::{ConnectionId, RoomId},
        reservation::{Reservation, ReservationToken},
        shared::RoomShared,
        sight::Sight,
    },
    room::{
        core::{JoinError, RoomCore},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{Away, GameKind, Setup, games};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::{Arc, Barrier, atomic::Ordering},
    time::{Duration, Instant},
};
use util::{
    PATIENCE, Player, Socket, TestServer, config, eventually,
    games::{Ask, Obedient, SlowToMake},
    http, join,
    sse::Sse,
    tokens, until,
};

/// A room of the arena at 20 ticks a second.
fn core(max_players: u32) -> RoomCore {
    let arena = games::kinds().into_iter().find(|kind| kind.name() == "arena").unwrap();
    let shared = Arc::new(RoomShared::new(RoomId(1), "hall".into(), arena.name(), 20, max_players));
    let game = arena.start(&Setup::new(1, 20)).unwrap();
    let schedule = Schedule::new(Instant::now(), 20);
    RoomCore::new(shared, game, arena.schema(), schedule, Limits::default(), false)
}

fn tick(room: &mut RoomCore, tick: u64) {
    room.tick(Due { tick, late: Duration::ZERO, skipped: 0 }).unwrap();
}

fn reservation(user: Option<&str>) -> Reservation {
    Reservation { token: ReservationToken::random().unwrap(), user: user.map(Into::into) }
}

fn enter(room: &mut RoomCore, n: u64, with: Option<&Reservation>, user: &str) -> Result<u64, JoinError> {
    let (connection, name) = (ConnectionId(n), "Ann".into());
    let seat = match with {
        Some(with) => room.join_reserved(connection, user.into(), name, with.token),
        None => room.join(connection, user.into(), name),
    };
    seat.map(|seat| seat.player.into())
}

#[test]
fn a_kept_seat_is_taken_for_everybody_but_who_holds_its_token() {
    let mut room = core(3);
    let (for_ann, for_anybody) = (reservation(Some("ann")), reservation(None));
    let full = room.reserve((0..4).map(|_| reservation(None)).collect(), 100);
    assert!(matches!(full, Err(JoinError::Full { max_players: 3, .. })), "all or none: {full:?}");
    assert_eq!(room.reserved(), 0);
    room.reserve(vec![for_ann.clone(), for_anybody.clone()], 100).unwrap();
    assert_eq!((room.reserved(), room.shared().free()), (2, 1));

    enter(&mut room, 1, None, "bob").unwrap();
    assert!(matches!(enter(&mut room, 2, None, "cy"), Err(JoinError::Full { .. })));
    assert!(enter(&mut room, 2, Some(&for_ann), "cy").is_err(), "it is Ann's");
    assert!(enter(&mut room, 2, Some(&reservation(None)), "cy").is_err(), "nobody knows this one");
    enter(&mut room, 2, Some(&for_anybody), "cy").unwrap();
    assert!(enter(&mut room, 3, Some(&for_anybody), "dan").is_err(), "each is good for one seat");
    // Who was promised a seat gets it although the game has closed the room meanwhile.
    room.shared().notice.close_joins(true);
    enter(&mut room, 3, Some(&for_ann), "ann").unwrap();
    assert_eq!((room.reserved(), room.shared().free(), room.seats().len()), (0, 0, 3));
    assert!(matches!(room.reserve(vec![reservation(None)], 100), Err(JoinError::Closed(_))));
}

#[test]
fn a_seat_that_nobody_comes_for_is_free_at_its_deadline() {
    let mut room = core(1);
    let kept = reservation(None);
    room.reserve(vec![kept.clone()], 40).unwrap();
    tick(&mut room, 39);
    assert!(enter(&mut room, 1, None, "bob").is_err());
    tick(&mut room, 40);
    assert_eq!((room.reserved(), room.shared().reserved.load(Ordering::Relaxed)), (0, 0));
    // Too late, but there is a seat: it is a join like any other.
    enter(&mut room, 1, Some(&kept), "ann").unwrap();
    room.leave(ConnectionId(1)).unwrap();

    room.reserve(vec![kept.clone()], 80).unwrap();
    room.release(&[kept.token]);
    assert_eq!(room.shared().free(), 1, "it was given up");
}

#[test]
fn whoever_never_learnt_of_the_seat_may_come_for_it_again() {
    let mut room = core(2);
    let kept = reservation(None);
    room.reserve(vec![kept.clone()], 40).unwrap();
    enter(&mut room, 1, Some(&kept), "ann").unwrap();
    room.lost(ConnectionId(1), false, Away::TimedOut).unwrap();
    assert_eq!(room.reserved(), 1, "her welcome did not arrive");
    enter(&mut room, 2, Some(&kept), "ann").unwrap();
    room.leave(ConnectionId(2)).unwrap();
    assert_eq!(room.reserved(), 0, "she has left");
}

/// A room that was made for Ann, who has come, and for a guest, who has not, and whose seat is kept no more.
fn room_of_a_match(guest: &Reservation) -> RoomCore {
    let mut room = core(2);
    room.shared().notice.set_info("private".into(), "true".into());
    room.close_to_others();
    let for_ann = reservation(Some("ann"));
    room.reserve(vec![for_ann.clone(), guest.clone()], 40).unwrap();
    enter(&mut room, 1, Some(&for_ann), "ann").unwrap();
    tick(&mut room, 40);
    assert_eq!((room.reserved(), room.shared().free()), (0, 1));
    room
}

#[test]
fn a_seat_of_a_match_is_for_its_players_however_late_they_are() {
    let guest = reservation(None);
    let mut room = room_of_a_match(&guest);
    let stranger = enter(&mut room, 2, None, "eve");
    assert!(matches!(stranger, Err(JoinError::NotExpected(_))), "{stranger:?}");
    assert!(enter(&mut room, 2, Some(&reservation(None)), "eve").is_err(), "nobody knows this one");
    assert!(enter(&mut room, 2, None, "ann").is_err(), "she has her seat");
    enter(&mut room, 2, Some(&guest), "guest-1").unwrap();

    // Whose seats have ended may have them again: she by who she is, the guest by the token.
    room.leave(ConnectionId(1)).unwrap();
    room.leave(ConnectionId(2)).unwrap();
    tick(&mut room, 41);
    assert!(enter(&mut room, 3, None, "eve").is_err());
    enter(&mut room, 3, None, "ann").unwrap();
    enter(&mut room, 4, Some(&guest), "guest-2").unwrap();
    room.leave(ConnectionId(4)).unwrap();

    // The game has asked for somebody else, and has got her.
    let for_eve = reservation(Some("eve"));
    room.reserve(vec![for_eve.clone()], 80).unwrap();
    assert!(matches!(enter(&mut room, 5, Some(&guest), "guest-3"), Err(JoinError::Full { .. })));
    enter(&mut room, 5, Some(&for_eve), "eve").unwrap();
}

#[test]
fn who_may_come_to_a_match_is_known_to_the_next_process() {
    let guest = reservation(None);
    let carried = room_of_a_match(&guest).carry().unwrap();
    let mut next = core(2);
    carried.show(next.shared());
    next.go_on(carried, Vec::new());
    assert!(matches!(enter(&mut next, 2, None, "eve"), Err(JoinError::NotExpected(_))));
    enter(&mut next, 2, Some(&guest), "guest-1").unwrap();
}

#[test]
fn strangers_watch_a_match_or_play_in_it_only_if_its_game_lets_them() {
    let mut room = room_of_a_match(&reservation(None));
    let watch = |room: &mut RoomCore, n: u64, sight: Sight| {
        room.spectate(ConnectionId(n), sight, "eve".into(), "Eve".into()).map(drop)
    };
    assert!(matches!(watch(&mut room, 2, Sight::Spectator), Err(JoinError::NotExpected(_))));
    watch(&mut room, 2, Sight::Everything).unwrap();
    room.shared().notice.set_info("spectate".into(), "true".into());
    let max = watch(&mut room, 3, Sight::Spectator);
    assert!(matches!(max, Err(JoinError::TooManySpectators { max: 0, .. })), "{max:?}");
    assert!(enter(&mut room, 4, None, "eve").is_err());
    room.shared().notice.set_info("private".into(), String::new());
    enter(&mut room, 4, None, "eve").unwrap();
}

#[test]
fn of_a_match_with_many_players_one_after_the_other_the_last_are_remembered() {
    let first = reservation(None);
    let mut room = room_of_a_match(&first);
    for n in 0..9_u32 {
        room.reserve(vec![reservation(None)], 50 + 10 * n).unwrap();
        tick(&mut room, (50 + 10 * n).into());
    }
    assert!(matches!(enter(&mut room, 2, Some(&first), "guest-1"), Err(JoinError::NotExpected(_))));
    assert_eq!(room.shared().free(), 1);
}

#[test]
fn kept_seats_go_on_with_their_room_in_another_process() {
    let mut room = core(2);
    let kept = reservation(None);
    tick(&mut room, 10);
    room.reserve(vec![kept.clone()], 40).unwrap();
    let carried = room.carry().unwrap();
    let mut next = core(2);
    next.go_on(carried, Vec::new());
    enter(&mut next, 1, None, "bob").unwrap();
    assert!(enter(&mut next, 2, None, "cy").is_err());
    enter(&mut next, 2, Some(&kept), "ann").unwrap();
    assert_eq!(next.shared().free(), 0);
}

/// Asks for a match without a token.
#[track_caller]
fn ask(server: &TestServer, body: &Value) -> http::Response {
    http::send(server.address(), "POST", "/v1/match", "", &body.to_string())
}

#[track_caller]
fn matched(server: &TestServer, body: &Value) -> Value {
    let answer = ask(server, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn join_for(found: &Value, n: usize) -> wire::Join {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (kind, reservation) = (text(&found["room"]["kind"]), text(&found["reservations"][n]));
    wire::Join { kind, reservation, ..join(&text(&found["room"]["name"])) }
}

#[track_caller]
fn refused(server: &TestServer, join: wire::Join) -> CloseCode {
    Player::on(Socket::connect(server.address()), server.address(), join).ended()
}

#[test]
fn who_wants_the_same_meets_in_one_room_until_it_is_full() {
    let server = TestServer::start(Config { max_players: 3, ..config() });
    let wanted = json!({ "kind": "arena", "filter": "mode = \"ctf\" and players < 8", "party": 2 });
    let first = matched(&server, &wanted);
    assert_eq!((&first["made"], &first["room"]["info"]["mode"]), (&json!(true), &json!("ctf")));
    assert_eq!((&first["room"]["free"], &first["expires_ms"]), (&json!(1), &json!(10_000)));
    let (mut ann, mut bob) = (
        Player::join_as(server.address(), join_for(&first, 0)),
        Player::join_as(server.address(), join_for(&first, 1)),
    );

    let other = matched(&server, &json!({ "kind": "arena", "filter": "mode = \"dm\"" }));
    assert_ne!(other["room"]["name"], first["room"]["name"], "another mode is another room");
    let alone = matched(&server, &json!({ "kind": "arena", "filter": "mode = \"ctf\"" }));
    assert_eq!((&alone["room"]["name"], &alone["made"]), (&first["room"]["name"], &json!(false)));
    let more = matched(&server, &wanted);
    assert_ne!(more["room"]["name"], first["room"]["name"], "a party is never split");

    // A stranger does not get the seat that is kept.
    let stranger = wire::Join { reservation: String::new(), ..join_for(&alone, 0) };
    assert_eq!(refused(&server, stranger), CloseCode::RoomFull);
    let cy = Player::join_as(server.address(), join_for(&alone, 0));
    assert_eq!(server.players(), 3);
    let sample = server.get("/metrics").metric("driftless_matches_total{result=\"found\"}");
    assert_eq!(sample, 1.0);
    ann.leave();
    bob.leave();
    drop(cy);
}

// Promise 4: one client "MUST NOT delay another's".
#[test]
fn a_room_that_does_not_answer_is_passed_over() {
    let config = Config { max_players: 1_000, ..config() };
    let server = TestServer::with(config, GameKind::of::<Obedient>());
    let mut ann = Player::join(server.address(), "stuck");
    ann.command(&Ask { block_ms: 3_000, ..Ask::default() });
    // It may answer between two of its steps.
    let made = || matched(&server, &json!({ "kind": "obedient" }))["made"] == true;
    assert!((0..4).any(|_| made()), "others wait for their turn");
}

#[test]
fn two_hundred_who_ask_at_once_fill_rooms_and_make_no_more_than_are_needed() {
    let server = TestServer::start(Config { max_players: 10, ..config() });
    let rooms: Vec<String> = std::thread::scope(|scope| {
        let ask =
            || matched(&server, &json!({ "kind": "arena" }))["room"]["name"].as_str().unwrap().to_owned();
        let asking: Vec<_> =
            (0..20).map(|_| scope.spawn(move || (0..10).map(|_| ask()).collect::<Vec<_>>())).collect();
        asking.into_iter().flat_map(|asked| asked.join().unwrap()).collect()
    });
    let distinct: std::collections::BTreeSet<_> = rooms.iter().collect();
    assert_eq!((rooms.len(), distinct.len()), (200, 20));
}

#[test]
fn a_room_that_is_closed_or_private_is_not_found() {
    let server = TestServer::start(config());
    let make = |body: &str| assert_eq!(server.post("/v1/rooms", body).status, 201);
    make(r#"{"name":"party","info":{"private":true}}"#);
    let nothing = json!({ "create": false });
    assert_eq!(
        (ask(&server, &nothing).status, ask(&server, &nothing).error_code()),
        (404, "no_match".into())
    );
    make(r#"{"name":"open","info":{"level":3,"mode":"ctf"}}"#);
    assert_eq!(matched(&server, &nothing)["room"]["name"], "open");
    let lobby = |query: &str| {
        let page = server.get(&format!("/v1/lobby{query}")).json();
        page["rooms"].as_array().unwrap().iter().map(|room| room["name"].clone()).collect::<Vec<_>>()
    };
    until("the lobby is fresh", || lobby("") == [json!("open")]);
    assert_eq!(lobby("?filter=level%20%3E%202%20and%20mode=%22ctf%22"), [json!("open")]);
    assert!(lobby("?filter=level%20%3E%203").is_empty() && lobby("?kind=chess").is_empty());
    // It is found by its name.
    Player::join(server.address(), "party").leave();
}

#[test]
fn what_is_wanted_wrongly_is_refused_by_name() {
    let server = TestServer::start(Config { max_players: 4, ..config() });
    for (body, status, code) in [
        (json!({ "filter": "mode = ctf" }), 422, "bad_filter"),
        (json!({ "kind": "chess" }), 400, "unknown_kind"),
        (json!({ "party": 0 }), 400, "out_of_range"),
        (json!({ "party": 65 }), 400, "out_of_range"),
        (json!({ "party": 5 }), 422, "party_too_large"),
        (json!({ "options": { "bots": 1 } }), 422, "bad_options"),
        (json!({ "wish": 1 }), 400, "malformed_json"),
        (json!({ "create": false, "kind": "cursors" }), 404, "no_match"),
    ] {
        let answer = ask(&server, &body);
        assert_eq!((answer.status, answer.error_code()), (status, code.to_owned()), "{body}");
    }
    let bad = server.get("/v1/lobby?filter=x");
    assert_eq!((bad.status, bad.error_code()), (422, "bad_filter".to_owned()));
    assert!(bad.body.contains("character 2"), "{}", bad.body);
    server.running().registry().drain();
    assert_eq!(ask(&server, &json!({ "kind": "cursors" })).error_code(), "draining");
}

#[test]
fn options_are_for_the_room_that_is_made() {
    let server = TestServer::start(Config { join_options: true, ..config() });
    let found = matched(&server, &json!({ "kind": "arena", "options": { "bots": 2 } }));
    let _ann = Player::join_as(server.address(), join_for(&found, 0));
    let name = found["room"]["name"].as_str().unwrap().to_owned();
    until("the bots are there", || server.get(&format!("/v1/rooms/{name}")).json()["npcs"] == 2);
    let bad = ask(&server, &json!({ "kind": "arena", "filter": "a = 1", "options": { "bots": -1 } }));
    assert_eq!((bad.status, bad.error_code()), (422, "bad_options".into()));
}

/// Promise: a room made for a match waits for its players, and a join for it makes no other one.
#[test]
fn a_room_that_nobody_comes_for_ends_and_is_not_made_again_by_a_late_join() {
    let lasts = Duration::from_secs(1);
    let server = TestServer::start(Config { linger: Duration::ZERO, reservation: lasts, ..config() });
    let found = matched(&server, &json!({ "kind": "arena" }));
    let start = Instant::now();
    until("the room has ended", || server.running().metrics().rooms.ended.get("empty") == 1);
    assert!(start.elapsed() > lasts - Duration::from_millis(200), "it has waited");
    assert_eq!(refused(&server, join_for(&found, 0)), CloseCode::NoSuchRoom);
    assert_eq!(server.running().metrics().rooms.current.get(), 0);
}

#[test]
fn a_token_says_who_asks_and_for_what() {
    let queue = "arena=2x1".parse().unwrap();
    let server = TestServer::start(Config { guests: Guests::No, queue, ..tokens::config() });
    let ask = |token: Option<String>, body: Value| {
        let header = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        http::send(server.address(), "POST", "/v1/match", &header, &body.to_string())
    };
    let nobody = ask(None, json!({}));
    assert_eq!((nobody.status, nobody.error_code()), (401, "no_token".into()));
    let watcher = ask(Some(tokens::token_with("eve", json!({ "role": "spectator" }))), json!({}));
    assert_eq!((watcher.status, watcher.error_code()), (403, "forbidden".into()));
    let limited = tokens::token_with("eve", json!({ "kind": "cursors" }));
    assert_eq!(ask(Some(limited.clone()), json!({ "kind": "arena" })).error_code(), "forbidden");
    assert_eq!(ask(Some(limited), json!({})).json()["room"]["kind"], "cursors");

    // Nobody knows the name that a match's room will have: better no ticket than a seat that stays empty.
    let narrow = tokens::token_with("eve", json!({ "room": "match-*" }));
    let queue = |token: &str| {
        let header = format!("authorization: Bearer {token}\r\n");
        http::send(server.address(), "POST", "/v1/queue", &header, r#"{"kind":"arena"}"#)
    };
    assert_eq!(ask(Some(narrow.clone()), json!({ "kind": "arena" })).error_code(), "no_match");
    assert_eq!((queue(&narrow).status, queue(&narrow).error_code()), (403, "forbidden".into()));
    assert_eq!(queue(&tokens::token_with("bob", json!({ "room": "*" }))).status, 201);

    // Which rooms there are concerns those who may come in, and operators.
    for path in ["/v1/lobby", "/v1/rooms"] {
        assert_eq!((server.get(path).status, server.get(path).error_code()), (401, "no_token".into()));
        let header = format!("authorization: Bearer {}\r\n", tokens::token("ann"));
        assert_eq!(http::send(server.address(), "GET", path, &header, "").status, 200);
        assert_eq!(server.get_as_operator(path).status, 200);
    }

    // A private one is found by its name, by those who may enter it.
    assert_eq!(server.post("/v1/rooms", r#"{"name":"den","info":{"private":true}}"#).status, 201);
    assert_eq!(server.post("/v1/rooms", r#"{"name":"hall"}"#).status, 201);
    let as_user = |token: &str, path: &str| {
        let header = format!("authorization: Bearer {token}\r\n");
        http::send(server.address(), "GET", path, &header, "")
    };
    let listed = |answer: http::Response, name: &str| {
        answer.json()["rooms"].as_array().unwrap().iter().any(|room| room["name"] == name)
    };
    let ann = tokens::token("ann");
    let narrow = tokens::token_with("eve", json!({ "room": "de*" }));
    assert!(listed(as_user(&ann, "/v1/rooms"), "hall") && !listed(as_user(&ann, "/v1/rooms"), "den"));
    assert!(!listed(as_user(&narrow, "/v1/rooms"), "hall") && !listed(as_user(&narrow, "/v1/rooms"), "den"));
    assert!(listed(server.get_as_operator("/v1/rooms"), "den"));
    assert_eq!(server.get("/v1/rooms/den").error_code(), "no_token");
    assert_eq!(as_user(&narrow, "/v1/rooms/hall").error_code(), "forbidden");
    for shown in [as_user(&ann, "/v1/rooms/den"), as_user(&narrow, "/v1/rooms/den")] {
        assert_eq!(shown.json()["name"], "den");
    }
    assert_eq!(server.get_as_operator("/v1/rooms/hall").status, 200);

    // The seat is of who has asked, whoever has the secret.
    let found = ask(Some(tokens::token("ann")), json!({ "kind": "arena" })).json();
    let upgrade = |user: &str| {
        let headers = format!("authorization: Bearer {}\r\n", tokens::token(user));
        let headers = format!("sec-websocket-protocol: driftless.v1\r\n{headers}");
        let stream = TcpStream::connect(server.address()).unwrap();
        Socket::upgrade_at("/v1/connect", stream, &headers).unwrap_or_else(|answer| panic!("{answer:?}"))
    };
    let mut ann = Player::on(upgrade("ann"), server.address(), join_for(&found, 0));
    assert_eq!(ann.welcomed().user, "ann");
}

#[test]
fn a_page_from_elsewhere_that_may_use_the_server_may_find_a_match() {
    let allow_origin = vec!["https://play.example.org".parse().unwrap()];
    let server = TestServer::start(Config { allow_origin, ..config() });
    let preflight = |path: &str| {
        let address = server.address();
        let asks = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\norigin: https://play.example.org\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n"
        );
        http::request(address, &asks).header("access-control-allow-methods").unwrap().to_owned()
    };
    assert!(preflight("/v1/match").contains("post"));
    assert!(!preflight("/v1/rooms").contains("post"));
}

/// Asks with a token of this user.
fn ask_as(server: &TestServer, user: &str, path: &str, body: &Value) -> http::Response {
    let header = format!("authorization: Bearer {}\r\n", tokens::token(user));
    http::send(server.address(), "POST", path, &header, &body.to_string())
}

fn join_with_token(server: &TestServer, user: &str, join: wire::Join) -> Player {
    let headers = format!("authorization: Bearer {}\r\n", tokens::token(user));
    let headers = format!("sec-websocket-protocol: driftless.v1\r\n{headers}");
    let stream = TcpStream::connect(server.address()).unwrap();
    let socket = Socket::upgrade_at("/v1/connect", stream, &headers);
    let socket = socket.unwrap_or_else(|answer| panic!("{answer:?}"));
    let mut player = Player::on(socket, server.address(), join);
    player.welcomed();
    player
}

/// The answer to somebody who has just come, which may take a moment to be known; but does not count as not
/// having come.
#[track_caller]
fn once_known(ask: impl Fn() -> http::Response) -> http::Response {
    eventually("her coming is known", || {
        let answer = ask();
        let is_known = answer.status < 300;
        assert!(is_known || answer.error_code() == "seats_waiting", "{answer:?}");
        is_known.then_some(answer)
    })
}

fn refused_for_now(answer: &http::Response, code: &str) {
    assert_eq!((answer.status, answer.error_code()), (429, code.into()), "{answer:?}");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=25).contains(&wait), "{wait}");
}

// Promise 4
#[test]
fn nobody_keeps_seats_from_others_by_asking_for_more_than_a_party_has_or_without_coming() {
    let reservation = Duration::from_secs(1);
    let server = TestServer::start(Config { reservation, ..tokens::config() });
    assert_eq!(server.post("/v1/rooms", r#"{"name":"den"}"#).status, 201);
    let ask = |party: u32| ask_as(&server, "eve", "/v1/match", &json!({ "party": party, "create": false }));
    assert_eq!(ask(64).status, 200);
    refused_for_now(&ask(35), "seats_waiting");
    assert_eq!(ask_as(&server, "bob", "/v1/match", &json!({ "create": false })).status, 200);
    let refused = eventually("it is seen that she does not come", || {
        let answer = ask(1);
        (answer.error_code() != "seats_waiting").then_some(answer)
    });
    refused_for_now(&refused, "seats_missed");
}

#[test]
fn whoever_comes_to_a_seat_that_was_kept_may_ask_for_the_next_at_once() {
    let server = TestServer::start(tokens::config());
    for _ in 0..3 {
        let found = once_known(|| ask_as(&server, "ann", "/v1/match", &json!({ "party": 64 })));
        join_with_token(&server, "ann", join_for(&found.json(), 0)).leave();
    }
}

#[test]
fn whoever_has_a_match_takes_no_other_ticket_until_that_is_over_or_has_begun() {
    let queue = "arena=2x1".parse().unwrap();
    let server = TestServer::start(Config { queue, ..tokens::config() });
    let enter = |user: &str| ask_as(&server, user, "/v1/queue", &json!({ "kind": "arena" }));
    let path = |answer: http::Response| answer.header("location").unwrap().to_owned();
    let tickets = ["ann", "eve"].map(|user| path(enter(user)));
    let [ann, _] = tickets.map(|path| assigned(&server, &path));
    refused_for_now(&enter("eve"), "seats_waiting");
    refused_for_now(&ask_as(&server, "eve", "/v1/match", &json!({ "party": 64 })), "seats_waiting");
    let _ann = join_with_token(&server, "ann", join_assigned(&ann, 0));
    once_known(|| enter("ann"));
}

/// The next event of a stream: its name and data.
fn event(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> (String, Value) {
    let mut field = |name: &str| {
        let prefix = format!("{name}: ");
        lines.find_map(|line| line.unwrap().strip_prefix(&prefix).map(str::to_owned)).unwrap()
    };
    (field("event"), serde_json::from_str(&field("data")).unwrap())
}

#[test]
fn a_reader_of_the_lobby_is_told_what_changes() {
    let server = TestServer::start(config());
    assert_eq!(server.post("/v1/rooms", r#"{"name":"a","info":{"mode":"ctf"}}"#).status, 201);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = "filter=mode%20=%20%22ctf%22";
    write!(
        stream,
        "GET /v1/lobby?{query} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n",
        server.address()
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let (name, page) = event(&mut lines);
    assert_eq!((&*name, &page["rooms"][0]["name"]), ("rooms", &json!("a")));

    let ann = Player::join(server.address(), "a");
    let (name, changes) = event(&mut lines);
    assert_eq!(
        (&*name, &changes["rooms"][0]["players"], &changes["gone"]),
        ("changes", &json!(1), &json!([]))
    );
    drop(ann);
    assert_eq!(server.operate("DELETE", "/v1/rooms/a", "").status, 204);
    let gone = std::iter::repeat_with(|| event(&mut lines).1).find(|changes| changes["gone"] == json!(["a"]));
    assert!(gone.is_some());
}

/// A server with a queue for two players of the arena.
fn with_queue(size: &str) -> TestServer {
    TestServer::start(Config { queue: size.parse().unwrap(), ..config() })
}

/// Takes a ticket and returns its path.
#[track_caller]
fn ticket(server: &TestServer, headers: &str, body: &Value) -> String {
    let answer = http::send(server.address(), "POST", "/v1/queue", headers, &body.to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    let path = format!("/v1/queue/{}", answer.json()["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(&*path));
    path
}

/// Waits for the match of a ticket.
#[track_caller]
fn assigned(server: &TestServer, path: &str) -> Value {
    let state = server.get(&format!("{path}?wait=20")).json();
    assert_eq!(state["state"], "matched", "{state}");
    state
}

fn join_assigned(state: &Value, n: usize) -> wire::Join {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (kind, reservation) = (text(&state["kind"]), text(&state["reservations"][n]));
    wire::Join { kind, reservation, ..join(&text(&state["room"])) }
}

#[test]
fn those_who_wait_get_a_room_of_their_own_and_parties_stay_together() {
    let server = with_queue("arena=2x2");
    let of = |skill: f64, party: u32| {
        ticket(&server, "", &json!({ "kind": "arena", "skill": skill, "party": party }))
    };
    let (ann, far) = (of(1000.0, 2), of(9000.0, 2));
    let waits = server.get(&ann).json();
    assert_eq!(waits["state"], "waiting", "{waits}");
    let (bob, cy) = (of(1010.0, 1), of(1020.0, 1));
    let [ann, bob, cy] = [&ann, &bob, &cy].map(|path| assigned(&server, path));
    assert_eq!((&ann["room"], &ann["room"]), (&bob["room"], &cy["room"]));
    assert!(ann["team"] != bob["team"] && bob["team"] == cy["team"], "{ann} {bob} {cy}");

    let players: Vec<_> = [(&ann, 0), (&ann, 1), (&bob, 0), (&cy, 0)]
        .map(|(state, n)| Player::join_as(server.address(), join_assigned(state, n)))
        .into();
    assert_eq!(server.players(), 4);
    let stranger = wire::Join { reservation: String::new(), ..join_assigned(&ann, 0) };
    assert_eq!(refused(&server, stranger), CloseCode::Forbidden);
    let alone = matched(&server, &json!({ "kind": "arena" }));
    assert_ne!(alone["room"]["name"], ann["room"], "it is theirs alone");

    let (far, nobody) = (server.operate("DELETE", &far, ""), server.get(&far));
    assert_eq!((far.status, nobody.status, nobody.error_code()), (204, 404, "no_such_ticket".into()));
    let metrics = server.get("/metrics");
    assert_eq!(metrics.metric("driftless_queue_matches_total"), 1.0);
    assert_eq!(metrics.metric("driftless_queue_wait_seconds_count"), 3.0);
    drop(players);
}

/// Takes longer than one server makes matches before another may.
struct Slow(Groups);

impl MatchFunction for Slow {
    fn propose(&self, round: &Round<'_>) -> Vec<Proposal> {
        let proposals = self.0.propose(round);
        if !proposals.is_empty() {
            std::thread::sleep(Duration::from_millis(3_500));
        }
        proposals
    }
}

#[test]
fn a_match_function_may_take_its_time_and_no_room_is_made_in_vain() {
    let server = Server::new(&games::kinds()).matching("arena", Slow(Groups::new(2, 1)));
    let server = TestServer::of(server, config());
    let paths = [(); 2].map(|()| ticket(&server, "", &json!({ "kind": "arena" })));
    let [ann, bob] = paths.map(|path| assigned(&server, &path));
    assert_eq!(ann["room"], bob["room"]);
    assert_eq!(server.get("/metrics").metric("driftless_rooms_created_total"), 1.0);
}

/// Has no idea of what the game takes.
struct Unfit;

impl MatchFunction for Unfit {
    fn propose(&self, round: &Round<'_>) -> Vec<Proposal> {
        Groups::new(2, 1).propose(round)
    }
    fn options(&self, _: &[Vec<Ticket>]) -> String {
        r#"{"bots":-1}"#.to_owned()
    }
}

#[test]
fn tickets_of_a_match_that_the_game_refuses_are_told_why_and_wait_no_longer() {
    let server = TestServer::of(Server::new(&games::kinds()).matching("arena", Unfit), config());
    let paths = [(); 2].map(|()| ticket(&server, "", &json!({ "kind": "arena" })));
    for path in paths {
        let told = server.get(&format!("{path}?wait=20"));
        assert_eq!((told.status, told.error_code()), (422, "bad_options".into()), "{told:?}");
        assert!(told.body.contains("-1"), "{told:?}");
        let mut stream = Sse::open(server.address(), &path, "accept: text/event-stream\r\n");
        assert_eq!((stream.next().unwrap().name.as_deref(), stream.next()), (Some("refused"), None));
        assert_eq!(server.operate("DELETE", &path, "").status, 204);
    }
    until("nobody waits", || server.running().metrics().matching.tickets_waiting.get() == 0);
}

#[test]
fn a_running_room_gets_the_players_that_it_wants() {
    let server = with_queue("arena=2x4");
    let room = r#"{"name":"match","kind":"arena","info":{"wanted":2,"wanted_skill":1500,"private":true}}"#;
    assert_eq!(server.post("/v1/rooms", room).status, 201);
    let of = |skill: f64| ticket(&server, "", &json!({ "kind": "arena", "skill": skill }));
    let (ann, bob, cy) = (of(1500.0), of(1000.0), of(1550.0));
    let [ann, cy] = [&ann, &cy].map(|path| assigned(&server, path));
    assert_eq!((&ann["room"], &cy["room"]), (&json!("match"), &json!("match")));
    let _players = [&ann, &cy].map(|state| Player::join_as(server.address(), join_assigned(state, 0)));
    assert_eq!(server.get(&bob).json()["state"], "waiting", "his skill is another");
}

#[test]
fn who_waits_is_told_of_the_match_as_it_is_made() {
    let server = with_queue("arena=2x1");
    let ann = ticket(&server, "", &json!({ "kind": "arena" }));
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = server.address();
    write!(stream, "GET {ann} HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(event(&mut lines).0, "waiting");
    let bob = ticket(&server, "", &json!({ "kind": "arena" }));
    let (name, told) =
        std::iter::repeat_with(|| event(&mut lines)).find(|(name, _)| name != "waiting").unwrap();
    assert_eq!((&*name, &told["room"]), ("matched", &assigned(&server, &bob)["room"]));
    let taken = server.operate("DELETE", &bob, "");
    assert_eq!((taken.status, taken.error_code()), (409, "matched".into()));
}

/// Makes a match only when it is told to, so that something can happen meanwhile.
struct Waits(Groups, Arc<Barrier>);

impl MatchFunction for Waits {
    fn propose(&self, round: &Round<'_>) -> Vec<Proposal> {
        let proposals = self.0.propose(round);
        if !proposals.is_empty() {
            self.1.wait();
            self.1.wait();
        }
        proposals
    }
}

#[test]
fn whoever_is_revoked_is_matched_with_nobody_even_at_the_last_moment() {
    let proposed = Arc::new(Barrier::new(2));
    let waits = Waits(Groups::new(2, 1), proposed.clone());
    let server = TestServer::of(Server::new(&games::kinds()).matching("arena", waits), tokens::config());
    let enter = |user: &str| {
        let header = format!("authorization: Bearer {}\r\n", tokens::token(user));
        ticket(&server, &header, &json!({ "kind": "arena" }))
    };
    let revoke = |user: &str| assert_eq!(server.post(&format!("/v1/users/{user}/revoke"), "").status, 200);
    let bob = enter("bob");
    let mut stream = Sse::open(server.address(), &bob, "accept: text/event-stream\r\n");
    assert_eq!(stream.next().unwrap().name.as_deref(), Some("waiting"));
    revoke("bob");
    assert_eq!(stream.next().unwrap().name.as_deref(), Some("gone"));

    let [ann, eve] = ["ann", "eve"].map(enter);
    proposed.wait();
    revoke("eve");
    proposed.wait();
    until("her ticket is gone", || server.get(&eve).error_code() == "no_such_ticket");
    assert_eq!(server.get(&ann).json()["state"], "waiting");
}

#[test]
fn nobody_reads_the_lobby_any_more_who_is_revoked_or_whose_token_has_expired() {
    let server = TestServer::start(Config { token_leeway: Duration::ZERO, ..tokens::config() });
    let read = |user: &str, seconds: u64| {
        let token = tokens::token_with(user, json!({ "exp": tokens::now() + seconds }));
        let headers = format!("accept: text/event-stream\r\nauthorization: Bearer {token}\r\n");
        let mut stream = Sse::open(server.address(), "/v1/lobby", &headers);
        assert_eq!(stream.next().unwrap().name.as_deref(), Some("rooms"));
        stream
    };
    let goodbye = |stream: &mut Sse| {
        let event = std::iter::from_fn(|| stream.next()).find(|event| event.name.is_some()).unwrap();
        assert_eq!(event.name.as_deref(), Some("goodbye"));
        assert!(stream.next().is_none(), "it was the last");
        event.data.unwrap()
    };
    let mut eve = read("eve", 300);
    assert_eq!(server.post("/v1/users/eve/revoke", "").status, 200);
    assert_eq!(server.post("/v1/rooms", "{}").status, 201);
    assert!(goodbye(&mut eve).contains("revoked"), "of what has changed since she is not told");
    assert!(goodbye(&mut read("ann", 2)).contains("token_expired"));
}

#[test]
fn those_who_wait_are_told_when_the_server_goes_down_and_nobody_else_waits_for_it() {
    let server = with_queue("arena=2x1");
    let waits = ticket(&server, "", &json!({ "kind": "arena" }));
    let mut stream = Sse::open(server.address(), &waits, "accept: text/event-stream\r\n");
    assert_eq!(stream.next().unwrap().name.as_deref(), Some("waiting"));
    let minute = Instant::now() + Duration::from_secs(60);
    server.running().registry().drain_state().take(Step::Matches, minute);
    assert_eq!(stream.next().unwrap().name.as_deref(), Some("gone"));
    let late = http::send(server.address(), "POST", "/v1/queue", "", r#"{"kind":"arena"}"#);
    for refused in [late, server.get(&waits)] {
        assert_eq!((refused.status, refused.error_code()), (503, "draining".into()));
        assert!(refused.header("retry-after").is_some());
    }
}

// "Who has gone must not be matched."
#[test]
fn whoever_stops_reading_what_becomes_of_a_ticket_is_matched_only_after_coming_back() {
    let server = with_queue("arena=2x1");
    let ann = ticket(&server, "", &json!({ "kind": "arena" }));
    let asks = "accept: text/event-stream\r\n";
    let watch = || {
        let mut stream = Sse::open(server.address(), &ann, asks);
        assert_eq!(stream.next().unwrap().name.as_deref(), Some("waiting"));
        stream
    };
    let waiting = || server.running().metrics().matching.tickets_waiting.get();
    let one = watch();
    let two = watch();
    until("she waits", || waiting() == 1);
    drop(one);
    drop(two);
    until("it is seen that she does not", || waiting() == 0);
    let bob = ticket(&server, "", &json!({ "kind": "arena" }));
    let told = server.get(&format!("{bob}?wait=2")).json();
    assert_eq!(told["state"], "waiting", "{told}");
    // Her place is kept, and she may be matched before she hears that she waits.
    let mut back = Sse::open(server.address(), &ann, asks);
    let told = assigned(&server, &bob);
    let (room, mut said) = (told["room"].as_str().unwrap(), back.next().unwrap());
    if said.name.as_deref() == Some("waiting") {
        said = back.next().unwrap();
    }
    assert!(said.data.unwrap().contains(room));
}

// Promise 4
#[test]
fn one_address_has_only_so_many_readers_of_lobbies_and_tickets() {
    let server = TestServer::start(Config {
        queue: "arena=2x1".parse().unwrap(),
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        max_connections_per_address: 2,
        ..config()
    });
    let asks = |n: u8| format!("accept: text/event-stream\r\nx-forwarded-for: 192.0.2.{n}\r\n");
    let path = ticket(&server, "", &json!({ "kind": "arena" }));
    for (path, most) in [("/v1/lobby", 32), (&*path, 2)] {
        let open = |n: u8| {
            // Requests are limited, too.
            eventually("an answer", || match Sse::ask(server.address(), path, &asks(n)) {
                Err(refused) if refused.error_code() == "too_often" => None,
                answer => Some(answer),
            })
        };
        let readers: Vec<_> = (0..most).map(|_| open(1).ok().unwrap()).collect();
        let refused = open(1).err().unwrap();
        assert_eq!((refused.status, refused.error_code()), (429, "address_full".into()), "{path}");
        assert!(open(2).is_ok(), "others have their own");
        drop(readers);
        until("their places are given back", || open(1).is_ok());
    }
}

#[test]
fn a_queue_is_for_games_that_are_slow_to_start_too() {
    let queue = "slow_to_make=2x1".parse().unwrap();
    // Longer than the lease of whoever makes matches.
    let server = TestServer::with(Config { queue, ..config() }, GameKind::of::<SlowToMake<3_300>>());
    let tickets = [(); 2].map(|()| ticket(&server, "", &json!({ "kind": "slow_to_make" })));
    let rooms = tickets.map(|path| assigned(&server, &path)["room"].clone());
    assert_eq!(rooms[0], rooms[1]);
    assert_eq!(server.get("/metrics").metric("driftless_rooms"), 1.0, "none was made for nothing");
}

// Promise 4
#[test]
fn one_address_waits_for_only_so_many_players_and_has_only_so_many_rooms_made() {
    let server = TestServer::start(Config {
        queue: "arena=2x1".parse().unwrap(),
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        max_connections_per_address: 5,
        max_rooms_per_address: 1,
        ..config()
    });
    let ask = |n: u8| {
        let headers = format!("x-forwarded-for: 192.0.2.{n}\r\n");
        eventually("an answer", || {
            let answer = http::send(server.address(), "POST", "/v1/queue", &headers, r#"{"kind":"arena"}"#);
            (answer.status == 201 || answer.error_code() != "too_often").then_some(answer)
        })
    };
    let path = |answer: http::Response| {
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    };
    let first = [(); 2].map(|()| path(ask(1)));
    first.iter().for_each(|path| drop(assigned(&server, path)));
    // Their room is all that this address may have made: they wait, but keep nobody else waiting.
    let more = [(); 3].map(|()| path(ask(1)));
    let refused = ask(1);
    assert_eq!((refused.status, refused.error_code()), (429, "too_many_tickets".into()));
    let others = [2, 3, 4].map(|n| path(ask(n)));
    others.iter().for_each(|path| drop(assigned(&server, path)));
    // One of them may play with others: in a room of theirs.
    let waits = more.iter().filter(|path| server.get(path).json()["state"] == "waiting").count();
    assert_eq!((waits, server.get("/metrics").metric("driftless_rooms")), (2, 3.0));
}

#[test]
fn a_ticket_that_cannot_be_is_refused_by_name() {
    let server = TestServer::start(Config {
        queue: "arena=2x1".parse().unwrap(),
        queue_tickets: 1,
        guests: Guests::Yes,
        ..tokens::config()
    });
    let ask = |headers: &str, body: &Value| {
        let answer = http::send(server.address(), "POST", "/v1/queue", headers, &body.to_string());
        (answer.status, answer.error_code())
    };
    let many: serde_json::Map<_, _> = (0..17).map(|n| (n.to_string(), json!(1))).collect();
    let large: serde_json::Map<_, _> = (0..16).map(|n| (n.to_string(), json!("x".repeat(128)))).collect();
    for (body, status, code) in [
        (json!({ "kind": "cursors" }), 404, "no_queue"),
        (json!({ "party": 65 }), 400, "out_of_range"),
        (json!({ "skill": 1e10 }), 400, "out_of_range"),
        (json!({ "latencies": many }), 400, "out_of_range"),
        (json!({ "attributes": { "mode": [] } }), 400, "out_of_range"),
        (json!({ "attributes": { "mode": "x".repeat(129) } }), 400, "out_of_range"),
        (json!({ "attributes": { "x".repeat(33): 1 } }), 400, "out_of_range"),
        (json!({ "filter": "mode" }), 422, "bad_filter"),
        (json!({ "party": 2 }), 422, "party_too_large"),
        (json!({ "attributes": large }), 422, "ticket_too_large"),
        (json!(["arena"]), 400, "malformed_json"),
    ] {
        assert_eq!(ask("", &body), (status, code.to_owned()), "{body}");
    }
    let ann = format!("authorization: Bearer {}\r\n", tokens::token("ann"));
    let path = ticket(&server, &ann, &json!({}));
    let again = ticket(&server, &ann, &json!({}));
    assert_eq!(
        server.get(&path).error_code(),
        "no_such_ticket",
        "the id of the first one may have been lost"
    );
    let path = again;
    assert_eq!(ask("", &json!({})), (503, "queue_full".into()));
    assert_eq!(server.operate("DELETE", &path, "").status, 204);
    ticket(&server, &ann, &json!({}));
    assert_eq!(server.get("/v1/queue/abc").error_code(), "no_such_ticket");
}
