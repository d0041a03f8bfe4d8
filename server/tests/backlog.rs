//! Messages that arrive late and all at once: after a blackout of a client's link, or after the server stood
//! still.
//!
//! Promise 9: "Honest clients are not punished for what the server, a proxy or the network did: a backlog
//! after a freeze or a blackout is taken, a seat survives it."

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, lane::Lane, wire, wire::client_message::Body};
use driftless_sim::games::arena::ArenaInput;
use prost::Message;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use util::{
    Player, TestServer, Wire, client, config,
    process::Process,
    quic::{BOTH, Link},
};

fn input(sequence: u32) -> Vec<u8> {
    let payload = ArenaInput { move_x: 100, ..ArenaInput::default() }.encode_to_vec().into();
    client(Body::Input(wire::Input { sequence, payload, ..wire::Input::default() }))
}

/// Everything that a player does in nearly a timeout arrives at once, and the player stays.
fn comes_back_after_a_black_out<W: Wire>(mut player: Player<W>) {
    player.next_tick();
    for sequence in 1..=9 * 128 {
        player.socket.send_message(&input(sequence)).unwrap();
    }
    player.chat("I am back");
    assert_eq!(player.next_chat().1, "I am back");
    player.next_tick();
    player.leave();
}

// Promise 9
#[test]
fn what_a_client_sent_in_a_black_out_is_taken() {
    let server = TestServer::start(config());
    comes_back_after_a_black_out(Player::join(server.address(), "lobby"));
    for kind in BOTH {
        comes_back_after_a_black_out(Player::join_over(kind, server.quic(), "lobby"));
    }
    assert_eq!(server.disconnects("rate_limited"), 0);
}

/// Plays at 128 Hz until told to stop.
fn play<W: Wire>(mut player: Player<W>, stop: Arc<AtomicBool>) -> thread::JoinHandle<Player<W>> {
    thread::spawn(move || {
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            player.run(1, 0);
            due += Duration::from_secs(1) / 128;
            while Instant::now() < due {
                player.pump(due);
            }
        }
        player
    })
}

fn plays_on<W: Wire>(player: thread::JoinHandle<Player<W>>) {
    let mut player = player.join().expect("nobody is closed");
    let newest = player.session.snapshot().unwrap().tick();
    while player.next_tick() <= newest {}
    player.chat("still here");
    while player.next_chat() != (player.number(), "still here".to_owned()) {}
}

// Promise 9
#[test]
fn nobody_is_removed_when_the_server_stands_still_for_longer_than_a_timeout() {
    let args = ["--tick-rate", "128", "--timeout", "2s", "--heartbeat", "1s"];
    let server = Process::start(&args);
    let stop = Arc::new(AtomicBool::new(false));
    let socket = play(Player::join(server.address(), "lobby"), stop.clone());
    let [quic, webtransport]: [thread::JoinHandle<Player<Link>>; 2] =
        BOTH.map(|kind| play(Player::join_over(kind, server.address(), "lobby"), stop.clone()));
    thread::sleep(Duration::from_millis(300));
    server.signal(libc::SIGSTOP);
    // More than 2 s at the rates of inputs and messages, and more than the timeout.
    thread::sleep(Duration::from_millis(3_500));
    server.signal(libc::SIGCONT);
    // As long as it would take to time them out, if what they sent had not been read.
    thread::sleep(Duration::from_millis(2_500));
    stop.store(true, Ordering::Relaxed);
    plays_on(socket);
    plays_on(quic);
    plays_on(webtransport);
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn a_flood_that_goes_on_is_cut_off_by_name() {
    let mut config = config();
    config.limits.messages_per_second = 50;
    let server = TestServer::start(config);
    let witness = Player::named(server.address(), "lobby", "witness").in_background();
    let ping = client(Body::Ping(wire::Ping { time_us: 1 }));
    assert_eq!(Lane::of_client_message(&ping), Lane::Unreliable);
    let mut player = Player::join(server.address(), "lobby");
    for _ in 0..3_000 {
        let _ = player.socket.send(&ping); // it may be cut off before the last
    }
    assert_eq!(player.ended(), CloseCode::RateLimited);
    for kind in BOTH {
        let mut player = Player::join_over(kind, server.quic(), "lobby");
        for _ in 0..3_000 {
            // The network would drop most datagrams.
            let _ = player.socket.send_reliable(&ping);
        }
        assert_eq!(player.ended(), CloseCode::RateLimited, "{kind:?}");
    }
    assert_eq!(server.disconnects("rate_limited"), 3);
    witness.wait_ticks(5);
    witness.stop();
}
