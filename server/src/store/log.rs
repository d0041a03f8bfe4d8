//! The segment of the journal that rooms write to now, and the one after it.
//!
//! A segment is a file in memory: what is copied there is in the file even if the process is killed at once.
//! Its blocks are allocated beforehand, so that a full disk is noticed by the keeper and not by a room, and
//! its pages are touched beforehand, so that rooms do not wait for them.

use super::frames::{self, BEFORE, HEAD};
use memmap2::MmapMut;
use parking_lot::Mutex;
use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Bytes of a segment.
pub(super) const SEGMENT: usize = 8 << 20;
const PAGE: usize = 4096;

/// Where rooms write.
#[derive(Debug)]
pub(super) struct Log(Mutex<Segments>);

#[derive(Debug)]
struct Segments {
    current: Segment,
    next: Option<Segment>,
    /// Full ones, which the keeper has yet to synchronise.
    full: Vec<Segment>,
    /// Frames that found no place since the keeper has looked.
    refused: u64,
}

/// A file of the journal.
#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    memory: MmapMut,
    used: usize,
    synchronised: usize,
}

/// The file of a segment.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("journal-{number:010}"))
}

/// The number of the segment in a file of this name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("journal-")?.parse().ok()
}

impl Log {
    /// Begins with a new segment.
    pub(super) fn new(current: Segment) -> Self {
        Self(Mutex::new(Segments { current, next: None, full: Vec::new(), refused: 0 }))
    }

    /// Appends a frame. False: there is no place for it.
    pub(super) fn append(&self, room: u64, number: u64, body: &[u8]) -> bool {
        let before = frames::before(room, number, body);
        let mut segments = self.0.lock();
        if !segments.current.fits(body) {
            let Some(next) = segments.next.take() else {
                segments.refused += 1;
                return false;
            };
            let full = std::mem::replace(&mut segments.current, next);
            segments.full.push(full);
        }
        segments.current.append(&before, body)
    }

    /// The number of the current segment.
    pub(super) fn segment(&self) -> u64 {
        self.0.lock().current.number
    }

    /// Whether there is no segment after the current one.
    pub(super) fn needs_next(&self) -> bool {
        self.0.lock().next.is_none()
    }

    /// Bytes that may not be on the disk.
    pub(super) fn unsynchronised(&self) -> usize {
        let segments = self.0.lock();
        let of = |segment: &Segment| segment.used - segment.synchronised;
        of(&segments.current) + segments.full.iter().map(of).sum::<usize>()
    }

    /// How many frames found no place since the last call.
    pub(super) fn take_refused(&self) -> u64 {
        std::mem::take(&mut self.0.lock().refused)
    }

    /// Provides the next segment.
    pub(super) fn provide(&self, next: Segment) {
        self.0.lock().next = Some(next);
    }

    /// Writes everything to the disk. Rooms go on writing meanwhile.
    pub(super) fn synchronise(&self, folder: &Path) -> io::Result<()> {
        let full = std::mem::take(&mut self.0.lock().full);
        let mut full = full.into_iter();
        while let Some(segment) = full.next() {
            let unsynchronised = segment.used - segment.synchronised;
            if let Err(error) = segment.memory.flush_range(segment.synchronised, unsynchronised) {
                self.0.lock().full.splice(..0, std::iter::once(segment).chain(full));
                return Err(error);
            }
        }
        let (number, used) = {
            let segments = self.0.lock();
            (segments.current.number, segments.current.used)
        };
        // By the file, because its memory is the rooms' to write.
        OpenOptions::new().write(true).open(path_of(folder, number))?.sync_data()?;
        let mut segments = self.0.lock();
        if segments.current.number == number {
            segments.current.synchronised = used;
        }
        Ok(())
    }

    /// Gives back the memory of full segments, which the kernel writes in its own time.
    pub(super) fn let_go(&self) {
        let full = std::mem::take(&mut self.0.lock().full);
        drop(full);
    }
}

impl Segment {
    /// Creates a segment.
    ///
    /// # Errors
    /// The disk is full, or fails.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path_of(folder, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Self::map(&file, number).inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        })
    }

    fn map(file: &File, number: u64) -> io::Result<Self> {
        allocate(file, SEGMENT)?;
        // SAFETY: the file was just created by this process, in a folder that is locked by it, and nobody
        // else writes to it or makes it shorter. (Whoever is allowed to and does so anyway ends this process
        // with a signal, as with any file that is mapped.)
        let mut memory = unsafe { MmapMut::map_mut(file)? };
        memory.chunks_mut(PAGE).for_each(|page| page[0] = 0);
        memory[..HEAD.len()].copy_from_slice(&HEAD);
        Ok(Self { number, memory, used: HEAD.len(), synchronised: 0 })
    }

    fn fits(&self, body: &[u8]) -> bool {
        self.memory.len() - self.used >= frames::length(body)
    }

    fn append(&mut self, before: &[u8; BEFORE], body: &[u8]) -> bool {
        let fits = self.fits(body);
        if fits {
            frames::write(&mut self.memory[self.used..], before, body);
            self.used += frames::length(body);
        }
        fits
    }
}

/// Makes sure that the disk has the blocks.
#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` is; the other arguments are numbers.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes as libc::off_t) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    file.set_len(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_in_the_files_as_soon_as_they_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(Segment::create(folder.path(), 7).unwrap());
        let body = vec![1; SEGMENT / 2];
        assert!(log.append(3, 1, &body));
        assert!(!log.append(3, 2, &body), "there is no place, and nobody waits for it");
        assert_eq!((log.take_refused(), log.take_refused()), (1, 0));
        log.provide(Segment::create(folder.path(), 8).unwrap());
        assert!(log.append(3, 2, &body));
        assert_eq!((log.segment(), log.needs_next()), (8, true));
        for (number, frame) in [(7, 1), (8, 2)] {
            let file = std::fs::read(path_of(folder.path(), number)).unwrap();
            let found: Vec<_> = frames::read(&file).map(|found| (found.room, found.number)).collect();
            assert_eq!(found, [(3, frame)]);
        }
        log.synchronise(folder.path()).unwrap();
        assert_eq!(log.unsynchronised(), 0);
        assert!(Segment::create(folder.path(), 8).is_err(), "none is overwritten");
        assert!(path_of(folder.path(), 8).exists());
    }
}
