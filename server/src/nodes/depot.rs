//! What is stored of rooms in Redis, so that another node can have them go on: the newest checkpoint of each,
//! and the frames since ([`store`](crate::store) does the same in a folder).
//!
//! | part | what |
//! | --- | --- |
//! | [`queue`] | what rooms hand over: a tick copies its frame there, and waits for nothing |
//! | [`books`] | what of it is written next, and what Redis has of each room: pure |
//! | [`flusher`], [`writer`], `depot.lua` | writes it, all rooms together, over a connection of its own |
//! | [`reader`] | reads it |
//! | [`packing`] | checkpoints as Redis has them |
//!
//! **Fencing.** A room is written under its node and epoch. The script compares them with the room's record,
//! in the same atomic call as it writes: what an owner sends that is none any more, however late, changes
//! nothing. Whoever takes a room over gets a new epoch first, and reads then.
//!
//! **What is lost.** Frames are written each [`FLUSH`], so a node that dies takes the ticks of that time with
//! it, and of one round trip. While Redis does not answer, they wait in memory, up to [`MOST`]; then they are
//! refused, and a room has no journal until its next checkpoint. The script notices if frames do not follow
//! those that are there, because Redis has lost some or has forgotten that the room is this node's. Then the
//! room is asked for a checkpoint, and its frames count again after that.

mod books;
mod flusher;
mod packing;
mod queue;
mod reader;
#[cfg(test)]
pub(super) mod simulated;
#[cfg(test)]
mod tests;
mod writer;

use super::{Grant, Hold, Unavailable, script::Call, way::Way};
use crate::{
    carry,
    config::Config,
    ground::{made_with::MadeWith, shared::RoomShared},
    health::Part,
    metrics::Metrics,
    room::{CheckpointSink, core::Carried, journal::Journal},
    store::{Position, RoomJournal, Row, StoredRoom},
    thread,
};
use flusher::Flusher;
use parking_lot::Mutex;
use queue::{Queue, What};
use reader::Reading;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tracing::error;
use writer::Writer;

/// What is done in Redis.
const SCRIPT: &str = include_str!("depot.lua");
/// Time between two batches.
const FLUSH: Duration = Duration::from_millis(8);
/// Most bytes of frames that wait for Redis.
const MOST: usize = 64 << 20;
/// Longest time for an answer.
const LIMIT: Duration = Duration::from_secs(1);
/// How often a room is read that does not come in time. It may be large: each time, it has twice as long.
const READS: u32 = 4;

/// Where rooms are stored that other nodes can have go on.
#[derive(Debug)]
pub(crate) struct Depot {
    queue: Arc<Queue>,
    reads: mpsc::UnboundedSender<Reading>,
    every: Duration,
    limit: Duration,
    metrics: Arc<Metrics>,
}

/// A room under which things are written.
#[derive(Debug)]
struct About {
    name: Arc<str>,
    kind: Arc<str>,
    /// By which it is this node's.
    grant: Grant,
    /// Redis lacks something of it: nothing counts before its next checkpoint.
    wanted: AtomicBool,
}

/// What the script says of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Its frames do not follow what is there.
    Gap,
    /// The room is not this node's, as far as Redis knows.
    Fenced,
}

/// Where the checkpoints of a room go.
#[derive(Debug)]
struct Sink {
    queue: Arc<Queue>,
    about: Arc<About>,
    room: u64,
    made_with: Arc<MadeWith>,
    position: Arc<Mutex<Position>>,
    metrics: Arc<Metrics>,
}

