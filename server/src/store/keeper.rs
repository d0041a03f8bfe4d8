//! The thread that writes checkpoints and looks after the journal.

use super::{Intervals, folder::Folder, log::Log, row::Row};
use crate::{health::Part, metrics::Metrics};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::HashMap,
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::warn;

/// Longest time until the keeper notices what there is to do.
const POLL: Duration = Duration::from_millis(20);
/// Shortest time between two transactions, so that many rooms share one.
const TOGETHER: Duration = Duration::from_millis(200);
/// Time until another attempt after one that has failed.
const RETRY: Duration = Duration::from_secs(1);

/// What waits for the keeper: of each room the newest, so that it is bounded.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    rooms: HashMap<String, Option<Row>>,
    /// Rooms whose rows are set aside, before the others are written.
    aside: Vec<String>,
    closed: bool,
    failure: Option<String>,
}

/// The keeper.
pub(super) struct Keeper {
    folder: Folder,
    pending: Arc<Pending>,
    log: Arc<Log>,
    intervals: Intervals,
    metrics: Arc<Metrics>,
    health: Arc<Part>,
    /// For each room in the database, the segment with the first frame after its checkpoint.
    since: HashMap<String, u64>,
    written: Instant,
    synchronised: Instant,
    failed: Option<Instant>,
}

impl Pending {
    /// A checkpoint to write. It is made while nothing is taken, so that the order of segments is that of
    /// checkpoints.
    pub(super) fn put(&self, name: String, row: impl FnOnce() -> Row) {
        let mut waiting = self.waiting.lock();
        let row = row();
        waiting.rooms.insert(name, Some(row));
    }

    /// A room to forget.
    pub(super) fn forget(&self, name: String) {
        self.waiting.lock().rooms.insert(name, None);
    }

    /// A room whose row is set aside.
    pub(super) fn set_aside(&self, name: String) {
        self.waiting.lock().aside.push(name);
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }

    /// Why nothing can be written at present.
    pub(super) fn failure(&self) -> Option<String> {
        self.waiting.lock().failure.clone()
    }

    /// Nothing is written any more.
    pub(super) fn fail(&self, why: &str) {
        self.waiting.lock().failure = Some(why.to_owned());
    }

    /// Puts back what could not be written, where nothing newer waits.
    fn put_back(&self, rooms: HashMap<String, Option<Row>>, aside: Vec<String>) {
        let mut waiting = self.waiting.lock();
        waiting.aside.extend(aside);
        for (name, row) in rooms {
            waiting.rooms.entry(name).or_insert(row);
        }
    }
}

impl Keeper {
    pub(super) fn new(
        folder: Folder,
        pending: Arc<Pending>,
        log: Arc<Log>,
        intervals: Intervals,
        metrics: Arc<Metrics>,
        health: Arc<Part>,
    ) -> Self {
        let (since, now) = (HashMap::new(), Instant::now());
        let (written, synchronised, failed) = (now, now, None);
        Self { folder, pending, log, intervals, metrics, health, since, written, synchronised, failed }
    }

