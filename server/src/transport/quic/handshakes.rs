//! Limits handshakes, which cost more than anything else that a stranger can ask for.

use crate::ground::{
    shares::{Share, Shares},
    source::Source,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The fraction of all handshakes in progress that one source may have: one in this many.
const SHARE: usize = 8;

/// Counts the handshakes in progress on all threads.
#[derive(Debug)]
pub(super) struct Handshakes {
    in_progress: AtomicUsize,
    max: usize,
    retry_above: usize,
    /// Handshakes of sources whose address is not validated. It may be another's, so they are counted apart
    /// from the validated ones.
    unvalidated: Arc<Shares>,
    validated: Arc<Shares>,
}

/// What to do with a connection attempt.
#[derive(Debug)]
pub(super) enum Decision {
    /// Proceed.
    Accept(Handshake),
    /// The client must first prove that it receives what is sent to its address.
    Retry,
    /// Too many are in progress.
    Refuse,
}

/// A handshake in progress. Ends when dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    handshakes: Arc<Handshakes>,
    _share: Option<Share>,
}

impl Handshakes {
    /// At most `max` at once, and an eighth of that per source; from `retry_above` on, only clients whose
    /// address is validated.
    pub(super) fn new(max: usize, retry_above: usize) -> Arc<Self> {
        let share = (max / SHARE).max(1);
        Arc::new(Self {
            in_progress: AtomicUsize::new(0),
            max,
            retry_above,
            unvalidated: Shares::new(share),
            validated: Shares::new(share),
        })
    }

    /// `may_retry`: the address is not validated, and can be.
    pub(super) fn decide(self: &Arc<Self>, source: Source, may_retry: bool) -> Decision {
        let before = self.in_progress.fetch_add(1, Ordering::Relaxed);
        let mut handshake = Handshake { handshakes: self.clone(), _share: None };
        if before >= self.max {
            return Decision::Refuse;
        }
        if may_retry && before >= self.retry_above {
            return Decision::Retry;
        }
        let shares = if may_retry { &self.unvalidated } else { &self.validated };
        match shares.take(source) {
            Some(share) => {
                handshake._share = Some(share);
                Decision::Accept(handshake)
            }
            None if may_retry => Decision::Retry,
            None => Decision::Refuse,
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.handshakes.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const HERE: Source = Source::UNKNOWN;

    fn others() -> impl Iterator<Item = Source> {
        (0..).map(|n| Source::of(IpAddr::from(Ipv4Addr::from(0xC000_0200 + n))))
    }

    fn accept(decision: Decision) -> Handshake {
        match decision {
            Decision::Accept(handshake) => handshake,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_handshakes_ask_for_validation_and_more_are_refused() {
        let (handshakes, mut from) = (Handshakes::new(3, 2), others());
        let mut decide = |may_retry| handshakes.decide(from.next().unwrap(), may_retry);
        let first = accept(decide(true));
        let _second = accept(decide(true));
        assert!(matches!(decide(true), Decision::Retry));
        let _third = accept(decide(false));
        assert!(matches!(decide(false), Decision::Refuse), "validated or not");
        assert!(matches!(decide(true), Decision::Refuse));
        drop(first);
        assert!(matches!(decide(true), Decision::Retry));
        let _fourth = accept(decide(false));
    }

    #[test]
    fn who_is_turned_away_takes_no_place() {
        let handshakes = Handshakes::new(1, 0);
        for _ in 0..10 {
            assert!(matches!(handshakes.decide(HERE, true), Decision::Retry));
        }
        let _only = accept(handshakes.decide(HERE, false));
    }

    #[test]
    fn one_address_cannot_take_the_places_of_all() {
        let handshakes = Handshakes::new(16, 16);
        let mut own: Vec<_> = (0..2).map(|_| accept(handshakes.decide(HERE, true))).collect();
        assert!(
            matches!(handshakes.decide(HERE, true), Decision::Retry),
            "it may be spoofed: it can prove that it is not"
        );
        own.extend((0..2).map(|_| accept(handshakes.decide(HERE, false))));
        assert!(matches!(handshakes.decide(HERE, false), Decision::Refuse));
        let honest: Vec<_> =
            others().take(12).map(|source| accept(handshakes.decide(source, true))).collect();
        assert_eq!(honest.len(), 12);
        drop(own);
        accept(handshakes.decide(HERE, true));
    }
}
