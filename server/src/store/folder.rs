//! The folder of a store: what a server finds there, and what it leaves.

use super::{
    disk::{Disk, Footing},
    frames,
    log::{Segments, number_of, path_of},
    privacy,
    rooms::{Entry, Found, Rooms},
    row::{Beginning, Row},
};
use crate::{
    ground::{made_with::MadeWith, unreadable::unusable},
    room::{core::restore::Failed, journal::Frame},
};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, TryLockError},
    io,
    ops::RangeInclusive,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The database's file.
pub(super) const ROOMS: &str = "rooms.redb";

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
    /// The journal is that of another version.
    #[error(
        "its journal has the format {0}, which this server does not read: start the version that wrote it, or \
         give this one another folder"
    )]
    Format(u8),
    /// There is none.
    #[error("there is no store")]
    Missing,
    /// Others could read the tokens of players.
    #[error(
        "others may use it, and it would contain secrets of players: chmod 700 it, or name a new folder in it"
    )]
    Open,
    /// A file cannot be read or written.
    #[error("{}", unusable(.0))]
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
    /// The segments that have its frames. None: there are none.
    pub segments: Option<RangeInclusive<u64>>,
    /// Frames found no place after its last one, which may have been its own.
    refused: bool,
    /// How long ago the checkpoint was taken, where that is known better than by this machine's clock.
    passed: Option<Duration>,
}

/// A folder that is this process's own.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    footing: Footing,
    /// Holds the lock.
    _open: File,
    pub(super) rooms: Rooms,
    /// What the database has yet to know.
    found: Found,
    /// The number of the last segment that is there.
    last: u64,
    /// The highest number of a room that was found.
    newest_room: u64,
    /// Segments with frames of rooms that wait. They are not deleted.
    held: Vec<RangeInclusive<u64>>,
    /// What is wrong with the database that is there.
    damage: Option<String>,
}

/// A database that could not be read.
#[derive(Debug)]
pub(crate) struct Damage {
    /// Where it is kept, with its journal.
    pub kept: PathBuf,
    pub why: String,
}

impl Stored {
    /// The room's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Stored::Room(room) => room.row.name(),
            Stored::Bad { name, .. } => name,
        }
    }
}

impl StoredRoom {
    fn new(row: Row) -> Self {
        let newest = row.room.carried.last_tick();
        Self { row, frames: Vec::new(), newest, segments: None, refused: false, passed: None }
    }

    /// A room of which there is this, and which is no folder's.
    pub(crate) fn gathered(row: Row, journal: &[u8], passed: Duration) -> Self {
        let mut room = Self { passed: Some(passed), ..Self::new(row) };
        let id = room.row.id();
        frames::frames(journal).filter(|found| found.room == id).for_each(|found| room.take(found));
        room
    }

    /// The last segment that has something of it.
    fn last_segment(&self) -> u64 {
        self.segments.as_ref().map_or(self.row.segment, |segments| *segments.end())
    }

    /// What it takes to restore it.
    pub(crate) fn into_failed(self) -> Failed {
        let Self { row, frames, newest, refused, passed, .. } = self;
        let until = match passed {
            Some(passed) => row.until_after(passed, newest),
            None => row.until(newest, refused),
        };
        let frames = if row.is_journaled() { frames } else { Vec::new() };
        let crate::carry::Room { made_with: MadeWith { setup, .. }, carried: checkpoint } = row.room;
        let (tick_rate, max_players) = (setup.tick_rate, setup.max_players);
        Failed { checkpoint, frames, newest, until, tick_rate, max_players }
    }
}

