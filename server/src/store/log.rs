//! The segment of the journal that rooms write to now, and the one after it.
//!
//! A segment is a file in memory: what is copied there is in the file even if the process is killed at once.
//! Its blocks are allocated beforehand, so that a disk that is full is an error when the segment is made, and
//! not the end of the process when a room writes to it (SIGBUS). Its pages are touched beforehand, so that
//! rooms do not wait for them.

#![allow(unsafe_code, reason = "a file that is mapped into memory")]

use super::{
    Append,
    disk::{Disk, Footing},
    frames::{self, BEFORE, HEAD},
};
use memmap2::MmapMut;
use parking_lot::Mutex;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes of a segment.
pub(super) const SEGMENT: usize = 8 << 20;
pub(super) const PAGE: usize = 4096;

/// Bytes at the end of a segment that only its last frame takes, which says that there was no place for more.
const LAST: usize = BEFORE;
/// Digits of a segment's number in the name of its file.
const DIGITS: usize = 10;
/// Numbers are below this one: more would be 72 exabytes.
const NUMBERS: u64 = 9_000_000_000;

/// Where rooms write, and the segment up to which nothing is trusted: the disk did not take it.
#[derive(Debug)]
pub(super) struct Log(Mutex<Writing>, AtomicU64);

/// Makes segments.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    last: u64,
    footing: Footing,
}

#[derive(Debug)]
struct Writing {
    current: Segment,
    next: Option<Segment>,
    /// Full ones, which the journal's worker has yet to synchronise.
    full: Vec<Segment>,
    /// Frames that found no place since the segments' worker has looked.
    refused: u64,
    /// Why rooms have to write checkpoints before all is well.
    distrusted: Option<String>,
}

/// A file of the journal.
#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    memory: MmapMut,
    used: usize,
    synchronised: usize,
    /// It has said that it takes no more.
    closed: bool,
}

/// The file of a segment.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("journal-{number:0DIGITS$}"))
}

/// The number of the segment in a file of this name. None: it is no segment's name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?;
    let are_digits = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|number| are_digits && *number < NUMBERS)
}

impl Segments {
    /// After these in this folder.
    pub(super) fn after(folder: &Path, last: u64, footing: &Footing) -> Self {
        Self { folder: folder.to_owned(), last, footing: footing.clone() }
    }

    /// Makes the next one.
    ///
    /// # Errors
    /// The disk is full, or fails; or it cannot reserve space.
    pub(super) fn make(&mut self) -> io::Result<Segment> {
        let number = self.last + 1;
        if number >= NUMBERS {
            return Err(io::Error::other("the numbers of its segments are used up"));
        }
        // Whatever has its name is in the way of this one, but not of the next.
        self.last = number;
        Segment::create(&self.folder, number, &self.footing)
    }
}

