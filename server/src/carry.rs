//! Rooms that outlive their server: written to a file when it stops, and read by the next one.
//!
//! The file contains the tokens of all seats, so it is of the user who runs the server and only that user may
//! read or write it. What else is found in its place was not written by a server: it is left alone, and the
//! server does not start. With FILE as the name that was configured:
//!
//! - `FILE.part` is being written, and becomes `FILE` when it is complete.
//! - `FILE.taken` has been read. It is removed when its rooms go on, and no room is continued twice. If a
//!   server ends before that, the next one reads it instead of `FILE`.
//! - `FILE.bad` was written by a server, but cannot be read.

use crate::{ground::made_with::MadeWith, room::core::Carried};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Borrow,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use tracing::warn;

/// What a file of carried rooms begins with.
const MAGIC: &[u8; 7] = b"DRIFTCA"; // and the layout
/// The layout of [`Room`], and of all that is in it, wherever rooms are written. Raise it with every change.
pub(crate) const LAYOUT: u8 = 14;
/// Most bytes of a file.
const MOST: u64 = 1 << 30;
/// Bytes that are written to see whether there is space.
const PROBE: [u8; 4096] = [0; 4096];
/// Permissions of others that let them write.
const OTHERS_WRITE: u32 = 0o022;

/// A room on its way to the next server.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Room {
    pub made_with: MadeWith,
    pub carried: Carried,
}

/// Where a server leaves its rooms to the next one.
#[derive(Debug, Clone)]
pub(crate) struct CarryFile {
    file: PathBuf,
    /// Whom the files of this process belong to.
    owner: u32,
}

impl CarryFile {
    /// Checks that rooms can be written there, and that what is there now is a server's. Leaves it as it is.
    ///
    /// # Errors
    /// What is wrong, with the file's name.
    pub(crate) fn prepare(file: &Path) -> io::Result<Self> {
        let prepared = || {
            if file.file_name().is_none() {
                return Err(bad("it does not name a file"));
            }
            let owner = probe(&beside(file, "part"))?;
            let prepared = Self { file: file.to_owned(), owner };
            if let Some((_, mut found)) = prepared.find()? {
                let mut magic = [0; MAGIC.len()];
                let read = found.read_exact(&mut magic);
                if read.is_err() || magic != *MAGIC {
                    return Err(bad("what is there is not a file of carried rooms"));
                }
            }
            Ok(prepared)
        };
        prepared().map_err(|error: io::Error| {
            let line = format!("cannot carry rooms in {}: {error}", file.display());
            io::Error::new(error.kind(), line)
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// Writes rooms to the file, all of them or none.
    pub(crate) fn write(&self, rooms: &[Room]) -> io::Result<()> {
        self.write_encoded(&encode(rooms)?)
    }

    /// The same of rooms that are [encoded](encode).
    pub(crate) fn write_encoded(&self, rooms: &[u8]) -> io::Result<()> {
        let part = beside(&self.file, "part");
        let mut out = create(&part)?;
        let written = out.write_all(rooms).and_then(|()| out.sync_all());
        let written = written.and_then(|()| fs::rename(&part, &self.file));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
    }

    /// Reads the rooms that a server has left, if one has, and marks the file as taken.
    pub(crate) fn take(&self) -> io::Result<Vec<Room>> {
        let Some((place, found)) = self.find()? else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        found.take(MOST).read_to_end(&mut bytes)?;
        match decode(&bytes) {
            Ok(rooms) if place == self.file => {
                fs::rename(place, self.taken())?;
                Ok(rooms)
            }
            Ok(rooms) => {
                warn!(file = %place.display(), "a server ended before these rooms went on: they do now");
                Ok(rooms)
            }
            Err(why) => {
                let kept = beside(&self.file, "bad");
                fs::rename(place, &kept)?;
                warn!(file = %kept.display(), why, "the rooms in this file cannot be read: they begin anew");
                Ok(Vec::new())
            }
        }
    }

    /// Removes what was taken: its rooms go on.
    pub(crate) fn remove_taken(&self) {
        match fs::remove_file(self.taken()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                warn!(file = %self.taken().display(), %error, "cannot remove the rooms that go on");
            }
            _ => {}
        }
    }

    fn taken(&self) -> PathBuf {
        beside(&self.file, "taken")
    }

    /// What a server has left, and where it is.
    fn find(&self) -> io::Result<Option<(PathBuf, File)>> {
        for place in [self.file.clone(), self.taken()] {
            if let Some(found) = self.open(&place)? {
                return Ok(Some((place, found)));
            }
        }
        Ok(None)
    }

    /// Opens a file for reading if it can only be from this user, whose seats and tokens are to be believed.
    fn open(&self, place: &Path) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        // A pipe would wait for a writer.
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = match options.open(place) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) if e.raw_os_error() == Some(libc::ELOOP) => return Err(bad("it is a symbolic link")),
            Err(e) => return Err(e),
        };
        let about = file.metadata()?;
        if !about.is_file() {
            Err(bad("what is there is not a regular file"))
        } else if about.uid() != self.owner {
            Err(bad("the file that is there belongs to another user"))
        } else if about.mode() & OTHERS_WRITE != 0 {
            Err(bad("other users may write to the file that is there"))
        } else if about.len() > MOST {
            Err(bad("the file that is there is larger than 1 GiB"))
        } else {
            Ok(Some(file))
        }
    }
}

