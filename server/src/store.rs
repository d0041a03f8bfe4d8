//! Rooms that survive their server: a folder from which the next server has them go on.
//!
//! *State + journal is the room.* Of a room that is to survive, the store has the newest checkpoint
//! ([`Row`]: its state, setup, maker, and seats with their tokens and reliable messages), and its frames
//! since ([`room::journal`](crate::room::journal)). When a server starts, each room goes through its frames
//! again ([`room::core::restore`](crate::room::core::restore)); what comes out becomes its new checkpoint,
//! before anybody can connect.
//!
//! In the folder there are:
//! - `rooms.redb`: the checkpoints by room name, in a [redb](https://www.redb.org) database, which takes in
//!   many of them with one transaction, whole or not at all. Those that could not go on, because their games
//!   had changed, are set aside there, up to a number.
//! - `journal-N`: the frames of all rooms, in segments of 8 MiB ([`frames`] has the format). Segments are
//!   memory that the kernel writes to the file: a tick copies its frame there without a system call. (While
//!   the kernel writes a page out, a copy to it may wait.) A process that is killed loses nothing of it,
//!   not even what was copied a moment before. When all rooms have newer checkpoints, a segment is deleted,
//!   unless it has frames of rooms that wait for a server that can go on with them (`--store-mismatch`).
//! - `revoked.json`: the [users whose access was revoked](RevokedUsers).
//! - `used-tokens`: the [tokens that were used](UsedTokens), with `--token-once`.
//! - `damaged-N`: a database that was damaged, with its journal.
//!
//! Four threads ([`workers`]) do what may wait for the disk, and none waits for another: one writes
//! checkpoints ([`writer`]), one makes the next segment, one has the disk take the journal
//! (`--journal-sync`): a *machine* that dies loses what was not synchronised; and one writes who is revoked,
//! if the disk was full.
//!
//! A room exists in the store before anybody is told of it. With `journal`, its first checkpoint is in the
//! journal before anybody can join; with `checkpoint`, before anybody is shown its first tick. The database
//! follows within some 200 ms. When a room ends, the journal says so before its name is free.
//!
//! | what dies | `checkpoint` | `journal` |
//! | --- | --- | --- |
//! | the process | what happened since the checkpoint | nothing that anybody was told |
//! | the machine | the same | the same as of a process, except the last `journal_sync` (1 s); if that is 0, what the kernel had not written, up to some 30 s |
//!
//! If the disk is full or fails, rooms go on and nothing is written: the log says so once, `/healthz` is red,
//! and the threads try again. It is red before that, when there is too little space for the next server.
//! After a frame that found no place, those of its room say only which ticks there were, until its next
//! checkpoint. Frames and checkpoints that are damaged are left out, and so are frames after a gap.
//!
//! One thing is not here: fencing. A folder has one owner, who holds a lock on it. A store that several nodes
//! share has to refuse writes of an owner that is none any more.

mod disk;
mod folder;
pub(crate) mod frames;
#[cfg(any(test, fuzzed))]
mod fuzz;
mod log;
mod machine;
mod privacy;
mod probe;
mod revoked;
mod rooms;
mod row;
mod troubles;
mod used;
mod workers;
mod writer;
mod yardstick;

pub use disk::{Disk, Footing};
pub(crate) use folder::{StoreError, Stored, StoredRoom};
pub(crate) use frames::VERSION;
#[cfg(any(test, fuzzed))]
pub(crate) use fuzz::fuzz;
pub(crate) use privacy::check;
pub(crate) use probe::probe;
pub(crate) use revoked::RevokedUsers;
pub(crate) use row::Row;
#[cfg(test)]
pub(crate) use row::tests::row;
pub use troubles::Task;
pub(crate) use used::UsedTokens;
pub use yardstick::Yardstick;

use crate::{
    carry, clock,
    ground::{durability::Durability, inode::Inode, made_with::MadeWith, shared::RoomShared},
    health::Part,
    metrics::Metrics,
    room::{
        CheckpointSink,
        core::Carried,
        journal::{Journal, Written},
    },
    upgrade,
};
use folder::{Damage, Folder};
use log::{Log, Segments};
use parking_lot::Mutex;
use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{error, warn};
use troubles::Troubles;
use workers::{Chore, Workers};
use writer::{Pending, Writer};

