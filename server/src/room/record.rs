//! Recordings of rooms, written on a thread of their own: no room waits for a disk.

use crate::ground::id::RoomId;
use driftless_sim::replay::{Recorder, RecordingHeader, TickRecord};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tracing::{error, info};

/// Ticks of all rooms that may wait for the disk. A room that finds no place stops recording.
const WAITING: usize = 65_536;
/// Longest time a written tick stays in memory.
const FLUSH: Duration = Duration::from_secs(1);

/// The thread that writes recordings.
#[derive(Debug)]
pub struct RecordThread {
    send: SyncSender<Job>,
    folder: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One room's way to the recording thread. The recording is closed when it is dropped.
#[derive(Debug)]
pub struct RecordLink {
    send: SyncSender<Job>,
    room: RoomId,
}

#[derive(Debug)]
enum Job {
    Open { room: RoomId, path: PathBuf, header: RecordingHeader },
    Tick { room: RoomId, tick: TickRecord },
    Close { room: RoomId },
    End,
}

impl RecordThread {
    /// Starts the thread. The folder is made if it is not there.
    pub fn start(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (send, receive) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("recorder".into()).spawn(move || write_all(&receive))?;
        Ok(Self { send, folder: folder.to_owned(), thread: Mutex::new(Some(thread)) })
    }

    /// Writes all that is waiting and ends the thread. What rooms record after this is lost.
    pub fn finish(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // Fails only if the thread is gone, and then there is nothing to wait for.
            let _ = self.send.send(Job::End);
            let _ = thread.join();
        }
    }

    /// Begins the recording of a room, in the file `ROOM-NUMBER.driftless`. None: the thread is behind or gone.
    pub fn open(&self, room: RoomId, header: RecordingHeader) -> Option<RecordLink> {
        let path = self.folder.join(format!("{}-{room}.driftless", header.room));
        self.send.try_send(Job::Open { room, path, header }).ok()?;
        Some(RecordLink { send: self.send.clone(), room })
    }
}

impl RecordLink {
    /// Hands over a tick. False: the thread is behind, and the recording would have a hole.
    pub fn tick(&self, tick: TickRecord) -> bool {
        self.send.try_send(Job::Tick { room: self.room, tick }).is_ok()
    }
}

impl Drop for RecordLink {
    fn drop(&mut self) {
        // If there is no place, the file stays open until the server ends; what is in it is flushed all the same.
        let _ = self.send.try_send(Job::Close { room: self.room });
    }
}

fn write_all(jobs: &Receiver<Job>) {
    let mut open: HashMap<RoomId, Recorder<BufWriter<File>>> = HashMap::new();
    let mut flushed = Instant::now();
    loop {
        let result = match jobs.recv_timeout(FLUSH) {
            Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(job) => write(job, &mut open),
            Err(RecvTimeoutError::Timeout) => Ok(()),
        };
        if let Err((room, e)) = result {
            error!(%room, error = %e, "a recording cannot be written and ends here");
            open.remove(&room);
        }
        if flushed.elapsed() >= FLUSH {
            flushed = Instant::now();
            open.retain(|room, recorder| match recorder.flush() {
                Ok(()) => true,
                Err(e) => {
                    error!(%room, error = %e, "a recording cannot be written and ends here");
                    false
                }
            });
        }
    }
    for recorder in open.values_mut() {
        let _ = recorder.flush();
    }
}

fn write(job: Job, open: &mut HashMap<RoomId, Recorder<BufWriter<File>>>) -> Result<(), (RoomId, io::Error)> {
    match job {
        Job::Open { room, path, header } => {
            let file = File::create(&path).map_err(|e| (room, e))?;
            let recorder = Recorder::new(BufWriter::new(file), &header).map_err(|e| (room, e))?;
            info!(file = %path.display(), "recording");
            open.insert(room, recorder);
        }
        Job::Tick { room, tick } => {
            if let Some(recorder) = open.get_mut(&room) {
                recorder.record(&tick).map_err(|e| (room, e))?;
            }
        }
        Job::Close { room } => {
            if let Some(mut recorder) = open.remove(&room) {
                recorder.flush().map_err(|e| (room, e))?;
            }
        }
        Job::End => {}
    }
    Ok(())
}
