//! Rooms and connections that move between threads: nothing is lost or duplicated, whatever happens
//! meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, session::client::ClientEvent, wire};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use prost::Message as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use util::{
    Player, TestServer, Wire, config,
    games::{Ask, Obedient, Told},
    join,
    quic::Kind,
    tls::{Files, Issued, Trusting},
    until,
};

fn threads(threads: usize) -> Config {
    Config { threads, tick_rate: 50, ..config() }
}

/// Keeps moving a room until it is dropped.
struct Restless {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Restless {
    fn room(server: &TestServer, name: &'static str) -> Self {
        let (stop, running) = (Arc::new(AtomicBool::new(false)), server.running().clone());
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                running.move_room(name);
                thread::sleep(Duration::from_millis(3)); // less than a tick, more than a move
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn with_obedient(config: Config) -> TestServer {
    TestServer::with(config, GameKind::of::<Obedient>())
}

fn join_as(name: &str) -> wire::Join {
    wire::Join { kind: "obedient".into(), name: name.into(), ..join("lobby") }
}

/// The room's next message: its number among all that the room has sent.
fn next_told<W: Wire>(player: &mut Player<W>) -> u32 {
    player.wait("what the room tells", |event| {
        let ClientEvent::Event(event) = event else { return None };
        Some(Told::decode(&event.payload[..]).unwrap().number)
    })
}

/// Two players make a room send messages again and again while it keeps moving.
fn play_while_moving<W: Wire>(server: &TestServer, mut ann: Player<W>, mut bob: Player<W>) {
    let restless = Restless::room(server, "lobby");
    let mut last = 0;
    for n in 1..=150 {
        ann.command(&Ask { tell: 1, bytes: 100, ..Ask::default() });
        assert_eq!((next_told(&mut ann), next_told(&mut bob)), (n, n));
        let tick = bob.next_tick();
        assert!(tick > last, "{tick} after {last}");
        last = tick;
    }
    drop(restless);
    assert!(server.running().metrics().rooms.moved.get() > 100);
    assert_eq!(server.players(), 2);
    for mut player in [ann, bob] {
        player.leave();
    }
    until("both seats are free", || server.players() == 0);
}

// Promise 3: "Reliable events arrive exactly once, in order"; Promise 2: "never apply a state older than one
// it has applied".
#[test]
fn players_of_a_room_that_moves_miss_nothing() {
    let server = with_obedient(threads(3));
    let [ann, bob] = ["ann", "bob"].map(|name| Player::join_as(server.address(), join_as(name)));
    play_while_moving(&server, ann, bob);
}

#[test]
fn players_within_tls_of_a_room_that_moves_miss_nothing() {
    let issued = Issued::at(SystemTime::now());
    let files = Files::of(&issued);
    let server = with_obedient(files.served_by(threads(3)));
    let trusting = Trusting::of(&issued.der);
    let [ann, bob] = ["ann", "bob"].map(|name| {
        let mut player = Player::on(trusting.socket(server.address()), server.address(), join_as(name));
        player.welcomed();
        player
    });
    play_while_moving(&server, ann, bob);
}

#[test]
fn players_over_quic_of_a_room_that_moves_miss_nothing() {
    let server = with_obedient(threads(3));
    let address = server.running().quic_address().unwrap();
    let [ann, bob] = ["ann", "bob"].map(|name| Player::join_over_as(Kind::Quic, address, join_as(name)));
    play_while_moving(&server, ann, bob);
}

// Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts".
#[test]
fn who_comes_goes_and_comes_back_while_a_room_moves_is_counted_right() {
    let server = TestServer::start(Config { resume_window: Duration::from_secs(60), ..threads(3) });
    let resident = Player::join(server.address(), "lobby").in_background();
    let restless = Restless::room(&server, "lobby");
    for n in 0..60 {
        let mut ann = Player::join(server.address(), "lobby");
        match n % 4 {
            0 => ann.leave(),
            1 => {
                // In the very moment of the welcome, and back.
                ann.lose_connection();
                ann.reconnect();
                ann.next_tick();
                ann.leave();
            }
            2 => {
                // While the old connection is still there.
                ann.reconnect();
                ann.next_tick();
                ann.leave();
            }
            _ => {
                let kicked = format!("/v1/rooms/lobby/players/{}", ann.number());
                assert!(server.operate("DELETE", &kicked, "").status < 300);
                assert_eq!(ann.ended(), CloseCode::Kicked);
            }
        }
    }
    drop(restless);
    until("only the resident is left", || server.players() == 1 && server.connections() == 1);
    let seen = server.get("/v1/presence").json();
    assert_eq!(
        (&seen["totals"]["joined"], &seen["totals"]["left"], &seen["totals"]["removed"]),
        (&61.into(), &45.into(), &15.into()),
        "{seen}"
    );
    resident.wait_ticks(10);
    assert!(server.running().metrics().rooms.moved.get() > 100);
}

#[test]
fn the_end_of_a_room_and_of_the_server_finds_those_who_are_between_two_threads() {
    for drain in [false, true] {
        let server = TestServer::start(Config { drain_spread: Duration::ZERO, ..threads(3) });
        let mut players: Vec<_> = (0..20).map(|_| Player::join(server.address(), "lobby")).collect();
        let restless = Restless::room(&server, "lobby");
        players[0].next_tick();
        if drain {
            assert!(server.operate("POST", "/v1/drain", "").status < 300);
            let codes: Vec<_> = players.iter_mut().map(Player::ended).collect();
            assert_eq!(codes, [CloseCode::Draining; 20]);
        } else {
            assert!(server.operate("DELETE", "/v1/rooms/lobby", "").status < 300);
            let codes: Vec<_> = players.iter_mut().map(Player::ended).collect();
            assert_eq!(codes, [CloseCode::RoomClosed; 20]);
            until("nobody is left", || server.connections() == 0 && server.players() == 0);
        }
        drop(restless);
    }
}

#[test]
fn a_room_that_is_to_move_to_where_it_is_can_still_close_its_connections() {
    let server = TestServer::start(threads(1));
    let mut ann = Player::join(server.address(), "lobby");
    for _ in 0..3 {
        server.running().move_room("lobby");
    }
    ann.next_tick();
    let kicked = format!("/v1/rooms/lobby/players/{}", ann.number());
    assert!(server.operate("DELETE", &kicked, "").status < 300);
    assert_eq!(ann.ended(), CloseCode::Kicked);
    until("the seat is free", || server.players() == 0);
    assert_eq!(server.running().metrics().rooms.moved.get(), 0);
}

#[test]
fn two_moves_at_once_leave_nobody_behind() {
    let server = TestServer::start(threads(3));
    let mut players: Vec<_> = (0..10).map(|_| Player::join(server.address(), "lobby")).collect();
    let first = players[0].next_tick();
    for _ in 0..5 {
        server.running().move_room("lobby");
        server.running().move_room("lobby");
    }
    for player in &mut players {
        while player.next_tick() < first + 20 {}
    }
    assert!(server.operate("DELETE", "/v1/rooms/lobby", "").status < 300);
    assert_eq!(players.iter_mut().map(Player::ended).collect::<Vec<_>>(), [CloseCode::RoomClosed; 10]);
    until("nobody is left", || server.connections() == 0 && server.players() == 0);
}

#[test]
fn two_rooms_that_are_heavy_live_apart_from_one_another() {
    let server = with_obedient(threads(1));
    let [mut ann, mut bob] = ["one", "two"].map(|room| {
        let mut player =
            Player::join_as(server.address(), wire::Join { room: room.into(), ..join_as("ann") });
        player.command(&Ask { block_ms: 30, ..Ask::default() });
        player
    });
    until("both have moved", || server.running().metrics().rooms.moved.get() == 2);
    // In the time that one room alone takes.
    let (before, start) = ([ann.next_tick(), bob.next_tick()], Instant::now());
    while ann.next_tick() < before[0] + 40 || bob.next_tick() < before[1] + 40 {}
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(server.running().metrics().rooms.moved.get(), 2);
}

#[test]
fn the_players_of_a_large_room_are_spread() {
    let server = TestServer::start(Config { max_players: 400, ..threads(2) });
    let _players: Vec<_> = (0..301).map(|_| Player::join(server.address(), "lobby")).collect();
    let [one, two] = [0, 1].map(|n| server.running().players_at(n));
    assert!(one + two == 301 && one.min(two) > 40, "{one} and {two}");
}

/// A burst longer than what one turn takes in, with a leave at the very end.
#[test]
fn thousands_of_messages_in_one_breath_are_all_taken_in() {
    let server = TestServer::start(Config { resume_window: Duration::from_secs(60), ..threads(1) });
    let ann = Player::join(server.address(), "lobby");
    let number = ann.number();
    let mut socket = ann.socket;
    let ack = util::client(wire::client_message::Body::Ack(wire::Ack::default()));
    let leave = util::client(wire::client_message::Body::Leave(wire::Leave::default()));
    let mut burst: Vec<u8> = (0..300).flat_map(|_| util::socket::frame(0x82, &ack)).collect();
    burst.extend(util::socket::frame(0x82, &leave));
    socket.send_raw(&burst).unwrap();
    socket.stream().shutdown(std::net::Shutdown::Write).unwrap();
    until("she has left", || server.players() == 0);
    let seen = server.get("/v1/presence").json();
    assert_eq!(seen["totals"]["left"], 1, "player {number}: {seen}");
}

// Promise 4, for a game instead of a client.
#[test]
fn a_game_that_takes_long_to_make_keeps_nobody_waiting() {
    let slow = GameKind::of::<util::games::SlowToMake>();
    let server = TestServer::with(threads(1), slow);
    let other = Player::join(server.address(), "other").in_background();
    let mut ann = util::Socket::connect(server.address());
    let join = wire::Join { kind: "slow_to_make".into(), ..join("slow") };
    ann.send(&util::client(wire::client_message::Body::Join(join))).unwrap();
    other.wait_ticks(50);
    drop(other.stop());
    let skipped = server.get("/v1/rooms/other").json()["ticks_skipped"].as_u64().unwrap();
    assert!(skipped < 10, "{skipped}");
}

#[test]
fn a_room_that_lives_apart_reaches_its_players_and_they_it() {
    let server = with_obedient(threads(2));
    let mut ann = Player::join_as(server.address(), join_as("ann"));
    ann.command(&Ask { block_ms: 25, ..Ask::default() });
    until("it lives apart", || server.running().metrics().rooms.moved.get() == 1);
    let mut bob = Player::join_as(server.address(), join_as("bob"));
    let from = bob.next_tick();
    ann.command(&Ask { tell: 1, bytes: 10, ..Ask::default() });
    assert!(bob.next_tick() > from);
    ann.lose_connection();
    ann.reconnect();
    ann.next_tick();
    server.running().move_room("lobby");
    bob.next_tick();
    bob.leave();
    ann.leave();
    until("both seats are free", || server.players() == 0);
}
