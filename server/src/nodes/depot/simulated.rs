//! A depot in virtual time: its queue and its books, without the thread that writes.

use super::{
    About, Written,
    books::{Books, Order, Write},
    queue::{Queue, Waiting, What},
};
use crate::{
    nodes::{
        ask::{Epoch, Incarnation},
        grant::Grant,
        model::{KIND, Keep, Saved},
    },
    store::{self, Append as _, Row, frames},
};
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

/// What is written of a node's rooms.
#[derive(Default)]
pub(in crate::nodes) struct Depot {
    queue: Queue,
    books: Books,
    /// What Redis has yet to confirm.
    writes: Vec<Write>,
}

/// Of which room something is written, and by whom.
#[derive(Clone)]
pub(in crate::nodes) struct Page {
    about: Arc<About>,
    /// The room's number.
    number: u64,
}

/// Something that is written of a room, with its number.
pub(in crate::nodes) type Entry = (Arc<str>, Incarnation, Epoch, u64, Keep);

/// How a room is, in what is stored of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nodes) struct State {
    /// Which one of its name it is.
    pub life: u64,
    /// How often it was published.
    pub progress: u64,
}

impl Page {
    pub(in crate::nodes) fn new(room: &Arc<str>, number: u64, grant: &Grant) -> Self {
        let about = Arc::new(About {
            name: room.clone(),
            kind: KIND.into(),
            grant: grant.clone(),
            wanted: AtomicBool::new(false),
        });
        Self { about, number }
    }

    pub(in crate::nodes) fn wants_checkpoint(&self) -> bool {
        self.about.wanted.load(Relaxed)
    }
}

impl Depot {
    pub(in crate::nodes) fn put(&self, page: &Page, state: State, taken: Instant) {
        page.about.wanted.store(false, Relaxed);
        let (row, about) = (Arc::new(state.row(page)), page.about.clone());
        self.queue.change(page.number, What::Put { row, about, taken });
    }

    /// The room has stopped in order.
    pub(in crate::nodes) fn stop(&self, page: &Page, state: State) {
        self.queue.change(page.number, What::Stopped(Arc::new(state.row(page))));
    }

    /// It has come so far. (Its frames are numbered by that.)
    pub(in crate::nodes) fn append(&self, page: &Page, state: State) {
        self.queue.append(page.number, state.progress, &[]);
    }

    pub(in crate::nodes) fn forget(&self, page: &Page) {
        self.queue.change(page.number, What::Forget);
    }

    pub(in crate::nodes) fn leave(&self, page: &Page) {
        page.about.grant.leaves_stored();
        self.queue.change(page.number, What::Left);
    }

    /// What is to be written next. It is the same until it is confirmed.
    pub(in crate::nodes) fn write(&mut self, now: Instant) -> Vec<Entry> {
        if self.writes.is_empty() {
            self.books.sweep(now);
            self.writes = self.books.take(&mut self.queue.take(Waiting::default()));
            self.queue.written();
        }
        let entry = |Write { number, about, order, frames, .. }: &Write| {
            let keep = match order {
                Order::Put { row, .. } => Keep::Put(Saved { row: State::bytes(row), frames: frames.clone() }),
                Order::Append { after } => Keep::Append { after: *after, frames: frames.clone() },
                Order::Forget => Keep::Forget,
            };
            (about.name.clone(), about.grant.node.clone(), about.grant.epoch(), *number, keep)
        };
        self.writes.iter().map(entry).collect()
    }

    /// Redis has taken all of it, or says why not.
    pub(in crate::nodes) fn confirmed(&mut self, outcomes: &[Written]) {
        for (write, outcome) in self.writes.drain(..).zip(outcomes) {
            self.books.written(&write, *outcome);
        }
    }

    /// Nothing waits for Redis.
    pub(in crate::nodes) fn is_written(&self) -> bool {
        self.writes.is_empty() && self.queue.is_empty_within(std::time::Duration::ZERO)
    }

    /// How many rooms it knows.
    pub(in crate::nodes) fn rooms(&self) -> usize {
        self.books.len()
    }
}

thread_local! {
    static LIKE: Row = store::row(0, "room");
}

impl State {
    fn row(self, page: &Page) -> Row {
        LIKE.with(|like| Row {
            losable_ms: self.life,
            frame: self.progress,
            segment: page.number,
            ..like.clone()
        })
    }

    fn bytes(row: &Row) -> Bytes {
        [row.losable_ms, row.frame, row.segment].map(u64::to_le_bytes).concat().into()
    }

    /// How a room goes on that is stored so.
    pub(in crate::nodes) fn restored(saved: &Saved) -> Self {
        let number = |at: usize| {
            let bytes = saved.row.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let (mut state, room) = (State { life: number(0), progress: number(8) }, number(16));
        for found in frames::frames(&saved.frames).filter(|found| found.room == room) {
            state.progress += u64::from(found.number == state.progress + 1);
        }
        state
    }
}