impl Folder {
    /// Opens it, or makes it, and reads it.
    pub(super) fn open(path: &Path, footing: Footing) -> Result<(Self, Vec<Stored>), StoreError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        privacy::close(path)?;
        let open = lock(path)?;
        match open_rooms(path, &footing.disk) {
            Ok((rooms, rows)) => Self::read(path, footing, open, rooms, rows),
            Err(StoreError::Damaged(why)) => Ok((Self::damaged(path, footing, open, why)?, Vec::new())),
            Err(other) => Err(other),
        }
    }

    /// One that is damaged: as if there was nothing.
    fn damaged(path: &Path, footing: Footing, open: File, why: String) -> io::Result<Self> {
        let last = segments(path)?.last().copied().unwrap_or(0);
        let (rooms, found) = (Rooms::unopened(&path.join(ROOMS), &footing.disk), Found::default());
        let (path, held, damage) = (path.to_owned(), Vec::new(), Some(why));
        Ok(Self { path, footing, _open: open, rooms, found, last, newest_room: 0, held, damage })
    }

    /// The same for one that is there, of which nothing is moved or removed. If it need not be changed, this
    /// process need not be able to write it.
    pub(super) fn look(path: &Path, change: bool) -> Result<(Self, Vec<Stored>), StoreError> {
        let file = path.join(ROOMS);
        if !file.is_file() {
            return Err(StoreError::Missing);
        }
        let open = lock(path)?;
        let footing = Footing::default();
        let (rooms, rows) = match open_database(|| Rooms::open(&file, &footing.disk)) {
            Err(StoreError::Io(error)) if !change && is_read_only(&error) => {
                open_database(|| Rooms::copy(&file, &footing.disk))?
            }
            opened => opened?,
        };
        Self::read(path, footing, open, rooms, rows)
    }

    fn read(
        path: &Path,
        footing: Footing,
        open: File,
        rooms: Rooms,
        rows: Vec<Entry>,
    ) -> Result<(Self, Vec<Stored>), StoreError> {
        let first = rooms.first_segment()?;
        let mut reading = Reading::of(rows, first);
        let segments = segments(path)?;
        for number in &segments {
            reading.segment(*number, &read(path, *number)?)?;
        }
        // Those of a server that has stopped in order are gone, and their numbers are not used again.
        let last = segments.last().copied().unwrap_or(0).max(first);
        let newest_room = reading.newest_room;
        let (found, stored) = reading.end();
        let held = Vec::new();
        let path = path.to_owned();
        let folder = Self { path, footing, _open: open, rooms, found, last, newest_room, held, damage: None };
        Ok((folder, stored))
    }

    /// Keeps those of these segments that are there now, until another server takes the store.
    pub(super) fn hold(&mut self, segments: RangeInclusive<u64>) {
        let (first, last) = segments.into_inner();
        self.held.push(first..=last.min(self.last));
    }

    /// Has these rooms, and no frames of them any more. To be called when the first of the new segments is
    /// there, so that a disk that is full changes nothing. What was damaged is kept elsewhere, with its
    /// journal: returns where.
    pub(super) fn begin(&mut self, rows: &mut [Row], aside: &[String]) -> io::Result<Option<Damage>> {
        let kept = self.damage.as_ref().map(|_| Kept::of(&self.path, self.last)).transpose()?;
        self.write(rows, aside).inspect_err(|_| {
            // Whoever starts next is to hear of it, too.
            kept.iter().for_each(Kept::put_back);
        })?;
        let damage = self.damage.take().zip(kept).map(|(why, Kept { kept, .. })| Damage { kept, why });
        self.delete_before(self.last + 1)?;
        Ok(damage)
    }

    fn write(&mut self, rows: &mut [Row], aside: &[String]) -> io::Result<()> {
        let first = self.last + 1;
        // What is in the segments that are there counts no more, even before they are deleted.
        rows.iter_mut().for_each(|row| row.segment = first);
        self.rooms.begin(&self.found, rows, aside, first)?;
        self.found = Found::default();
        Ok(())
    }

    /// Removes a room, be it one that only the journal knows.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        // The database gets to know the others, so that no segment has to tell of them any more.
        self.rooms.begin(&self.found, &[], &[], self.last + 1)?;
        self.found = Found::default();
        self.rooms.change([(name, None)].into_iter(), &[]).map(drop)
    }

    /// Those that were set aside, as far as they can be read, and when, milliseconds since 1970.
    pub(super) fn aside(&self) -> Result<Vec<(u64, Stored)>, StoreError> {
        let stored = |(name, row)| match row {
            Ok(row) => Stored::Room(StoredRoom::new(row).into()),
            Err(why) => Stored::Bad { name, why },
        };
        Ok(self.rooms.aside()?.into_iter().map(|(at_ms, entry)| (at_ms, stored(entry))).collect())
    }

    /// Makes segments after those that are there.
    pub(super) fn new_segments(&self) -> Segments {
        Segments::after(&self.path, self.last, &self.footing)
    }

    pub(super) fn newest_room(&self) -> u64 {
        self.newest_room
    }

    pub(super) fn footing(&self) -> &Footing {
        &self.footing
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the segments before this one, except those that are held.
    pub(super) fn delete_before(&self, segment: u64) -> io::Result<()> {
        let held = |number: &u64| self.held.iter().any(|held| held.contains(number));
        let mut old = segments(&self.path)?.into_iter().filter(|number| *number < segment && !held(number));
        old.try_for_each(|number| fs::remove_file(path_of(&self.path, number)))
    }
}

