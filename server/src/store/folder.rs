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
    ops::RangeInclusive,
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
    /// The database cannot be used now, or by this server.
    #[error("{0}")]
    Database(String),
    /// The database is damaged.
    #[error("its database is damaged: {0}")]
    Damaged(String),
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
    /// The segments that have its frames.
    pub segments: RangeInclusive<u64>,
}

/// A folder that is this process's own.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) rooms: Rooms,
    /// The number of the last segment that was made.
    last: u64,
    /// The highest number of a room that was found.
    newest_room: u64,
    /// Segments with frames of rooms that wait. They are not deleted.
    held: Vec<RangeInclusive<u64>>,
}

impl StoredRoom {
    /// What it takes to restore it, and what stays of its row.
    pub(crate) fn into_failed(self) -> (Failed, Kept) {
        let Self { row, frames, newest, .. } = self;
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

/// Whether a folder may be a store's: it is private, or not there yet.
pub(crate) fn check(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.mode() & OTHERS != 0 => Err(StoreError::Open),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl Folder {
    /// Opens it, or makes it, and reads it.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Stored>), StoreError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        check(path)?;
        let (rooms, rows) = open_rooms(path)?;
        let mut folder = Self { path: path.to_owned(), rooms, last: 0, newest_room: 0, held: Vec::new() };
        let mut stored: HashMap<u64, StoredRoom> = HashMap::new();
        let mut bad = Vec::new();
        for (name, row) in rows {
            match row {
                Ok(row) => {
                    let (id, newest) = (row.room.carried.id.0, row.room.carried.last_tick());
                    folder.newest_room = folder.newest_room.max(id);
                    let segments = row.segment..=0; // none yet
                    stored.insert(id, StoredRoom { row, frames: Vec::new(), newest, segments });
                }
                Err(why) => bad.push(Stored::Bad { name, why }),
            }
        }
        for number in folder.segments()? {
            folder.last = folder.last.max(number);
            let bytes = fs::read(path_of(path, number))?;
            for found in frames::read(&bytes) {
                folder.newest_room = folder.newest_room.max(found.room);
                let room = stored.get_mut(&found.room);
                if let Some(room) = room.filter(|room| !room.row.stopped && room.row.segment <= number) {
                    room.take(found);
                    room.segments = room.row.segment..=number;
                }
            }
        }
        Ok((folder, stored.into_values().map(|room| Stored::Room(room.into())).chain(bad).collect()))
    }

    /// Keeps those of these segments that are there now, until another server takes the store.
    pub(super) fn hold(&mut self, segments: RangeInclusive<u64>) {
        let (first, last) = segments.into_inner();
        self.held.push(first..=last.min(self.last));
    }

    /// Has these rooms, and no frames of them any more.
    pub(super) fn begin(&mut self, rows: &mut [Row], aside: &[String]) -> io::Result<()> {
        // What is in the segments that are there counts no more, even before they are deleted.
        rows.iter_mut().for_each(|row| row.segment = self.last + 1);
        self.rooms.change(rows.iter().map(|row| (row.name(), Some(row))), aside)?;
        self.delete_before(self.last + 1)
    }

    pub(super) fn new_log(&mut self) -> io::Result<Log> {
        self.new_segment().map(Log::new)
    }

    pub(super) fn new_segment(&mut self) -> io::Result<Segment> {
        self.last += 1;
        Segment::create(&self.path, self.last)
    }

    pub(super) fn newest_room(&self) -> u64 {
        self.newest_room
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the segments before this one, except those that are held.
    pub(super) fn delete_before(&self, segment: u64) -> io::Result<()> {
        let held = |number: &u64| self.held.iter().any(|held| held.contains(number));
        let mut old = self.segments()?.into_iter().filter(|number| *number < segment && !held(number));
        old.try_for_each(|number| fs::remove_file(path_of(&self.path, number)))
    }

    /// The numbers of the segments, in order.
    fn segments(&self) -> io::Result<Vec<u64>> {
        segments(&self.path)
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

/// The numbers of the segments, in order.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        numbers.extend(entry?.file_name().to_str().and_then(number_of));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens the database and reads it. One that is damaged is kept elsewhere, with its journal.
fn open_rooms(folder: &Path) -> Result<(Rooms, Vec<Entry>), StoreError> {
    let path = folder.join(ROOMS);
    // The database may find that it is damaged by a panic.
    let open = || {
        catch_unwind(|| {
            let rooms = Rooms::open(&path)?;
            let rows = rooms.all()?;
            Ok((rooms, rows))
        })
        .unwrap_or_else(|_| Err(StoreError::Damaged("reading it fails".to_owned())))
    };
    match open() {
        Err(StoreError::Damaged(why)) => {
            let kept = keep_damaged(folder)?;
            error!(folder = %kept.display(), why, "the checkpoints cannot be read and are kept here: all rooms begin anew");
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

/// Moves the database and the journal to a folder of their own. Returns which.
fn keep_damaged(folder: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    let kept = loop {
        let kept = folder.join(format!("damaged-{number}"));
        match fs::DirBuilder::new().mode(0o700).create(&kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => break made.map(|()| kept)?,
        }
    };
    // The database last: as long as it is there, no segment is deleted.
    for segment in segments(folder)? {
        fs::rename(path_of(folder, segment), path_of(&kept, segment))?;
    }
    fs::rename(folder.join(ROOMS), kept.join(ROOMS))?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    #[test]
    fn what_is_damaged_is_kept_with_its_journal_and_never_overwritten() {
        let folder = folder();
        for (number, damage) in [(1, "first"), (2, "second")] {
            fs::write(folder.path().join(ROOMS), damage.repeat(2_000)).unwrap();
            drop(Segment::create(folder.path(), 5).unwrap());
            let (opened, stored) = Folder::open(folder.path()).unwrap();
            assert!(stored.is_empty() && opened.segments().unwrap().is_empty());
            let kept = folder.path().join(format!("damaged-{number}"));
            assert!(fs::read_to_string(kept.join(ROOMS)).unwrap().starts_with(damage));
            assert_eq!(segments(&kept).unwrap(), [5]);
        }
        let first = fs::read_to_string(folder.path().join("damaged-1").join(ROOMS)).unwrap();
        assert!(first.starts_with("first"));
    }

    #[test]
    fn segments_of_rooms_that_wait_are_kept() {
        let folder = folder();
        for number in 1..=4 {
            drop(Segment::create(folder.path(), number).unwrap());
        }
        let (mut opened, _) = Folder::open(folder.path()).unwrap();
        opened.hold(2..=3);
        opened.begin(&mut [], &[]).unwrap();
        assert_eq!(opened.segments().unwrap(), [2, 3]);
        drop(opened.new_segment().unwrap());
        opened.delete_before(6).unwrap();
        assert_eq!(opened.segments().unwrap(), [2, 3]);
    }

    #[test]
    fn a_database_that_cannot_be_opened_now_stays_where_it_is() {
        let folder = folder();
        fs::create_dir(folder.path().join(ROOMS)).unwrap();
        let failed = Folder::open(folder.path()).unwrap_err();
        assert!(matches!(failed, StoreError::Io(_)), "{failed}");
        assert!(folder.path().join(ROOMS).is_dir());
    }
}
