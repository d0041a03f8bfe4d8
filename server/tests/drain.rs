//! Shutting down: the real binary and its signals.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    wire::{self, client_message::Body},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use util::{Player, Socket, http, join, process, process::Process, until};

// SIGTERM: the server refuses new connections, says goodbye with a spread-out reconnect delay, closes, and
// exits with 0 within 10 s.
#[test]
fn sigterm_says_goodbye_to_all_and_exits() {
    const PLAYERS: usize = 20;
    let mut server = Process::start(&["--drain-spread", "4s", "--workers", "2"]);
    let mut players: Vec<_> =
        (0..PLAYERS).map(|n| Player::join(server.address(), &format!("room-{}", n % 3))).collect();
    server.signal(libc::SIGTERM);
    let mut waits = BTreeSet::new();
    for player in &mut players {
        let goodbye = player.goodbye();
        assert_eq!(goodbye.code, u32::from(CloseCode::Draining.number()));
        assert!(goodbye.reconnect_after_ms < 4_000, "{goodbye:?}");
        waits.insert(goodbye.reconnect_after_ms);
    }
    assert!(waits.len() >= PLAYERS / 2, "spread out, not all at once: {waits:?}");
    assert!(waits.last().unwrap() - waits.first().unwrap() >= 2_000, "over the time given: {waits:?}");
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

fn drain_state(server: &Process) -> serde_json::Value {
    let head = format!(
        "GET /v1/drain HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{}\r\n",
        server.address(),
        server.authorization()
    );
    http::request(server.address(), &head).json()
}

// No new rooms; matches end. Who plays may go on, come back, and be joined.
#[test]
fn matches_may_end_before_the_server_does_and_no_room_is_new() {
    let mut server = Process::start(&["--drain-wait", "10m", "--resume-window", "0s"]);
    let address = server.address();
    let mut ann = Player::join(address, "lobby");
    let told = http::send(address, "POST", "/v1/drain", &server.authorization(), "");
    assert_eq!((told.status, &told.json()["step"]), (202, &"matches".into()), "it has begun");
    let mut late = Player::on(Socket::connect(address), address, join("another"));
    assert_eq!(late.goodbye().code, u32::from(CloseCode::Draining.number()), "no new room");
    let mut bob = Player::join(address, "lobby");
    ann.next_tick();
    let told = drain_state(&server);
    assert_eq!((&told["step"], &told["players"]), (&"matches".into(), &2.into()), "{told}");
    assert!(told["left_ms"].as_u64().is_some_and(|left| left > 500_000), "{told}");
    ann.leave();
    bob.leave();
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(60), "nobody plays any more: {took:?}");
}

