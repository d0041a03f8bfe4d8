//! The folder of a store: what a server finds there, and what it leaves.

use super::{
    frames,
    log::{Log, Segment, number_of, path_of},
    rooms::{Entry, Rooms},
    row::Row,
};
use crate::room::{core::restore::Failed, journal::Frame};
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    panic::catch_unwind,
    path::{Path, PathBuf},
};
use tracing::{error, warn};

/// The database's file.
const ROOMS: &str = "rooms.redb";
/// Permissions of others.
const OTHERS: u32 = 0o077;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process uses it.
    #[error("another server is using it: give each its own folder, or end the other one")]
    Locked,
    /// It is not what a store is.
    #[error("{0}")]
    Database(String),
    /// Others could read the tokens of players.
    #[error("others may read or write it, and it contains secrets of players: chmod 700 it")]
    Open,
    /// A file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There is no thread for it.
    #[error("no thread for it: {0}")]
    Thread(io::Error),
}

/// What is there of a room.
#[derive(Debug)]
pub(crate) enum Stored {
    /// A room that can be restored.
    Room(Box<StoredRoom>),
    /// A room that cannot be read.
    Bad {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// A room, as far as it was written.
#[derive(Debug)]
pub(crate) struct StoredRoom {
    /// Its newest checkpoint.
    pub row: Row,
    /// Its frames since, without a gap.
    pub frames: Vec<Frame>,
    /// The newest tick that is known of.
    pub newest: u32,
}

/// A folder that is this process's own.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) rooms: Rooms,
    /// The number of the last segment that was made.
    last: u64,
}

impl StoredRoom {
    /// What it takes to restore it, and what stays of its row.
    pub(crate) fn into_failed(self) -> (Failed, Kept) {
        let Self { row, frames, newest } = self;
        let until = row.until(newest);
        let frames = if row.is_journaled() { frames } else { Vec::new() };
        let crate::carry::Room { setup, maker, durability, carried: checkpoint } = row.room;
        let (tick_rate, max_players) = (setup.tick_rate, setup.max_players);
        (Failed { checkpoint, frames, until, tick_rate, max_players }, Kept { setup, maker, durability })
    }
}

/// What a room is made with.
pub(crate) struct Kept {
    pub setup: driftless_sim::Setup<String>,
    pub maker: crate::registry::Maker,
    pub durability: crate::ground::durability::Durability,
}

impl Folder {
    /// Opens it, or makes it, and reads it.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Stored>), StoreError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if fs::metadata(path)?.mode() & OTHERS != 0 {
            return Err(StoreError::Open);
        }
        let (rooms, rows) = open_rooms(&path.join(ROOMS))?;
        let mut folder = Self { path: path.to_owned(), rooms, last: 0 };
        let mut stored: HashMap<u64, StoredRoom> = HashMap::new();
        let mut bad = Vec::new();
        for (name, row) in rows {
            match row {
                Ok(row) => {
                    let newest = row.room.carried.last_tick();
                    let room = StoredRoom { row, frames: Vec::new(), newest };
                    stored.insert(room.row.room.carried.id.0, room);
                }
                Err(why) => bad.push(Stored::Bad { name, why }),
            }
        }
        for number in folder.segments()? {
            folder.last = folder.last.max(number);
            let bytes = fs::read(path_of(path, number))?;
            for found in frames::read(&bytes) {
                let room = stored.get_mut(&found.room);
                if let Some(room) = room.filter(|room| !room.row.stopped && room.row.segment <= number) {
                    room.take(found);
                }
            }
        }
        Ok((folder, stored.into_values().map(|room| Stored::Room(room.into())).chain(bad).collect()))
    }

    /// Has these rooms, and no frames any more.
    pub(super) fn begin(&mut self, rows: &mut [Row], aside: &[String]) -> io::Result<()> {
        // What is in the segments that are there counts no more, even before they are deleted.
        rows.iter_mut().for_each(|row| row.segment = self.last + 1);
        self.rooms.change(rows.iter().map(|row| (row.name(), Some(row))), aside)?;
        for number in self.segments()? {
            fs::remove_file(path_of(&self.path, number))?;
        }
        Ok(())
    }

    pub(super) fn new_log(&mut self) -> io::Result<Log> {
        self.new_segment().map(Log::new)
    }

    pub(super) fn new_segment(&mut self) -> io::Result<Segment> {
        self.last += 1;
        Segment::create(&self.path, self.last)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the segments before this one.
    pub(super) fn delete_before(&self, segment: u64) -> io::Result<()> {
        let mut old = self.segments()?.into_iter().filter(|number| *number < segment);
        old.try_for_each(|number| fs::remove_file(path_of(&self.path, number)))
    }

    /// The numbers of the segments, in order.
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            numbers.extend(entry?.file_name().to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl StoredRoom {
    fn take(&mut self, found: frames::Found<'_>) {
        let before = self.row.frame + self.frames.len() as u64;
        if found.number <= self.row.frame {
            return;
        }
        let Ok(frame) = Frame::decode(found.body) else { return };
        self.newest = self.newest.max(frame.newest());
        if found.number == before + 1 {
            self.frames.push(frame);
        }
    }
}

/// Opens the database and reads it. One that is damaged is kept under another name.
fn open_rooms(path: &Path) -> Result<(Rooms, Vec<Entry>), StoreError> {
    // The database may find that it is damaged by a panic.
    let open = || {
        catch_unwind(|| {
            let rooms = Rooms::open(path)?;
            let rows = rooms.all()?;
            Ok((rooms, rows))
        })
        .unwrap_or_else(|_| Err(StoreError::Database("it is damaged".to_owned())))
    };
    match open() {
        Err(StoreError::Database(why)) if path.exists() => {
            let kept = path.with_extension("redb.bad");
            error!(file = %kept.display(), why, "the checkpoints cannot be read and are kept here: all rooms begin anew");
            fs::rename(path, &kept)?;
            open()
        }
        opened => opened,
    }
    .inspect(|(_, rows)| {
        let bad = rows.iter().filter(|(_, row)| row.is_err()).count();
        if bad > 0 {
            warn!(rooms = bad, "some checkpoints cannot be read");
        }
    })
}
