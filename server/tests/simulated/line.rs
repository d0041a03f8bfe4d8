//! A connection between a client and the server.

use super::network::{Conditions, Link, Parcel, Time};
use driftless_proto::session::Delivery;
use fastrand::Rng;
use std::time::Duration;

/// How long a client waits for an answer to its dial.
pub const DIAL: Duration = Duration::from_secs(5);

/// A connection between a client and the server.
#[derive(Debug)]
pub struct Line {
    pub player: usize,
    /// How many addresses its client has had before.
    pub moves: u8,
    pub delivery: Delivery,
    pub up: Link,
    pub down: Link,
    /// When the client's first packet reaches the server.
    pub knocks_at: Time,
    /// When the client knows that it was accepted. None: it was not yet.
    pub answered_at: Option<Time>,
    /// When the client gives up.
    pub gives_up_at: Time,
    /// The client's end exists; the server's.
    pub at_client: bool,
    pub at_server: bool,
    pub is_open: bool,
    /// When the client learns that nobody is there any more.
    pub reset_at: Option<Time>,
}

impl Line {
    /// A client knocks, and is heard at this time.
    pub fn knock(player: usize, delivery: Delivery, now: Time, knocks_at: Time) -> Self {
        Self {
            player,
            moves: 0,
            delivery,
            up: Link::default(),
            down: Link::default(),
            knocks_at,
            answered_at: None,
            gives_up_at: now + DIAL,
            at_client: true,
            at_server: false,
            is_open: false,
            reset_at: None,
        }
    }

    /// The client ends it.
    pub fn hang_up(&mut self, now: Time, on: Conditions, dark: Time, dice: &mut Rng) {
        self.at_client = false;
        self.up.send(now, on, dark, dice, Parcel::Close(None));
    }
}
