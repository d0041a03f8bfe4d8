//! The users whose access an operator has revoked, in a file of the store's folder: the next server knows
//! them, too.

use crate::ground::revocations::Revocations;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, rename},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The file's name: JSON, until when by user, milliseconds since 1970.
const NAME: &str = "revoked.json";
/// Where the next one is written.
const PART: &str = "revoked.part";

/// The file of a folder that is this process's own.
#[derive(Debug)]
pub(crate) struct RevokedUsers {
    folder: PathBuf,
    /// One writes at a time, and what is written last is newest.
    writing: Mutex<()>,
}

impl RevokedUsers {
    /// Those of the store in this folder, which is open.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), writing: Mutex::default() }
    }

    /// Learns who is revoked at this time.
    ///
    /// # Errors
    /// The file is there and cannot be read. Nobody is let in by mistake.
    pub(crate) fn read(&self, into: &Revocations, now: Duration) -> io::Result<()> {
        let path = self.folder.join(NAME);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            bytes => bytes?,
        };
        let all: BTreeMap<Arc<str>, u64> = serde_json::from_slice(&bytes).map_err(|error| {
            let line = format!(
                "{}: {error}: repair it, or remove it to have nobody's access revoked",
                path.display()
            );
            io::Error::new(ErrorKind::InvalidData, line)
        })?;
        for (user, until) in all {
            let until = Duration::from_millis(until);
            if until > now {
                into.revoke(user, until, now);
            }
        }
        Ok(())
    }

    /// Writes who is revoked at this time. It is on the disk when this returns, which takes as long as the
    /// disk does.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, revoked: &Revocations, now: Duration) -> io::Result<()> {
        let _writing = self.writing.lock();
        let all = revoked.current(now);
        let all: BTreeMap<_, _> =
            all.iter().map(|(user, until)| (&**user, until.as_millis() as u64)).collect();
        let part = self.folder.join(PART);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec(&all)?)?;
        file.sync_all()?;
        rename(&part, self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn read(file: &RevokedUsers, now: Duration) -> io::Result<Vec<(Arc<str>, Duration)>> {
        let revoked = Revocations::default();
        file.read(&revoked, now)?;
        Ok(revoked.current(Duration::ZERO))
    }

    #[test]
    fn who_is_revoked_stays_so_until_the_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = RevokedUsers::of(folder.path());
        assert_eq!(read(&file, SECOND).unwrap(), []);
        let revoked = Revocations::default();
        revoked.revoke("ann".into(), 10 * SECOND, SECOND);
        revoked.revoke("bob".into(), 5 * SECOND, SECOND);
        file.write(&revoked, SECOND).unwrap();
        assert_eq!(read(&file, 5 * SECOND).unwrap(), [("ann".into(), 10 * SECOND)]);
        file.write(&revoked, 10 * SECOND).unwrap();
        assert_eq!(read(&file, SECOND).unwrap(), [], "what is over is not written");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "{\"ann\":").unwrap();
        let error = read(&RevokedUsers::of(folder.path()), SECOND).unwrap_err().to_string();
        assert!(error.contains(NAME) && error.contains("remove it"), "{error}");
    }
}
