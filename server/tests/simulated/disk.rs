//! A disk in virtual time: it is full, fails, stops half-way, and loses what was not synchronised when the
//! machine dies.
//!
//! The files are real ones in a folder of their own, which is what a process sees that follows another. What
//! is *on* the disk is kept beside it.

use super::network::Time;
use driftless_server::{Disk, Footing};
use fastrand::Rng;
use redb::{Builder, Database, DatabaseError, StorageBackend, backends::FileBackend};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tempfile::TempDir;

/// The file of the database.
const DATABASE: &str = "rooms.redb";
/// What a disk writes whole.
const SECTOR: usize = 512;
/// What the system writes at a time.
const PAGE: usize = 4096;

/// A disk.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    folder: TempDir,
    dice: Rng,
    now: Time,
    full_until: Time,
    fails_until: Time,
    /// The files on the disk, by name.
    synchronised: BTreeMap<String, Vec<u8>>,
    /// Names that are there when the machine is started again.
    named: BTreeSet<String>,
    /// Files of which the disk did not take something, as they were then: the system has forgotten that it
    /// had to write it.
    forgotten: BTreeMap<String, Vec<u8>>,
    /// What was done to the database since it was synchronised.
    unsynchronised: Vec<Change>,
    /// How much more is written before the process dies. None: it lives.
    left: Option<u32>,
    /// What the next process finds.
    survives: BTreeMap<String, Vec<u8>>,
}

/// Something that was done to the database.
#[derive(Debug)]
enum Change {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

/// How a process ends that does not stop in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The process is killed: what it has written is there.
    Process,
    /// The machine dies: what was not synchronised is there, or not, or in part.
    Machine,
}

impl Simulated {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            folder: folder(),
            dice: Rng::with_seed(seed ^ 0xd15c),
            now: Time::ZERO,
            full_until: Time::ZERO,
            fails_until: Time::ZERO,
            synchronised: BTreeMap::new(),
            named: BTreeSet::new(),
            forgotten: BTreeMap::new(),
            unsynchronised: Vec::new(),
            left: None,
            survives: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its folder, until the process dies that has it.
    pub fn path(&self) -> PathBuf {
        self.state().folder.path().to_owned()
    }

    /// What a store stands on that has it.
    pub fn footing(&self, segment: usize) -> Footing {
        Footing { disk: Arc::new(self.clone()), segment, threads: false }
    }

    pub fn pass(&self, now: Time) {
        self.state().now = now;
    }

    /// There is no space until then.
    pub fn fill(&self, until: Time) {
        let mut state = self.state();
        state.full_until = state.full_until.max(until);
    }

    /// It fails now and then until then.
    pub fn fail(&self, until: Time) {
        let mut state = self.state();
        state.fails_until = state.fails_until.max(until);
    }

    /// Whether a store was found damaged.
    pub fn is_damaged(&self) -> bool {
        let damaged = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("damaged"))
        };
        fs::read_dir(self.path()).is_ok_and(|mut entries| entries.any(damaged))
    }

    /// The process is about to die, which may be in the middle of what it writes.
    pub fn begin_to_die(&self) {
        let mut state = self.state();
        state.left = Some(state.dice.u32(0..12));
    }

    /// The process dies: nothing that it does from now on is written.
    pub fn die(&self, death: Death) {
        let mut state = self.state();
        state.left = Some(0);
        state.survives = match death {
            Death::Process => files(state.folder.path()),
            Death::Machine => state.after_power_cut(),
        };
        if death == Death::Machine {
            state.synchronised = state.survives.clone();
            state.named = state.survives.keys().cloned().collect();
            state.unsynchronised.clear();
            state.forgotten.clear();
        }
    }

    /// Another process may have it.
    pub fn revive(&self) {
        let mut state = self.state();
        if state.left.take().is_none() {
            return; // the one before has stopped in order
        }
        let folder = folder();
        for (name, bytes) in &state.survives {
            fs::write(folder.path().join(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        state.folder = folder;
    }
}

/// In memory, where there is such a place.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.permissions(Permissions::from_mode(0o700));
    let made = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.unwrap_or_else(|error| panic!("no folder for the simulated disk: {error}"))
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let file = |entry: fs::DirEntry| {
        Some((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).ok()?))
    };
    entries.filter_map(file).collect()
}

