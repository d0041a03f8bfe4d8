//! Files in a folder.

use super::{
    super::{
        file::{MAX_PACKED, Packed},
        media::media_type,
    },
    Content, Found, is_page,
    large::{Large, Stamp},
    usual_policy,
};
use actix_web::http::header::HeaderValue;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::warn;

/// Longest file, bytes. A page is in memory once, even if it is long, while its policy is made.
const MAX_FILE: u64 = 64 << 20;
/// Most bytes that are kept in memory, also while they are sent.
const MAX_KEPT: usize = 64 << 20;
/// What a file takes besides its content, bytes: mostly its path and its policy.
const OVERHEAD: usize = 1 << 10;
/// What was requested within this time is not given up for something else: if more is requested than can be
/// kept, the rest comes from the disk, and nothing is packed again and again.
const IN_USE: Duration = Duration::from_secs(60);

/// A folder, read when something is requested. Short files that have not changed since then are kept in
/// memory.
pub(super) struct Folder {
    path: PathBuf,
    max_kept: usize,
    kept: Mutex<HashMap<PathBuf, Kept>>,
    /// Held while a file is read and packed: one at a time, so that nothing is read twice.
    reading: Mutex<()>,
}

struct Kept {
    stamp: Stamp,
    used: Instant,
    policy: HeaderValue,
    /// None: a page that is too long.
    file: Option<Arc<Packed>>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, max_kept: MAX_KEPT, kept: Mutex::default(), reading: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file at a path within the folder. None: there is none.
    pub(super) fn read(&self, path: &str, now: Instant) -> Option<Found> {
        match self.try_read(path, now) {
            Ok(file) => Some(file),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                warn!(%error, path, "a file of the game's page cannot be sent");
                None
            }
        }
    }

    fn try_read(&self, path: &str, now: Instant) -> io::Result<Found> {
        let large = self.find(path)?;
        if let Some(found) = self.find_kept(&large, now) {
            return Ok(found);
        }
        let is_short = large.stamp.length <= MAX_PACKED as u64;
        if !is_short && !is_page(path) {
            return Ok(Found { policy: usual_policy(path, &[]), content: Content::OnDisk(large) });
        }
        let _one = self.reading.lock();
        if let Some(found) = self.find_kept(&large, now) {
            return Ok(found);
        }
        // If it is packed, that is shorter than the file as it is.
        let most = if media_type(path).1 { 2 } else { 1 } * large.stamp.length as usize;
        let is_kept = is_short && self.make_room(&large.path, most, now);
        if !is_kept && !is_page(path) {
            return Ok(Found { policy: usual_policy(path, &[]), content: Content::OnDisk(large) });
        }
        let body = fs::read(&large.path)?;
        let policy = usual_policy(path, &body);
        let file = is_kept.then(|| Arc::new(Packed::new(path, body.into())));
        if is_kept || !is_short && self.make_room(&large.path, 0, now) {
            let kept = Kept { stamp: large.stamp, used: now, policy: policy.clone(), file: file.clone() };
            self.kept.lock().insert(large.path.clone(), kept);
        }
        Ok(Found { policy, content: file.map_or(Content::OnDisk(large), Content::Kept) })
    }

    /// Where a file is, after all links.
    fn find(&self, path: &str) -> io::Result<Large> {
        let root = self.path.canonicalize()?;
        let path = self.path.join(path).canonicalize()?;
        let metadata = fs::metadata(&path)?;
        // A link may lead out of the folder, or to what is hidden in it.
        let is_visible = path.strip_prefix(root).is_ok_and(|path| !path.iter().any(is_hidden));
        if !is_visible || !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if metadata.len() > MAX_FILE {
            let message = format!("it has {} bytes, and may have {MAX_FILE}", metadata.len());
            return Err(io::Error::other(message));
        }
        Ok(Large { path, stamp: Stamp::of(&metadata)? })
    }

    fn find_kept(&self, large: &Large, now: Instant) -> Option<Found> {
        let mut kept = self.kept.lock();
        let kept = kept.get_mut(&large.path).filter(|kept| kept.stamp == large.stamp)?;
        kept.used = now;
        let content = kept.file.clone().map_or_else(|| Content::OnDisk(large.clone()), Content::Kept);
        Some(Found { policy: kept.policy.clone(), content })
    }

    /// Makes room for a file: gives up its earlier content, then what has not been used for longest. False:
    /// the rest is in use.
    fn make_room(&self, path: &Path, length: usize, now: Instant) -> bool {
        let mut kept = self.kept.lock();
        kept.remove(path);
        let length = OVERHEAD + length;
        let mut size: usize = kept.values().map(Kept::size).sum();
        if size + length <= self.max_kept {
            return true;
        }
        let unused = kept.iter().filter(|(_, kept)| !kept.is_in_use(now));
        let mut unused: Vec<_> = unused.map(|(path, kept)| (kept.used, kept.size(), path.clone())).collect();
        unused.sort_unstable();
        for (_, freed, path) in unused {
            kept.remove(&path);
            size -= freed;
            if size + length <= self.max_kept {
                return true;
            }
        }
        false
    }
}

