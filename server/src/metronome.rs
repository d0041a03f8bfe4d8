//! The one clock thread: sleeps to absolute deadlines and tells rooms that a tick is due.
//!
//! tokio's timers round to a millisecond, and an actor's `run_interval` fires every missed tick back to back after a stall.
//! Neither drives a room.

use crate::{
    ground::shared::RoomShared,
    room::{Tick, schedule::Schedule},
    thread::prefer_latency,
};
use actix::Recipient;
use parking_lot::{Condvar, Mutex};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Instant,
};

/// The clock thread. Stops when the last handle is dropped.
pub struct Metronome {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    new: Vec<Beat>,
    stopped: bool,
}

/// A room on the clock.
struct Beat {
    at: Instant,
    tick: u64,
    schedule: Schedule,
    shared: Arc<RoomShared>,
    room: Recipient<Tick>,
}

impl Metronome {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let inner = Arc::<Inner>::default();
        let of_thread = inner.clone();
        thread::Builder::new().name("metronome".into()).spawn(move || of_thread.run())?;
        Ok(Self { inner })
    }

    /// Puts a room on the clock, until it ends.
    pub fn add(&self, schedule: Schedule, shared: Arc<RoomShared>, room: Recipient<Tick>) {
        let beat = Beat { at: schedule.deadline(1), tick: 1, schedule, shared, room };
        self.inner.waiting.lock().new.push(beat);
        self.inner.changed.notify_one();
    }
}

impl Drop for Metronome {
    fn drop(&mut self) {
        self.inner.waiting.lock().stopped = true;
        self.inner.changed.notify_one();
    }
}

impl Inner {
    fn run(&self) {
        prefer_latency();
        let mut beats: BinaryHeap<Reverse<Beat>> = BinaryHeap::new();
        loop {
            {
                let mut waiting = self.waiting.lock();
                if waiting.stopped {
                    return;
                }
                if waiting.new.is_empty() {
                    match beats.peek() {
                        Some(Reverse(next)) if next.at > Instant::now() => {
                            self.changed.wait_until(&mut waiting, next.at);
                        }
                        Some(_) => {}
                        None => self.changed.wait(&mut waiting),
                    }
                }
                beats.extend(waiting.new.drain(..).map(Reverse));
            }
            let now = Instant::now();
            while let Some(Reverse(next)) = beats.peek()
                && next.at <= now
            {
                if let Some(Reverse(due)) = beats.pop()
                    && let Some(again) = due.ring(now)
                {
                    beats.push(Reverse(again));
                }
            }
        }
    }
}

impl Beat {
    /// Tells the room, unless it has not yet done the last tick: it will see by itself which is due. Gives the next
    /// deadline; None: the room has ended.
    fn ring(mut self, now: Instant) -> Option<Self> {
        if !self.room.connected() {
            return None;
        }
        if !self.shared.tick_pending.swap(true, Ordering::AcqRel) && self.room.try_send(Tick).is_err() {
            // No place among the control messages: the tick counts as skipped when the room comes to it.
            self.shared.tick_pending.store(false, Ordering::Release);
        }
        self.tick = self.schedule.due(now, self.tick).map_or(self.tick, |due| due.tick) + 1;
        self.at = self.schedule.deadline(self.tick);
        Some(self)
    }
}

impl PartialEq for Beat {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Beat {}

impl PartialOrd for Beat {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Beat {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