/// Keeps other processes out as long as it is open.
fn lock(path: &Path) -> Result<File, StoreError> {
    let open = File::open(path)?;
    // Where folders cannot be locked, the database's own lock keeps others out.
    match open.try_lock() {
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(open),
    }
}

/// What is found, as it is read.
pub(super) struct Reading {
    stored: HashMap<u64, StoredRoom>,
    bad: Vec<Stored>,
    /// The first segment that counts for rooms that the database does not know.
    first: u64,
    /// Rooms that only the journal knows: their names and encoded rows.
    begun: HashMap<u64, Beginning>,
    ended: HashSet<u64>,
    /// The last segment in which frames found no place.
    refused: Option<u64>,
    newest_room: u64,
}

impl Reading {
    pub(super) fn of(rows: Vec<Entry>, first: u64) -> Self {
        let (begun, ended, bad) = (HashMap::new(), HashSet::new(), Vec::new());
        let (stored, refused, newest_room) = (HashMap::new(), None, 0);
        let mut reading = Self { stored, bad, first, begun, ended, refused, newest_room };
        for (name, row) in rows {
            match row {
                Ok(row) => {
                    reading.newest_room = reading.newest_room.max(row.id());
                    reading.stored.insert(row.id(), StoredRoom::new(row));
                }
                Err(why) => reading.bad.push(Stored::Bad { name, why }),
            }
        }
        reading
    }

    pub(super) fn segment(&mut self, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(version) = frames::other_version(bytes) {
            return Err(StoreError::Format(version));
        }
        for found in frames::read(bytes) {
            self.newest_room = self.newest_room.max(found.room);
            match found.number {
                frames::BEGINNING => {
                    if number >= self.first && !self.stored.contains_key(&found.room) {
                        self.begin(found);
                    }
                }
                frames::REFUSED => self.refused = Some(number),
                frames::END => drop(self.ended.insert(found.room)),
                _ => {
                    let room = self.stored.get_mut(&found.room);
                    if let Some(room) = room.filter(|room| !room.row.stopped && room.row.segment <= number) {
                        room.take(found);
                        room.segments = Some(room.row.segment..=number);
                    }
                }
            }
        }
        Ok(())
    }

    /// A room begins that the database does not know.
    fn begin(&mut self, found: frames::Found<'_>) {
        let Ok(beginning) = postcard::from_bytes::<Beginning>(found.body) else { return };
        match Row::decode(&beginning.row) {
            Ok(row) => drop(self.stored.insert(found.room, StoredRoom::new(row))),
            Err(why) => self.bad.push(Stored::Bad { name: beginning.room.clone(), why }),
        }
        self.begun.insert(found.room, beginning);
    }

