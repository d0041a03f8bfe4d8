//! The tokens that were used and may not be used again, in a file of the store's folder: the next server
//! knows them, too.
//!
//! The file is as large as it may get and is mapped into memory, so that a join waits for no disk and a
//! process that is killed loses nothing of it. (A machine that dies loses what the kernel had not written:
//! that of the last half minute.)

#![allow(unsafe_code, reason = "a file that is mapped into memory")]

use super::disk::Footing;
use crate::ground::once::{Id, KeepsUsed, MOST, OnceTokens, Times};
use memmap2::MmapMut;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

/// The file's name.
const NAME: &str = "used-tokens";
/// Bytes of a slot: an id, when it expires (seconds since 1970), a CRC-32C of these. So none is in two pages.
const SLOT: usize = 32;
/// The bytes that the CRC is of.
const CHECKED: usize = size_of::<Id>() + 8;
const FILE: usize = MOST * SLOT;

/// The file of a folder that is this process's own.
#[derive(Debug)]
pub(crate) struct UsedTokens(Mutex<Slots>);

#[derive(Debug)]
struct Slots {
    memory: MmapMut,
    /// Where tokens are.
    of: HashMap<Id, usize>,
    free: Vec<usize>,
}

impl UsedTokens {
    /// That of the store in this folder, which is open, or a new one. `known` learns what is in it.
    ///
    /// # Errors
    /// It cannot be read or written. No token is good twice by mistake.
    pub(crate) fn open(folder: &Path, known: &OnceTokens, times: Times) -> io::Result<Arc<Self>> {
        let path = folder.join(NAME);
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut slots = Slots::open(&path).map_err(failed)?;
        for (slot, used) in slots.read() {
            let Some((id, expires)) = used.filter(|(_, expires)| *expires > times.unix) else {
                slots.free.push(slot);
                continue;
            };
            slots.of.insert(id, slot);
            known.remember(id, expires, times);
        }
        // The first one is taken first.
        slots.free.reverse();
        Ok(Arc::new(Self(Mutex::new(slots))))
    }
}

impl KeepsUsed for UsedTokens {
    fn keep(&self, id: Id, expires: Duration) {
        let mut slots = self.0.lock();
        // There are as many slots as tokens that are remembered.
        let Some(slot) = slots.of.get(&id).copied().or_else(|| slots.free.pop()) else { return };
        slots.of.insert(id, slot);
        let mut bytes = [0; SLOT];
        bytes[..id.len()].copy_from_slice(&id);
        // Not a moment too early.
        bytes[id.len()..CHECKED].copy_from_slice(&(expires.as_secs() + 1).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CHECKED]);
        bytes[CHECKED..CHECKED + 4].copy_from_slice(&crc.to_le_bytes());
        slots.slot(slot).copy_from_slice(&bytes);
    }

    fn forget(&self, id: Id) {
        let mut slots = self.0.lock();
        if let Some(slot) = slots.of.remove(&id) {
            slots.slot(slot).fill(0);
            slots.free.push(slot);
        }
    }
}

impl Slots {
    fn open(path: &Path) -> io::Result<Self> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path)?,
            file => file?,
        };
        if file.metadata()?.len() != FILE as u64 {
            return Err(io::Error::other("it is none of a server: remove it, and used tokens are forgotten"));
        }
        // SAFETY: it is in a folder that is locked by this process, and nobody else writes to it or makes it
        // shorter. (Whoever is allowed to and does so anyway ends this process with a signal, as with any
        // file that is mapped.)
        let memory = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { memory, of: HashMap::new(), free: Vec::new() })
    }

    fn create(path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Footing::default().disk.reserve(&file, FILE).inspect_err(|_| {
            let _ = fs::remove_file(path);
        })?;
        Ok(file)
    }

    /// What is in each slot. None: nothing, or nothing whole.
    fn read(&self) -> Vec<(usize, Option<(Id, Duration)>)> {
        let read = |bytes: &[u8]| {
            let (id, rest) = bytes.split_first_chunk::<{ size_of::<Id>() }>()?;
            let (expires, rest) = rest.split_first_chunk()?;
            let crc = u32::from_le_bytes(*rest.first_chunk()?);
            let is_whole = crc == crc32c::crc32c(&bytes[..CHECKED]) && *expires != [0; 8];
            is_whole.then(|| (*id, Duration::from_secs(u64::from_le_bytes(*expires))))
        };
        self.memory.chunks_exact(SLOT).map(read).enumerate().collect()
    }

    fn slot(&mut self, slot: usize) -> &mut [u8] {
        &mut self.memory[slot * SLOT..][..SLOT]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::once::TokenRefused;
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(start: Instant, seconds: u32) -> Times {
        Times { now: start + seconds * SECOND, unix: seconds * SECOND }
    }

    fn server(folder: &Path, times: Times) -> Arc<OnceTokens> {
        let known = Arc::<OnceTokens>::default();
        known.keep_in(UsedTokens::open(folder, &known, times).unwrap());
        known
    }

    #[test]
    fn the_next_server_knows_what_was_used_until_it_expires() {
        let (folder, start) = (tempfile::tempdir().unwrap(), Instant::now());
        let reserve = |known: &Arc<OnceTokens>, jti, expires: u32, now| {
            known.reserve(jti, expires * SECOND, at(start, now))
        };
        let first = server(folder.path(), at(start, 1));
        reserve(&first, "a", 10, 1).unwrap().use_up();
        reserve(&first, "b", 20, 1).unwrap().use_up();
        drop(reserve(&first, "c", 20, 1).unwrap());
        drop(first);
        let second = server(folder.path(), at(start, 2));
        assert_eq!(reserve(&second, "a", 10, 9).unwrap_err(), TokenRefused::Again);
        assert_eq!(reserve(&second, "b", 20, 9).unwrap_err(), TokenRefused::Again);
        reserve(&second, "c", 20, 9).unwrap();
        reserve(&second, "d", 30, 12).unwrap().use_up(); // and "a" has expired
        drop(second);
        let third = server(folder.path(), at(start, 13));
        assert_eq!(third.used().len(), 2);
        assert_eq!(reserve(&third, "d", 30, 29).unwrap_err(), TokenRefused::Again);
    }

    #[test]
    fn what_is_damaged_is_no_token_and_another_file_is_left_alone() {
        let (folder, start) = (tempfile::tempdir().unwrap(), Instant::now());
        let first = server(folder.path(), at(start, 1));
        for jti in ["a", "b"] {
            first.reserve(jti, 10 * SECOND, at(start, 1)).unwrap().use_up();
        }
        drop(first);
        let path = folder.path().join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(server(folder.path(), at(start, 2)).used().len(), 1);
        fs::write(&path, "something else").unwrap();
        let error = UsedTokens::open(folder.path(), &OnceTokens::default(), at(start, 2)).unwrap_err();
        assert!(error.to_string().contains("used-tokens: it is none"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else");
    }
}
