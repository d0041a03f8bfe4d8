//! Commands that the server may not have yet.

use crate::wire::Command;
use bytes::Bytes;
use std::collections::VecDeque;

/// Commands of one seat: numbered from 1, kept until the server says it has them, bounded.
#[derive(Debug)]
pub(super) struct Commands {
    /// Not confirmed, oldest first. The first has the number `confirmed + 1`.
    kept: VecDeque<Bytes>,
    confirmed: u64,
    /// How many of `kept` were sent on this connection.
    sent: usize,
    most: usize,
}

impl Commands {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), confirmed: 0, sent: 0, most }
    }

    /// The new command's number. None: too many wait.
    pub(super) fn push(&mut self, payload: Bytes) -> Option<u64> {
        if self.kept.len() >= self.most {
            return None;
        }
        self.kept.push_back(payload);
        Some(self.confirmed + self.kept.len() as u64)
    }

    /// The next to send on this connection.
    pub(super) fn next(&mut self) -> Option<Command> {
        let payload = self.kept.get(self.sent)?.clone();
        self.sent += 1;
        Some(Command { sequence: self.confirmed + self.sent as u64, payload })
    }

    /// The server has all up to `sequence`. (More than were sent: a server's lie, which harms nobody.)
    pub(super) fn confirmed(&mut self, sequence: u64) {
        while self.confirmed < sequence && self.kept.pop_front().is_some() {
            self.confirmed += 1;
            self.sent = self.sent.saturating_sub(1);
        }
        // A seat whose commands another process sent: go on from there.
        if self.kept.is_empty() {
            self.confirmed = self.confirmed.max(sequence);
        }
    }

    /// The connection was lost: all go again.
    pub(super) fn disconnected(&mut self) {
        self.sent = 0;
    }

    /// A new seat.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}