/// With more bytes of frames since its newest checkpoint, a room is asked for another.
const LONG: usize = 4 << 20;
/// Time between two looks at how much space there is.
const LOOK: Duration = Duration::from_secs(1);
/// How long the end of the server waits for the disk.
pub(crate) const FINISH: Duration = Duration::from_secs(5);

/// The store of a running server.
#[derive(Debug)]
pub(crate) struct Store {
    place: Inode,
    pending: Arc<Pending>,
    log: Arc<Log>,
    intervals: Intervals,
    metrics: Arc<Metrics>,
    troubles: Arc<Troubles>,
    workers: Workers,
}

/// How often a store writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intervals {
    /// Time between two checkpoints of a room.
    pub checkpoint: Duration,
    /// Time between two synchronisations of the journal. Zero: never.
    pub sync: Duration,
}

/// Where the checkpoints of a room go.
#[derive(Debug)]
struct RoomSink {
    pending: Arc<Pending>,
    log: Arc<Log>,
    room: u64,
    name: String,
    made_with: Arc<MadeWith>,
    sync: Duration,
    position: Arc<Mutex<Position>>,
    metrics: Arc<Metrics>,
}

/// Where frames of rooms are appended.
pub(crate) trait Append: Send + Sync + std::fmt::Debug {
    /// Appends a frame, without waiting for anything. False: there is no place for it.
    fn append(&self, room: u64, number: u64, body: &[u8]) -> bool;
    /// Whether there is place for a small one.
    fn has_place(&self) -> bool;
}

/// How far a room's journal is: the number of the last frame, and whether one is missing since the last
/// checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Position {
    frame: u64,
    /// Bytes of the frames since the newest checkpoint.
    length: usize,
    broken: bool,
    /// A room that only keeps checkpoints has announced its ticks up to this one, since the last of them.
    announced: u32,
    /// The store knows the room.
    stored: bool,
    /// The first segment with frames after the newest checkpoint.
    segment: u64,
}

/// The journal of a room in a store.
#[derive(Debug)]
pub(crate) struct RoomJournal {
    log: Arc<dyn Append>,
    room: u64,
    durability: Durability,
    position: Arc<Mutex<Position>>,
    /// How many ticks a room that only keeps checkpoints announces at a time.
    ahead: u32,
    body: Vec<u8>,
}

/// Opens a store, and reads what a server has left there. Nothing of it is changed until [`Opened::begin`].
///
/// # Errors
/// Another process has it, or it cannot be written.
pub(crate) fn open(folder: &Path, footing: Footing) -> Result<(Opened, Vec<Stored>), StoreError> {
    let (folder, stored) = Folder::open(folder, footing)?;
    Ok((Opened { folder, chores: Vec::new() }, stored))
}

/// Opens a store that no server has, and reads what is there, which stays as it is. `change`: that is to be
/// changed then.
///
/// # Errors
/// A server has it, there is none, or it cannot be read.
pub(crate) fn look(folder: &Path, change: bool) -> Result<(Opened, Vec<Stored>), StoreError> {
    let (folder, stored) = Folder::look(folder, change)?;
    Ok((Opened { folder, chores: Vec::new() }, stored))
}

/// The process that has a store, as far as the system says.
pub(crate) fn server_of(folder: &Path) -> Option<u32> {
    upgrade::control::owner_of(&folder.join(folder::ROOMS))
}

/// A store that has been read.
pub(crate) struct Opened {
    folder: Folder,
    chores: Vec<Chore>,
}

impl Opened {
    /// Removes a room.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    /// The rooms that were set aside, oldest first, and when, milliseconds since 1970.
    pub(crate) fn aside(&self) -> Result<Vec<(u64, Stored)>, StoreError> {
        self.folder.aside()
    }

    /// Removes a room that was set aside.
    pub(crate) fn remove_aside(&mut self, name: &str) -> io::Result<()> {
        self.folder.rooms.remove_aside(name)
    }

    /// The highest number of a room that is in it, be it one that does not go on.
    pub(crate) fn newest_room(&self) -> u64 {
        self.folder.newest_room()
    }

    /// Has this write who is revoked, if that is to be done, as long as the store is there.
    pub(crate) fn keep_revoked(&mut self, mut write: impl FnMut() -> io::Result<()> + Send + 'static) {
        self.chores.push(Chore::new(Task::Revoked, move |_, _| write()));
    }

