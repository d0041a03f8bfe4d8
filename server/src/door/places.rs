//! Places for players: so many in all, so many of one source. A place belongs to a seat, not to a connection: who comes back to a seat needs
//! none, and who is away keeps his.

use super::Refused;
use crate::ground::{
    shares::{Share, Shares},
    source::Source,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts them.
#[derive(Debug)]
pub struct Places {
    max: usize,
    taken: AtomicUsize,
    shares: Arc<Shares>,
}

/// A place. Given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    _share: Share,
}

impl Places {
    /// At most `max`, and `max_per_source` of one source that is not loopback.
    pub fn new(max: usize, max_per_source: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0), shares: Shares::new(max_per_source) })
    }

    /// As many as are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes one.
    ///
    /// # Errors
    /// There is none left, of all or for this source.
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
