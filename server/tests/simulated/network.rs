//! A network in virtual time: it delays, loses, repeats, reorders and goes dark.

use bytes::Bytes;
use fastrand::Rng;
use std::{collections::BTreeMap, time::Duration};

/// Time since the simulation began.
pub type Time = Duration;

/// Bytes that a sender can have under way before it has to wait: the buffers of both kernels.
pub const PIPE: usize = 64 * 1024;
/// How late something is that had to be sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// What a network does to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Of one direction, milliseconds.
    pub delay: u32,
    /// Most further delay of a message, milliseconds. Datagrams overtake each other.
    pub jitter: u32,
    /// Per cent of messages lost; where order is kept, late instead.
    pub loss: u32,
    /// Per cent of datagrams that come twice.
    pub twice: u32,
}

/// Something under way.
#[derive(Debug, Clone)]
pub enum Parcel {
    Message(Bytes),
    /// The sender closes the connection; with a code, if it is the server.
    Close(Option<(u16, String)>),
}

/// One direction of a connection: a stream, and datagrams.
#[derive(Debug, Default)]
pub struct Link {
    stream: BTreeMap<(Time, u64), Parcel>,
    datagrams: BTreeMap<(Time, u64), Bytes>,
    /// When the newest of the stream arrives.
    last: Time,
    count: u64,
    /// Of the stream, sent and not yet read.
    bytes: usize,
    /// Datagrams lost.
    pub lost: u32,
}

impl Conditions {
    /// How long something takes that is sent now.
    pub fn travel(self, rng: &mut Rng) -> Duration {
        let jitter = if self.jitter == 0 { 0 } else { rng.u32(..self.jitter) };
        Duration::from_millis(u64::from(self.delay + jitter))
    }

    fn loses(self, rng: &mut Rng) -> bool {
        rng.u32(..100) < self.loss
    }
}

impl Link {
    /// Sends in order, and surely. Nothing gets through before `dark`.
    pub fn send(&mut self, now: Time, on: Conditions, dark: Time, rng: &mut Rng, parcel: Parcel) {
        let mut at = now + on.travel(rng);
        if now < dark {
            at = at.max(dark + AGAIN);
        } else if on.loses(rng) {
            at += AGAIN;
        }
        self.last = self.last.max(at);
        if let Parcel::Message(message) = &parcel {
            self.bytes += message.len();
        }
        self.count += 1;
        self.stream.insert((self.last, self.count), parcel);
    }

    /// Sends without a promise.
    pub fn throw(&mut self, now: Time, on: Conditions, dark: Time, rng: &mut Rng, message: Bytes) {
        if now < dark || on.loses(rng) {
            self.lost += 1;
            return;
        }
        for _ in 0..1 + u32::from(rng.u32(..100) < on.twice) {
            self.count += 1;
            self.datagrams.insert((now + on.travel(rng), self.count), message.clone());
        }
    }

    /// Sends surely, but on a stream of its own.
    pub fn post(&mut self, now: Time, on: Conditions, dark: Time, rng: &mut Rng, message: Bytes) {
        let mut at = now + on.travel(rng);
        if now < dark {
            at = at.max(dark + AGAIN);
        } else if on.loses(rng) {
            at += AGAIN;
        }
        self.count += 1;
        self.datagrams.insert((at, self.count), message);
    }

    /// Whether the sender can write.
    pub fn has_room(&self) -> bool {
        self.bytes < PIPE
    }

    /// When something arrives next.
    pub fn next(&self) -> Option<Time> {
        let stream = self.stream.keys().next();
        stream.into_iter().chain(self.datagrams.keys().next()).map(|(at, _)| *at).min()
    }

    /// The next that has arrived.
    pub fn receive(&mut self, now: Time) -> Option<Parcel> {
        if let Some(first) = self.datagrams.first_entry().filter(|first| first.key().0 <= now) {
            return Some(Parcel::Message(first.remove()));
        }
        let first = self.stream.first_entry().filter(|first| first.key().0 <= now)?.remove();
        if let Parcel::Message(message) = &first {
            self.bytes -= message.len();
        }
        Some(first)
    }
}
