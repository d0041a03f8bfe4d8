//! Recordings of rooms, written on a thread of their own: no room waits for a disk, and no game suffers when
//! its recording has to be given up. The reason why a recording ends is in its file, in the log and in the
//! metrics.
//!
//! A room hands over a tick under a lock that is held only to append to a list. Ten times per second (or
//! earlier, if much waits) the thread takes everything that waits; once per second, or when there is much of
//! it, the thread writes it. A killed process loses what has not been written. Nothing asks the kernel to
//! write at once, so what it had not written when the machine stops is lost, too. Either shows in the file,
//! which then has no end marker.

mod folder;
mod queue;
mod writer;

use crate::{ground::id::RoomId, metrics::Metrics, open_files};
use driftless_sim::{
    game::GameKind,
    replay::{EndReason, RecordingHeader, TickRecord},
};
pub use folder::RecordFolder;
use parking_lot::Mutex;
use queue::{Job, NotRecorded, Queue};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::error;
use writer::Writer;

/// Longest time between a tick and the thread's noticing it.
const POLL: Duration = Duration::from_millis(100);
/// Fraction of the process's open files that may be recordings: a quarter. The others are for players.
const SHARE: u64 = 4;
/// How long the end of the server waits for the disk.
pub(crate) const FINISH: Duration = Duration::from_secs(2);

/// The thread that writes recordings. Finishes them when it is dropped.
#[derive(Debug)]
pub struct RecordThread {
    queue: Arc<Queue>,
    finished: Mutex<Option<Receiver<()>>>,
}

/// A room's link to the recording thread.
#[derive(Debug)]
pub struct RecordLink {
    queue: Arc<Queue>,
    room: RoomId,
    name: String,
    /// The recording has ended: nothing more is taken.
    ended: Arc<AtomicBool>,
}

impl RecordThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The folder cannot be read (the error names it), or the thread cannot be started.
    pub fn start(folder: RecordFolder, quota: u64, metrics: Arc<Metrics>) -> io::Result<Self> {
        let used = folder.used()?;
        let queue = Arc::new(Queue::default());
        let (done, finished) = sync_channel(1);
        let most = usize::try_from(open_files::raise_limit()? / SHARE).unwrap_or(usize::MAX);
        let writer = Writer::new(folder, quota, used, most, metrics);
        let of_thread = queue.clone();
        thread::Builder::new().name("recorder".into()).spawn(move || {
            let guard = CloseQueue(&of_thread);
            write_all(&of_thread, writer);
            drop(guard);
            let _ = done.send(());
        })?;
        Ok(Self { queue, finished: Mutex::new(Some(finished)) })
    }

    /// Ends all recordings and then the thread. Waits for the disk, but not for long. Rooms record no more
    /// after this.
    pub fn finish(&self) {
        self.queue.close();
        if let Some(finished) = self.finished.lock().take()
            && finished.recv_timeout(FINISH).is_err()
        {
            error!("the disk is too slow: recordings end without their last ticks and without end markers");
        }
    }

    /// Begins the recording of a room.
    pub fn open(&self, room: RoomId, header: RecordingHeader, kind: GameKind) -> RecordLink {
        let ended = Arc::<AtomicBool>::default();
        let (queue, name) = (self.queue.clone(), header.room.clone());
        if !queue.push(Job::Open { room, header, kind, ended: ended.clone() }) {
            ended.store(true, Ordering::Relaxed);
        }
        RecordLink { queue, room, name, ended }
    }
}

impl Drop for RecordThread {
    fn drop(&mut self) {
        self.finish();
    }
}

impl RecordLink {
    /// Hands over a tick. False: the recording has ended.
    pub fn tick(&self, tick: TickRecord) -> bool {
        if self.ended.load(Ordering::Relaxed) {
            return false;
        }
        match self.queue.push_tick(self.room, tick) {
            Ok(()) => true,
            Err(NotRecorded::Closed) => {
                self.ended.store(true, Ordering::Relaxed);
                false
            }
            Err(NotRecorded::Behind) => {
                error!(
                    room = self.name,
                    "the disk is too slow: this recording is given up, the room goes on"
                );
                self.end_for(EndReason::Behind, None);
                false
            }
        }
    }

    /// The room ends. `unfinished` is what happened since its last tick.
    pub fn end(self, reason: EndReason, unfinished: Option<TickRecord>) {
        self.end_for(reason, unfinished);
    }

    fn end_for(&self, reason: EndReason, unfinished: Option<TickRecord>) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.queue.push(Job::End { room: self.room, reason, unfinished });
        }
    }
}

impl Drop for RecordLink {
    /// A room that does not say how it ends has failed.
    fn drop(&mut self) {
        self.end_for(EndReason::RoomFailed, None);
    }
}

/// Rooms must not keep filling a queue that nobody empties.
struct CloseQueue<'a>(&'a Queue);

impl Drop for CloseQueue<'_> {
    fn drop(&mut self) {
        self.0.close();
        if thread::panicking() {
            error!("the recording thread failed: all recordings end without end markers");
        }
    }
}

