//! Inputs to send, and inputs to send again: on transports that lose messages, and where a room goes on at
//! another node that has not got them.

use crate::{
    limits::MAX_PREVIOUS_INPUTS,
    moment::Moment,
    session::{Delivery, moments},
    wire::Input,
};
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes of earlier inputs that one message repeats at most, so that it fits a datagram (at least 1162
/// bytes).
const REPEATED_BYTES: usize = 1000;

/// Inputs of one seat, numbered from 1.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Inputs that no state has confirmed, oldest first, at most 9; the newest has the number `last`.
    kept: VecDeque<Kept>,
    last: u32,
    /// How many of them, the newest, were not sent on this connection.
    unsent: usize,
    /// The next message carries the others, too.
    repeats: bool,
}

/// An input, and what the player was shown when acting.
#[derive(Debug)]
struct Kept {
    payload: Bytes,
    moment: Option<Moment>,
}

impl Inputs {
    pub(super) fn new() -> Self {
        Self { kept: VecDeque::new(), last: 0, unsent: 0, repeats: false }
    }

    /// The new input's number. None: there are none left.
    pub(super) fn push(&mut self, moment: Option<Moment>, payload: Bytes) -> Option<u32> {
        self.last = self.last.checked_add(1)?;
        if self.kept.len() > MAX_PREVIOUS_INPUTS {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { payload, moment });
        self.unsent = (self.unsent + 1).min(self.kept.len());
        Some(self.last)
    }

    /// The next message to send, with the earlier inputs that it brings, without acknowledgements.
    pub(super) fn next(&mut self) -> Option<Input> {
        let unsent = std::mem::take(&mut self.unsent);
        if unsent == 0 {
            return None;
        }
        let Kept { payload, moment } = self.kept.back()?;
        let (payload, moment) = (payload.clone(), *moment);
        let earlier = self.kept.len() - 1;
        let first = if self.repeats { 0 } else { self.kept.len() - unsent };
        let mut room = REPEATED_BYTES.saturating_sub(payload.len());
        let fitting = self.kept.range(first..earlier).rev().take_while(|kept| {
            let fits = kept.payload.len() <= room;
            room = room.saturating_sub(kept.payload.len());
            fits
        });
        let skipped = earlier - fitting.count();
        let previous = self.kept.range(skipped..earlier).map(|kept| kept.payload.clone()).collect();
        let moments = self.kept.range(skipped..).map(|kept| kept.moment);
        let previous_moments = moments::distances(moments);
        let moment = Moment::to_wire(moment);
        Some(Input { sequence: self.last, moment, payload, previous, previous_moments, ..Input::default() })
    }

    /// A state contains all inputs up to `sequence`.
    pub(super) fn confirmed(&mut self, sequence: u32) {
        let unconfirmed = self.last.saturating_sub(sequence) as usize;
        // A state cannot contain inputs that were not sent: a server that says so is wrong.
        while self.kept.len() > unconfirmed.max(self.unsent) {
            self.kept.pop_front();
        }
    }

    /// The welcome over a new connection names the last input that the server took: numbers continue above
    /// it. If the room `stood_still` meanwhile, what it has not got is sent again. Otherwise, what was for
    /// the previous connection is outdated.
    pub(super) fn welcomed(&mut self, delivery: Delivery, sequence: u32, stood_still: bool) {
        self.last = self.last.max(sequence);
        let missing = if stood_still { (self.last - sequence) as usize } else { 0 };
        self.kept.drain(..self.kept.len().saturating_sub(missing));
        self.unsent = self.kept.len();
        self.repeats = delivery == Delivery::Datagram;
    }
}
