//! The work of the recording thread: files, their buffers, and the quota. It knows no thread; time is an
//! argument.

use super::{
    folder::RecordFolder,
    queue::{Job, weight},
};
use crate::{ground::id::RoomId, metrics::Metrics};
use driftless_sim::{
    game::GameKind,
    replay::{EndReason, Recorder, RecordingHeader, TickRecord},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    mem,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tracing::{error, info, warn};

/// How long a recorded tick may stay in memory.
const FLUSH: Duration = Duration::from_secs(1);
/// With this many buffered bytes, a recording is written earlier.
const MANY: usize = 64 << 10;
/// Time between two checks for free space when the quota is used up.
const LOOK: Duration = Duration::from_secs(10);
/// Bytes reserved for the end marker of each recording.
const END_BYTES: u64 = Recorder::<Vec<u8>>::END_BYTES as u64;

/// All open recordings.
pub(super) struct Writer {
    folder: RecordFolder,
    metrics: Arc<Metrics>,
    open: HashMap<RoomId, Open>,
    /// Limit of open recordings.
    most: usize,
    quota: u64,
    /// Bytes of recordings in the folder, including those in buffers.
    used: u64,
    /// When free space was last looked for. None: there is space.
    exhausted: Option<Instant>,
    flushed: Option<Instant>,
}

/// An open recording.
struct Open {
    room: String,
    kind: GameKind,
    path: PathBuf,
    file: File,
    /// Bytes in the file, all of them in complete records.
    written: u64,
    recorder: Recorder<Vec<u8>>,
    /// Tells the room when it ends.
    ended: Arc<AtomicBool>,
}

impl Writer {
    /// For a folder whose recordings take `used` bytes of `quota`, with at most `most` open recordings.
    pub(super) fn new(
        folder: RecordFolder,
        quota: u64,
        used: u64,
        most: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { folder, metrics, open: HashMap::new(), most, quota, used, exhausted: None, flushed: None }
    }

    /// Does a room's job.
    pub(super) fn handle(&mut self, job: Job, now: Instant) {
        match job {
            Job::Open { room, header, kind, ended } => self.begin(room, header, kind, ended, now),
            Job::Tick { room, tick } => self.record(room, tick, now),
            Job::End { room, reason, unfinished } => {
                if let Some(tick) = unfinished {
                    self.record(room, tick, now);
                }
                self.end(room, reason);
            }
        }
    }

    /// Once a second, writes what is in the buffers.
    pub(super) fn flush_if_due(&mut self, now: Instant) {
        let due = self.flushed.is_none_or(|flushed| now.saturating_duration_since(flushed) >= FLUSH);
        if due {
            self.flushed = Some(now);
            let rooms: Vec<RoomId> = self.open.keys().copied().collect();
            rooms.into_iter().for_each(|room| self.write(room));
        }
    }

    /// The server stops.
    pub(super) fn finish(mut self) {
        self.end_all(EndReason::ServerStopped);
    }

    fn begin(
        &mut self,
        room: RoomId,
        header: RecordingHeader,
        kind: GameKind,
        ended: Arc<AtomicBool>,
        now: Instant,
    ) {
        let refused = if self.has_room(now) {
            match self.create(room, &header, kind, ended.clone()) {
                Ok(open) => {
                    info!(room = header.room, file = %open.path.display(), "recording");
                    self.metrics.store.recordings.inc();
                    self.open.insert(room, open);
                    return;
                }
                Err(error) => {
                    error!(room = header.room, %error, "cannot make a recording: the room goes on without one");
                    EndReason::Unwritable
                }
            }
        } else {
            EndReason::Quota
        };
        ended.store(true, Ordering::Relaxed);
        self.metrics.store.recordings_ended.inc(refused.name());
    }

    fn create(
        &mut self,
        room: RoomId,
        header: &RecordingHeader,
        kind: GameKind,
        ended: Arc<AtomicBool>,
    ) -> io::Result<Open> {
        if self.open.len() >= self.most {
            let reason = format!("{} are open, which is as many as there may be (`ulimit -Hn`)", self.most);
            return Err(io::Error::other(reason));
        }
        let (path, file) = self.folder.create(&header.room, room, SystemTime::now())?;
        let recorder = Recorder::new(Vec::new(), header)?;
        self.used += recorder.get_ref().len() as u64;
        Ok(Open { room: header.room.clone(), kind, path, file, written: 0, recorder, ended })
    }

    fn record(&mut self, room: RoomId, mut tick: TickRecord, now: Instant) {
        let Some(open) = self.open.get_mut(&room) else { return };
        tick.shorten(&open.kind);
        let ends = END_BYTES * self.open.len() as u64;
        if self.used.saturating_add(weight(&tick) as u64).saturating_add(ends) > self.quota {
            return self.exhaust(now);
        }
        let Some(open) = self.open.get_mut(&room) else { return };
        let before = open.recorder.get_ref().len();
        // It writes to memory, so the only possible error is that it is too long.
        let taken = open.recorder.record(&tick);
        let buffered = open.recorder.get_ref().len();
        self.used += (buffered - before) as u64;
        if let Err(error) = taken {
            error!(room = open.room, %error, "this recording is given up: the room goes on");
            self.end(room, EndReason::TooLong);
        } else if buffered >= MANY {
            self.write(room);
        }
    }

    /// Writes the buffer of a recording to its file.
    fn write(&mut self, room: RoomId) {
        let Some(open) = self.open.get_mut(&room) else { return };
        match open.write() {
            Ok(bytes) => drop(self.metrics.store.recorded.inc_by(bytes)),
            Err(error) => {
                open.log_unwritable(&error);
                self.end(room, EndReason::Unwritable);
            }
        }
    }

    fn end(&mut self, room: RoomId, mut reason: EndReason) {
        let Some(mut open) = self.open.remove(&room) else { return };
        if reason != EndReason::Unwritable {
            match open.end(reason) {
                Ok(bytes) => {
                    self.used += END_BYTES;
                    self.metrics.store.recorded.inc_by(bytes);
                }
                Err(error) => {
                    open.log_unwritable(&error);
                    reason = EndReason::Unwritable;
                }
            }
        }
        if reason == EndReason::Unwritable {
            open.give_up();
        }
        open.ended.store(true, Ordering::Relaxed);
        self.metrics.store.recordings.dec();
        self.metrics.store.recordings_ended.inc(reason.name());
    }

    fn end_all(&mut self, reason: EndReason) {
        let rooms: Vec<RoomId> = self.open.keys().copied().collect();
        rooms.into_iter().for_each(|room| self.end(room, reason));
    }

    /// The quota is used up: all recordings end.
    fn exhaust(&mut self, now: Instant) {
        let Self { quota, used, .. } = *self;
        let recordings = self.open.len();
        error!(quota, used, recordings, "record_quota is used up: all recordings end, the rooms go on");
        self.end_all(EndReason::Quota);
        self.exhausted = Some(now);
    }

    /// Whether a recording may begin. After the quota was used up, a tenth of it must be free again.
    fn has_room(&mut self, now: Instant) -> bool {
        let Some(looked) = self.exhausted else {
            if self.used < self.quota {
                return true;
            }
            self.exhaust(now);
            return false;
        };
        if now.saturating_duration_since(looked) < LOOK {
            return false;
        }
        self.exhausted = Some(now);
        let quota = self.quota;
        match self.folder.used() {
            Ok(used) if used <= quota - quota / 10 => {
                info!(quota, used, "there is room for recordings again");
                (self.used, self.exhausted) = (used, None);
            }
            Ok(used) => {
                warn!(quota, used, "record_quota is used up: rooms are not recorded until files are removed")
            }
            Err(error) => error!(%error, "rooms are not recorded"),
        }
        self.exhausted.is_none()
    }
}

impl Open {
    fn write(&mut self) -> io::Result<u64> {
        let mut buffer = mem::take(self.recorder.get_mut());
        self.file.write_all(&buffer)?;
        let bytes = buffer.len() as u64;
        self.written += bytes;
        buffer.clear();
        *self.recorder.get_mut() = buffer;
        Ok(bytes)
    }

    fn end(&mut self, reason: EndReason) -> io::Result<u64> {
        self.recorder.end(reason)?;
        self.write()
    }

    /// After a failed write: leaves complete records in the file and, if the disk allows, an end marker.
    fn give_up(&mut self) {
        self.recorder.get_mut().clear();
        let _ = self.file.set_len(self.written).and_then(|()| self.end(EndReason::Unwritable));
    }

    fn log_unwritable(&self, error: &io::Error) {
        let (room, file) = (&self.room, self.path.display());
        error!(room, %file, %error, "this recording cannot be written and is given up: the room goes on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::{
        PlayerInput, Setup,
        games::{self, cursors::Cursors},
        replay::{Verdict, replay},
    };
    use std::{fs, path::Path};

    fn writer(folder: &Path, quota: u64) -> (Writer, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        let folder = RecordFolder::prepare(folder).unwrap();
        let used = folder.used().unwrap();
        (Writer::new(folder, quota, used, 3, metrics.clone()), metrics)
    }

    fn begin(writer: &mut Writer, room: u64, now: Instant) -> Arc<AtomicBool> {
        let kind = GameKind::of::<Cursors>();
        let header =
            RecordingHeader { kind: kind.name().into(), room: format!("r{room}"), setup: Setup::new(1, 20) };
        let ended = Arc::<AtomicBool>::default();
        writer.handle(Job::Open { room: RoomId(room), header, kind, ended: ended.clone() }, now);
        ended
    }

    /// A room in which nothing happens.
    fn tick(writer: &mut Writer, room: u64, tick: u32, now: Instant) {
        let mut game = GameKind::of::<Cursors>().start(&Setup::new(1, 20)).unwrap();
        game.step(1);
        let tick = TickRecord { tick, checksum: Some(game.checksum()), ..TickRecord::default() };
        writer.handle(Job::Tick { room: RoomId(room), tick }, now);
    }

    fn verdicts(folder: &Path) -> Vec<Verdict> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| replay(&fs::read(file).unwrap()[..], &games::kinds()).unwrap().1).collect()
    }

    #[test]
    fn at_the_quota_all_recordings_end_by_name_and_within_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, metrics) = writer(folder.path(), 4_000);
        let mut now = Instant::now();
        let ended = [1, 2].map(|room| begin(&mut writer, room, now));
        for n in 1..200 {
            tick(&mut writer, 1, n, now);
            tick(&mut writer, 2, n, now);
            writer.flush_if_due(now);
        }
        assert!(ended.iter().all(|ended| ended.load(Ordering::Relaxed)));
        assert_eq!(metrics.store.recordings_ended.get("quota"), 2);
        assert_eq!(metrics.store.recordings.get(), 0);
        let used = writer.folder.used().unwrap();
        assert!((3_000..=4_000).contains(&used), "{used}");
        for verdict in verdicts(folder.path()) {
            let Verdict::Cut { ticks, why: Some(EndReason::Quota), .. } = verdict else {
                panic!("{verdict:?}")
            };
            assert!(ticks > 30, "{ticks}");
        }

        // Others are not recorded until there is space again.
        assert!(begin(&mut writer, 3, now).load(Ordering::Relaxed));
        assert_eq!(metrics.store.recordings_ended.get("quota"), 3);
        now += LOOK;
        assert!(begin(&mut writer, 4, now).load(Ordering::Relaxed));
        let first = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        fs::remove_file(first).unwrap();
        assert!(begin(&mut writer, 5, now).load(Ordering::Relaxed), "looked a moment ago");
        now += LOOK;
        assert!(!begin(&mut writer, 6, now).load(Ordering::Relaxed));
        assert_eq!(metrics.store.recordings.get(), 1);
    }

    #[test]
    fn recordings_leave_descriptors_to_players() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, metrics) = writer(folder.path(), 1 << 20);
        let now = Instant::now();
        let ended = [1, 2, 3, 4].map(|room| begin(&mut writer, room, now).load(Ordering::Relaxed));
        assert_eq!(ended, [false, false, false, true]);
        assert_eq!(metrics.store.recordings_ended.get("unwritable"), 1);
        writer.handle(Job::End { room: RoomId(2), reason: EndReason::RoomEnded, unfinished: None }, now);
        assert!(!begin(&mut writer, 5, now).load(Ordering::Relaxed));
    }

    #[test]
    fn recordings_of_earlier_runs_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.driftless"), [0; 5_000]).unwrap();
        fs::write(folder.path().join("notes.txt"), [0; 50_000]).unwrap();
        for (quota, refused) in [(5_000, true), (10_000, false)] {
            let (mut writer, metrics) = writer(folder.path(), quota);
            assert_eq!(begin(&mut writer, 1, Instant::now()).load(Ordering::Relaxed), refused);
            assert_eq!(metrics.store.recordings_ended.get("quota"), u64::from(refused));
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_ends_its_recording_by_name_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, metrics) = writer(folder.path(), 1 << 20);
        let now = Instant::now();
        let ended = [1, 2].map(|room| begin(&mut writer, room, now));
        // Every write to it fails for lack of space.
        writer.open.get_mut(&RoomId(1)).unwrap().file =
            fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        for n in 1..10 {
            tick(&mut writer, 1, n, now);
            tick(&mut writer, 2, n, now);
        }
        writer.flush_if_due(now);
        assert_eq!(ended.map(|ended| ended.load(Ordering::Relaxed)), [true, false]);
        assert_eq!(metrics.store.recordings_ended.get("unwritable"), 1);
        writer.finish();
        assert_eq!(metrics.store.recordings_ended.get("server_stopped"), 1);
    }

    #[test]
    fn after_a_write_that_failed_the_file_has_whole_records_and_says_why_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _) = writer(folder.path(), 1 << 20);
        let now = Instant::now();
        begin(&mut writer, 1, now);
        tick(&mut writer, 1, 1, now);
        writer.flush_if_due(now);
        tick(&mut writer, 1, 2, now);
        // The disk took a part of the next write.
        writer.open.get_mut(&RoomId(1)).unwrap().file.write_all(&[7; 5]).unwrap();
        writer.end(RoomId(1), EndReason::Unwritable);
        let cut = Verdict::Cut { ticks: 1, tick: 1, why: Some(EndReason::Unwritable) };
        assert_eq!(verdicts(folder.path()), [cut]);
    }

    #[test]
    fn a_message_that_no_record_can_hold_ends_the_recording_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, metrics) = writer(folder.path(), 1 << 30);
        let now = Instant::now();
        begin(&mut writer, 1, now);
        tick(&mut writer, 1, 1, now);
        // Only a server built by hand accepts such a message, and only as one that the game can decode.
        let inputs = vec![PlayerInput::new(1, vec![0xff; 20 << 20].into())];
        writer.handle(
            Job::Tick { room: RoomId(1), tick: TickRecord { tick: 2, inputs, ..TickRecord::default() } },
            now,
        );
        assert_eq!(metrics.store.recordings_ended.get("too_long"), 1);
        let cut = Verdict::Cut { ticks: 1, tick: 1, why: Some(EndReason::TooLong) };
        assert_eq!(verdicts(folder.path()), [cut]);
    }
}
