//! What has to be acknowledged, and by when.

use crate::session::Delivery;
use std::time::{Duration, Instant};

/// Acknowledgements of one connection. They travel with inputs; after a while without one they are sent
/// alone.
#[derive(Debug)]
pub(super) struct Acks {
    /// Newest state and reliable message of this connection; 0: none.
    state: u32,
    reliable: u64,
    /// Deadline up to which something that waits to be acknowledged may wait for an input.
    due_at: Option<Instant>,
    /// Whether acknowledgements may be lost: then each message repeats them.
    repeats: bool,
}

impl Acks {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self { state: 0, reliable: 0, due_at: None, repeats: delivery == Delivery::Datagram }
    }

    /// A state was applied, in a room with this tick length.
    pub(super) fn state(&mut self, now: Instant, state: u32, tick: Duration) {
        self.state = state;
        self.wait(now, tick);
    }

    /// A reliable message was received (for the first time or again).
    pub(super) fn reliable(&mut self, now: Instant, reliable: u64, tick: Duration) {
        self.reliable = reliable;
        self.wait(now, tick);
    }

    /// When they should be sent alone.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// State and reliable message to acknowledge with the message being sent. 0: nothing.
    pub(super) fn take(&mut self) -> (u32, u64) {
        self.due_at = None;
        let acks = (self.state, self.reliable);
        if !self.repeats {
            (self.state, self.reliable) = (0, 0);
        }
        acks
    }

    fn wait(&mut self, now: Instant, tick: Duration) {
        // A player who sends an input each tick should not need a separate acknowledgement because one input
        // came late.
        self.due_at.get_or_insert(now + tick + tick / 4);
    }
}
