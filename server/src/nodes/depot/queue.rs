//! What rooms hand over to be stored.

use super::{About, MOST};
use crate::store::{Append, Row, frames};
use parking_lot::{Condvar, Mutex};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A small frame has no more bytes.
const SMALL: usize = 64;
/// Room for frames that is kept for the next ones.
const USUAL: usize = 4 << 20;

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Something other than a frame has come.
    pub(super) changed: Notify,
    empty: Condvar,
}

/// What waits, as it is taken.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Frames of all rooms, as in a file of a journal.
    pub frames: Vec<u8>,
    /// Everything else, in order.
    pub changes: Vec<Change>,
    /// When the first of it came.
    pub since: Option<Instant>,
    /// Frames that found no place.
    pub refused: u64,
    /// Something that was taken is not written yet.
    writing: bool,
}

/// Something of a room, which comes after the frames up to a position.
#[derive(Debug)]
pub(super) struct Change {
    pub room: u64,
    pub at: usize,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A checkpoint.
    Put { row: Arc<Row>, about: Arc<About>, taken: Instant },
    /// A checkpoint of a room that has stopped in order.
    Stopped(Arc<Row>),
    /// The room has ended.
    Forget,
    /// The room is not this node's any more, and nothing is written of it.
    Left,
}

impl Append for Queue {
    fn append(&self, room: u64, number: u64, body: &[u8]) -> bool {
        let before = frames::before(room, number, body);
        let mut waiting = self.waiting.lock();
        if waiting.frames.len() + frames::length(body) > MOST {
            waiting.refused += 1;
            return false;
        }
        if waiting.frames.is_empty() {
            waiting.since.get_or_insert_with(Instant::now);
        }
        waiting.frames.extend_from_slice(&before);
        waiting.frames.extend_from_slice(body);
        true
    }

    fn has_place(&self) -> bool {
        self.waiting.lock().frames.len() < MOST - SMALL
    }
}

impl Queue {
    /// What becomes of a room. An older checkpoint of it that still waits counts no more, unless it says what
    /// room that is.
    pub(super) fn change(&self, room: u64, what: What) {
        let mut waiting = self.waiting.lock();
        let at = waiting.frames.len();
        let stopped = matches!(what, What::Stopped(_));
        let counts = |before: &Change| before.room != room || stopped || matches!(before.what, What::Forget);
        waiting.changes.retain(counts);
        waiting.changes.push(Change { room, at, what });
        waiting.since.get_or_insert_with(Instant::now);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Takes everything. `used` is what was taken before, whose memory is used again.
    pub(super) fn take(&self, mut used: Waiting) -> Waiting {
        used.frames.clear();
        used.changes.clear();
        if used.frames.capacity() > USUAL {
            used.frames = Vec::new();
        }
        let mut waiting = self.waiting.lock();
        let writing = waiting.since.is_some();
        mem::replace(&mut waiting, Waiting { since: None, refused: 0, writing, ..used })
    }

    /// What was taken is written.
    pub(super) fn written(&self) {
        let mut waiting = self.waiting.lock();
        waiting.writing = false;
        if waiting.since.is_none() {
            self.empty.notify_all();
        }
    }

    /// Bytes of frames that wait.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.lock().frames.len()
    }

    /// Waits until everything is written, so long.
    pub(super) fn is_empty_within(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        self.changed.notify_one();
        let mut waiting = self.waiting.lock();
        while waiting.since.is_some() || waiting.writing {
            if self.empty.wait_until(&mut waiting, until).timed_out() {
                return false;
            }
        }
        true
    }
}
