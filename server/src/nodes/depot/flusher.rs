//! The thread that writes what is stored of rooms.

use super::{
    FLUSH, Written,
    books::{Books, Order, Write},
    packing::pack,
    queue::{Queue, Waiting},
    writer::{Packed, Writer, bytes, calls},
};
use crate::{health::Part, metrics::Metrics, nodes::Failure};
use futures_util::{StreamExt as _, future::join_all, stream};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::spawn_blocking,
    time::{sleep, sleep_until},
};
use tracing::{debug, error, info, warn};

/// Time between two attempts after a failure.
const AGAIN: Duration = Duration::from_millis(100);
/// Time between two looks for rooms that are no longer this node's.
const SWEEP: Duration = Duration::from_secs(1);
/// Checkpoints that are packed at a time.
const PACKED_AT_ONCE: usize = 2;

/// Writes.
pub(super) struct Flusher {
    queue: Arc<Queue>,
    writer: Writer,
    metrics: Arc<Metrics>,
    health: Arc<Part>,
    books: Books,
    swept: Instant,
}

impl Flusher {
    pub(super) fn new(queue: Arc<Queue>, writer: Writer, metrics: Arc<Metrics>, health: Arc<Part>) -> Self {
        let (books, swept) = (Books::default(), Instant::now());
        Self { queue, writer, metrics, health, books, swept }
    }

    /// Runs as long as the process.
    pub(super) async fn run(mut self) {
        let mut taken = Waiting::default();
        loop {
            let start = Instant::now();
            taken = self.queue.take(taken);
            if taken.refused > 0 {
                self.metrics.store.failures.inc("frame");
                warn!(
                    frames = taken.refused,
                    "Redis is too slow: some rooms have no journal until their next checkpoints"
                );
            }
            let writes = self.books.take(&mut taken);
            if !writes.is_empty() {
                let writes = self.pack_all(writes).await;
                self.write_all(&writes).await;
                self.judge();
                let since = taken.since.unwrap_or(start);
                self.metrics.nodes.stored_lateness.observe(since.elapsed());
            }
            self.queue.written();
            self.metrics.store.journal_unsynchronised.set(self.queue.bytes() as i64);
            if start.duration_since(self.swept) > SWEEP {
                self.swept = start;
                self.books.sweep(start);
            }
            match self.books.is_empty() {
                true => self.queue.changed.notified().await,
                false => sleep_until((start + FLUSH).into()).await,
            }
        }
    }

    /// Packs checkpoints, each once.
    async fn pack_all(&mut self, writes: Vec<Write>) -> Vec<Packed> {
        let packed = stream::iter(writes).map(async |write| {
            let Order::Put { row, .. } = &write.order else { return (write, Ok(Vec::new())) };
            let row = row.clone();
            let packed = spawn_blocking(move || pack(&row)).await;
            (write, packed.unwrap_or_else(|error| Err(error.to_string())))
        });
        let packed: Vec<_> = packed.buffered(PACKED_AT_ONCE).collect().await;
        let mut all = Vec::with_capacity(packed.len());
        for (write, row) in packed {
            match row {
                Ok(row) => all.push(Packed { write, row }),
                Err(why) => self.refused(&write, &why),
            }
        }
        all
    }

    /// Writes until Redis has taken it.
    async fn write_all(&mut self, mut rest: &[Packed]) {
        // So many are written one by one, because all together were refused.
        let mut suspects = 0;
        while !rest.is_empty() {
            // All of them are on their way at once. After one that fails, those behind it are repeated:
            // the end of a room and the beginning of the next one of its name stay in order.
            let calls = if suspects > 0 { vec![&rest[..1]] } else { calls(rest) };
            let answers = join_all(calls.iter().map(|writes| self.writer.write(writes))).await;
            for (writes, answer) in calls.into_iter().zip(answers) {
                match answer {
                    Ok(outcomes) => {
                        self.metrics.nodes.stored_batches.inc();
                        self.metrics.nodes.stored_bytes.inc_by(bytes(writes) as u64);
                        writes
                            .iter()
                            .zip(outcomes)
                            .for_each(|(of, outcome)| self.account(&of.write, outcome));
                    }
                    Err(failure) if failure.is_passing() => {
                        self.fails(rest, &failure);
                        sleep(AGAIN).await;
                        break;
                    }
                    Err(failure) => match writes {
                        [one] => self.refused(&one.write, &failure.to_string()),
                        all => {
                            suspects = all.len();
                            break;
                        }
                    },
                }
                rest = &rest[writes.len()..];
                suspects = suspects.saturating_sub(1);
            }
        }
    }

    fn fails(&mut self, rest: &[Packed], why: &Failure) {
        let now = Instant::now();
        let what = match rest.iter().any(|of| !of.write.about.grant.owned.is_over(now)) {
            true => "rooms go on, but would not survive this node",
            false => {
                "rooms have ended, because this node has no lease, and Redis has not all of what they did"
            }
        };
        self.metrics.store.failures.inc("journal");
        self.health.fails(format!("{what}: {why}: {}", why.remedy()));
        self.metrics.store.journal_unsynchronised.set(self.queue.bytes() as i64);
    }

    /// All is written, but for what Redis refuses.
    fn judge(&mut self) {
        match self.books.count_refused() {
            0 => self.health.is_well(),
            rooms => self.health.fails(format!(
                "{rooms} rooms go on, but would not survive this node: the log says why Redis refuses them"
            )),
        }
    }

    fn account(&mut self, write: &Write, outcome: Written) {
        if let (Order::Put { .. }, Written::Done) = (&write.order, outcome) {
            self.metrics.store.checkpoints.inc();
        }
        let room = &write.about.name;
        match outcome {
            Written::Done => {}
            // It has ended, or has gone to another node, and this came too late. (A node that has lost a room
            // is told so otherwise.)
            Written::Fenced => debug!(%room, "what is stored of the room is another node's by now"),
            Written::Gap => {
                self.metrics.store.failures.inc("refused");
                info!(%room, "Redis has lost a part of what is stored of the room: it is asked for a checkpoint");
            }
        }
        self.books.written(write, outcome);
    }

    /// The others need not wait for it.
    fn refused(&mut self, write: &Write, why: &str) {
        self.metrics.store.failures.inc("refused");
        let room = &write.about.name;
        error!(%room, why, "nothing is stored of the room before its next checkpoint: it would not survive");
        self.books.refused(write);
    }
}
