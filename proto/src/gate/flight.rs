//! What is under way.

use super::MAX_IN_FLIGHT;
use std::time::Instant;

/// States in flight, oldest first: a ring.
#[derive(Debug, Clone, Default)]
pub(super) struct Flight {
    ring: [Option<Sent>; MAX_IN_FLIGHT],
    first: usize,
    pub(super) len: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) tick: u32,
    pub(super) at: Instant,
}

impl Flight {
    pub(super) fn push(&mut self, sent: Sent) {
        self.ring[(self.first + self.len) % MAX_IN_FLIGHT] = Some(sent);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Sent> {
        let sent = self.ring[self.first].take()?;
        self.first = (self.first + 1) % MAX_IN_FLIGHT;
        self.len -= 1;
        Some(sent)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Sent> + '_ {
        (0..self.len).filter_map(|n| self.ring[(self.first + n) % MAX_IN_FLIGHT])
    }

    pub(super) fn find(&self, tick: u32) -> Option<(usize, Sent)> {
        self.iter().enumerate().find(|(_, sent)| sent.tick == tick)
    }
}