    /// What there is, and what of it the database does not know. Of rooms of one name, there is the newest.
    pub(super) fn end(self) -> (Found, Vec<Stored>) {
        let Self { mut stored, bad, mut begun, ended, refused, .. } = self;
        let mut found = Found::default();
        for id in ended {
            begun.remove(&id);
            found.ended.extend(stored.remove(&id).map(|room| room.row.name().to_owned()));
        }
        let mut newest: HashMap<String, u64> = HashMap::new();
        for (id, room) in &stored {
            let newest = newest.entry(room.row.name().to_owned()).or_insert(*id);
            *newest = (*newest).max(*id);
        }
        stored.retain(|id, room| {
            let is_newest = newest.get(room.row.name()) == Some(id);
            if !is_newest && begun.remove(id).is_none() {
                found.replaced.push(room.row.name().to_owned());
            }
            is_newest
        });
        for room in stored.values_mut() {
            room.refused = refused.is_some_and(|refused| refused >= room.last_segment());
        }
        found.begun = begun.into_values().map(|Beginning { room, row }| (room, row)).collect();
        (found, stored.into_values().map(|room| Stored::Room(room.into())).chain(bad).collect())
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

/// The numbers of the segments, in order. What only looks like one is left alone.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            numbers.extend(entry.file_name().to_str().and_then(number_of));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read(folder: &Path, segment: u64) -> io::Result<Vec<u8>> {
    let path = path_of(folder, segment);
    fs::read(&path).map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        io::Error::new(error.kind(), format!("{name}: {error}"))
    })
}

