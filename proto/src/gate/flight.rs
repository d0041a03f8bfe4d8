//! States in flight.

use super::{MAX_IN_FLIGHT, Nanos};

/// States in flight, oldest first. There are nearly always one or two, so only the first elements are
/// touched.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Flight {
    len: u32,
    sent: [Sent; MAX_IN_FLIGHT],
}

/// Packed, which makes it a quarter smaller.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct Sent {
    pub(super) tick: u32,
    pub(super) at: Nanos,
}

impl Default for Flight {
    fn default() -> Self {
        Self { len: 0, sent: [Sent { tick: 0, at: 0 }; MAX_IN_FLIGHT] }
    }
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Adds one. There must be room for it.
    pub(super) fn push(&mut self, sent: Sent) {
        self.sent[self.len()] = sent;
        self.len += 1;
    }

    /// Removes the `count` oldest. Returns the tick of the last of them.
    pub(super) fn remove(&mut self, count: usize) -> Option<u32> {
        let last = self.sent[..self.len()][..count].last()?.tick;
        self.sent.copy_within(count..self.len as usize, 0);
        self.len -= count as u32;
        Some(last)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Sent> + '_ {
        self.sent[..self.len()].iter().copied()
    }

    pub(super) fn find(&self, tick: u32) -> Option<(usize, Sent)> {
        self.iter().enumerate().find(|(_, sent)| { sent.tick } == tick)
    }
}
