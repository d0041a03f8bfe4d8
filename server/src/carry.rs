//! Rooms that outlive their server: written to a file when it stops, and read by the next one.
//!
//! The file contains the tokens of all seats, so only the user who runs the server may read it. It is removed
//! as soon as it is read, so that no room is continued twice.

use crate::{registry::Maker, room::core::Carried};
use driftless_sim::Setup;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// What a file begins with; the last byte is the version.
const MAGIC: &[u8; 8] = b"DRIFTCA\x01";

/// A room on its way to the next server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Room {
    pub setup: Setup<String>,
    pub maker: Maker,
    pub carried: Carried,
}

/// Writes rooms to a file that only its owner can read, all of them or none.
pub(crate) fn write(file: &Path, rooms: &[Room]) -> io::Result<()> {
    let body = postcard::to_stdvec(rooms).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // One left over from an earlier run may have other permissions.
    match fs::remove_file(&part) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut out = private(&part)?;
    out.write_all(MAGIC)?;
    out.write_all(&crc32c::crc32c(&body).to_le_bytes())?;
    out.write_all(&body)?;
    out.sync_all()?;
    fs::rename(&part, file)
}

/// Reads the rooms in a file and removes it. `None`: there is no file.
pub(crate) fn take(file: &Path) -> io::Result<Option<Vec<Room>>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    fs::remove_file(file)?;
    let bad = |why: &str| io::Error::new(ErrorKind::InvalidData, why.to_owned());
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("not a carry file of this version"))?;
    let (crc, body) = rest.split_first_chunk().ok_or_else(|| bad("it ends too early"))?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return Err(bad("it is damaged"));
    }
    postcard::from_bytes(body).map(Some).map_err(|e| bad(&e.to_string()))
}

fn private(file: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
