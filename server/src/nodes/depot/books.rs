//! What is written next, and what Redis has of each room. Pure.

use super::{
    About, Written,
    queue::{Change, Waiting, What},
};
use crate::store::{Row, frames};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

/// Rooms whose journals are written, by number.
#[derive(Debug, Default)]
pub(super) struct Books {
    rooms: HashMap<u64, Entry>,
    /// Rooms of which Redis takes nothing.
    refused: HashSet<u64>,
    /// How much was written.
    writes: u64,
}

#[derive(Debug)]
struct Entry {
    about: Arc<About>,
    /// The number of what was written of it last.
    last: u64,
    /// None of its frames counts before its next checkpoint.
    gap: bool,
}

/// What is written of a room.
#[derive(Debug)]
pub(super) struct Write {
    /// Its number, which rises: what comes after something later changes nothing.
    pub number: u64,
    pub room: u64,
    pub about: Arc<About>,
    pub order: Order,
    /// The frames that follow.
    pub frames: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Order {
    /// A checkpoint, taken at this time.
    Put {
        row: Arc<Row>,
        taken: Instant,
    },
    /// To what was written with this number.
    Append {
        after: u64,
    },
    Forget,
}

impl Books {
    /// What is to be written, in order.
    pub(super) fn take(&mut self, waiting: &mut Waiting) -> Vec<Write> {
        let mut writes = Vec::new();
        // The last change of each room: the position after which its frames count, and where it is written.
        let mut last: HashMap<u64, (usize, Option<usize>)> = HashMap::new();
        for Change { room, at, what } in waiting.changes.drain(..) {
            let write = self.change(room, what);
            last.insert(room, (at, write.is_some().then_some(writes.len())));
            writes.extend(write);
        }
        let mut at = 0;
        for found in frames::frames(&waiting.frames) {
            let (from, to) = (at, at + frames::length(found.body));
            at = to;
            let Some(entry) = self.rooms.get(&found.room) else { continue };
            let (after, write) = last.get(&found.room).copied().unwrap_or((0, None));
            if from < after || entry.gap {
                continue;
            }
            let write = write.unwrap_or_else(|| {
                let (about, order) = (entry.about.clone(), Order::Append { after: entry.last });
                writes.push(Write { number: 0, room: found.room, about, order, frames: Vec::new() });
                writes.len() - 1
            });
            last.insert(found.room, (after, Some(write)));
            writes[write].frames.extend_from_slice(&waiting.frames[from..to]);
        }
        for write in &mut writes {
            self.writes += 1;
            write.number = self.writes;
            if let Some(entry) = self.rooms.get_mut(&write.room) {
                entry.last = write.number;
            }
        }
        writes
    }

    fn change(&mut self, room: u64, what: What) -> Option<Write> {
        self.refused.remove(&room);
        let (about, order) = match what {
            What::Put { row, about, taken } => {
                self.rooms.insert(room, Entry { about: about.clone(), last: 0, gap: false });
                (about, Order::Put { row, taken })
            }
            What::Stopped(row) => {
                let entry = self.rooms.get(&room)?;
                (entry.about.clone(), Order::Put { row, taken: Instant::now() })
            }
            What::Forget => (self.rooms.remove(&room)?.about, Order::Forget),
            What::Left => {
                self.rooms.remove(&room);
                return None;
            }
        };
        Some(Write { number: 0, room, about, order, frames: Vec::new() })
    }

    /// How it went.
    pub(super) fn written(&mut self, write: &Write, outcome: Written) {
        if outcome == Written::Done {
            return;
        }
        if let Some(entry) = self.of(write) {
            entry.gap = true;
            entry.about.wanted.store(true, Relaxed);
        }
    }

    /// Redis does not take it, and would not if it were asked again. The room's next checkpoint may be one
    /// that it takes: it is not asked for one sooner.
    pub(super) fn refused(&mut self, write: &Write) {
        if let Some(entry) = self.of(write) {
            entry.gap = true;
            self.refused.insert(write.room);
        }
    }

    fn of(&mut self, write: &Write) -> Option<&mut Entry> {
        self.rooms.get_mut(&write.room).filter(|entry| Arc::ptr_eq(&entry.about, &write.about))
    }

    /// How many rooms there are of which Redis takes nothing.
    pub(super) fn count_refused(&self) -> usize {
        self.refused.len()
    }

    /// Rooms that are no longer this node's are written no more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.rooms.retain(|_, entry| !entry.about.grant.owned.is_over(now));
        self.refused.retain(|room| self.rooms.contains_key(room));
    }

    /// How many rooms are stored.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether no room is stored.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}
