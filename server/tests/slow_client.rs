//! Clients that do not read, or do not acknowledge: what they get in the end, and that nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    session::client::ClientEvent,
    wire::{self, client_message::Body, server_message},
};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use prost::Message;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use util::{
    Frame, Player, Socket, TestServer, client, config,
    games::{Ask, Obedient, Told},
    join, until,
};

/// Bytes that the kernel of a slow client takes (the minimum that it can be set to).
const NARROW: usize = 2048;
/// K = ceil(min_rtt / tick) + 1 for a client on this machine that acknowledges at once: the round trip is
/// below a tick.
const K: usize = 2;

fn room_tick(server: &TestServer, room: &str) -> u32 {
    server.running().registry().get(room).expect("the room is there").shared.tick.load(Relaxed)
}

fn obedient(server: &TestServer, socket: Socket) -> Player {
    let join = wire::Join { kind: "obedient".into(), ..join("lobby") };
    let mut player = Player::on(socket, server.address(), join);
    player.welcomed();
    player
}

/// A player whose round trip the server has measured, and who then reads nothing.
fn measured(server: &TestServer, socket: Socket) -> Player {
    let mut player = Player::on(socket, server.address(), join("lobby"));
    player.welcomed();
    for n in 0..30 {
        player.next_tick();
        player.run(n, 0); // the acknowledgement rides on it
    }
    player
}

/// Continues reading after a pause, up to the first state that is as new as the room was then, and
/// acknowledges each. Returns their ticks.
fn catch_up(player: &mut Player, newest: u32) -> Vec<u32> {
    let mut ticks = Vec::new();
    while ticks.last().is_none_or(|tick| *tick < newest) {
        ticks.push(player.next_tick());
        player.run(1, 0);
    }
    ticks
}

// Promise 2: "A client never applies a state older than one it has applied. State it misses is superseded,
// never replayed late." (The session of every player here fails the test at a state that is not newer.)
#[test]
fn a_reader_who_stalls_gets_the_newest_state_next() {
    let server = TestServer::start(config());
    let other = Player::named(server.address(), "lobby", "other").in_background();
    let mut slow = measured(&server, Socket::connect_narrow(server.address(), NARROW));
    let stalled_at = room_tick(&server, "lobby");
    other.wait_ticks(40);

    let newest = room_tick(&server, "lobby");
    assert!(newest >= stalled_at + 20, "the room did not wait: {stalled_at} to {newest}");
    let ticks = catch_up(&mut slow, newest);
    assert!(ticks.len() - 1 <= K + 2, "stale states: {ticks:?}, newest was {newest}");
    until("those it missed are counted", || {
        server.running().metrics().rooms.stale_states_dropped.get() >= 20
    });
    other.stop();
}

#[test]
fn a_reader_who_stalls_but_still_plays_gets_the_newest_state_next() {
    let server = TestServer::start(config());
    let other = Player::named(server.address(), "lobby", "other").in_background();
    let mut slow = measured(&server, Socket::connect_narrow(server.address(), NARROW));
    let mut last_input = 0;
    for n in 0..40 {
        other.wait_ticks(1);
        last_input = slow.run(n, 1);
    }
    let newest = room_tick(&server, "lobby");
    let ticks = catch_up(&mut slow, newest);
    assert!(ticks.len() - 1 <= K + 2, "stale states: {ticks:?}, newest was {newest}");
    slow.wait("a state with the inputs of the pause", |event| match event {
        ClientEvent::State { input, .. } => (*input >= last_input).then_some(()),
        _ => None,
    });
    other.stop();
}

