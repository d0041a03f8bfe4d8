//! What the leader and the bots of a soak tell each other.

use crate::check::{Violation, Violations};
use serde::Serialize;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Shared by the leader and the bots' thread.
#[derive(Debug, Default)]
pub struct Board {
    inner: Mutex<Inner>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    rooms: Vec<String>,
    counts: Counts,
    violations: Violations,
}

/// What the bots have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Seats that players took.
    pub joined: u64,
    /// Seats that were given back.
    pub left: u64,
    /// Seats that were resumed after a cut.
    pub resumed: u64,
    /// Seats that were given up without a word.
    pub vanished: u64,
    /// Times that a bot did not read for a while.
    pub stalled: u64,
    /// Times that a spectator began to watch.
    pub watched: u64,
    /// Seats that ended with their room.
    pub rooms_closed: u64,
    /// States that arrived.
    pub states: u64,
}

impl Board {
    /// One with these rooms.
    pub fn new(rooms: Vec<String>) -> Self {
        Self { inner: Mutex::new(Inner { rooms, ..Inner::default() }), over: AtomicBool::new(false) }
    }
    /// The name of a room that is open now, by a number among as many as there are.
    pub fn room(&self, choose: impl FnOnce(usize) -> usize) -> String {
        let inner = self.lock();
        inner.rooms.get(choose(inner.rooms.len())).cloned().unwrap_or_default()
    }
    /// Another room takes the place of one, whose name is returned.
    pub fn replace(&self, place: usize, room: String) -> String {
        self.lock().rooms.get_mut(place).map_or_else(String::new, |old| std::mem::replace(old, room))
    }
    /// Whether a room is open.
    pub fn has(&self, room: &str) -> bool {
        self.lock().rooms.iter().any(|open| open == room)
    }
    /// All open rooms.
    pub fn rooms(&self) -> Vec<String> {
        self.lock().rooms.clone()
    }
    /// A bot has done something.
    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.lock().counts);
    }
    /// What they have done.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }
    /// Something went wrong.
    pub fn report(&self, violation: &Violation) {
        self.lock().violations.add(violation);
    }
    /// Does something with what went wrong.
    pub fn violations<T>(&self, look: impl FnOnce(&Violations) -> T) -> T {
        look(&self.lock().violations)
    }
    /// All bots are to leave.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
    /// Whether they are to leave.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Counts are right whoever has panicked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
