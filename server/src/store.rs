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
//!   many of them with one transaction, whole or not at all. It is also the lock that keeps a second server
//!   out.
//! - `journal-N`: the frames of all rooms, in segments of 8 MiB ([`frames`] has the format). Segments are
//!   memory that the kernel writes to the file: a tick copies its frame there without a system call. (While
//!   the kernel writes a page out, a copy to it may wait.) A process that is killed loses nothing of it,
//!   not even what was copied a moment before. When all rooms have newer checkpoints, a segment is deleted,
//!   unless it has frames of rooms that wait for a server that can go on with them (`--store-mismatch`).
//! - `damaged-N`: a database that was damaged, with its journal.
//!
//! A thread, the [keeper](keeper), writes checkpoints, prepares the next segment, and asks the kernel for
//! the disk (`--journal-sync`): a *machine* that dies loses what was not synchronised.
//!
//! | what dies | `checkpoint` | `journal` |
//! | --- | --- | --- |
//! | the process | what happened since the checkpoint | nothing that anybody was told |
//! | the machine | the same | the same as of a process, except the last `journal_sync` (1 s); if that is 0, what the kernel had not written, up to some 30 s |
//!
//! If the disk is full or fails, rooms go on and nothing is written: the log says so once, `/healthz` is red,
//! and the keeper tries again. After a frame that found no place, those of its room say only
//! which ticks there were, until its next checkpoint. Frames and checkpoints that are damaged are left out,
//! and so are frames after a gap.
//!
//! One thing is not here: fencing. A folder has one owner by its lock. A store that several nodes share has
//! to refuse writes of an owner that is none any more.

mod folder;
pub(crate) mod frames;
mod keeper;
mod log;
mod rooms;
mod row;

pub(crate) use folder::{Kept, StoreError, Stored, StoredRoom, check};
pub(crate) use row::Row;

use crate::{
    carry,
    ground::{durability::Durability, shared::RoomShared},
    health::Part,
    metrics::Metrics,
    registry::Maker,
    room::{
        Keep,
        core::Carried,
        journal::{Journal, Written},
    },
};
use driftless_sim::Setup;
use folder::Folder;
use keeper::{Keeper, Pending};
use log::Log;
use parking_lot::Mutex;
use std::{
    io,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};
use tracing::error;

/// How long the end of the server waits for the disk.
const FINISH: Duration = Duration::from_secs(5);

/// The store of a running server.
#[derive(Debug)]
pub(crate) struct Store {
    pending: Arc<Pending>,
    log: Arc<Log>,
    every: Duration,
    metrics: Arc<Metrics>,
    finished: Mutex<Option<Receiver<()>>>,
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
struct RoomKeep {
    pending: Arc<Pending>,
    log: Arc<Log>,
    name: String,
    setup: Setup<String>,
    maker: Maker,
    durability: Durability,
    position: Arc<Mutex<Position>>,
    metrics: Arc<Metrics>,
}

/// How far a room's journal is: the number of the last frame, and whether one is missing since the last
/// checkpoint.
#[derive(Debug, Default)]
struct Position {
    frame: u64,
    broken: bool,
    /// A room that only keeps checkpoints has announced its ticks up to this one, since the last of them.
    announced: u32,
}

/// The journal of a room in a store.
#[derive(Debug)]
struct RoomJournal {
    log: Arc<Log>,
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
pub(crate) fn open(folder: &Path) -> Result<(Opened, Vec<Stored>), StoreError> {
    let (folder, stored) = Folder::open(folder)?;
    Ok((Opened { folder }, stored))
}

/// A store that has been read.
pub(crate) struct Opened {
    folder: Folder,
}

impl Opened {
    /// The highest number of a room that is in it, be it one that does not go on.
    pub(crate) fn newest_room(&self) -> u64 {
        self.folder.newest_room()
    }

    /// Keeps the frames of a room that waits.
    pub(crate) fn hold(&mut self, segments: RangeInclusive<u64>) {
        self.folder.hold(segments);
    }

