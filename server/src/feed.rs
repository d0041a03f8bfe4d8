//! What happens on the server: the events of `GET /v1/stream`.
//!
//! One producer ([`produce`]) makes each event and encodes it once, in the format of Server-Sent Events.
//! Readers pull: each has the number of the last event it received ([`Reader`]), not a queue. So a reader
//! that is slow, or does not read at all, costs only a number.
//!
//! | event | when | what a reader gets after being away, or when it is slow |
//! | --- | --- | --- |
//! | `server` | every second | away: the last five minutes; slow: the newest |
//! | `rooms` | every second, while somebody is reading | the newest |
//! | `presence` | as it happens, with the changes of a tenth of a second in one event, once there has been a reader | all that are kept; if there were more, an event `missed` first |
//!
//! Events of all topics are numbered in one sequence. Their ids also identify the process: an id from an
//! earlier process is useless, and its reader is treated as a new one.

mod presence;
mod produce;
mod ring;
mod sample;

pub use produce::{Watched, produce};
pub use ring::Topic;

use crate::presence::{PresenceChange, Watcher};
use bytes::Bytes;
use parking_lot::Mutex;
use presence::Pending;
use ring::Ring;
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::watch;

/// Most readers at a time.
pub const MAX_READERS: usize = 64;

/// The events, and their readers.
#[derive(Debug)]
pub struct Feed {
    /// Identifies the process in the ids of events.
    process: u64,
    ring: Mutex<Ring>,
    pending: Mutex<Pending>,
    newest: watch::Sender<u64>,
    readers: AtomicUsize,
    /// Whether there ever was a reader. Stays true, because a reader that is away for a moment gets what it
    /// missed.
    watched: AtomicBool,
}

/// A reader of the events. Its permit is given back when it is dropped.
#[derive(Debug)]
pub struct Reader {
    feed: Arc<Feed>,
    /// Number of the newest event, as it changes.
    newest: watch::Receiver<u64>,
    /// The last event that this reader received, or that was superseded.
    at: u64,
    /// Up to this event the reader is also sent superseded figures, as history.
    history_to: u64,
    /// Up to this event, the reader knows which changes of presence were lost, or is not concerned.
    lost_to: u64,
    greeted: bool,
}

/// There are as many readers as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream already has {MAX_READERS} readers, the most that it takes")]
pub struct TooManyReaders;

#[derive(Serialize)]
struct Hello {
    version: &'static str,
    process: String,
}

impl Feed {
    /// A feed without events. `process` must be unique to each process.
    pub fn new(process: u64) -> Arc<Self> {
        Arc::new(Self {
            process,
            ring: Mutex::default(),
            pending: Mutex::default(),
            newest: watch::Sender::new(0),
            readers: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
        })
    }

    /// Adds an event and wakes the readers.
    pub fn push(&self, topic: Topic, data: &impl Serialize) {
        // The data are our own: serialization fails only for maps whose keys are not text, and they have
        // none.
        let Ok(data) = serde_json::to_string(data) else { return };
        let id = self.ring.lock().push(topic, |id| {
            format!("id: {:x}-{id}\nevent: {}\ndata: {data}\n\n", self.process, topic.name()).into()
        });
        self.newest.send_replace(id);
    }

    /// Adds an event with the changes of presence noted so far.
    pub fn flush(&self) {
        let pending = self.pending.lock().take();
        if let Some(pending) = pending {
            self.push(Topic::Presence, &pending);
        }
    }

    /// Number of readers.
    pub fn readers(&self) -> usize {
        self.readers.load(Relaxed)
    }

    /// A new reader. `last` is the id of the last event that it received (`Last-Event-ID`).
    ///
    /// # Errors
    /// If there are too many.
    pub fn reader(self: &Arc<Self>, last: Option<&str>) -> Result<Reader, TooManyReaders> {
        if self.readers.fetch_add(1, Relaxed) >= MAX_READERS {
            self.readers.fetch_sub(1, Relaxed);
            return Err(TooManyReaders);
        }
        self.watched.store(true, Relaxed);
        let ring = self.ring.lock();
        let known = last.and_then(|id| self.number(id)).filter(|id| *id <= ring.newest());
        Ok(Reader {
            newest: self.newest.subscribe(),
            at: known.unwrap_or(0),
            history_to: ring.newest(),
            lost_to: known.unwrap_or_else(|| ring.lost_to()),
            greeted: false,
            feed: self.clone(),
        })
    }

    /// The number of an event of this process.
    fn number(&self, id: &str) -> Option<u64> {
        let (process, number) = id.split_once('-')?;
        let process = u64::from_str_radix(process, 16).ok()?;
        (process == self.process).then(|| number.parse().ok()).flatten()
    }
}

impl Watcher for Arc<Feed> {
    fn is_watching(&self) -> bool {
        self.watched.load(Relaxed)
    }

    /// Notes a change of presence, to be sent together with others.
    fn note(&self, change: PresenceChange) {
        self.pending.lock().add(change);
    }
}

impl Reader {
    /// The next event to send. None: nothing for now (see `changed`).
    pub fn take(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            let hello =
                Hello { version: env!("CARGO_PKG_VERSION"), process: format!("{:x}", self.feed.process) };
            let data = serde_json::to_string(&hello).unwrap_or_default();
            // How long to wait before reconnecting after a broken connection, milliseconds.
            return Some(format!("retry: 2000\nevent: hello\ndata: {data}\n\n").into());
        }
        // Before looking at the events: one that is added afterwards wakes the reader.
        self.newest.mark_unchanged();
        let ring = self.feed.ring.lock();
        if ring.lost_to() > self.lost_to.max(self.at) {
            self.lost_to = ring.lost_to();
            return Some(Bytes::from_static(b"event: missed\ndata: {\"topic\":\"presence\"}\n\n"));
        }
        let (id, text) = ring.after(self.at, self.history_to)?;
        self.at = id;
        Some(text)
    }

    /// Waits until there may be something to send. Never ends if the feed is gone.
    pub async fn changed(&mut self) {
        // The reader holds the feed, so its sender is alive.
        let _ = self.newest.changed().await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.readers.fetch_sub(1, Relaxed);
    }
}
