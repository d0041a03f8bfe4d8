//! Files in a folder.

use super::super::file::Packed;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tracing::warn;

/// Longest file, bytes, because it is in memory while it is sent.
const MAX_FILE: u64 = 64 << 20;
/// Most bytes that are kept in memory.
const MAX_KEPT: usize = 64 << 20;

/// A folder, read when something is requested. Files that have not changed since then are kept in memory.
pub(super) struct Folder {
    path: PathBuf,
    kept: Mutex<HashMap<PathBuf, Kept>>,
}

struct Kept {
    modified: SystemTime,
    file: Arc<Packed>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file at a path within the folder. None: there is none.
    pub(super) fn read(&self, path: &str) -> Option<Arc<Packed>> {
        match self.try_read(path) {
            Ok(file) => Some(file),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                None
            }
            Err(error) => {
                warn!(%error, path, "a file of the game's page cannot be sent");
                None
            }
        }
    }

    fn try_read(&self, path: &str) -> io::Result<Arc<Packed>> {
        let file = self.path.join(path).canonicalize()?;
        let metadata = fs::metadata(&file)?;
        // A link may lead out of the folder.
        if !file.starts_with(self.path.canonicalize()?) || !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if metadata.len() > MAX_FILE {
            return Err(io::Error::other(format!(
                "it has {} bytes, and may have {MAX_FILE}",
                metadata.len()
            )));
        }
        let modified = metadata.modified()?;
        if let Some(kept) = self.kept.lock().get(&file).filter(|kept| kept.modified == modified) {
            return Ok(kept.file.clone());
        }
        let packed = Arc::new(Packed::new(path, fs::read(&file)?.into()));
        let mut kept = self.kept.lock();
        let size: usize = kept.values().map(|kept| kept.file.size()).sum();
        if size + packed.size() > MAX_KEPT {
            kept.clear();
        }
        kept.insert(file, Kept { modified, file: packed.clone() });
        Ok(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_read_again_and_what_a_link_leads_out_to_is_not_there() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("dist");
        fs::create_dir(&path).unwrap();
        fs::write(outer.path().join("secret"), "s").unwrap();
        let folder = Folder::new(path.clone());
        assert!(folder.read("a.js").is_none());
        fs::write(path.join("a.js"), "1").unwrap();
        let first = folder.read("a.js").unwrap();
        assert!(Arc::ptr_eq(&first, &folder.read("a.js").unwrap()));
        let later = SystemTime::now() + std::time::Duration::from_secs(1);
        fs::write(path.join("a.js"), "2").unwrap();
        fs::File::options().write(true).open(path.join("a.js")).unwrap().set_modified(later).unwrap();
        assert_eq!(&folder.read("a.js").unwrap().body()[..], b"2");
        std::os::unix::fs::symlink(outer.path().join("secret"), path.join("out")).unwrap();
        std::os::unix::fs::symlink("a.js", path.join("in.js")).unwrap();
        assert!(folder.read("out").is_none() && folder.read("in.js").is_some());
        assert!(folder.read("").is_none(), "a folder is no file");
    }
}