#[test]
fn matches_that_do_not_end_are_ended_by_the_deadline() {
    let mut server = Process::start(&["--drain-wait", "700ms"]);
    let mut player = Player::join(server.address(), "lobby");
    let start = Instant::now();
    server.signal(libc::SIGTERM);
    assert_eq!(player.ended(), CloseCode::Draining);
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn goodbyes_are_said_at_the_pace_that_is_set() {
    const PLAYERS: usize = 30;
    let mut server = Process::start(&["--drain-rate", "20", "--workers", "2", "--threads", "2"]);
    let players = (0..PLAYERS).map(|n| Player::join(server.address(), &format!("room-{n}")));
    let players: Vec<_> = players.collect();
    let start = Instant::now();
    server.signal(libc::SIGTERM);
    let ended = players.into_iter().map(|mut player| std::thread::spawn(move || player.ended()));
    for thread in ended.collect::<Vec<_>>() {
        assert_eq!(thread.join().unwrap(), CloseCode::Draining);
    }
    // Two at once, and 28 at 20 a second.
    assert!(start.elapsed() >= Duration::from_millis(1_350), "{:?}", start.elapsed());
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn sigint_does_the_same() {
    let mut server = Process::start(&[]);
    let mut player = Player::join(server.address(), "lobby");
    server.signal(libc::SIGINT);
    assert_eq!(player.ended(), CloseCode::Draining);
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Room for what `stuck` sends at once.
const ROOMY: [&str; 8] = [
    "--messages-per-second=10000",
    "--max-players=1000",
    "--reliable-messages=65536",
    "--reliable-bytes=16MiB",
    "--workers=2",
    "--threads=2",
    "--tick-rate=60",
    "--linger=1s",
];

/// A player whose connection takes no more bytes, so that no goodbye gets through and a drain has to wait: it
/// sends very many commands that are refused, and does not read the refusals.
fn stuck(server: &Process) -> Player {
    const COMMANDS: u32 = 18_000;
    // Who sends far more than a thousand between two ticks is cut off.
    const AT_ONCE: u32 = 900;
    let metric = |sample| http::get(server.address(), "/metrics").metric(sample);
    let mut player =
        Player::on(Socket::connect_narrow(server.address(), 2048), server.address(), join("lobby"));
    player.welcomed();
    // By the game, or because too many come between two ticks.
    let refused = || metric("driftless_commands_total") + metric("driftless_excess_dropped_total");
    for sequence in 1..=COMMANDS {
        player.send(Body::Command(wire::Command { sequence: sequence.into(), ..wire::Command::default() }));
        if sequence % AT_ONCE == 0 {
            until("all is refused", || refused() >= f64::from(sequence));
        }
    }
    // Counts are added several times per second.
    let mut before = (Instant::now(), -1.0);
    until("no more can be sent", || {
        let sent = metric("driftless_sent_messages_total{transport=\"websocket\"}");
        if sent != before.1 {
            before = (Instant::now(), sent);
        }
        before.0.elapsed() > Duration::from_millis(300)
    });
    assert!(before.1 < f64::from(COMMANDS), "the kernel took all of it");
    player
}

#[test]
fn who_comes_while_the_server_goes_down_is_refused() {
    let mut server = Process::start(&ROOMY);
    let stuck = stuck(&server);
    server.signal(libc::SIGTERM);
    let address = server.address();
    until("it is not ready", || http::get(address, "/readyz").status == 503);
    assert_eq!(http::get(address, "/livez").status, 200, "but alive");
    let mut refused = Player::on(Socket::connect(address), address, join("lobby"));
    let goodbye = refused.goodbye();
    assert_eq!(goodbye.code, u32::from(CloseCode::Draining.number()), "a page can read it");
    let made = http::send(address, "POST", "/v1/rooms", &server.authorization(), r#"{"name":"late"}"#);
    assert_eq!((made.status, &*made.error_code()), (503, "draining"));
    assert_eq!(made.json()["detail"], *goodbye.reason, "in the same words");

    // Nobody can make it wait longer than the limit.
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(stuck);
}

#[test]
fn a_second_signal_exits_at_once() {
    let mut server = Process::start(&ROOMY);
    let stuck = stuck(&server);
    server.signal(libc::SIGTERM);
    until("the first was taken", || http::get(server.address(), "/readyz").status == 503);
    server.signal(libc::SIGTERM);
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(128 + libc::SIGTERM));
    drop(stuck);
}

#[test]
fn a_second_signal_leaves_rooms_to_the_next_server_without_waiting_for_players() {
    let folder = tempfile::tempdir().unwrap();
    let carry = ["--carry", folder.path().join("rooms").to_str().unwrap()].map(str::to_owned);
    let carry = carry.each_ref().map(String::as_str);
    let mut server = Process::start(&[&ROOMY[..], &carry].concat());
    let stuck = stuck(&server);
    server.signal(libc::SIGTERM);
    until("the first was taken", || http::get(server.address(), "/readyz").status == 503);
    server.signal(libc::SIGTERM);
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    // Otherwise it waits 3 s for the answer to its goodbye.
    assert!(took < Duration::from_secs(2), "{took:?}");
    let after = Process::start(&carry);
    assert_eq!(http::get(after.address(), "/v1/rooms/lobby").status, 200);
    drop(stuck);
}

// The default listen address is loopback, and listening elsewhere without `--insecure` is refused with a
// clear message.
#[test]
fn listening_where_others_can_reach_it_is_refused() {
    let told = process::run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    let line = String::from_utf8(told.stderr).unwrap();
    assert!(line.contains("0.0.0.0:0") && line.contains("--insecure"), "{line}");
}

/// With a store, in which rooms are kept only if whoever makes them says so.
fn with_store(folder: &tempfile::TempDir) -> Process {
    let store = format!("--store={}", folder.path().join("store").display());
    let server = Process::start(&["--drain-wait", "10m", "--resume-window", "0s", &store]);
    let body = r#"{"name": "kept", "durability": "journal"}"#;
    let made = http::send(server.address(), "POST", "/v1/rooms", &server.authorization(), body);
    assert_eq!(made.status, 201, "{made:?}");
    server
}

#[test]
fn nobody_is_waited_for_in_a_room_that_the_next_server_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = with_store(&folder);
    let mut ann = Player::join(server.address(), "kept");
    let mut bob = Player::join(server.address(), "match");
    server.signal(libc::SIGTERM);
    until("the drain begins", || http::get(server.address(), "/readyz").status == 503);
    assert_eq!(drain_state(&server)["step"], "matches", "bob's match may end");
    bob.leave();
    assert_eq!(ann.ended(), CloseCode::Draining, "ann's goes on later");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_waiting_for_matches_where_rooms_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = with_store(&folder);
    let _bob = Player::join(server.address(), "match");
    server.signal(libc::SIGTERM);
    until("the drain begins", || http::get(server.address(), "/readyz").status == 503);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().0.code(), Some(0), "in order, and long before bob's match could have ended");
}