fn write_all(queue: &Queue, mut writer: Writer) {
    let mut jobs = Vec::new();
    loop {
        let more = queue.take(&mut jobs, POLL);
        for job in jobs.drain(..) {
            writer.handle(job, Instant::now());
        }
        if !more {
            return writer.finish();
        }
        writer.flush_if_due(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use driftless_sim::{
        PlayerInput, Setup,
        games::{
            self,
            arena::{Arena, ArenaCommand, arena_command},
            cursors::Cursors,
        },
        replay::{Action, Verdict, replay},
    };
    use std::fs;

    fn header() -> RecordingHeader {
        RecordingHeader { kind: "cursors".into(), room: "lobby".into(), setup: Setup::new(1, 20) }
    }

    /// A tick of a mebibyte, none of which the game accepts.
    fn large(tick: u32) -> TickRecord {
        TickRecord {
            tick,
            inputs: vec![PlayerInput::new(1, vec![0xff; 1 << 20].into())],
            ..TickRecord::default()
        }
    }

    #[test]
    fn a_disk_that_is_too_slow_ends_the_recording_by_name_and_the_room_never_waits() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody empties the queue yet.
        let queue = Arc::<Queue>::default();
        let threads = RecordThread { queue: queue.clone(), finished: Mutex::new(None) };
        let link = threads.open(RoomId(1), header(), GameKind::of::<Cursors>());
        let mut game = GameKind::of::<Cursors>().start(&Setup::new(1, 20)).unwrap();
        game.step(1);
        let checksum = Some(game.checksum());
        assert!(link.tick(TickRecord { tick: 1, checksum, ..TickRecord::default() }));
        let mut tick = 2;
        while link.tick(large(tick)) {
            tick += 1;
            assert!(tick < 100, "what waits is bounded");
        }
        assert!(!link.tick(TickRecord::default()), "it has no hole");
        drop(link);

        let metrics = Arc::new(Metrics::new());
        let mut writer = Writer::new(prepared(&folder), 1 << 30, 0, 1, metrics.clone());
        let mut jobs = Vec::new();
        queue.take(&mut jobs, Duration::ZERO);
        // The game would not read the large ones.
        jobs.retain(|job| !matches!(job, Job::Tick { tick, .. } if tick.tick > 1));
        jobs.into_iter().for_each(|job| writer.handle(job, Instant::now()));
        assert_eq!(metrics.store.recordings_ended.get("behind"), 1);
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let cut = Verdict::Cut { ticks: 1, tick: 1, why: Some(EndReason::Behind) };
        assert_eq!(replay(&fs::read(file).unwrap()[..], &games::kinds()).unwrap(), (header(), cut));
    }

    fn prepared(folder: &tempfile::TempDir) -> RecordFolder {
        RecordFolder::prepare(folder.path()).unwrap()
    }

    #[test]
    fn a_tick_with_3120_commands_of_4_kib_is_recorded_whole() {
        let folder = tempfile::tempdir().unwrap();
        let thread = RecordThread::start(prepared(&folder), 1 << 30, Arc::default()).unwrap();
        let kind = GameKind::of::<Arena>();
        let link = thread.open(RoomId(1), RecordingHeader { kind: "arena".into(), ..header() }, kind.clone());
        let mut game = kind.start(&Setup::new(1, 20)).unwrap();
        game.step(1);
        // From players who have no seat: the game refuses them, and its state stays as it is.
        let chat = ArenaCommand { body: Some(arena_command::Body::Chat("x".repeat(4 << 10))) };
        let payload = Bytes::from(prost::Message::encode_to_vec(&chat));
        let command = |n: u32| Action::Command { player: n % 6, payload: payload.clone() };
        let actions = (0..6 * 520u32).map(command).collect();
        assert!(link.tick(TickRecord { tick: 1, actions, inputs: vec![], checksum: Some(game.checksum()) }));
        link.end(EndReason::RoomEnded, None);
        thread.finish();
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert!(file.metadata().unwrap().len() > 12 << 20);
        let (_, verdict) = replay(&fs::read(file).unwrap()[..], &games::kinds()).unwrap();
        assert_eq!(verdict, Verdict::Same { ticks: 1 });
    }

    #[test]
    fn what_rooms_record_after_the_end_is_refused_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        let thread = RecordThread::start(prepared(&folder), 1 << 30, metrics.clone()).unwrap();
        let link = thread.open(RoomId(1), header(), GameKind::of::<Cursors>());
        thread.finish();
        assert!(!link.tick(TickRecord::default()));
        assert!(!thread.open(RoomId(2), header(), GameKind::of::<Cursors>()).tick(TickRecord::default()));
        drop(link);
        assert_eq!(metrics.store.recordings_ended.get("server_stopped"), 1);
        assert_eq!(
            metrics.store.recordings_ended.get("behind") + metrics.store.recordings_ended.get("room_failed"),
            0
        );
    }
}
