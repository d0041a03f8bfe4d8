//! Shared by the tests over real sockets: a server on a port that the kernel chooses, a raw WebSocket, a
//! player, and waiting.
//!
//! Everything blocks, so that a test reads from top to bottom. Nothing sleeps in the hope that it is long
//! enough: tests wait with [`eventually`] or with a read, and [`PATIENCE`] only ends a test that would fail
//! anyway.

#![allow(dead_code, unused_imports)] // each test file uses a part of it
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

pub mod events;
pub mod games;
pub mod http;
pub mod ledger;
pub mod player;
pub mod process;
pub mod quic;
pub mod redis;
pub mod server;
pub mod socket;
pub mod sse;
pub mod tls;
pub mod tokens;

pub use player::{Arrived, Player, Wire};
pub use server::{TestServer, config};
pub use socket::{Frame, Socket};

use driftless_proto::{limits::PROTOCOL, wire};
use prost::Message as _;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up. Long, because a busy machine must not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until there is an answer.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Polls until it is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    eventually(what, || so().then_some(()));
}

/// A join to this room, with defaults for everything else.
pub fn join(room: &str) -> wire::Join {
    wire::Join { protocol: PROTOCOL, room: room.to_owned(), ..wire::Join::default() }
}

/// A client's message, encoded.
pub fn client(body: wire::client_message::Body) -> Vec<u8> {
    wire::ClientMessage { body: Some(body) }.encode_to_vec()
}

/// A server's message, decoded.
#[track_caller]
pub fn server(message: &[u8]) -> wire::server_message::Body {
    wire::ServerMessage::decode(message).expect("the server writes its schema").body.expect("a known message")
}