impl State {
    /// Whether something is written. An error: the process is told that it was not.
    fn write(&mut self, grows: bool) -> io::Result<()> {
        match &mut self.left {
            Some(0) => return Err(io::Error::other("the process is dead")),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.now < self.full_until && (grows || self.dice.bool()) {
            return Err(ErrorKind::StorageFull.into());
        }
        if self.now < self.fails_until && self.dice.bool() {
            return Err(io::Error::other("the disk fails"));
        }
        Ok(())
    }

    /// The files after the machine has died.
    fn after_power_cut(&mut self) -> BTreeMap<String, Vec<u8>> {
        let Self { folder, dice, synchronised, named, unsynchronised, .. } = self;
        let mut files = files(folder.path());
        // What was removed may be there again.
        for (name, bytes) in synchronised.iter().filter(|(name, _)| named.contains(*name)) {
            if !files.contains_key(name) && dice.bool() {
                files.insert(name.clone(), bytes.clone());
            }
        }
        files.retain(|name, _| named.contains(name) || dice.bool());
        for (name, bytes) in &mut files {
            let on_disk = synchronised.get(name).cloned();
            if name == DATABASE {
                *bytes = on_disk.unwrap_or_default();
                unsynchronised.iter().for_each(|change| change.may_reach(bytes, dice));
            } else {
                let before = on_disk.unwrap_or_else(|| vec![0; bytes.len()]);
                mix(bytes, &before, dice);
            }
        }
        files
    }
}

/// Some pages are as they were, and some sectors of others.
fn mix(bytes: &mut [u8], before: &[u8], dice: &mut Rng) {
    for (page, before) in bytes.chunks_mut(PAGE).zip(before.chunks(PAGE)) {
        match dice.u32(..5) {
            0..2 => {}
            2..4 => page.copy_from_slice(before),
            _ => {
                for (sector, before) in page.chunks_mut(SECTOR).zip(before.chunks(SECTOR)) {
                    if dice.bool() {
                        sector.copy_from_slice(before);
                    }
                }
            }
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Length(length) => to.resize(*length as usize, 0),
            Change::Bytes(offset, bytes) => {
                let (from, until) = (*offset as usize, *offset as usize + bytes.len());
                if to.len() < until {
                    to.resize(until, 0);
                }
                to[from..until].copy_from_slice(bytes);
            }
        }
    }

    /// The machine died after it, before it was synchronised.
    fn may_reach(&self, on_disk: &mut Vec<u8>, dice: &mut Rng) {
        let Change::Bytes(offset, bytes) = self else { return self.apply(on_disk) };
        let (from, until) = (*offset as usize, *offset as usize + bytes.len());
        if on_disk.len() < until {
            on_disk.resize(until, 0);
        }
        let mut written = bytes.clone();
        mix(&mut written, &on_disk[from..until], dice);
        on_disk[from..until].copy_from_slice(&written);
    }
}

impl Disk for Simulated {
    fn database(&self, builder: &Builder, file: File) -> Result<Database, DatabaseError> {
        if file.metadata().is_ok_and(|file| file.len() == 0) {
            let mut state = self.state();
            state.synchronised.remove(DATABASE);
            state.unsynchronised.clear();
        }
        builder.create_with_backend(Backend { file: FileBackend::new(file)?, disk: self.clone() })
    }

    fn reserve(&self, file: &File, bytes: usize) -> io::Result<()> {
        self.state().write(true)?;
        file.set_len(bytes as u64)
    }

    fn synchronise(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut bytes = fs::read(path)?;
        if let Err(error) = state.write(false) {
            if state.dice.bool() {
                state.forgotten.insert(name, bytes);
            }
            return Err(error);
        }
        if let Some(forgotten) = state.forgotten.remove(&name) {
            let before = state.synchronised.get(&name).cloned().unwrap_or_else(|| vec![0; bytes.len()]);
            let pages = bytes.chunks_mut(PAGE).zip(before.chunks(PAGE)).zip(forgotten.chunks(PAGE));
            for ((page, before), _) in pages.filter(|((page, _), forgotten)| **page == **forgotten) {
                page.copy_from_slice(before);
            }
        }
        state.synchronised.insert(name, bytes);
        Ok(())
    }

    fn synchronise_names(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.write(false)?;
        state.named = files(folder).into_keys().collect();
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// The database on it.
#[derive(Debug)]
struct Backend {
    file: FileBackend,
    disk: Simulated,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.write(self.file.len()? < len)?;
        self.file.set_len(len)?;
        state.unsynchronised.push(Change::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.write(false)?;
        let State { synchronised, unsynchronised, .. } = &mut *state;
        let on_disk = synchronised.entry(DATABASE.to_owned()).or_default();
        unsynchronised.drain(..).for_each(|change| change.apply(on_disk));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.write(false)?;
        self.file.write(offset, data)?;
        state.unsynchronised.push(Change::Bytes(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
