//! The thread that writes what is kept of rooms, and reads it.

use super::{
    FLUSH, KeptRoom, Unread,
    books::{Books, Order, Outcome, Write},
    queue::{Queue, Waiting},
};
use crate::{
    health::Part,
    metrics::Metrics,
    nodes::{
        REMEDY, Unavailable,
        ask::{Epoch, Failure, Incarnation},
        script::Call,
        way::{Way, failure},
    },
    store::Row,
};
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use redis::{Script, Value};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    select,
    sync::{mpsc, oneshot},
    time::{sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

/// The script.
const SCRIPT: &str = include_str!("../depot.lua");
/// Bytes and rooms of a call of the script, about: Redis does nothing else meanwhile.
const CALL_BYTES: usize = 256 << 10;
const CALL_ROOMS: usize = 64;
/// Time between two attempts after a failure.
const AGAIN: Duration = Duration::from_millis(100);
/// Time between two looks for rooms that are no longer this node's.
const SWEEP: Duration = Duration::from_secs(1);
/// A checkpoint may be so much older than Redis believes: it was on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// Checkpoints of more bytes than these are compressed.
const SMALL: usize = 4 << 10;

/// Writes.
pub(super) struct Flusher {
    queue: Arc<Queue>,
    way: Way,
    call: Call,
    limit: Duration,
    script: Script,
    metrics: Arc<Metrics>,
    health: Arc<Part>,
    books: Books,
    swept: Instant,
}

/// What is kept of a room is wanted.
pub(super) struct Reading {
    pub room: Arc<str>,
    pub node: Incarnation,
    pub epoch: Epoch,
    pub tell: oneshot::Sender<Result<Option<KeptRoom>, Unread>>,
}

impl Flusher {
    pub(super) fn new(
        queue: Arc<Queue>,
        way: Way,
        call: Call,
        limit: Duration,
        metrics: Arc<Metrics>,
        health: Arc<Part>,
    ) -> Self {
        let (script, books, swept) = (Script::new(SCRIPT), Books::default(), Instant::now());
        Self { queue, way, call, limit, script, metrics, health, books, swept }
    }

    /// Runs as long as the process.
    pub(super) async fn run(mut self) {
        let mut taken = Waiting::default();
        loop {
            let start = Instant::now();
            taken = self.queue.take(taken);
            if taken.refused > 0 {
                self.metrics.store_failures.inc("frame");
                warn!(
                    frames = taken.refused,
                    "Redis is too slow: some rooms have no journal until their next checkpoints"
                );
            }
            let writes = self.books.take(&mut taken);
            if !writes.is_empty() {
                self.write_all(&writes).await;
                let since = taken.since.unwrap_or(start);
                self.metrics.kept_lateness.observe(since.elapsed());
            }
            self.queue.written();
            self.metrics.journal_unsynchronised.set(self.queue.bytes() as i64);
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

    /// Writes until Redis has taken it.
    async fn write_all(&mut self, writes: &[Write]) {
        let (mut failed, mut rest) = (false, writes);
        loop {
            // All of them are on their way at once. After one that fails, those behind it are repeated:
            // the end of a room and the beginning of the next one of its name stay in order.
            let mut calls = calls(rest).into_iter();
            let mut answers =
                join_all(calls.as_slice().iter().map(|writes| self.write(writes))).await.into_iter();
            let failure = loop {
                let (Some(writes), Some(answer)) = (calls.next(), answers.next()) else { break None };
                match answer {
                    Ok(outcomes) => {
                        writes.iter().zip(outcomes).for_each(|(write, outcome)| self.account(write, outcome));
                        rest = &rest[writes.len()..];
                    }
                    Err(failure) => break Some(failure),
                }
            };
            let Some(failure) = failure else { break };
            self.metrics.store_failures.inc("journal");
            if !std::mem::replace(&mut failed, true) {
                warn!(%failure, "Redis does not take what is kept of rooms: they go on, but would not survive");
            }
            let now = Instant::now();
            let what = match writes.iter().any(|write| !write.about.owned.is_over(now)) {
                true => "rooms go on, but would not survive this node",
                false => {
                    "rooms have ended, because this node has no lease, and Redis has not all of what they did"
                }
            };
            self.health.fails(format!("{what}: {failure}: {REMEDY}"));
            self.metrics.journal_unsynchronised.set(self.queue.bytes() as i64);
            sleep(AGAIN).await;
        }
        if failed {
            info!("Redis takes what is kept of rooms again");
            self.health.is_well();
        }
    }

    /// One call. What it says of each.
    async fn write(&self, writes: &[Write]) -> Result<Vec<Outcome>, Failure> {
        let mut call = self.script.prepare_invoke();
        call.key(self.call.key()).arg(&self.call.prefix).arg("write");
        let mut bytes = 0;
        for Write { about, order, frames, .. } in writes {
            call.arg(&*about.name).arg(&*about.node.0).arg(about.epoch.load(Relaxed));
            bytes += frames.len();
            match order {
                Order::Put { row, taken } => {
                    let row = pack(row).map_err(Failure::Refused)?;
                    bytes += row.len();
                    let age = taken.elapsed().as_millis() as u64;
                    call.arg("put").arg(age).arg(&frames[..]).arg(&*about.kind).arg(row);
                }
                Order::Append { before } => {
                    call.arg("append").arg(*before).arg(&frames[..]).arg("").arg("");
                }
                Order::Forget => {
                    call.arg("forget").arg("").arg("").arg("").arg("");
                }
            }
        }
        let mut used = None;
        let asked = timeout(self.limit, async {
            let (number, mut connection) = self.way.connection().await?;
            used = Some(number);
            call.invoke_async::<Value>(&mut connection).await.map_err(failure)
        });
        let asked = asked.await.unwrap_or(Err(Failure::Slow(self.limit)));
        if let Err(Failure::Away(_) | Failure::Slow(_) | Failure::ReadOnly(_)) = &asked {
            self.way.forget(used);
        }
        let outcomes = outcomes(&asked?)?;
        self.metrics.kept_batches.inc();
        self.metrics.kept_bytes.inc_by(bytes as u64);
        Ok(outcomes)
    }

    fn account(&mut self, write: &Write, outcome: Outcome) {
        if let (Order::Put { .. }, Outcome::Done) = (&write.order, outcome) {
            self.metrics.checkpoints.inc();
        }
        let room = &write.about.name;
        match outcome {
            Outcome::Done => {}
            // It has ended, or has gone to another node, and this came too late. (A node that has lost a room
            // is told so otherwise.)
            Outcome::Fenced => debug!(%room, "what is kept of the room is another node's by now"),
            Outcome::Gap => {
                self.metrics.store_failures.inc("refused");
                info!(%room, "Redis has lost a part of what is kept of the room: it is asked for a checkpoint");
            }
        }
        self.books.written(write, outcome);
    }
}

/// What goes into a call each.
fn calls(mut writes: &[Write]) -> Vec<&[Write]> {
    let mut calls = Vec::new();
    while !writes.is_empty() {
        let mut bytes = 0;
        let fits = |write: &&Write| {
            bytes += write.frames.len();
            bytes <= CALL_BYTES
        };
        let count = writes.iter().take(CALL_ROOMS).take_while(fits).count().max(1);
        let (call, rest) = writes.split_at(count);
        calls.push(call);
        writes = rest;
    }
    calls
}

fn outcomes(value: &Value) -> Result<Vec<Outcome>, Failure> {
    let nonsense = || Failure::Refused(format!("the script has returned {value:?}"));
    let Value::Array(values) = value else { return Err(nonsense()) };
    let one = |value: &Value| match value {
        Value::BulkString(word) => match &word[..] {
            b"done" => Some(Outcome::Done),
            b"gap" => Some(Outcome::Gap),
            b"fenced" => Some(Outcome::Fenced),
            _ => None,
        },
        _ => None,
    };
    values.iter().map(one).collect::<Option<_>>().ok_or_else(nonsense)
}

/// Reads what is wanted, as long as somebody may want something.
pub(super) async fn read(
    mut wanted: mpsc::UnboundedReceiver<Reading>,
    way: Way,
    call: Call,
    limit: Duration,
) {
    let (script, mut under_way) = (Script::new(SCRIPT), FuturesUnordered::new());
    loop {
        select! {
            Some(()) = under_way.next() => {}
            reading = wanted.recv() => {
                let Some(Reading { room, node, epoch, tell }) = reading else { return };
                let (script, way, call) = (&script, &way, &call);
                under_way.push(async move {
                    let mut used = None;
                    let asked = timeout(limit, async {
                        let (number, mut connection) = way.connection().await?;
                        used = Some(number);
                        let mut call_of = script.prepare_invoke();
                        call_of.key(call.key()).arg(&call.prefix).arg("read");
                        call_of.arg(&*room).arg(&*node.0).arg(epoch);
                        call_of.invoke_async::<Vec<Vec<u8>>>(&mut connection).await.map_err(failure)
                    });
                    let asked = asked.await.unwrap_or(Err(Failure::Slow(limit)));
                    if asked.is_err() {
                        way.forget(used);
                    }
                    let _ = tell.send(kept(asked));
                });
            }
        }
    }
}

fn kept(asked: Result<Vec<Vec<u8>>, Failure>) -> Result<Option<KeptRoom>, Unread> {
    let unavailable = |why: String| Unread::Unavailable(Unavailable { why, wait: AGAIN });
    let values = asked.map_err(|failure| unavailable(failure.to_string()))?;
    match &values[..] {
        [word] if word == b"nothing" => Ok(None),
        [word, passed, row, journal] if word == b"kept" => {
            let passed = String::from_utf8_lossy(passed).parse().unwrap_or(0);
            let row = unpack(row).map_err(Unread::Bad)?;
            Ok(Some(KeptRoom::gathered(row, journal, Duration::from_millis(passed) + ON_ITS_WAY)))
        }
        _ => Err(unavailable("another node has the room by now".to_owned())),
    }
}

/// A checkpoint as it is kept: whether it is compressed, and it.
fn pack(row: &Row) -> Result<Vec<u8>, String> {
    let row = row.encode().map_err(|error| error.to_string())?;
    if row.len() > SMALL {
        let mut packed = flate2::write::DeflateEncoder::new(vec![1], flate2::Compression::fast());
        let done = std::io::Write::write_all(&mut packed, &row).and_then(|()| packed.finish());
        if let Ok(packed) = done
            && packed.len() < row.len() * 3 / 4
        {
            return Ok(packed);
        }
    }
    Ok([&[0], &row[..]].concat())
}

fn unpack(packed: &[u8]) -> Result<Row, String> {
    match packed.split_first() {
        Some((0, row)) => Row::decode(row),
        Some((1, packed)) => {
            let mut row = Vec::new();
            let read = std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(packed), &mut row);
            read.map_err(|error| format!("its checkpoint is damaged: {error}"))?;
            Row::decode(&row)
        }
        _ => Err("its checkpoint is damaged".to_owned()),
    }
}
