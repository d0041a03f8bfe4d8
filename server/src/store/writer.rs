//! What waits to be written to the database, and how it is.

use super::{folder::Folder, log::Log, row::Row};
use crate::{clock, metrics::Metrics};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// What is wrong if the database is not where it was.
const GONE: &str = "the database is no longer there: somebody has removed or replaced it. It begins anew";
/// Shortest time between two transactions, so that many rooms share one.
const TOGETHER: Duration = Duration::from_millis(200);

/// What waits to be written: of each name the newest, so that it is bounded.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    rooms: HashMap<String, Change>,
    /// Rooms whose rows are set aside, before the others are written.
    aside: Vec<String>,
}

/// What becomes of the row of a name.
#[derive(Debug)]
struct Change {
    /// The number of the room that has it, or had it until its end.
    room: u64,
    /// None: the room has ended.
    row: Option<Arc<Row>>,
}

/// What a checkpoint in the database needs of the journal.
#[derive(Debug)]
struct Since {
    /// The number of its room.
    room: u64,
    /// The segment with the first frame after it. None: the room has stopped, and there is none.
    segment: Option<u64>,
}

/// Writes it.
pub(super) struct Writer {
    folder: Folder,
    pending: Arc<Pending>,
    log: Arc<Log>,
    metrics: Arc<Metrics>,
    /// Of each name in the database, which frames it needs.
    since: HashMap<String, Since>,
    written: Instant,
}

impl Pending {
    /// A checkpoint to write. `row` is called while nothing is taken: what it appends to the journal is in
    /// segments that are kept until the row is written.
    pub(super) fn put(&self, name: String, row: impl FnOnce() -> Arc<Row>) {
        let mut waiting = self.0.lock();
        let row = row();
        waiting.change(name, Change { room: row.id(), row: Some(row) });
    }

    /// A room has ended. `end` says so in the journal.
    pub(super) fn forget(&self, name: String, room: u64, end: impl FnOnce()) {
        let mut waiting = self.0.lock();
        end();
        waiting.change(name, Change { room, row: None });
    }

    /// A room whose row is set aside.
    pub(super) fn set_aside(&self, name: String) {
        self.0.lock().aside.push(name);
    }

    /// Puts back what could not be written, where nothing newer waits.
    fn put_back(&self, rooms: HashMap<String, Change>, aside: Vec<String>) {
        let mut waiting = self.0.lock();
        waiting.aside.extend(aside);
        for (name, change) in rooms {
            waiting.rooms.entry(name).or_insert(change);
        }
    }
}

impl Waiting {
    /// Rooms get their names one after another, and each its number before that: nothing that is said of an
    /// older room of this name counts any more.
    fn change(&mut self, name: String, change: Change) {
        match self.rooms.entry(name) {
            Entry::Vacant(free) => drop(free.insert(change)),
            Entry::Occupied(mut before) if before.get().room <= change.room => drop(before.insert(change)),
            Entry::Occupied(_) => {}
        }
    }
}

impl Writer {
    /// For a folder whose database has these rooms.
    pub(super) fn new(
        folder: Folder,
        rows: &[Row],
        pending: Arc<Pending>,
        log: Arc<Log>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let segment = log.segment();
        let since = |row: &Row| Since { room: row.id(), segment: Some(segment) };
        let since = rows.iter().map(|row| (row.name().to_owned(), since(row))).collect();
        Self { folder, pending, log, metrics, since, written: clock::now() }
    }

    /// Writes what waits, if that is due, and deletes what of the journal nobody needs then: all of it, if
    /// all rooms have stopped in order. (So the next server may be one that reads another format.)
    pub(super) fn work(&mut self, now: Instant, last: bool) -> io::Result<()> {
        if !last && now.saturating_duration_since(self.written) < TOGETHER {
            return Ok(());
        }
        self.written = now;
        if !self.folder.rooms.are_there() {
            self.folder.rooms.leave();
            // In the end, all rooms are among what waits.
            if !last {
                self.log.distrust(GONE);
                return Err(io::Error::other(GONE));
            }
        }
        let (rooms, aside, current) = {
            let mut waiting = self.pending.0.lock();
            // Under the lock: a checkpoint that is not taken here has its frames in this segment or in later
            // ones.
            (mem::take(&mut waiting.rooms), mem::take(&mut waiting.aside), self.log.segment())
        };
        if rooms.is_empty() && aside.is_empty() && !last {
            self.log.needs_only_from(self.needed().unwrap_or(current));
            return Ok(());
        }
        let since = &self.since;
        let counts =
            |name: &str, change: &Change| since.get(name).is_none_or(|since| since.room <= change.room);
        let changes = rooms.iter().filter(|(name, change)| counts(name, change));
        let changes = changes.map(|(name, change)| (name.as_str(), change.row.as_deref()));
        match self.folder.rooms.change(changes, &aside) {
            Ok(bytes) => {
                let written = rooms.values().filter(|change| change.row.is_some()).count();
                self.metrics.store.checkpoints.inc_by(written as u64);
                self.metrics.store.checkpoint_bytes.inc_by(bytes);
            }
            Err(error) => {
                self.pending.put_back(rooms, aside);
                return Err(error);
            }
        }
        for name in &aside {
            self.since.remove(name);
        }
        for (name, Change { room, row }) in rooms {
            if self.since.get(&name).is_none_or(|newest| newest.room <= room) {
                match row {
                    Some(row) => {
                        let segment = (!row.stopped).then_some(row.segment);
                        self.since.insert(name, Since { room, segment });
                    }
                    None => drop(self.since.remove(&name)),
                }
            }
        }
        let needed = self.needed();
        self.log.needs_only_from(needed.unwrap_or(current));
        let all = if last { u64::MAX } else { current };
        self.folder.delete_before(needed.map_or(all, |needed| needed.min(current)))
    }

    /// The first segment that a room needs.
    fn needed(&self) -> Option<u64> {
        self.since.values().filter_map(|since| since.segment).min()
    }
}

#[cfg(test)]
mod tests;