    /// Keeps the frames of a room that waits.
    pub(crate) fn hold(&mut self, segments: RangeInclusive<u64>) {
        self.folder.hold(segments);
    }

    /// Writes the rooms as they go on, which replaces their journals, and starts the threads. The rows named
    /// in `aside` are set aside under another table.
    pub(crate) fn begin(
        self,
        mut rows: Vec<Row>,
        aside: &[String],
        intervals: Intervals,
        metrics: Arc<Metrics>,
        health: Arc<Part>,
    ) -> Result<(Arc<Store>, Vec<Row>), StoreError> {
        let Self { mut folder, mut chores } = self;
        let mut segments = folder.new_segments();
        let log = Arc::new(Log::new(segments.make()?));
        let made = Made(log::path_of(folder.path(), log.segment()));
        let damaged = folder.begin(&mut rows, aside)?;
        made.keep();
        if let Some(Damage { kept, why }) = damaged {
            metrics.store.failures.inc("damaged");
            error!(
                why,
                kept = %kept.display(),
                "the store's database cannot be read: all rooms begin anew, and it is kept with its journal"
            );
        }
        let (path, footing) = (folder.path().to_owned(), folder.footing().clone());
        let place = Inode::from(std::fs::metadata(&path)?);
        let troubles = Arc::new(Troubles::new(&path, metrics.clone(), health));
        let pending = Arc::<Pending>::default();
        let mut writer = Writer::new(folder, &rows, pending.clone(), log.clone(), metrics.clone());
        let (at, on) = (path.clone(), footing.clone());
        let sync = synchronise(log.clone(), path, footing.disk, intervals.sync, metrics.clone());
        chores.push(Chore::new(Task::Checkpoints, move |now, last| writer.work(now, last)));
        chores.push(Chore::new(
            Task::Segments,
            supply(log.clone(), segments, move || space(&at, &on), metrics.clone(), troubles.clone()),
        ));
        chores.push(Chore::new(Task::Synchronisation, sync));
        let workers = match footing.threads {
            true => Workers::start(chores, &troubles).map_err(StoreError::Thread)?,
            false => Workers::Others(Mutex::new(chores), troubles.clone()),
        };
        Ok((Arc::new(Store { place, pending, log, intervals, metrics, troubles, workers }), rows))
    }
}

/// The first segment of a server that begins. If it does not, the segment is removed: otherwise each attempt
/// to start would take more of a disk that is full.
struct Made(PathBuf);

impl Made {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes the next segment whenever there is none, and looks whether there is space for the next server's.
fn supply(
    log: Arc<Log>,
    mut segments: Segments,
    space: impl Fn() -> io::Result<(u64, u64)>,
    metrics: Arc<Metrics>,
    troubles: Arc<Troubles>,
) -> impl FnMut(Instant, bool) -> io::Result<()> {
    let mut looked = None;
    move |now, last| {
        if looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK) {
            looked = Some(now);
            // What it stands on may not say.
            let _ = space().map(|space| troubles.space(space));
        }
        let refused = log.take_refused();
        // While the disk fails, that has been said.
        if refused > 0 && !troubles.are_there() {
            metrics.store.failures.inc("frame");
            warn!(
                frames = refused,
                "the journal's next segment was late: until their next checkpoints, some rooms have no journal"
            );
        }
        if log.needs_next() && !last {
            log.provide(segments.make()?);
        }
        Ok(())
    }
}

/// Bytes that are free, and those that the next server needs to begin: it makes a segment, and writes all
/// rooms anew.
fn space(path: &Path, Footing { disk, segment, .. }: &Footing) -> io::Result<(u64, u64)> {
    let rooms = std::fs::metadata(path.join(folder::ROOMS))?.len();
    Ok((disk.free(path)?, *segment as u64 + rooms))
}

/// Has the disk take what is in the journal, so often.
fn synchronise(
    log: Arc<Log>,
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    every: Duration,
    metrics: Arc<Metrics>,
) -> impl FnMut(Instant, bool) -> io::Result<()> {
    let mut synchronised = clock::now();
    move |now, last| {
        let unsynchronised = log.unsynchronised();
        metrics.store.journal_unsynchronised.set(unsynchronised as i64);
        if every.is_zero() {
            log.let_go();
        } else if unsynchronised > 0 && (last || now.saturating_duration_since(synchronised) >= every) {
            synchronised = now;
            log.synchronise(&folder, &*disk)?;
        }
        log.check()
    }
}

