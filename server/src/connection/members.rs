//! What a connection tells its player about the members of the room, and how fast.
//!
//! It is bounded whatever others do: at most a page per tick, [`BURST`] bytes at once and [`RATE`] bytes per
//! second. What exceeds that stays in the room's list, and newer changes replace it there.

use crate::ground::members::{Members, PAGE_BYTES, Position};
use bytes::Bytes;
use std::time::Instant;

/// Bytes of presence that a connection may get at once.
pub const BURST: u32 = 64 * 1024;
/// Bytes of presence per second that a connection gets on average.
pub const RATE: u32 = 16 * 1024;

/// What a connection's player has of the list of members.
#[derive(Debug)]
#[repr(C)] // what every tick needs comes first
pub struct MemberReader {
    /// A tick has passed since the last look.
    due: bool,
    position: Position,
    budget: Budget,
}

impl MemberReader {
    /// For a player who has this version already. 0: nothing.
    pub fn new(has: u64, now: Instant) -> Self {
        Self { due: false, position: Position::at(has), budget: Budget { bytes: f64::from(BURST), at: now } }
    }

    /// A tick has passed.
    pub fn tick(&mut self) {
        self.due = true;
    }

    /// Whether `next` may have something.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// The next message, at most once per tick.
    pub fn next(&mut self, members: &Members, now: Instant) -> Option<Bytes> {
        let due = std::mem::take(&mut self.due) && members.version() != self.position.version();
        if !due || !self.budget.has_page(now) {
            return None;
        }
        let message = members.read(&mut self.position)?;
        self.budget.take(message.len());
        Some(message)
    }
}

/// A token bucket of bytes.
#[derive(Debug)]
struct Budget {
    /// Negative after a page that was larger than a page should be.
    bytes: f64,
    at: Instant,
}

impl Budget {
    fn has_page(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.bytes = (self.bytes + passed * f64::from(RATE)).min(f64::from(BURST));
        self.at = now;
        self.bytes >= PAGE_BYTES as f64
    }

    fn take(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }
}
