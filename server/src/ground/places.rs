//! Player slots: a limited number in total, and per source. A slot belongs to a seat, not to a connection: a
//! player who comes back to a seat needs no new one, and a player who is away keeps it.

use super::{
    shares::{Share, Shares},
    source::Source,
};
use std::sync::{
    Arc, OnceLock,
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
    /// That of its player's source, once that is known.
    share: OnceLock<Share>,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// All are taken.
    Full(usize),
    /// The source has as many as one may have.
    SourceFull {
        /// The source.
        of: Source,
        /// The limit.
        max: usize,
    },
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
    pub fn take(self: &Arc<Self>, source: Source) -> Result<Place, NoPlace> {
        let max = self.shares.max();
        let share = self.shares.take(source).ok_or(NoPlace::SourceFull { of: source, max })?;
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(NoPlace::Full(self.max));
        }
        Ok(Place { places: self.clone(), share: share.into() })
    }

    /// The slot of a seat that comes from another process. There is always one: its player was promised it,
    /// and newcomers wait until there are fewer players than may be.
    pub fn keep(self: &Arc<Self>) -> Place {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Place { places: self.clone(), share: OnceLock::new() }
    }
}

impl Place {
    /// Its player is back, from this source. If that has as many as it may, this one is not counted there.
    pub fn is_of(&self, source: Source) {
        self.share.get_or_init(|| self.places.shares.take(source).unwrap_or_else(Share::uncounted));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
