//! Many players come, leave and come back at once: nobody else is affected, and none of them is lost.
//!
//! (`member_list` tests in virtual time how a list of 5,000 is read, and at what rate. A debug build cannot
//! say how late ticks are: look at `driftless_room_tick_lateness_seconds` in a release build's `/metrics`.)
//!
//! Presence is state, so neither a storm of reconnects, nor a busy room, nor a list of 5,000 members can
//! overflow a queue.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

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

/// So small that a storm of announcements would overflow the queue.
const RELIABLE: usize = 16;

fn storm_config(players: usize) -> Config {
    let mut config = Config {
        max_players: players as u32 + 10,
        max_connections_per_address: 10_000,
        resume_window: Duration::from_secs(600),
        ..config()
    };
    config.limits.reliable_messages = RELIABLE;
    // The players here are driven one after another.
    config.limits.timeout = Duration::from_secs(300);
    config
}

/// With the longest name that is allowed.
fn longest() -> wire::Join {
    wire::Join { name: "\u{1F600}".repeat(32), ..join("lobby") }
}

/// Reads until the player knows this many members, all of them connected, and returns how many bytes of
/// presence came.
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

/// More than a page of the list, or a player's queue, can hold.
#[test]
fn all_players_of_a_room_cut_at_once_come_back() {
    const PLAYERS: usize = 1_000;
    let server = TestServer::start(storm_config(PLAYERS));
    let mut players: Vec<_> = (0..PLAYERS).map(|_| Player::join_as(server.address(), longest())).collect();
    for player in &mut players {
        player.lose_connection();
    }
    until("all are away", || server.get("/v1/rooms/lobby").json()["connected"] == 0);
    let start = Instant::now();
    for player in &mut players {
        player.reconnect();
        assert!(player.welcomed().resumed);
    }
    assert_eq!(server.running().metrics().rooms.resumes.get("resumed"), PLAYERS as u64);
    // They read for the first time, so the whole list is due.
    for n in [0, PLAYERS / 2, PLAYERS - 1] {
        let bytes = all_here(&mut players[n], PLAYERS) as u32;
        let seconds = start.elapsed().as_secs() as u32 + 1;
        assert!(bytes <= BURST + RATE * seconds, "player {n}: {bytes} bytes in {seconds} s");
    }
}

/// Strangers come and go as fast as they can. Observers: a player who is away, one who does not acknowledge,
/// one who plays, and one in another room.
#[test]
fn a_flood_of_joins_and_leaves_hurts_nobody() {
    const STRANGERS: usize = 3;
    const VISITS: usize = 200;
    let server = TestServer::start(storm_config(10));
    let mut away = Player::named(server.address(), "lobby", "away");
    let mut deaf = Socket::connect(server.address());
    deaf.send(&client(Body::Join(join("lobby")))).unwrap();
    let mut player = Player::named(server.address(), "lobby", "player");
    away.next_tick();
    away.lose_connection();
    until("she is away", || server.get("/v1/rooms/lobby").json()["connected"] == 2);
    let start = Instant::now();
    let address = server.address();
    let playing = Player::named(address, "lobby", "playing").in_background();
    let other = Player::named(address, "other", "other").in_background();
    let stranger = || (0..VISITS).for_each(|_| Player::join(address, "lobby").leave());
    thread::scope(|scope| (0..STRANGERS).for_each(|_| drop(scope.spawn(stranger))));
    let seconds = start.elapsed().as_secs() as u32 + 1;
    let bound = BURST + RATE * seconds;
    let skipped = server.running().registry().get("other").unwrap().shared.ticks_skipped.load(Relaxed);
    assert!(skipped < u64::from(seconds), "the other room skipped {skipped} ticks in {seconds} s");
    other.stop().next_tick();
    let mut playing = playing.stop();
    assert!(playing.presence_bytes as u32 <= bound, "{} bytes in {seconds} s", playing.presence_bytes);
    playing.next_tick();
    away.reconnect();
    assert!(away.welcomed().resumed);
    player.next_tick();
    until("they are gone", || server.players() == 5);
    // The player who does not acknowledge is still in the room: what was sent comes before the answer to
    // this, and is bounded.
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
    assert!(bytes <= bound, "{bytes} bytes in {seconds} s");
}
