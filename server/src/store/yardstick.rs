//! One room in a store of its own, for benchmarks.

use super::{Footing, Intervals, Store, open};
use crate::{
    ground::{
        durability::Durability,
        made_with::{MadeWith, Maker},
    },
    health::{Health, Matters, PartName},
    metrics::Metrics,
    room::{CheckpointSink, core::RoomCore, journal::Journal},
};
use driftless_sim::Setup;
use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Where the checkpoints of a benchmark's room go.
#[derive(Debug)]
pub struct Yardstick {
    store: Arc<Store>,
    sink: Box<dyn CheckpointSink>,
    metrics: Arc<Metrics>,
}

impl Yardstick {
    /// A new store, and the journal for the room.
    ///
    /// # Errors
    /// There can be none in the folder.
    pub fn new(folder: &Path, core: &RoomCore) -> Result<(Self, Box<dyn Journal>), Box<dyn Error>> {
        let (metrics, now) = (Arc::new(Metrics::new()), Instant::now());
        let health = Health::new(metrics.clone(), now).part(PartName::Store, Matters::ToOperators);
        let second = Duration::from_secs(1);
        let intervals = Intervals { checkpoint: second, sync: second };
        let (store, _) =
            open(folder, Footing::default())?.0.begin(Vec::new(), &[], intervals, metrics.clone(), health)?;
        let shared = core.shared();
        let setup = Setup { max_players: shared.max_players, ..Setup::new(1, shared.tick_rate) };
        let made_with = MadeWith { setup, maker: Maker::Operator, durability: Durability::Journal };
        let (sink, journal) = store.room(shared, made_with.into(), false);
        Ok((Self { store, sink, metrics }, journal))
    }

    /// Takes a checkpoint as a room does, and returns how long that took.
    pub fn checkpoint(&self, core: &RoomCore) -> Duration {
        let start = Instant::now();
        if let Some(checkpoint) = core.checkpoint() {
            self.sink.put(checkpoint, start.elapsed());
        }
        start.elapsed()
    }

    /// Writes what waits. Returns the mean size of a checkpoint, bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn finish(self) -> Result<u64, Box<dyn Error>> {
        self.store.finish(Vec::new(), super::FINISH)?;
        Ok(self.metrics.store.checkpoint_bytes.get() / self.metrics.store.checkpoints.get().max(1))
    }
}
