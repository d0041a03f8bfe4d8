//! How many may read topics at a time, and how fast they may come and publish.

use crate::{
    clock,
    config::Config,
    ground::{
        rate::Rate,
        shares::{Share, Shares},
        source::Source,
    },
    metrics::Metrics,
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Seconds' worth of a rate that may come at once.
const BURST_SECONDS: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);

/// All who read.
pub(super) struct Readers {
    count: AtomicUsize,
    max: usize,
    of_source: Arc<Shares>,
    /// Those who begin to read.
    coming: Mutex<Rate>,
    publishing: Mutex<Rate>,
    /// Time over which they come back, milliseconds, and one more. 0: they stay.
    leaving: AtomicU64,
    pub(super) metrics: Arc<Metrics>,
}

/// A place among them, given back when it is dropped.
pub(super) struct ReaderPlace {
    pub(super) all: Arc<Readers>,
    _share: Share,
}

/// Why somebody cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotRead {
    #[error("the server is shutting down")]
    Draining,
    #[error("there are {0} readers, as many as this server takes")]
    ServerFull(usize),
    #[error("there are {0} readers from this address, as many as may be")]
    AddressFull(usize),
    #[error("too many new readers from this address")]
    TooFast(Duration),
    #[error("{0} users are watched, as many as may be")]
    TooManyUsers(usize),
    #[error("{0} users are watched from this address, as many as may be")]
    TooManyUsersOfAddress(usize),
}

impl Readers {
    /// At most `most`, whatever the configuration says.
    pub(super) fn new(config: &Config, most: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let rate = |per_second: u32| {
            Mutex::new(Rate::new(SECOND / per_second, per_second.saturating_mul(BURST_SECONDS)))
        };
        Arc::new(Self {
            count: AtomicUsize::new(0),
            max: config.max_topic_readers.min(most),
            of_source: Shares::new(config.max_connections_per_address),
            coming: rate(config.joins_per_second_per_address),
            publishing: rate(config.topic_events_per_second_per_address),
            leaving: AtomicU64::new(0),
            metrics,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// One more begins to read.
    pub(super) fn enter(self: &Arc<Self>, source: Source) -> Result<ReaderPlace, CannotRead> {
        if self.leaving.load(Relaxed) > 0 {
            return Err(CannotRead::Draining);
        }
        if !source.is_loopback() {
            self.coming.lock().take(clock::now(), source).map_err(CannotRead::TooFast)?;
        }
        let share = self.of_source.take(source).ok_or(CannotRead::AddressFull(self.of_source.max()))?;
        if self.count.fetch_add(1, Relaxed) >= self.max {
            self.count.fetch_sub(1, Relaxed);
            return Err(CannotRead::ServerFull(self.max));
        }
        self.metrics.topics.readers.inc();
        Ok(ReaderPlace { all: self.clone(), _share: share })
    }

    pub(super) fn may_publish(&self, source: Source) -> Result<(), Duration> {
        if source.is_loopback() {
            return Ok(());
        }
        self.publishing.lock().take(clock::now(), source)
    }

    pub(super) fn drain(&self, spread: Duration) {
        let ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX - 1);
        self.leaving.store(ms.saturating_add(1), Relaxed);
    }

    /// When one is to come back, if all have to leave.
    pub(super) fn back_in(&self) -> Option<Duration> {
        let spread = self.leaving.load(Relaxed).checked_sub(1)?;
        Some(between(SECOND / 2, Duration::from_millis(spread)))
    }
}

/// A time, so that not all come at once: at least `least`, and up to `spread` more.
pub(crate) fn between(least: Duration, spread: Duration) -> Duration {
    // Without random bytes they all come as late as may be.
    let part = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    least + spread.mul_f64(part)
}

impl Drop for ReaderPlace {
    fn drop(&mut self) {
        self.all.count.fetch_sub(1, Relaxed);
        self.all.metrics.topics.readers.dec();
    }
}
