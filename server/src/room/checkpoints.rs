//! When a room writes a checkpoint, and where to.

use super::core::Carried;
use crate::ground::id::RoomId;
use std::{fmt, time::Duration};

/// Where the checkpoints of a room go. None of the calls waits until the disk has them.
pub(crate) trait CheckpointSink: Send + fmt::Debug {
    /// Takes a checkpoint, which `took` so long, right after the last frame of the room's journal. From the
    /// first one on, the room survives its process.
    fn put(&self, checkpoint: Carried, took: Duration);
    /// Whether it wants one soon: without it, the room would not survive.
    fn is_wanted(&self) -> bool {
        false
    }
    /// The room has ended, and nothing of it is to be kept. To be called before another can have its name.
    fn forget(&self);
    /// The room goes on at another node, which keeps it from now on.
    fn left(&self) {}
}

/// The checkpoints of a room that is to survive its server.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    sink: Box<dyn CheckpointSink>,
    /// Ticks between two checkpoints.
    every: u32,
    /// Ticks in a second.
    second: u32,
    /// The tick of the next one.
    next: u32,
}

impl Checkpoints {
    /// For a room with this tick rate.
    pub(crate) fn new(sink: Box<dyn CheckpointSink>, every: Duration, tick_rate: u32) -> Self {
        let every = every.as_millis() * u128::from(tick_rate) / 1_000;
        Self { sink, every: u32::try_from(every).unwrap_or(u32::MAX).max(1), second: tick_rate, next: 0 }
    }

    /// Takes a checkpoint that was due, which `took` so long.
    pub(super) fn put(&mut self, checkpoint: Carried, took: Duration) {
        // Rooms that begin together, as after a restart, do not go on doing this together.
        let (first, half) = (self.next == 0, self.every / 2);
        let wait = if first { half + spread(checkpoint.id) % (half + 1) } else { self.every };
        self.next = checkpoint.last_tick().saturating_add(wait.max(1));
        self.sink.put(checkpoint, took);
    }

    /// Whether one is due at this tick: the first one is at once. `settled`: what is known of a player since
    /// deserves one.
    pub(super) fn is_due(&mut self, tick: u32, settled: bool) -> bool {
        // Soon, but once for all who come back in a second: each checkpoint is a save of the whole game.
        if settled || self.sink.is_wanted() {
            self.next = self.next.min(tick.saturating_add(self.second));
        }
        tick >= self.next
    }

    /// The room has ended.
    pub(super) fn forget(self) {
        self.sink.forget();
    }

    /// The room goes on at another node.
    pub(super) fn left(self) {
        self.sink.left();
    }
}

/// A number that differs from room to room.
fn spread(room: RoomId) -> u32 {
    (room.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl CheckpointSink for Nowhere {
        fn put(&self, _: Carried, _: Duration) {}
        fn forget(&self) {}
    }

    #[test]
    fn players_who_come_back_in_the_same_second_share_a_checkpoint() {
        let mut checkpoints = Checkpoints::new(Box::new(Nowhere), Duration::from_secs(10), 20);
        assert!(checkpoints.is_due(1, false), "the first one");
        checkpoints.next = 201;
        let due: Vec<_> = (2..=40).filter(|tick| checkpoints.is_due(*tick, *tick >= 10)).collect();
        assert_eq!(due.first(), Some(&30), "a second after the first of them");
        checkpoints.next = 40;
        assert!(!checkpoints.is_due(39, true) && checkpoints.is_due(40, false), "it is never put off");
    }
}
