//! Commands that the server may not have yet.
//!
//! A command has two numbers. The caller's counts from 1 for as long as the session lives; the number on the
//! wire counts from 1 for each seat. They differ by the number of commands sent to earlier seats.

use super::ServerError;
use crate::wire::Command;
use bytes::Bytes;
use std::{collections::VecDeque, ops::RangeInclusive};

/// Commands in order, bounded, kept until the server confirms them.
#[derive(Debug)]
pub(super) struct Commands {
    /// Unconfirmed commands, oldest first. The first has the wire number `confirmed + 1`.
    kept: VecDeque<Bytes>,
    /// Last command that this seat confirmed, as its wire number.
    confirmed: u64,
    /// How many of `kept` were sent on this connection.
    sent: usize,
    /// How many of `kept` were sent for this seat, on this connection or an earlier one.
    tried: usize,
    /// What to add to a wire number to get the caller's number.
    earlier: u64,
    most: usize,
}

impl Commands {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), confirmed: 0, sent: 0, tried: 0, earlier: 0, most }
    }

    /// The new command's number for the caller. None: too many are waiting.
    pub(super) fn push(&mut self, payload: Bytes) -> Option<u64> {
        if self.kept.len() >= self.most {
            return None;
        }
        self.kept.push_back(payload);
        Some(self.callers(self.confirmed + self.kept.len() as u64))
    }

    /// The next command to send on this connection.
    pub(super) fn next(&mut self) -> Option<Command> {
        let payload = self.kept.get(self.sent)?.clone();
        self.sent += 1;
        self.tried = self.tried.max(self.sent);
        Some(Command { sequence: self.confirmed + self.sent as u64, payload })
    }

    /// Whether the server has said that it has more than that.
    pub(super) fn are_confirmed_beyond(&self, sequence: u64) -> bool {
        self.confirmed > sequence
    }

    /// The server has everything up to `sequence`.
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

    /// The connection was lost: all are sent again.
    pub(super) fn disconnected(&mut self) {
        self.sent = 0;
    }

    /// The seat is lost, and there is a new one. Commands that were never sent go to the new seat. Those sent
    /// but not confirmed are dropped: the server may have carried them out, and sending them again could do
    /// it twice. Returns the caller's numbers of the dropped ones.
    pub(super) fn new_seat(&mut self) -> RangeInclusive<u64> {
        let last = self.confirmed + self.tried as u64;
        let dropped = self.callers(self.confirmed + 1)..=self.callers(last);
        self.kept.drain(..self.tried);
        self.earlier = self.callers(last);
        (self.confirmed, self.sent, self.tried) = (0, 0, 0);
        dropped
    }

    /// The caller's number of the command with this wire number.
    pub(super) fn callers(&self, sequence: u64) -> u64 {
        self.earlier.saturating_add(sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}
