//! The users whose access an operator has revoked, in a file of the store's folder: the next server knows
//! them, too.

use super::machine::Moment;
use crate::ground::revocations::Revocations;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, rename},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// The file's name: JSON, a [`Written`].
const NAME: &str = "revoked.json";
/// Where the next one is written.
const PART: &str = "revoked.part";

/// The file of a folder that is this process's own.
#[derive(Debug)]
pub(crate) struct RevokedUsers {
    folder: PathBuf,
    /// One writes at a time, and what is written last is newest. Whether that is still to be done.
    unwritten: Mutex<bool>,
}

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    at: Moment,
    /// For how much longer they were revoked then, milliseconds.
    left_ms: BTreeMap<Arc<str>, u64>,
}

impl RevokedUsers {
    /// Those of the store in this folder, which is open.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), unwritten: Mutex::default() }
    }

    /// Others are revoked than the file says.
    pub(crate) fn have_changed(&self) {
        *self.unwritten.lock() = true;
    }

    /// Learns who is revoked, and for how much longer from `now` on.
    ///
    /// # Errors
    /// The file is there and cannot be read. Nobody is let in by mistake.
    pub(crate) fn read(&self, into: &Revocations, now: Instant) -> io::Result<()> {
        self.read_at(into, now, &Moment::now())
    }

    fn read_at(&self, into: &Revocations, now: Instant, moment: &Moment) -> io::Result<()> {
        let path = self.folder.join(NAME);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            bytes => bytes?,
        };
        let Written { at, left_ms } = serde_json::from_slice(&bytes).map_err(|error| {
            let line = format!(
                "{}: {error}: repair it, or remove it to have nobody's access revoked",
                path.display()
            );
            io::Error::new(ErrorKind::InvalidData, line)
        })?;
        let passed = moment.since(&at).unwrap_or_default();
        for (user, left_ms) in left_ms {
            let left = Duration::from_millis(left_ms).saturating_sub(passed);
            if !left.is_zero() {
                into.revoke(user, left, now);
            }
        }
        Ok(())
    }

    /// Writes who is revoked at this time. It is on the disk when this returns, which takes as long as the
    /// disk does.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, revoked: &Revocations, now: Instant) -> io::Result<()> {
        self.write_at(revoked, now, Moment::now())
    }

    /// The same, if it has not been done since something has changed: the disk may have been full.
    ///
    /// # Errors
    /// It still cannot be written.
    pub(crate) fn write_again(&self, revoked: &Revocations, now: Instant) -> io::Result<()> {
        let is_written = !*self.unwritten.lock();
        if is_written { Ok(()) } else { self.write(revoked, now) }
    }

    fn write_at(&self, revoked: &Revocations, now: Instant, at: Moment) -> io::Result<()> {
        let mut unwritten = self.unwritten.lock();
        *unwritten = true;
        let left_ms = revoked.current(now).into_iter();
        let left_ms = left_ms.map(|(user, left)| (user, left.as_millis() as u64)).collect();
        let part = self.folder.join(PART);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec(&Written { at, left_ms })?)?;
        file.sync_all()?;
        rename(&part, self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()?;
        *unwritten = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::machine::tests::moment, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn read(file: &RevokedUsers, at: Moment) -> io::Result<Vec<(Arc<str>, Duration)>> {
        let (revoked, now) = (Revocations::default(), Instant::now());
        file.read_at(&revoked, now, &at)?;
        Ok(revoked.current(now))
    }

    #[test]
    fn who_is_revoked_stays_so_until_the_time_is_over_whatever_becomes_of_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let file = RevokedUsers::of(folder.path());
        assert_eq!(read(&file, moment("a", 100, 5_000)).unwrap(), []);
        let (revoked, now) = (Revocations::default(), Instant::now());
        revoked.revoke("ann".into(), 9 * SECOND, now);
        revoked.revoke("bob".into(), 4 * SECOND, now);
        file.write_at(&revoked, now, moment("a", 100, 5_000)).unwrap();
        for unix_s in [0, 5_004, 900_000] {
            assert_eq!(read(&file, moment("a", 104, unix_s)).unwrap(), [("ann".into(), 5 * SECOND)]);
        }
        // The machine was started again, and its clock is behind.
        assert_eq!(read(&file, moment("b", 1, 0)).unwrap().len(), 2);
        file.write_at(&revoked, now + 9 * SECOND, moment("a", 109, 5_009)).unwrap();
        assert_eq!(read(&file, moment("a", 100, 5_000)).unwrap(), [], "what is over is not written");
        file.write(&revoked, now).unwrap();
        let again = Revocations::default();
        file.read(&again, now).unwrap();
        assert!(again.is_revoked("ann", now), "by the clocks of this machine");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "{\"ann\":").unwrap();
        let error = read(&RevokedUsers::of(folder.path()), Moment::now()).unwrap_err().to_string();
        assert!(error.contains(NAME) && error.contains("remove it"), "{error}");
    }
}
