//! Many who come, go and come back at once: nobody else is the worse for it, and none of them is lost.
//!
//! DESIGN's "Presence is state": "a storm of reconnects, a busy room or a list of 5,000 members cannot overflow it".

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

mod util;

use driftless_proto::{
    session::client::ClientEvent,
    wire::{self, client_message::Body},
};
use driftless_server::{
    config::Config,
    connection::members::{BURST, RATE},
};
use prost::Message;
use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};
use util::{Frame, Player, Socket, TestServer, client, config, join, until};

/// So few that a storm of announcements would overflow the queue.
const RELIABLE: usize = 16;

fn storm_config(players: usize) -> Config {
    let mut config = Config {
        max_players: players as u32 + 10,
        max_connections_per_address: 10_000,
        resume_window: Duration::from_secs(600),
        ..config()
    };
    config.limits.reliable_messages = RELIABLE;
    // Players here are driven one after the other.
    config.limits.timeout = Duration::from_secs(300);
    config
}

/// With the longest name that is allowed.
fn longest() -> wire::Join {
    wire::Join { name: "\u{1F600}".repeat(32), ..join("lobby") }
}

/// Reads until the player knows so many members, all of them here, and says how many bytes of presence came.
fn all_here(player: &mut Player, count: usize) -> usize {
    let (mut members, mut bytes) = (BTreeMap::new(), 0);
    loop {
        let ClientEvent::Presence(presence) = player.next() else { continue };
        bytes += presence.encoded_len();
        if presence.since == 0 {
            members.clear();
        }
        for member in presence.members {
            members.insert(member.user, (member.players.len(), member.connections));
        }
        members.retain(|_, (players, _)| *players > 0);
        if members.len() == count && members.values().all(|(_, here)| *here == 1) {
            return bytes;
        }
    }
}

/// So many players join a room, are cut at once, and come back within `spread`. Bytes of presence that the first, one in the middle
/// and the last got in all.
fn cut_and_return(count: usize, spread: Duration) -> [usize; 3] {
    let server = TestServer::start(storm_config(count));
    let mut players: Vec<_> = (0..count).map(|_| Player::join_as(server.address(), longest())).collect();
    for player in &mut players {
        player.lose_connection();
    }
    until("all are away", || server.get("/v1/rooms/lobby").json()["connected"] == 0);
    let start = Instant::now();
    for (n, player) in (0..).zip(&mut players) {
        thread::sleep((start + spread * n / count as u32).saturating_duration_since(Instant::now()));
        player.reconnect();
        assert!(player.welcomed().resumed);
    }
    assert_eq!(server.running().metrics().resumes.get("resumed"), count as u64);
    // (They read for the first time: the whole list waits.)
    [0, count / 2, count - 1].map(|n| all_here(&mut players[n], count))
}

#[test]
fn all_players_of_a_room_cut_at_once_come_back() {
    let bytes = cut_and_return(300, Duration::ZERO);
    println!("bytes of presence: {bytes:?}");
}

#[test]
#[ignore = "large: run alone, on a release build"]
fn a_thousand_players_cut_at_once_come_back_within_six_seconds() {
    let bytes = cut_and_return(1_000, Duration::from_secs(6));
    println!("bytes of presence: {bytes:?}");
}

/// As many as fit into a room with a margin, each with the longest name: all get in, and who has read all knows all.
#[test]
#[ignore = "large: run alone, on a release build"]
fn five_thousand_members_with_long_names_join() {
    const MEMBERS: usize = 5_000;
    let server = TestServer::start(storm_config(MEMBERS));
    let start = Instant::now();
    let mut players: Vec<_> = (0..MEMBERS).map(|_| Player::join_as(server.address(), longest())).collect();
    println!("{MEMBERS} joined within {:?}", start.elapsed());
    let mut last = players.pop().unwrap();
    let start = Instant::now();
    let bytes = all_here(&mut last, MEMBERS);
    let took = start.elapsed();
    let rate = bytes as f64 / took.as_secs_f64() / 1024.0;
    println!("the last to join knew all after {took:?}: {bytes} bytes of presence, {rate:.1} KiB/s");
    assert_eq!(server.players(), MEMBERS as i64);
}

