//! Player slots: a limited number in total, and per source. A slot belongs to a seat, not to a connection: a
//! player who comes back to a seat needs no new one, and a player who is away keeps it.

use super::Refused;
use crate::ground::{
    shares::{Share, Shares},
    source::Source,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the player slots.
#[derive(Debug)]
pub struct Places {
    max: usize,
    taken: AtomicUsize,
    shares: Arc<Shares>,
}

/// A player slot. Given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    _share: Share,
}

impl Places {
    /// At most `max` in total, and at most `max_per_source` for any source that is not loopback.
    pub fn new(max: usize, max_per_source: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0), shares: Shares::new(max_per_source) })
    }

    /// Number of slots taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// None is left, in total or for this source.
    pub fn take(self: &Arc<Self>, source: Source) -> Result<Place, Refused> {
        let max = self.shares.max();
        let share = self.shares.take(source).ok_or(Refused::AddressFull { of: source, max })?;
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::ServerFull(self.max));
        }
        Ok(Place { places: self.clone(), _share: share })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
