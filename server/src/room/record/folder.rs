//! The folder of recordings: whether it can be used, what is in it, and unique names.

use crate::ground::id::RoomId;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

/// Permissions of what is made: a recording has names, ids and all that players say.
const PRIVATE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// File name extension of recordings.
const EXTENSION: &str = "driftless";
/// How many existing files of the same room, second, process and number are skipped: of containers, each of
/// which has its own process 1, and of servers in one process.
const NAMES: u32 = 1_000;

/// A folder that was writable when the server started.
#[derive(Debug)]
pub struct RecordFolder(PathBuf);

impl RecordFolder {
    /// Creates the folder if it does not exist, and tries to write to it.
    pub fn prepare(path: &Path) -> io::Result<Self> {
        let folder = Self(path.to_owned());
        folder.try_out().map_err(|error| folder.unusable(&error))?;
        Ok(folder)
    }

    /// Bytes of all recordings in it.
    pub(super) fn used(&self) -> io::Result<u64> {
        let sum = || {
            let mut bytes = 0;
            for entry in fs::read_dir(&self.0)? {
                let entry = entry?;
                if Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == EXTENSION) {
                    // A file that has just been removed takes no space.
                    bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                }
            }
            Ok(bytes)
        };
        sum().map_err(|error| self.unusable(&error))
    }

    /// A new file for the recording of a room: `ROOM-TIME-PROCESS-NUMBER.driftless`. No existing file is
    /// touched.
    pub(super) fn create(&self, room: &str, number: RoomId, now: SystemTime) -> io::Result<(PathBuf, File)> {
        let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
        let name = format!("{room}-{time}-{}-{number}", process::id());
        let mut last = None;
        for n in 1..=NAMES {
            let again = if n == 1 { String::new() } else { format!("-{n}") };
            let path = self.0.join(format!("{name}{again}.{EXTENSION}"));
            match OpenOptions::new().append(true).create_new(true).mode(PRIVATE).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ErrorKind::AlreadyExists.into()))
    }

    fn try_out(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(&self.0)?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let probe = self.0.join(format!(".probe-{}-{}", process::id(), since.as_nanos()));
        let written = OpenOptions::new().write(true).create_new(true).open(&probe);
        let written = written.and_then(|mut file| io::Write::write_all(&mut file, b"probe"));
        let removed = fs::remove_file(&probe);
        written.and(removed)
    }

    fn unusable(&self, error: &io::Error) -> io::Error {
        let folder = self.0.display();
        io::Error::new(error.kind(), format!("record: recordings cannot be written to {folder}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn no_file_is_opened_twice() {
        let folder = tempfile::tempdir().unwrap();
        let folder = RecordFolder::prepare(folder.path()).unwrap();
        let now = SystemTime::UNIX_EPOCH;
        let paths = [1, 1, 1, 2].map(|number| folder.create("lobby", RoomId(number), now).unwrap().0);
        for (n, path) in paths.iter().enumerate() {
            assert!(!paths[..n].contains(path), "{paths:?}");
        }
        let name = paths[0].file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("lobby-19700101T000000Z-{}-1.driftless", process::id()));
        assert_eq!(folder.used().unwrap(), 0);
    }

    #[test]
    fn what_is_made_is_readable_by_its_owner_alone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("recordings");
        let (file, _) =
            RecordFolder::prepare(&path).unwrap().create("lobby", RoomId(1), SystemTime::UNIX_EPOCH).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        // The last one is not writable, not even by root.
        for path in [file.join("below"), file, "/proc/self".into()] {
            let error = RecordFolder::prepare(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