/// As fast as they can, several strangers come and go. Nobody who plays is closed, and the rooms keep their ticks.
#[test]
#[ignore = "large: run alone, on a release build"]
fn joins_and_leaves_as_fast_as_can_be_hurt_nobody() {
    const TIME: Duration = Duration::from_secs(10);
    let server = TestServer::start(storm_config(100));
    let address = server.address();
    let here = Player::named(address, "lobby", "here").in_background();
    let mut away = Player::named(address, "lobby", "away");
    away.next_tick();
    away.lose_connection();
    let other = Player::named(address, "other", "other").in_background();
    let shared = server.running().registry().get("other").unwrap().shared;
    let start = Instant::now();
    let strangers = (0..3).map(|_| {
        thread::spawn(move || {
            let mut count = 0;
            while start.elapsed() < TIME {
                Player::join(address, "lobby").leave();
                count += 1;
            }
            count
        })
    });
    let strangers: Vec<_> = strangers.collect();
    let mut latenesses = Vec::new();
    let mut ticks = shared.figures.ticks.load(Relaxed);
    shared.figures.longest_late_ns.store(0, Relaxed);
    while start.elapsed() < TIME {
        thread::sleep(Duration::from_millis(5));
        let now = shared.figures.ticks.load(Relaxed);
        if now != ticks {
            ticks = now;
            latenesses.push(shared.figures.longest_late_ns.swap(0, Relaxed) / 1_000);
        }
    }
    let count: u32 = strangers.into_iter().map(|thread| thread.join().unwrap()).sum();
    latenesses.sort_unstable();
    let at = |share: f64| latenesses[((latenesses.len() - 1) as f64 * share) as usize];
    println!(
        "{} joins and leaves a second; ticks of the other room late by {} µs (p50), {} µs (p99), {} µs (most)",
        count / TIME.as_secs() as u32,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let bytes = here.stop().presence_bytes;
    println!("{} bytes of presence a second to who was there", bytes / TIME.as_secs() as usize);
    other.stop();
    away.reconnect();
    assert!(away.welcomed().resumed);
}

/// One after the other comes and goes. Of it notice: one who is away, one who does not acknowledge, and one who plays.
#[test]
fn a_flood_of_joins_and_leaves_hurts_nobody() {
    const COMERS: usize = 400;
    let server = TestServer::start(storm_config(10));
    let mut away = Player::named(server.address(), "lobby", "away");
    let mut deaf = Socket::connect(server.address());
    deaf.send(&client(Body::Join(join("lobby")))).unwrap();
    let mut player = Player::named(server.address(), "lobby", "player");
    away.next_tick();
    away.lose_connection();
    until("she is away", || server.get("/v1/rooms/lobby").json()["connected"] == 2);

    let start = Instant::now();
    let playing = Player::named(server.address(), "lobby", "playing").in_background();
    for _ in 0..COMERS {
        let mut comer = Player::join(server.address(), "lobby");
        comer.leave();
    }
    let seconds = start.elapsed().as_secs() as u32 + 1;
    let mut playing = playing.stop();
    playing.next_tick();
    away.reconnect();
    assert!(away.welcomed().resumed);
    player.next_tick();
    until("they are gone", || server.players() == 4);
    // The deaf one is still in the room: what was sent comes before the answer to this, and is bounded.
    deaf.send(&client(Body::Ping(wire::Ping { time_us: 1 }))).unwrap();
    let mut bytes = 0;
    loop {
        let Frame::Binary(message) = deaf.recv() else { panic!("closed") };
        match util::server(&message) {
            wire::server_message::Body::Presence(_) => bytes += message.len() as u32,
            wire::server_message::Body::Pong(_) => break,
            wire::server_message::Body::Goodbye(goodbye) => panic!("{goodbye:?}"),
            _ => {}
        }
    }
    println!("{bytes} bytes of presence in {seconds} s, with {COMERS} who came and went");
    assert!(bytes <= BURST + RATE * seconds, "{bytes} bytes in {seconds} s");
}