impl Depot {
    /// Starts the thread that writes and reads, each its own way: rooms that are read are large.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        config: &Config,
        [to_write, to_read]: [Way; 2],
        metrics: Arc<Metrics>,
        health: Arc<Part>,
    ) -> io::Result<Arc<Self>> {
        let (queue, (reads, wanted)) = (Arc::<Queue>::default(), mpsc::unbounded_channel());
        let call = Call::new(&config.redis_prefix, config.lease);
        let limit = LIMIT.min(config.lease / 2);
        let depot = Self { queue: queue.clone(), reads, every: config.checkpoint_every, limit, metrics };
        let metrics = depot.metrics.clone();
        thread::runs("depot", async move || {
            thread::prefer_latency();
            let flusher = Flusher::new(queue, Writer::new(to_write, call.clone(), limit), metrics, health);
            tokio::join!(flusher.run(), reader::read(wanted, to_read, call));
        })?;
        Ok(Arc::new(depot))
    }

    /// Where the checkpoints and the journal of a room go.
    pub(crate) fn room(
        &self,
        room: &RoomShared,
        hold: &Hold,
        made_with: Arc<MadeWith>,
    ) -> (Box<dyn CheckpointSink>, Box<dyn Journal>) {
        let position = Arc::<Mutex<Position>>::default();
        let journal = RoomJournal::new(self.queue.clone(), room, made_with.durability, position.clone());
        let about = Arc::new(About {
            name: room.name.clone(),
            kind: room.kind.into(),
            grant: hold.grant.clone(),
            wanted: AtomicBool::new(false),
        });
        let (queue, metrics) = (self.queue.clone(), self.metrics.clone());
        let sink = Sink { queue, about, room: room.id.0, made_with, position, metrics };
        (Box::new(sink), Box::new(journal))
    }

    /// Time between two checkpoints of a room.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// What is stored of a room that is this node's. None: nothing.
    pub(crate) async fn read(&self, hold: &Hold) -> Result<Option<StoredRoom>, Unread> {
        let mut limit = self.limit;
        for _ in 1..READS {
            match self.read_within(hold, limit).await {
                Err(Unread::Slow(_)) if !hold.owned().is_over(Instant::now()) => limit *= 2,
                read => return read,
            }
        }
        self.read_within(hold, limit).await
    }

    async fn read_within(&self, hold: &Hold, limit: Duration) -> Result<Option<StoredRoom>, Unread> {
        let (tell, told) = oneshot::channel();
        let (room, node, epoch) = (hold.room.clone(), hold.grant.node.clone(), hold.grant.epoch());
        let _ = self.reads.send(Reading { room, node, epoch, limit, tell });
        told.await.unwrap_or_else(|_| Err(Unread::Unavailable(Unavailable::gone())))
    }

    /// Writes rooms that have stopped in order, and all that waits. Waits that long for Redis.
    ///
    /// # Errors
    /// Redis has not taken them in time.
    pub(crate) fn finish(&self, rows: Vec<Arc<Row>>, most: Duration) -> io::Result<()> {
        for row in rows {
            self.queue.change(row.id(), What::Stopped(row));
        }
        if self.queue.is_empty_within(most) {
            return Ok(());
        }
        error!("Redis does not take the last checkpoints: the rooms go on from what it has");
        Err(io::Error::other("Redis does not take them"))
    }
}

/// Why what is stored of a room cannot be read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Redis does not answer, or the room is another node's by now.
    Unavailable(Unavailable),
    /// Redis has not answered in time.
    Slow(Unavailable),
    /// It is another version's.
    OtherVersion(String),
    /// It is damaged.
    Damaged(String),
}

impl Sink {
    fn row(&self, carried: Carried) -> Row {
        let made_with = (*self.made_with).clone();
        let row = Row::now(carry::Room { made_with, carried }, false, Duration::ZERO);
        Row { frame: self.position.lock().checkpoint(), ..row }
    }
}

impl CheckpointSink for Sink {
    fn put(&self, carried: Carried, took: Duration) {
        self.metrics.store.checkpoint_duration.observe(took);
        let row = Arc::new(self.row(carried));
        self.about.wanted.store(false, Relaxed);
        self.queue.change(self.room, What::Put { row, about: self.about.clone(), taken: Instant::now() });
    }

    fn forget(&self) {
        self.queue.change(self.room, What::Forget);
    }

    fn left(&self) {
        // If it is this node's after all, it has not ended.
        self.about.grant.leaves_stored();
        self.queue.change(self.room, What::Left);
    }

    fn is_wanted(&self) -> bool {
        self.about.wanted.load(Relaxed) || self.position.lock().is_long()
    }
}