#[test]
fn who_acknowledges_nothing_gets_two_states() {
    let server = TestServer::start(config());
    let other = Player::named(server.address(), "lobby", "other").in_background();
    let mut socket = Socket::connect(server.address());
    socket.send(&client(Body::Join(join("lobby")))).unwrap();
    let start = room_tick(&server, "lobby");
    until("ticks pass", || room_tick(&server, "lobby") > start + 20);
    // Everything sent until now comes before the answer to this.
    socket.send(&client(Body::Ping(wire::Ping { time_us: 1 }))).unwrap();
    let mut states = Vec::new();
    loop {
        let Frame::Binary(message) = socket.recv() else { panic!("closed") };
        match util::server(&message) {
            server_message::Body::State(state) => states.push(state.tick),
            server_message::Body::Pong(_) => break,
            _ => {}
        }
    }
    assert_eq!(states.len(), 2, "{states:?}");

    // The acknowledgement opens the gate for one: the newest.
    let newest = room_tick(&server, "lobby");
    let ack = wire::Ack { state_ack: states[0], reliable_ack: 0, ..wire::Ack::default() };
    socket.send(&client(Body::Ack(ack))).unwrap();
    let tick = loop {
        let Frame::Binary(message) = socket.recv() else { panic!("closed") };
        if let server_message::Body::State(state) = util::server(&message) {
            break state.tick;
        }
    };
    // (The newest tick may be on its way from the room to the connection.)
    assert!(tick + 2 >= newest, "{tick} when the room was at {newest}");
    other.stop();
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick".
#[test]
fn others_play_on_among_many_who_stall() {
    let server = TestServer::start(config());
    let other = Player::named(server.address(), "lobby", "other").in_background();
    let stalled: Vec<_> = (0..30)
        .map(|_| {
            let socket = Socket::connect_narrow(server.address(), NARROW);
            let mut player = Player::on(socket, server.address(), join("lobby"));
            player.welcomed();
            player
        })
        .collect();
    // Each is delivered: neither the room nor the path to this player waits for anybody.
    let (from, ticks) = (room_tick(&server, "lobby"), other.ticks());
    other.wait_ticks(40);
    let (passed, delivered) = (room_tick(&server, "lobby") - from, other.ticks() - ticks);
    assert!(delivered + 2 >= passed / 2, "{delivered} states in {passed} ticks");
    assert_eq!(server.players() as usize, stalled.len() + 1);
    other.stop();
}

// Promise 4: "One client, however slow or hostile, does not […] grow memory without bound."
#[test]
fn stalled_readers_take_no_more_memory_the_longer_they_stall() {
    let server = util::process::Process::start(&["--tick-rate", "60", "--timeout", "60s"]);
    let other = Player::named(server.address(), "lobby", "other").in_background();
    let mut stalled: Vec<_> = (0..40)
        .map(|_| {
            let socket = Socket::connect_narrow(server.address(), NARROW);
            let mut player = Player::on(socket, server.address(), join("lobby"));
            player.welcomed();
            player
        })
        .collect();
    let mut play = |ticks: i32| {
        for n in 0..ticks {
            other.wait_ticks(1);
            for player in &mut stalled {
                player.run(n % 100, 50);
            }
        }
        server.rss()
    };
    play(60);
    let before = play(1);
    let after = play(180);
    // A state kept for each of them at each tick would be 40 x 180 x 300 B.
    assert!(after < before + (1 << 20), "grew by {} bytes", after - before);
    other.stop();
}

/// Makes the room send everybody a message in every step, until it closes a slow reader. The sender receives
/// all of them.
fn tell_until_closed(server: &TestServer, teller: &mut Player, tell: u32, bytes: u32) {
    teller.command(&Ask { tell, bytes, every_step: true, ..Ask::default() });
    while server.disconnects("slow_consumer") == 0 {
        let last = teller.wait("what is told", |event| match event {
            ClientEvent::Event(event) => Some(Told::decode(&event.payload[..]).unwrap().number),
            _ => None,
        });
        assert!(last < 100_000, "nobody was closed");
    }
    teller.command(&Ask::default());
}

fn obedient_server(messages: usize, bytes: usize) -> TestServer {
    let mut config = Config { tick_rate: 60, ..config() };
    config.limits.reliable_messages = messages;
    config.limits.reliable_bytes = bytes;
    TestServer::with(config, GameKind::of::<Obedient>())
}

// Promise 4: "[…] or grow memory without bound." A queue that holds four times what may wait has overflowed.
#[test]
fn who_does_not_read_reliable_events_is_closed_as_slow() {
    for (messages, bytes, each) in [(64, 16 * 1024, 10), (10_000, 64 * 1024, 1_000)] {
        let server = obedient_server(messages, bytes);
        let mut teller = obedient(&server, Socket::connect(server.address()));
        let mut slow = obedient(&server, Socket::connect_narrow(server.address(), NARROW));
        tell_until_closed(&server, &mut teller, 16, each);

        // What was sent before arrives without a gap (the session checks), and then the reason for the end.
        assert_eq!(slow.ended(), CloseCode::SlowConsumer);
        // This seat has lost something for good, so it cannot be resumed.
        slow.reconnect();
        assert_eq!(slow.ended(), CloseCode::UnknownSession);
        assert_eq!(server.disconnects("slow_consumer"), 1, "the teller read all");
        teller.next_tick();
    }
}

// A player who is closed for making no progress loses nothing: the seat can be resumed.
#[test]
fn who_acknowledges_no_event_for_a_timeout_is_closed_as_slow_and_may_come_back() {
    let mut config = Config { tick_rate: 60, ..config() };
    config.limits.reliable_messages = 16;
    config.limits.timeout = Duration::from_secs(1);
    config.limits.heartbeat = Duration::from_millis(500);
    let server = TestServer::with(config, GameKind::of::<Obedient>());
    let teller = obedient(&server, Socket::connect(server.address()));
    let mut slow = obedient(&server, Socket::connect(server.address()));
    let mut teller = teller.in_background().stop();
    teller.command(&Ask { tell: 40, bytes: 10, ..Ask::default() });
    let teller = teller.in_background();
    // It is not silent: it sends something at every tick of the other player, but no acknowledgement.
    while server.disconnects("slow_consumer") == 0 {
        teller.wait_ticks(1);
        if server.disconnects("slow_consumer") == 0 {
            let _ = slow.socket.send(&client(Body::Ping(wire::Ping { time_us: 1 }))); // it may be closed now
        }
    }
    assert_eq!(slow.ended(), CloseCode::SlowConsumer);
    slow.reconnect();
    assert!(slow.welcomed().resumed);
    slow.next_tick();
    assert_eq!(server.disconnects("slow_consumer"), 1, "the teller acknowledged all");
    teller.stop();
}

// A stalled reader is not disconnected by `close()`: only TCP_USER_TIMEOUT and a bounded send buffer, set
// when the connection is accepted, do that.
#[test]
fn who_never_reads_again_is_cut_off_and_gives_its_place_back() {
    let server = obedient_server(10_000, 1 << 20);
    let mut teller = obedient(&server, Socket::connect(server.address()));
    let _slow = obedient(&server, Socket::connect_narrow(server.address(), NARROW));
    tell_until_closed(&server, &mut teller, 16, 8_000);
    let teller = teller.in_background();
    until("the slow one is cut off", || server.connections() == 1);
    teller.wait_ticks(5);
    teller.stop();
}