/// Opens the database and reads it. One that is missing or empty counts as damaged if there is a journal:
/// nobody knows which rooms that tells of.
fn open_rooms(folder: &Path, disk: &Arc<dyn Disk>) -> Result<(Rooms, Vec<Entry>), StoreError> {
    let path = folder.join(ROOMS);
    let is_there = fs::metadata(&path).is_ok_and(|file| file.len() > 0 || !file.is_file());
    match is_there || segments(folder)?.is_empty() {
        true => open_database(|| Rooms::open(&path, disk)).inspect_err(|_| {
            if !is_there {
                let _ = fs::remove_file(&path); // what was begun is no database, and would count as damaged
            }
        }),
        false => Err(StoreError::Damaged("it is missing or empty, and its journal is not".to_owned())),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

fn open_database(
    open: impl FnOnce() -> Result<Rooms, StoreError>,
) -> Result<(Rooms, Vec<Entry>), StoreError> {
    // The database may find that it is damaged by a panic.
    catch_unwind(AssertUnwindSafe(|| {
        let rooms = open()?;
        let rows = rooms.all()?;
        Ok((rooms, rows))
    }))
    .unwrap_or_else(|_| Err(StoreError::Damaged("reading it fails".to_owned())))
}

/// A database and a journal that are kept in a folder of their own.
struct Kept {
    folder: PathBuf,
    kept: PathBuf,
    /// False: there was only a journal.
    has_database: bool,
}

impl Kept {
    /// Moves the database there, and the journal up to this segment.
    fn of(folder: &Path, last: u64) -> io::Result<Self> {
        let mut number = 1;
        let kept = loop {
            let kept = folder.join(format!("damaged-{number}"));
            match fs::DirBuilder::new().mode(0o700).create(&kept) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => break made.map(|()| kept)?,
            }
        };
        let has_database = folder.join(ROOMS).exists();
        let moved = Self { folder: folder.to_owned(), kept, has_database };
        moved.take(last).inspect_err(|_| moved.put_back())?;
        Ok(moved)
    }

    fn take(&self, last: u64) -> io::Result<()> {
        let Self { folder, kept, has_database } = self;
        // The database last: as long as it is there, no segment is deleted.
        for segment in segments(folder)?.into_iter().filter(|segment| *segment <= last) {
            fs::rename(path_of(folder, segment), path_of(kept, segment))?;
        }
        if *has_database { fs::rename(folder.join(ROOMS), kept.join(ROOMS)) } else { Ok(()) }
    }

    /// Moves it back, as far as that is possible, in place of a database that could not be written.
    fn put_back(&self) {
        let Self { folder, kept, has_database } = self;
        let _ = match has_database {
            true => fs::rename(kept.join(ROOMS), folder.join(ROOMS)),
            false => fs::remove_file(folder.join(ROOMS)),
        };
        for segment in segments(kept).unwrap_or_default() {
            let _ = fs::rename(path_of(kept, segment), path_of(folder, segment));
        }
        let _ = fs::remove_dir(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        room::journal::Written,
        store::Append as _,
        store::log::{Log, SEGMENT, Segment},
    };
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
            drop(Segment::create(folder.path(), 5, &Footing::default()).unwrap());
            let (mut opened, stored) = Folder::open(folder.path(), Footing::default()).unwrap();
            assert!(stored.is_empty());
            let kept = folder.path().join(format!("damaged-{number}"));
            assert_eq!(opened.begin(&mut [], &[]).unwrap().unwrap().kept, kept);
            assert!(segments(folder.path()).unwrap().is_empty());
            drop(opened);
            fs::remove_file(folder.path().join(ROOMS)).unwrap();
            assert!(fs::read_to_string(kept.join(ROOMS)).unwrap().starts_with(damage));
            assert_eq!(segments(&kept).unwrap(), [5]);
        }
        let first = fs::read_to_string(folder.path().join("damaged-1").join(ROOMS)).unwrap();
        assert!(first.starts_with("first"));
    }

    #[test]
    fn a_journal_whose_database_is_missing_or_empty_is_kept() {
        let folder = folder();
        for number in 1..=2 {
            drop(Segment::create(folder.path(), 7, &Footing::default()).unwrap());
            let (mut opened, _) = Folder::open(folder.path(), Footing::default()).unwrap();
            assert!(opened.begin(&mut [], &[]).unwrap().is_some());
            assert!(segments(folder.path()).unwrap().is_empty());
            assert_eq!(segments(&folder.path().join(format!("damaged-{number}"))).unwrap(), [7]);
            drop(opened);
            fs::write(folder.path().join(ROOMS), "").unwrap();
        }
        let (mut opened, _) = Folder::open(folder.path(), Footing::default()).unwrap();
        assert!(opened.begin(&mut [], &[]).unwrap().is_none(), "a new store");
    }

    // Otherwise what was there would have disappeared without a word, if the start fails afterwards.
    #[test]
    fn what_is_damaged_stays_where_it_is_until_a_server_begins() {
        let folder = folder();
        fs::write(folder.path().join(ROOMS), "damaged".repeat(2_000)).unwrap();
        drop(Segment::create(folder.path(), 5, &Footing::default()).unwrap());
        let damaged = || fs::read_to_string(folder.path().join(ROOMS)).unwrap().starts_with("damaged");
        for _ in 0..2 {
            drop(Folder::open(folder.path(), Footing::default()).unwrap());
            assert!(damaged() && segments(folder.path()).unwrap() == [5]);
        }
        let (mut opened, _) = Folder::open(folder.path(), Footing::default()).unwrap();
        opened.rooms = Rooms::unopened(&folder.path().join("nowhere").join(ROOMS), &Footing::default().disk);
        drop(opened.new_segments().make().unwrap());
        opened.begin(&mut [], &[]).unwrap_err();
        assert!(damaged() && segments(folder.path()).unwrap() == [5, 6]);
        assert!(!folder.path().join("damaged-1").exists());
    }

    // Promise 2: "A client never applies a state older than one it has applied."
    #[test]
    fn of_a_room_whose_frames_found_no_place_the_clock_says_how_far_it_came() {
        let folder = folder();
        let at = || super::super::machine::tests::long_ago();
        let row =
            |id, segment| Row { segment, at: at(), ..super::super::row::tests::row(id, &id.to_string()) };
        let mut log = Vec::new();
        for number in 1..=2 {
            log.push(Log::new(Segment::create(folder.path(), number, &Footing::default()).unwrap()));
        }
        let mut reading = Reading::of(
            [(1, 1), (2, 1), (3, 2)].map(|(id, segment)| (id.to_string(), Ok(row(id, segment)))).into(),
            0,
        );
        let tick = |tick| {
            let mut body = Vec::new();
            Written { since: tick - 1, tick: Some(tick), ..Written::default() }.encode(&mut body);
            body
        };
        log[0].append(1, 1, &tick(5));
        log[0].append(2, 1, &tick(5));
        assert!(!log[0].append(9, 1, &[0; SEGMENT / 2]) || !log[0].append(9, 2, &[0; SEGMENT / 2]));
        log[1].append(2, 3, &tick(9));
        for number in 1..=2 {
            reading.segment(number, &read(folder.path(), number).unwrap()).unwrap();
        }
        let mut until: Vec<_> = reading
            .end()
            .1
            .into_iter()
            .map(|stored| match stored {
                Stored::Room(room) => (room.row.id(), room.into_failed().until),
                Stored::Bad { name, why } => panic!("{name}: {why}"),
            })
            .collect();
        until.sort_unstable();
        assert!(until[0].1 > 1_000_000, "since 1970, with a clock that says so");
        assert_eq!(until[1..], [(2, 9), (3, 0)], "what came later says it itself");
    }

    #[test]
    fn segments_of_rooms_that_wait_are_kept() {
        let folder = folder();
        drop(Folder::open(folder.path(), Footing::default()).unwrap());
        for number in 1..=4 {
            drop(Segment::create(folder.path(), number, &Footing::default()).unwrap());
        }
        let (mut opened, _) = Folder::open(folder.path(), Footing::default()).unwrap();
        opened.hold(2..=3);
        opened.begin(&mut [], &[]).unwrap();
        assert_eq!(segments(folder.path()).unwrap(), [2, 3]);
        drop(opened.new_segments().make().unwrap());
        opened.delete_before(6).unwrap();
        assert_eq!(segments(folder.path()).unwrap(), [2, 3]);
    }

    #[test]
    fn a_database_that_cannot_be_opened_now_stays_where_it_is() {
        let folder = folder();
        fs::create_dir(folder.path().join(ROOMS)).unwrap();
        let failed = Folder::open(folder.path(), Footing::default()).unwrap_err();
        assert!(matches!(failed, StoreError::Io(_)), "{failed}");
        assert!(folder.path().join(ROOMS).is_dir());
    }

    // Whatever is not found when it is opened would be found by a panic when something is written, and again
    // at each start.
    #[test]
    fn damage_anywhere_in_the_database_is_found_before_a_server_begins() {
        let place = folder();
        let mut rows: Vec<_> =
            (1..=20).map(|id| super::super::row::tests::row(id, &id.to_string())).collect();
        let (mut opened, _) = Folder::open(place.path(), Footing::default()).unwrap();
        opened.begin(&mut rows, &[]).unwrap();
        drop(opened);
        let whole = fs::read(place.path().join(ROOMS)).unwrap();
        let used: Vec<_> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        for at in used.iter().step_by(used.len() / 80) {
            let mut damaged = whole.clone();
            damaged[*at] ^= 0xff;
            let place = folder();
            fs::write(place.path().join(ROOMS), damaged).unwrap();
            /// The first page says which format it is.
            const PAGE: usize = 4096;
            match Folder::open(place.path(), Footing::default()) {
                Ok((mut opened, _)) => drop(opened.begin(&mut [], &[]).unwrap()),
                Err(error) => assert!(*at < PAGE, "byte {at}: {error}"),
            }
        }
    }
}
