//! What has to be acknowledged, and by when.

use crate::session::Delivery;
use std::time::{Duration, Instant};

/// Acknowledgements of one connection. They travel with inputs; after a while without one they are sent
/// alone.
#[derive(Debug)]
pub(super) struct Acks {
    /// Newest state message and reliable message of this connection; 0: none.
    state: u32,
    reliable: u64,
    /// Bit n: the state message with number `newest` - 1 - n was applied.
    newest: u32,
    applied: u32,
    /// Deadline up to which something that waits to be acknowledged may wait for an input.
    due_at: Option<Instant>,
    /// Whether acknowledgements may be lost: then each message repeats them.
    repeats: bool,
}

/// What one message acknowledges. 0: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acked {
    /// Number of the newest state message applied.
    pub(super) state: u32,
    /// Bit n: the state message n + 1 before it was not applied.
    pub(super) missing: u32,
    /// Sequence of the newest reliable message.
    pub(super) reliable: u64,
}

impl Acks {
    pub(super) fn new(delivery: Delivery) -> Self {
        let repeats = delivery == Delivery::Datagram;
        // Nothing before message 1 is missing.
        Self { state: 0, reliable: 0, newest: 0, applied: u32::MAX, due_at: None, repeats }
    }

    /// The state message with this number was applied, in a room with this tick length.
    pub(super) fn state(&mut self, now: Instant, number: u32, tick: Duration) {
        if number > self.newest {
            let ahead = number - self.newest;
            // The message that was the newest is `ahead` before this one.
            let before = 1_u64 << (ahead - 1).min(63);
            let applied = u64::from(self.applied).checked_shl(ahead).unwrap_or(0) | before;
            self.applied = applied as u32;
            self.newest = number;
        } else if let Some(behind) = (self.newest - number).checked_sub(1)
            && behind < u32::BITS
        {
            self.applied |= 1 << behind;
        }
        self.state = self.newest;
        self.wait(now, tick);
    }

    /// Whether the state message with this number was applied, or is so old that nobody could be told.
    pub(super) fn has(&self, number: u32) -> bool {
        match self.newest.checked_sub(number) {
            None => false,
            Some(0) => true,
            Some(behind) => self.applied.checked_shr(behind - 1).is_none_or(|bits| bits & 1 != 0),
        }
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

    /// What to acknowledge with the message being sent.
    pub(super) fn take(&mut self) -> Acked {
        self.due_at = None;
        let missing = if self.repeats && self.state != 0 { !self.applied } else { 0 };
        let acked = Acked { state: self.state, missing, reliable: self.reliable };
        if !self.repeats {
            (self.state, self.reliable) = (0, 0);
        }
        acked
    }

    fn wait(&mut self, now: Instant, tick: Duration) {
        // A player who sends an input each tick should not need a separate acknowledgement because one input
        // came late.
        self.due_at.get_or_insert(now + tick + tick / 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_to_be_acknowledged_counts_as_applied() {
        let mut acks = Acks::new(Delivery::Datagram);
        acks.state(Instant::now(), 50, Duration::ZERO);
        let applied: Vec<_> = (1..60).filter(|&number| acks.has(number)).collect();
        assert_eq!(applied, (1..18).chain([50]).collect::<Vec<_>>());
    }
}