/// Removes whatever servers have left there.
pub(crate) fn remove(file: &Path) {
    for file in [file.to_owned(), beside(file, "taken"), beside(file, "bad")] {
        let _ = fs::remove_file(file);
    }
}

/// The file of these rooms.
pub(crate) fn encode(rooms: &[impl Borrow<Room> + Serialize]) -> io::Result<Vec<u8>> {
    let head = [&MAGIC[..], &[LAYOUT], &[0; 4]].concat();
    let at = head.len();
    let mut file = postcard::to_extend(rooms, head).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
    if file.len() as u64 > MOST {
        return Err(bad("the rooms are larger than 1 GiB"));
    }
    let crc = crc32c::crc32c(&file[at..]);
    file[at - 4..at].copy_from_slice(&crc.to_le_bytes());
    Ok(file)
}

/// The rooms in a file, or why they cannot be read.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Room>, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is not a file of carried rooms")?;
    let (version, rest) = rest.split_first().ok_or("it ends too early")?;
    if *version != LAYOUT {
        return Err(format!("it has version {version}, and this server reads {LAYOUT}"));
    }
    let (crc, body) = rest.split_first_chunk().ok_or("it ends too early")?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return Err("it is damaged".into());
    }
    postcard::from_bytes(body).map_err(|e| e.to_string())
}

/// What a server has left: as it is, or with the beginning that it should have.
#[cfg(any(test, fuzzed))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let begun = [&MAGIC[..], &[LAYOUT], &crc32c::crc32c(bytes).to_le_bytes(), bytes].concat();
    for rooms in [decode(bytes), decode(&begun)].into_iter().flatten() {
        let again = encode(&rooms).ok().and_then(|file| decode(&file).ok());
        assert_eq!(again.map(|again| again.len()), Some(rooms.len()), "what is read can be written");
    }
}

/// Checks that a file can be created and written. Returns whom it belongs to.
fn probe(part: &Path) -> io::Result<u32> {
    let mut file = create(part)?;
    let written = file.write_all(&PROBE).and_then(|()| file.sync_all()).and_then(|()| file.metadata());
    fs::remove_file(part)?;
    Ok(written?.uid())
}

/// A new file that only its owner can read.
fn create(part: &Path) -> io::Result<File> {
    // One left over from an earlier run may have other permissions.
    match fs::remove_file(part) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)
}

fn beside(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn bad(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