    /// These rooms are in the database.
    pub(super) fn know<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let segment = self.log.segment();
        self.since.extend(names.map(|name| (name.to_owned(), segment)));
    }

    pub(super) fn run(mut self) {
        loop {
            let closed = {
                let mut waiting = self.pending.waiting.lock();
                if !waiting.closed {
                    self.pending.wake.wait_for(&mut waiting, POLL);
                }
                waiting.closed
            };
            let now = Instant::now();
            let resting = self.failed.is_some_and(|failed| now - failed < RETRY);
            if resting && !closed {
                continue;
            }
            let done = self.work(now, closed);
            self.say(done, now);
            if closed {
                return;
            }
        }
    }

    /// Does what is due; all of it, if these are its last moments. Returns the first error: what fails keeps
    /// nothing else from being done, because a checkpoint is what makes space for the journal.
    fn work(&mut self, now: Instant, last: bool) -> Result<(), (&'static str, io::Error)> {
        let refused = self.log.take_refused();
        // While the disk fails, that has been said.
        if refused > 0 && self.failed.is_none() {
            self.metrics.store_failures.inc("frame");
            warn!(
                frames = refused,
                "the journal's next segment was late: until their next checkpoints, some rooms have no journal"
            );
        }
        let mut written = Ok(());
        if last || now - self.written >= TOGETHER {
            self.written = now;
            written = self.write().map_err(|error| ("checkpoint", error));
        }
        let mut provided = Ok(());
        if self.log.needs_next() && !last {
            let next = self.folder.new_segment().map_err(|error| ("journal", error));
            provided = next.map(|next| self.log.provide(next));
        }
        let every = self.intervals.sync;
        let unsynchronised = self.log.unsynchronised();
        self.metrics.journal_unsynchronised.set(unsynchronised as i64);
        let mut synchronised = Ok(());
        if every.is_zero() {
            self.log.let_go();
        } else if unsynchronised > 0 && (last || now - self.synchronised >= every) {
            self.synchronised = now;
            synchronised = self.log.synchronise(self.folder.path()).map_err(|error| ("journal", error));
        }
        written.and(provided).and(synchronised)
    }

    fn write(&mut self) -> io::Result<()> {
        let (rooms, aside, current) = {
            let mut waiting = self.pending.waiting.lock();
            // Under the lock: a checkpoint that is not taken here speaks of this segment or a later one.
            (mem::take(&mut waiting.rooms), mem::take(&mut waiting.aside), self.log.segment())
        };
        if rooms.is_empty() && aside.is_empty() {
            return Ok(());
        }
        let changes = rooms.iter().map(|(name, row)| (name.as_str(), row.as_ref()));
        match self.folder.rooms.change(changes, &aside) {
            Ok(bytes) => {
                self.metrics.checkpoints.inc_by(rooms.values().flatten().count() as u64);
                self.metrics.checkpoint_bytes.inc_by(bytes);
            }
            Err(error) => {
                self.pending.put_back(rooms, aside);
                return Err(error);
            }
        }
        for name in &aside {
            self.since.remove(name);
        }
        for (name, row) in rooms {
            match row {
                Some(row) => drop(self.since.insert(name, row.segment)),
                None => drop(self.since.remove(&name)),
            }
        }
        let needed = self.since.values().copied().min().unwrap_or(current).min(current);
        self.folder.delete_before(needed)
    }

    /// Says when writing begins to fail, and when it works again.
    fn say(&mut self, done: Result<(), (&'static str, io::Error)>, now: Instant) {
        match done {
            Err((what, error)) => {
                self.metrics.store_failures.inc(what);
                let folder = self.folder.path().display();
                let line = format!("the {what} cannot be written to {folder}: {error}");
                self.failed = Some(now);
                self.health.fails(format!("{line}: rooms go on, but would not survive; make space for it"));
                self.pending.waiting.lock().failure = Some(line);
            }
            Ok(()) => {
                if self.failed.take().is_some() {
                    self.health.is_well();
                    self.pending.waiting.lock().failure = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::{SEGMENT, path_of};
    use super::*;
    use crate::health::{Health, Matters};
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn rooms_that_are_gone_free_segments_though_no_new_one_can_be_made() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let (mut folder, _) = Folder::open(place.path()).unwrap();
        let (log, pending) = (Arc::new(folder.new_log().unwrap()), Arc::<Pending>::default());
        let intervals = Intervals { checkpoint: RETRY, sync: RETRY };
        let (metrics, now) = (Arc::new(Metrics::new()), Instant::now());
        let health = Health::new(metrics.clone(), now).part("store", Matters::ToOperators);
        let mut keeper = Keeper::new(folder, pending.clone(), log.clone(), intervals, metrics, health);
        keeper.know(["ended", "set aside"].into_iter());
        keeper.work(now, false).unwrap();
        let body = vec![0; SEGMENT / 2];
        assert!(log.append(1, 1, &body) && log.append(1, 2, &body), "the second one is in the next segment");
        assert!(path_of(place.path(), 1).exists());

        fs::write(path_of(place.path(), 3), "in the way").unwrap();
        pending.forget("ended".to_owned());
        pending.set_aside("set aside".to_owned());
        let (what, _) = keeper.work(now + TOGETHER * 2, false).unwrap_err();
        assert_eq!(what, "journal");
        assert!(!path_of(place.path(), 1).exists(), "nobody needs it");
        assert!(path_of(place.path(), 2).exists());
        keeper.work(now + TOGETHER * 2, false).unwrap();
        assert!(!log.needs_next(), "the next attempt works");
    }
}
