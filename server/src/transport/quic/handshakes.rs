//! Who may begin a handshake: it costs more than anything else that a stranger can ask for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the handshakes in progress on all threads.
#[derive(Debug)]
pub(super) struct Handshakes {
    in_progress: AtomicUsize,
    max: usize,
    retry_above: usize,
}

/// What to do with a connection attempt.
#[derive(Debug)]
pub(super) enum Decision {
    /// Go on.
    Accept(Handshake),
    /// Have it show first that it receives what is sent to its address.
    Retry,
    /// There are too many.
    Refuse,
}

/// A handshake in progress. Ends when dropped.
#[derive(Debug)]
pub(super) struct Handshake(Arc<Handshakes>);

impl Handshakes {
    /// At most `max` at once; from `retry_above` on only those whose address is validated.
    pub(super) fn new(max: usize, retry_above: usize) -> Arc<Self> {
        Arc::new(Self { in_progress: AtomicUsize::new(0), max, retry_above })
    }

    /// `may_retry`: the address is not validated, and can be.
    pub(super) fn decide(self: &Arc<Self>, may_retry: bool) -> Decision {
        let before = self.in_progress.fetch_add(1, Ordering::Relaxed);
        let handshake = Handshake(self.clone());
        match before {
            before if before >= self.max => Decision::Refuse,
            before if before >= self.retry_above && may_retry => Decision::Retry,
            _ => Decision::Accept(handshake),
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(decision: Decision) -> Handshake {
        match decision {
            Decision::Accept(handshake) => handshake,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_handshakes_ask_for_validation_and_more_are_refused() {
        let handshakes = Handshakes::new(3, 2);
        let first = accept(handshakes.decide(true));
        let _second = accept(handshakes.decide(true));
        assert!(matches!(handshakes.decide(true), Decision::Retry));
        let _third = accept(handshakes.decide(false));
        assert!(matches!(handshakes.decide(false), Decision::Refuse), "validated or not");
        assert!(matches!(handshakes.decide(true), Decision::Refuse));
        drop(first);
        assert!(matches!(handshakes.decide(true), Decision::Retry));
        let _fourth = accept(handshakes.decide(false));
    }

    #[test]
    fn who_is_turned_away_takes_no_place() {
        let handshakes = Handshakes::new(1, 0);
        for _ in 0..10 {
            assert!(matches!(handshakes.decide(true), Decision::Retry));
        }
        let _only = accept(handshakes.decide(false));
    }
}
