//! How much each source has of something that it gets for a time, whatever it does with it.

use super::source::Source;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Counts what each source holds: seats that are kept for it. Loopback is not limited (see
/// [`Source::is_loopback`]).
#[derive(Debug)]
pub(crate) struct Held {
    max: usize,
    by_source: Mutex<HashMap<Source, Vec<(Instant, u32)>>>,
}

/// What a source is about to hold. It is given back if this is dropped without [`keep`](Self::keep): to be
/// dropped only when it is certain that nothing is kept for the source.
pub(crate) struct Holding {
    of: Arc<Held>,
    source: Source,
    until: Instant,
    amount: u32,
}

impl Held {
    /// At most `max` for each source.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, by_source: Mutex::default() })
    }

    /// The limit of each source.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Takes so many for this time. None: the source would have more than it may.
    pub(crate) fn take(
        self: &Arc<Self>,
        now: Instant,
        source: Source,
        amount: u32,
        lasts: Duration,
    ) -> Option<Holding> {
        let until = now + lasts;
        let of = self.clone();
        if source.is_loopback() {
            return Some(Holding { of, source, until, amount: 0 });
        }
        let mut by_source = self.by_source.lock();
        // Few hold something at a time, and for seconds.
        by_source.retain(|_, held| {
            held.retain(|(until, _)| *until > now);
            !held.is_empty()
        });
        let has =
            by_source.get(&source).map_or(0, |held| held.iter().map(|(_, amount)| *amount as usize).sum());
        if has + amount as usize > self.max {
            return None;
        }
        by_source.entry(source).or_default().push((until, amount));
        Some(Holding { of, source, until, amount })
    }
}

impl Holding {
    /// The source has it until its time is over, whatever becomes of this.
    pub(crate) fn keep(&mut self) {
        self.amount = 0;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        if let Some(held) = self.of.by_source.lock().get_mut(&self.source)
            && let Some(at) = held.iter().position(|one| *one == (self.until, self.amount))
        {
            held.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 4
    #[test]
    fn a_source_holds_no_more_than_it_may_and_gets_back_what_it_does_not_keep() {
        let (held, source) = (Held::new(4), Source::of("192.0.2.1".parse().unwrap()));
        let now = Instant::now();
        let take = |amount| held.take(now, source, amount, Duration::from_secs(3600));
        take(3).unwrap().keep();
        assert!(take(2).is_none());
        drop(take(1).unwrap());
        take(1).unwrap().keep();
        assert!(take(1).is_none());
        let other = Source::of("192.0.2.2".parse().unwrap());
        held.take(now, other, 4, Duration::ZERO).unwrap().keep();
        held.take(now, other, 4, Duration::ZERO).unwrap().keep();
        held.take(now, Source::of("127.0.0.1".parse().unwrap()), 400, Duration::from_secs(1)).unwrap().keep();
        assert!(take(1).is_none() && held.by_source.lock().len() == 1, "what is over takes no memory");
    }
}