impl Store {
    /// Where the checkpoints and the journal of a room go that is to survive. `stored`: it is one of those
    /// with which the store has begun.
    pub(crate) fn room(
        &self,
        room: &RoomShared,
        made_with: Arc<MadeWith>,
        stored: bool,
    ) -> (Box<dyn CheckpointSink>, Box<dyn Journal>) {
        let segment = self.log.segment();
        let position = Arc::new(Mutex::new(Position { stored, segment, ..Position::default() }));
        let journal = RoomJournal::new(self.log.clone(), room, made_with.durability, position.clone());
        let sink = RoomSink {
            pending: self.pending.clone(),
            log: self.log.clone(),
            room: room.id.0,
            name: room.name.to_string(),
            made_with,
            sync: self.intervals.sync,
            position,
            metrics: self.metrics.clone(),
        };
        (Box::new(sink), Box::new(journal))
    }

    /// Sets the row of a room aside that cannot go on. To be called before another begins under its name.
    pub(crate) fn set_aside(&self, name: String) {
        self.pending.set_aside(name);
    }

    /// Does what is due of a task, if no thread does.
    pub(crate) fn turn(&self, task: Task) {
        self.workers.turn(task, clock::now());
    }

    /// Time between two checkpoints of a room.
    pub(crate) fn every(&self) -> Duration {
        self.intervals.checkpoint
    }

    /// Which store it is.
    pub(crate) fn place(&self) -> Inode {
        self.place
    }

    /// What of it fails at present.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.troubles.first()
    }

    /// Writes rooms that have stopped in order, and all that waits; then ends. Waits that long for the disk.
    ///
    /// # Errors
    /// They could not be written.
    pub(crate) fn finish(&self, rows: Vec<Arc<Row>>, most: Duration) -> io::Result<()> {
        for row in rows {
            self.pending.put(row.name().to_owned(), || row);
        }
        if !self.workers.finish(most) {
            error!("the disk is too slow: the store ends without its last checkpoints");
            return Err(io::Error::other("the disk is too slow"));
        }
        self.trouble().map_or(Ok(()), |why| Err(io::Error::other(why)))
    }
}

impl CheckpointSink for RoomSink {
    fn put(&self, carried: Carried, took: Duration) {
        self.metrics.store.checkpoint_duration.observe(took);
        let made_with = (*self.made_with).clone();
        let mut row = Row::now(carry::Room { made_with, carried }, false, self.sync);
        // Nothing of the room comes after it and before this one.
        row.segment = self.log.segment();
        let mut position = self.position.lock();
        position.segment = row.segment;
        row.frame = position.checkpoint();
        let beginning = if position.stored { None } else { row.to_beginning().ok() };
        self.pending.put(self.name.clone(), || {
            if let Some(beginning) = beginning {
                position.stored = self.log.append(self.room, frames::BEGINNING, &beginning);
            }
            row.into()
        });
    }

    fn is_wanted(&self) -> bool {
        let position = self.position.lock();
        let unknown = !position.stored && self.log.has_place();
        self.log.distrusts(position.segment) || unknown || position.is_long()
    }

    fn forget(&self) {
        self.pending.forget(self.name.clone(), self.room, || {
            self.log.append(self.room, frames::END, &[]);
        });
    }
}

impl Position {
    /// A checkpoint is taken now. Returns the number of the last frame before it.
    pub(crate) fn checkpoint(&mut self) -> u64 {
        (self.broken, self.announced, self.length) = (false, 0, 0);
        self.frame
    }

    /// Whether the frames since the newest checkpoint are so many that another is wanted.
    pub(crate) fn is_long(&self) -> bool {
        self.length > LONG
    }
}

impl RoomJournal {
    pub(crate) fn new(
        log: Arc<dyn Append>,
        room: &RoomShared,
        durability: Durability,
        position: Arc<Mutex<Position>>,
    ) -> Self {
        let ahead = room.tick_rate / 4 + 1;
        Self { log, room: room.id.0, durability, position, ahead, body: Vec::new() }
    }
}

