//! Commands that the server may not have yet.
//!
//! A command has two numbers. The caller's counts from 1 for as long as the session lives; the wire's counts from 1 for
//! each seat. They differ by what earlier seats were sent.

use super::ServerError;
use crate::wire::Command;
use bytes::Bytes;
use std::{collections::VecDeque, ops::RangeInclusive};

/// Commands in order, kept until the server says it has them, bounded.
#[derive(Debug)]
pub(super) struct Commands {
    /// Not confirmed, oldest first. The first has the wire's number `confirmed + 1`.
    kept: VecDeque<Bytes>,
    /// By this seat.
    confirmed: u64,
    /// How many of `kept` were sent on this connection.
    sent: usize,
    /// How many of `kept` were sent for this seat, on this connection or an earlier one.
    tried: usize,
    /// What to add to a number of the wire to get the caller's.
    earlier: u64,
    most: usize,
}

impl Commands {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), confirmed: 0, sent: 0, tried: 0, earlier: 0, most }
    }

    /// The new command's number, the caller's. None: too many wait.
    pub(super) fn push(&mut self, payload: Bytes) -> Option<u64> {
        if self.kept.len() >= self.most {
            return None;
        }
        self.kept.push_back(payload);
        Some(self.callers(self.confirmed + self.kept.len() as u64))
    }

    /// The next to send on this connection.
    pub(super) fn next(&mut self) -> Option<Command> {
        let payload = self.kept.get(self.sent)?.clone();
        self.sent += 1;
        self.tried = self.tried.max(self.sent);
        Some(Command { sequence: self.confirmed + self.sent as u64, payload })
    }

    /// The server says that it has all up to `sequence`.
    pub(super) fn confirmed(&mut self, sequence: u64) -> Result<(), ServerError> {
        if sequence > self.confirmed + self.tried as u64 {
            return Err(ServerError::Unexpected("confirmation of a command that was never sent"));
        }
        while self.confirmed < sequence && self.kept.pop_front().is_some() {
            self.confirmed += 1;
            self.sent = self.sent.saturating_sub(1);
            self.tried = self.tried.saturating_sub(1);
        }
        Ok(())
    }

    /// The connection was lost: all go again.
    pub(super) fn disconnected(&mut self) {
        self.sent = 0;
    }

    /// The seat is gone, and there is a new one. What was never sent goes to the new one. What was sent, but not
    /// confirmed, is dropped: the server may have carried it out, and sent again it could happen twice. Gives the
    /// caller's numbers of those.
    pub(super) fn new_seat(&mut self) -> RangeInclusive<u64> {
        let last = self.confirmed + self.tried as u64;
        let dropped = self.callers(self.confirmed + 1)..=self.callers(last);
        self.kept.drain(..self.tried);
        self.earlier = self.callers(last);
        (self.confirmed, self.sent, self.tried) = (0, 0, 0);
        dropped
    }

    /// The caller's number of a command that has this one on the wire.
    pub(super) fn callers(&self, sequence: u64) -> u64 {
        self.earlier.saturating_add(sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}
