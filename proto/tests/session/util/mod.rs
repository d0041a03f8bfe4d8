//! The two-peer virtual network, modelled on quinn-proto's `tests::util::Pair`.

mod link;
mod pair;
mod room;

pub use link::{Conditions, Link};
pub use pair::Pair;
pub use room::{Published, Room, world};

use bytes::Bytes;
use driftless_proto::wire::{self, client_message, server_message};
use prost::Message as _;
use std::time::Duration;

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A client's message, as bytes.
pub fn client(body: client_message::Body) -> Bytes {
    wire::ClientMessage { body: Some(body) }.encode_to_vec().into()
}

/// A server's message, as bytes.
pub fn server(body: server_message::Body) -> Bytes {
    wire::ServerMessage { body: Some(body) }.encode_to_vec().into()
}

/// A valid join.
pub fn join() -> wire::Join {
    wire::Join { protocol: 1, room: "lobby".into(), name: "Ada".into(), ..wire::Join::default() }
}

/// An event's body for the reliable queue.
pub fn event(n: u32) -> wire::Event {
    wire::Event { tick: n, payload: Bytes::from(n.to_le_bytes().to_vec()) }
}

/// A small seeded generator (SplitMix64, Steele et al. 2014) for the network's random behaviour.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True with a chance of so many percent.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.next() % 100 < u64::from(chance)
    }

    pub fn below(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_micros()).unwrap().max(1);
        Duration::from_micros(self.next() % limit)
    }
}