impl Journal for RoomJournal {
    fn is_full(&self) -> bool {
        self.durability == Durability::Journal
    }

    fn write(&mut self, frame: &Written<'_>) {
        let mut position = self.position.lock();
        let only_tick = |tick| Written { since: frame.since, tick, ..Written::default() };
        let (mut announced, mut short) = (position.announced, None);
        if !self.is_full() {
            let Some(tick) = frame.tick.filter(|tick| *tick > announced) else { return };
            announced = tick.saturating_add(self.ahead);
            short = Some(only_tick(Some(announced)));
        } else if position.broken {
            // After a gap nothing counts but how far the room has come: ticks must not go back.
            short = Some(only_tick(frame.tick));
        }
        self.body.clear();
        short.as_ref().unwrap_or(frame).encode(&mut self.body);
        position.frame += 1;
        position.length += self.body.len();
        if self.log.append(self.room, position.frame, &self.body) {
            position.announced = announced;
        } else if !std::mem::replace(&mut position.broken, true) && self.log.has_place() {
            // It is larger than any place. What it says of ticks counts nevertheless.
            position.frame += 1;
            self.body.clear();
            only_tick(frame.tick).encode(&mut self.body);
            self.log.append(self.room, position.frame, &self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::journal::Frame;
    use driftless_sim::replay::Action;

    // Promise 2: "Ticks never go back."
    #[test]
    fn ticks_are_written_after_a_frame_that_found_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::new(log::Segment::create(folder.path(), 1, &Footing::default()).unwrap()));
        let mut journal = RoomJournal {
            log: log.clone(),
            room: 7,
            durability: Durability::Journal,
            position: Arc::default(),
            ahead: 1,
            body: Vec::new(),
        };
        let tick = |tick: u32| Written { since: tick - 1, tick: Some(tick), ..Written::default() };
        journal.write(&tick(1));
        assert!(log.append(8, 1, &vec![0; log::SEGMENT - 100]), "nearly all of the segment");
        journal.write(&Written { checksum: Some(9), ..tick(2) });
        journal.write(&tick(3));
        log.provide(log::Segment::create(folder.path(), 2, &Footing::default()).unwrap());
        journal.write(&Written { checksum: Some(9), ..tick(4) });
        let file = std::fs::read(log::path_of(folder.path(), 2)).unwrap();
        let found = frames::read(&file).next().unwrap();
        let frame = Frame::decode(found.body).unwrap();
        assert_eq!((found.room, frame.newest()), (7, 4));
        assert!(found.number > 2, "there is a gap before it");
    }

    // Promise 4: a player who fills the journal costs checkpoints, and not memory.
    #[test]
    fn a_long_journal_wants_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::new(log::Segment::create(folder.path(), 1, &Footing::default()).unwrap()));
        let (position, durability) = (Arc::<Mutex<Position>>::default(), Durability::Journal);
        let of = position.clone();
        let mut journal = RoomJournal { log, room: 7, durability, position: of, ahead: 1, body: Vec::new() };
        let large = [Action::Command { player: 1, payload: vec![0; LONG / 2].into() }];
        for tick in 1..=2 {
            assert!(!position.lock().is_long());
            let written =
                Written { since: tick - 1, tick: Some(tick), actions: &large, ..Written::default() };
            journal.write(&written);
        }
        assert!(position.lock().is_long());
        position.lock().checkpoint();
        assert!(!position.lock().is_long());
    }

    #[test]
    fn of_a_frame_that_is_too_large_for_any_segment_its_tick_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::new(log::Segment::create(folder.path(), 1, &Footing::default()).unwrap()));
        let position = Arc::default();
        let durability = Durability::Journal;
        let mut journal =
            RoomJournal { log: log.clone(), room: 7, durability, position, ahead: 1, body: Vec::new() };
        let large = [Action::Command { player: 1, payload: vec![0; log::SEGMENT].into() }];
        journal.write(&Written { since: 1, tick: Some(2), actions: &large, ..Written::default() });
        let file = std::fs::read(log::path_of(folder.path(), 1)).unwrap();
        let found = frames::read(&file).next().unwrap();
        let frame = Frame::decode(found.body).unwrap();
        assert_eq!((found.number, frame.newest()), (2, 2), "there is a gap before it");
    }
}