    /// Writes the rooms as they go on, which replaces their journals, and starts the keeper. The rows named
    /// in `aside` are set aside under another table.
    pub(crate) fn begin(
        self,
        mut rows: Vec<Row>,
        aside: &[String],
        intervals: Intervals,
        metrics: Arc<Metrics>,
        health: Arc<Part>,
    ) -> Result<(Arc<Store>, Vec<Row>), StoreError> {
        let Self { mut folder } = self;
        folder.begin(&mut rows, aside)?;
        let log = Arc::new(folder.new_log()?);
        let pending = Arc::<Pending>::default();
        let (done, finished) = sync_channel(1);
        let (on_panic, of_keeper) = (health.clone(), pending.clone());
        let mut keeper =
            Keeper::new(folder, pending.clone(), log.clone(), intervals, metrics.clone(), health);
        keeper.know(rows.iter().map(|row| row.name()));
        let spawned = thread::Builder::new().name("keeper".into()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| keeper.run())).is_err() {
                let line = "the thread that writes the store has failed, which is a bug";
                error!("{line}");
                on_panic.fails(format!("{line}: rooms go on, but would not survive; restart the server"));
                of_keeper.fail(line);
            }
            let _ = done.send(());
        });
        spawned.map_err(StoreError::Thread)?;
        let (every, finished) = (intervals.checkpoint, Mutex::new(Some(finished)));
        Ok((Arc::new(Store { pending, log, every, metrics, finished }), rows))
    }
}

impl Store {
    /// Where the checkpoints and the journal of a room go that is to survive.
    pub(crate) fn room(
        &self,
        room: &RoomShared,
        setup: Setup<String>,
        maker: Maker,
        durability: Durability,
    ) -> (Box<dyn Keep>, Box<dyn Journal>) {
        let position = Arc::<Mutex<Position>>::default();
        let journal = RoomJournal {
            log: self.log.clone(),
            room: room.id.0,
            durability,
            position: position.clone(),
            ahead: room.tick_rate / 4 + 1,
            body: Vec::new(),
        };
        let keep = RoomKeep {
            pending: self.pending.clone(),
            log: self.log.clone(),
            name: room.name.to_string(),
            setup,
            maker,
            durability,
            position,
            metrics: self.metrics.clone(),
        };
        (Box::new(keep), Box::new(journal))
    }

    /// Sets the row of a room aside that cannot go on. To be called before another begins under its name.
    pub(crate) fn set_aside(&self, name: String) {
        self.pending.set_aside(name);
    }

    /// Time between two checkpoints of a room.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// Writes rooms that have stopped in order, and all that waits; then ends.
    ///
    /// # Errors
    /// They could not be written.
    pub(crate) fn finish(&self, rows: Vec<Row>) -> io::Result<()> {
        for row in rows {
            self.pending.put(row.name().to_owned(), || row);
        }
        self.pending.close();
        if let Some(finished) = self.finished.lock().take()
            && finished.recv_timeout(FINISH).is_err()
        {
            error!("the disk is too slow: the store ends without its last checkpoints");
            return Err(io::Error::other("the disk is too slow"));
        }
        self.pending.failure().map_or(Ok(()), |why| Err(io::Error::other(why)))
    }
}

impl Keep for RoomKeep {
    fn put(&self, carried: Carried, took: Duration) {
        self.metrics.checkpoint_duration.observe(took);
        let (setup, maker, durability) = (self.setup.clone(), self.maker, self.durability);
        let mut row = Row::now(carry::Room { setup, maker, durability, carried }, false);
        {
            let mut position = self.position.lock();
            (position.broken, position.announced) = (false, 0);
            row.frame = position.frame;
        }
        let log = &self.log;
        self.pending.put(self.name.clone(), || {
            row.segment = log.segment();
            row
        });
    }

    fn forget(&self) {
        self.pending.forget(self.name.clone());
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
        match self.log.append(self.room, position.frame, &self.body) {
            true => position.announced = announced,
            false => position.broken = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::journal::Frame;

    // Promise 2: "Ticks never go back."
    #[test]
    fn ticks_are_written_after_a_frame_that_found_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::new(log::Segment::create(folder.path(), 1).unwrap()));
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
        log.provide(log::Segment::create(folder.path(), 2).unwrap());
        journal.write(&Written { checksum: Some(9), ..tick(4) });
        let file = std::fs::read(log::path_of(folder.path(), 2)).unwrap();
        let found = frames::read(&file).next().unwrap();
        let frame = Frame::decode(found.body).unwrap();
        assert_eq!((found.room, frame.newest()), (7, 4));
        assert!(found.number > 2, "there is a gap before it");
    }
}