impl Kept {
    fn size(&self) -> usize {
        OVERHEAD + self.file.as_ref().map_or(0, |file| file.size())
    }

    /// What is being sent would stay in memory without being counted.
    fn is_in_use(&self, now: Instant) -> bool {
        let in_transit = |file: &Arc<Packed>| Arc::strong_count(file) > 1 || file.is_in_transit();
        now.saturating_duration_since(self.used) < IN_USE || self.file.as_ref().is_some_and(in_transit)
    }
}

/// Whether a part of a path without links is hidden. Kubernetes mounts files as links to a folder `..2026_…`
/// beside them, which is not meant to be.
fn is_hidden(part: &std::ffi::OsStr) -> bool {
    let part = part.as_encoded_bytes();
    part.starts_with(b".") && !part.starts_with(b"..")
}

/// Whether an error says that there is no such file. The path is a stranger's: it may be too long, too.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    ) || error.raw_os_error() == Some(libc::ELOOP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use std::{os::unix::fs::symlink, sync::Barrier, time::SystemTime};

    /// A folder with these files, of which it keeps at most 14,000 bytes.
    fn folder(files: &[(&str, usize)]) -> (tempfile::TempDir, Folder) {
        let files_in = tempfile::tempdir().unwrap();
        for (name, length) in files {
            fs::write(files_in.path().join(name), vec![b'x'; *length]).unwrap();
        }
        let folder = Folder { max_kept: 14_000, ..Folder::new(files_in.path().to_owned()) };
        (files_in, folder)
    }

    fn kept(found: Option<Found>) -> Option<Arc<Packed>> {
        match found.expect("it is there").content {
            Content::Kept(file) => Some(file),
            Content::OnDisk(_) => None,
        }
    }

    #[test]
    fn what_has_changed_is_read_again_and_what_a_link_leads_out_to_is_not_there() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("dist");
        fs::create_dir(&path).unwrap();
        fs::write(outer.path().join("secret"), "s").unwrap();
        let folder = Folder::new(path.clone());
        let read = |file: &str| folder.read(file, Instant::now());
        assert!(read("a.js").is_none());
        fs::write(path.join("a.js"), "1").unwrap();
        let first = kept(read("a.js")).unwrap();
        assert!(Arc::ptr_eq(&first, &kept(read("a.js")).unwrap()));
        let later = SystemTime::now() + Duration::from_secs(1);
        fs::write(path.join("a.js"), "2").unwrap();
        fs::File::options().write(true).open(path.join("a.js")).unwrap().set_modified(later).unwrap();
        assert!(!Arc::ptr_eq(&first, &kept(read("a.js")).unwrap()));
        symlink(outer.path().join("secret"), path.join("out")).unwrap();
        symlink("a.js", path.join("in.js")).unwrap();
        assert!(read("out").is_none() && read("in.js").is_some());
        assert!(read("").is_none(), "a folder is no file");
    }

    #[test]
    fn what_is_hidden_is_not_there_behind_a_link_either() {
        let (files, folder) = folder(&[]);
        for hidden in ["sub/.git", "..2026_01_01"] {
            fs::create_dir_all(files.path().join(hidden)).unwrap();
            fs::write(files.path().join(hidden).join("config"), "c").unwrap();
        }
        symlink("sub", files.path().join("link")).unwrap();
        symlink("sub/.git/config", files.path().join("dot")).unwrap();
        symlink("..2026_01_01/config", files.path().join("mounted")).unwrap();
        for path in ["dot", "link/.git/config", "sub/.git/config"] {
            assert!(folder.read(path, Instant::now()).is_none(), "{path}");
        }
        assert!(folder.read("mounted", Instant::now()).is_some());
    }

    #[test]
    fn a_path_that_no_file_can_have_is_absent_and_no_fault() {
        let (files, folder) = folder(&[("a", 1)]);
        symlink("loop", files.path().join("loop")).unwrap();
        for path in ["b", "a/b", "loop", &"long".repeat(100), &"a/".repeat(3_000)] {
            let error = folder.try_read(path, Instant::now()).err().expect("an error");
            assert!(is_absent(&error), "{path}: {error}");
        }
    }

    #[test]
    fn there_is_one_copy_of_each_file_and_no_more_than_fit() {
        let (_files, folder) = folder(&[("a.png", 5_000), ("b.png", 5_000), ("c.png", 5_000)]);
        let begin = Instant::now();
        let read = |file: &str, now| kept(folder.read(file, now));
        let a = read("a.png", begin).unwrap();
        // Somebody gets b, and does not read it.
        let request = TestRequest::default().to_http_request();
        let answer = folder.read("b.png", begin).unwrap().answer(&request);
        let b = Arc::downgrade(&read("b.png", begin).unwrap());
        assert!(read("c.png", begin).is_none(), "there is no room");
        let later = begin + IN_USE;
        assert!(read("c.png", later).is_none(), "both are being sent");
        assert!(Arc::ptr_eq(&a, &read("a.png", begin).unwrap()));
        assert!(b.upgrade().is_some());
        let a = Arc::downgrade(&{ a });
        assert!(read("c.png", later).is_some());
        assert!(a.upgrade().is_none() && b.upgrade().is_some());
        drop(answer);
        assert!(read("a.png", later).is_some() && b.upgrade().is_none());
    }

    #[test]
    fn a_page_for_which_there_is_no_room_has_its_policy_and_is_not_remembered() {
        let (files, folder) = folder(&[("a.png", 5_000), ("b.png", 5_000)]);
        fs::write(files.path().join("index.html"), "<script>go()</script>".repeat(100)).unwrap();
        let now = Instant::now();
        let others = ["a.png", "b.png"].map(|file| Arc::downgrade(&kept(folder.read(file, now)).unwrap()));
        let page = folder.read("index.html", now).unwrap();
        assert!(matches!(page.content, Content::OnDisk(_)));
        assert!(page.policy.to_str().unwrap().contains("sha256-"));
        assert!(others.iter().all(|file| file.upgrade().is_some()), "what is in use is not given up");
        assert!(kept(folder.read("index.html", now + IN_USE)).is_some());
    }

    #[test]
    fn those_who_ask_at_once_get_the_same_copy() {
        let (files, _) = folder(&[("a.js", 1 << 20)]);
        let folder = Folder::new(files.path().to_owned());
        let all_there = Barrier::new(8);
        let read = || kept(folder.read("a.js", Instant::now())).unwrap();
        std::thread::scope(|scope| {
            let reader = || {
                all_there.wait();
                read()
            };
            let readers: Vec<_> = (0..8).map(|_| scope.spawn(reader)).collect();
            for reader in readers {
                assert!(Arc::ptr_eq(&reader.join().unwrap(), &read()));
            }
        });
    }

    #[test]
    fn a_long_file_is_never_in_memory_and_a_long_page_keeps_its_policy() {
        let (files, folder) = folder(&[("a.wasm", MAX_PACKED + 1)]);
        assert!(kept(folder.read("a.wasm", Instant::now())).is_none());
        assert!(folder.kept.lock().is_empty());
        let page = "<script>go()</script>".to_owned() + &" ".repeat(MAX_PACKED);
        fs::write(files.path().join("index.html"), page).unwrap();
        for _ in 0..2 {
            let found = folder.read("index.html", Instant::now()).unwrap();
            assert!(found.policy.to_str().unwrap().contains("sha256-"));
            assert!(matches!(found.content, Content::OnDisk(_)));
        }
        assert_eq!(folder.kept.lock().len(), 1);
    }
}