impl Log {
    /// Begins with a new segment.
    pub(super) fn new(current: Segment) -> Self {
        let writing = Writing { current, next: None, full: Vec::new(), refused: 0, distrusted: None };
        Self(Mutex::new(writing), AtomicU64::new(0))
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

    /// Whether a room whose newest checkpoint came with this segment has to write another.
    pub(super) fn distrusts(&self, segment: u64) -> bool {
        segment <= self.1.load(Ordering::Relaxed)
    }

    /// All rooms have checkpoints, and need no segment before this one.
    pub(super) fn needs_only_from(&self, segment: u64) {
        if !self.distrusts(segment) {
            self.0.lock().distrusted = None;
        }
    }

    /// Whether all that was written is on the disk, or may come to be.
    ///
    /// # Errors
    /// The disk did not take something, of which rooms have yet to write checkpoints.
    pub(super) fn check(&self) -> io::Result<()> {
        self.0.lock().distrusted.clone().map_or(Ok(()), |why| Err(io::Error::other(why)))
    }

    /// Writes everything to the disk. Rooms go on writing meanwhile.
    ///
    /// # Errors
    /// The disk does not take it. The kernel forgets what it could not write, and would say at the next
    /// attempt that all is well. So nothing that was written up to now counts: rooms go on in the next
    /// segment, with new checkpoints.
    pub(super) fn synchronise(&self, folder: &Path, disk: &dyn Disk) -> io::Result<()> {
        self.try_to_synchronise(folder, disk).inspect_err(|why| self.distrust(&why.to_string()))
    }

    /// Nothing that was written up to now counts: all rooms write new checkpoints.
    pub(super) fn distrust(&self, why: &str) {
        let mut segments = self.0.lock();
        segments.distrusted = Some(why.to_owned());
        self.1.store(segments.current.number, Ordering::Relaxed);
        if !segments.advance() {
            segments.current.close();
        }
        segments.full.clear();
    }

    fn try_to_synchronise(&self, folder: &Path, disk: &dyn Disk) -> io::Result<()> {
        let full = std::mem::take(&mut self.0.lock().full);
        for segment in full {
            synchronise(folder, segment.number, disk)?;
        }
        let (number, used) = {
            let segments = self.0.lock();
            (segments.current.number, segments.current.used)
        };
        // By the file, because its memory is the rooms' to write.
        synchronise(folder, number, disk)?;
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

/// Has the disk take a segment, if it is there: nobody may need it any more.
fn synchronise(folder: &Path, number: u64, disk: &dyn Disk) -> io::Result<()> {
    match disk.synchronise(&path_of(folder, number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synchronised => synchronised,
    }
}

impl Append for Log {
    fn append(&self, room: u64, number: u64, body: &[u8]) -> bool {
        let before = frames::before(room, number, body);
        let mut segments = self.0.lock();
        if frames::length(body) > segments.current.memory.len() - HEAD.len() - LAST {
            segments.refused += 1;
            return false;
        }
        if !segments.current.fits(body) && !segments.advance() {
            segments.current.close();
            segments.refused += 1;
            return false;
        }
        segments.current.append(&before, body);
        true
    }

    fn has_place(&self) -> bool {
        let segments = self.0.lock();
        !segments.current.closed || segments.next.is_some()
    }
}

impl Writing {
    /// Goes on in the next segment. False: there is none.
    fn advance(&mut self) -> bool {
        let Some(next) = self.next.take() else { return false };
        self.full.push(std::mem::replace(&mut self.current, next));
        true
    }
}

impl Segment {
    /// Creates a segment.
    ///
    /// # Errors
    /// As [`Segments::make`].
    pub(super) fn create(folder: &Path, number: u64, footing: &Footing) -> io::Result<Self> {
        let path = path_of(folder, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let made = footing.disk.reserve(&file, footing.segment).and_then(|()| Self::map(&file, number));
        // What is synchronised in a file is lost with its name.
        made.and_then(|made| footing.disk.synchronise_names(folder).map(|()| made)).inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        })
    }

    fn map(file: &File, number: u64) -> io::Result<Self> {
        // SAFETY: the file was just created by this process, in a folder that is locked by it, and nobody
        // else writes to it or makes it shorter. (Whoever is allowed to and does so anyway ends this process
        // with a signal, as with any file that is mapped.)
        let mut memory = unsafe { MmapMut::map_mut(file)? };
        memory.chunks_mut(PAGE).for_each(|page| page[0] = 0);
        memory[..HEAD.len()].copy_from_slice(&HEAD);
        Ok(Self { number, memory, used: HEAD.len(), synchronised: 0, closed: false })
    }

    fn fits(&self, body: &[u8]) -> bool {
        !self.closed && self.memory.len() - self.used >= frames::length(body) + LAST
    }

    /// Takes no more frames, and says so.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.append(&frames::before(0, frames::REFUSED, &[]), &[]);
        }
    }

    fn append(&mut self, before: &[u8; BEFORE], body: &[u8]) {
        frames::write(&mut self.memory[self.used..], before, body);
        self.used += frames::length(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_segment_is_called_is_one() {
        let folder = Path::new("");
        for number in [0, 7, NUMBERS - 1] {
            assert_eq!(number_of(path_of(folder, number).to_str().unwrap()), Some(number));
        }
        let most = u64::MAX.to_string();
        for stray in ["", "7", "+000000007", "9999999999", "00000000001", "0000000001~", &most] {
            assert_eq!(number_of(&format!("journal-{stray}")), None, "{stray}");
        }
        let made = Segments::after(folder, NUMBERS - 1, &Footing::default()).make();
        assert!(made.unwrap_err().to_string().contains("used up"));
    }

    #[test]
    fn a_frame_larger_than_a_segment_costs_no_segment() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(Segment::create(folder.path(), 1, &Footing::default()).unwrap());
        log.provide(Segment::create(folder.path(), 2, &Footing::default()).unwrap());
        let most = SEGMENT - HEAD.len() - BEFORE - LAST;
        assert!(!log.append(1, 1, &vec![0; most + 1]) && log.append(1, 2, &vec![0; most]));
        assert_eq!((log.segment(), log.take_refused()), (1, 1));
    }

    #[test]
    fn frames_are_in_the_files_as_soon_as_they_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(Segment::create(folder.path(), 7, &Footing::default()).unwrap());
        let body = vec![1; SEGMENT / 2];
        assert!(log.append(3, 1, &body));
        assert!(!log.append(3, 2, &body), "there is no place, and nobody waits for it");
        assert_eq!((log.take_refused(), log.take_refused()), (1, 0));
        log.provide(Segment::create(folder.path(), 8, &Footing::default()).unwrap());
        assert!(log.append(3, 2, &body));
        assert_eq!((log.segment(), log.needs_next()), (8, true));
        for (number, frame) in [(7, 1), (8, 2)] {
            let file = std::fs::read(path_of(folder.path(), number)).unwrap();
            let found: Vec<_> = frames::read(&file).map(|found| (found.room, found.number)).collect();
            let refused = (0, frames::REFUSED);
            assert_eq!(found, if number == 7 { vec![(3, frame), refused] } else { vec![(3, frame)] });
        }
        log.synchronise(folder.path(), &*Footing::default().disk).unwrap();
        assert_eq!(log.unsynchronised(), 0);
        assert!(Segment::create(folder.path(), 8, &Footing::default()).is_err(), "none is overwritten");
        assert!(path_of(folder.path(), 8).exists());
    }

    // The kernel marks pages as clean that it could not write: the next attempt says that all is well.
    #[test]
    fn what_the_disk_did_not_take_once_is_not_trusted_until_rooms_need_it_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(Segment::create(folder.path(), 1, &Footing::default()).unwrap());
        log.provide(Segment::create(folder.path(), 2, &Footing::default()).unwrap());
        assert!(log.append(3, 1, &[1]) && !log.distrusts(1));
        let (file, kept) = (path_of(folder.path(), 1), folder.path().join("kept"));
        std::fs::rename(&file, &kept).unwrap();
        std::fs::create_dir(&file).unwrap();
        log.synchronise(folder.path(), &*Footing::default().disk).unwrap_err();
        std::fs::remove_dir(&file).unwrap();
        std::fs::rename(&kept, &file).unwrap();
        assert_eq!(log.segment(), 2, "what comes now is in another one");
        log.synchronise(folder.path(), &*Footing::default().disk).unwrap();
        assert!(log.check().is_err() && log.distrusts(1) && !log.distrusts(2));
        log.needs_only_from(1);
        assert!(log.check().is_err(), "a room needs it");
        log.needs_only_from(2);
        assert!(log.check().is_ok());
    }
}
