//! Whether a process could have a store that another one has now.

use super::{
    RevokedUsers, StoreError,
    folder::{self, ROOMS},
    frames, log, privacy,
};
use crate::{
    clock,
    ground::{inode::Inode, revocations::Revocations},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Written to the folder to see whether that is possible.
const PROBE: [u8; 4096] = [b' '; 4096];
/// The file with it.
const NAME: &str = "probe";
/// How a database of redb begins.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// Looks for all that would keep this process from having the store as soon as the other one has left it: it
/// does without the lock, and changes nothing. Returns which store it is.
///
/// # Errors
/// The store could not be used.
pub(crate) fn probe(path: &Path) -> Result<Inode, StoreError> {
    privacy::check(path)?;
    if !path.join(ROOMS).is_file() {
        return Err(StoreError::Missing);
    }
    let store = Inode::from(fs::metadata(path)?);
    try_to_write(&path.join(NAME))?;
    let database = OpenOptions::new().read(true).write(true).open(path.join(ROOMS))?;
    if head::<{ MAGIC.len() }>(database)? != MAGIC {
        return Err(StoreError::Damaged("it does not begin as a database does".to_owned()));
    }
    for number in folder::segments(path)? {
        match File::open(log::path_of(path, number)).and_then(head::<{ frames::HEAD.len() }>) {
            Ok(head) => {
                if let Some(version) = frames::other_version(&head) {
                    return Err(StoreError::Format(version));
                }
            }
            // The other process has deleted it meanwhile; or is just making it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {}
            Err(error) => return Err(error.into()),
        }
    }
    RevokedUsers::of(path).read(&Revocations::default(), clock::now())?;
    Ok(store)
}

fn try_to_write(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(&PROBE);
    fs::remove_file(file)?;
    written
}

/// The first bytes of a file.
fn head<const LENGTH: usize>(mut file: File) -> io::Result<[u8; LENGTH]> {
    let mut head = [0; LENGTH];
    file.read_exact(&mut head)?;
    Ok(head)
}
