//! What the peer has: the states that a delta may refer to.

use super::{Delivery, StateTick};
use crate::{delta::MAX_AGE, gate::MAX_IN_FLIGHT};
use std::collections::VecDeque;

/// The last two states that the peer is certain to have when the next one arrives.
#[derive(Debug)]
pub(super) struct Baselines<S> {
    /// Newest first.
    had: [Option<S>; 2],
    /// Sent states that are not acknowledged, oldest first. None on ordered transports, where sending a state
    /// is enough.
    unacked: Option<VecDeque<S>>,
}

impl<S: StateTick> Baselines<S> {
    pub(super) fn new(delivery: Delivery) -> Self {
        let unacked = match delivery {
            Delivery::Ordered => None,
            Delivery::Datagram => Some(VecDeque::with_capacity(MAX_IN_FLIGHT)),
        };
        Self { had: [None, None], unacked }
    }

    /// Baseline and prior for a delta to `tick`. None if they are older than the wire can express or the peer
    /// keeps.
    pub(super) fn references(&self, tick: u32) -> (Option<&S>, Option<&S>) {
        let near = |state: &&S| tick.saturating_sub(state.tick()) <= MAX_AGE;
        let [baseline, prior] = &self.had;
        match baseline.as_ref().filter(near) {
            Some(baseline) => (Some(baseline), prior.as_ref().filter(near)),
            None => (None, None),
        }
    }

    /// A state was sent.
    pub(super) fn sent(&mut self, state: S) {
        match &mut self.unacked {
            None => self.add(state),
            Some(unacked) => {
                if unacked.len() == MAX_IN_FLIGHT {
                    unacked.pop_front();
                }
                unacked.push_back(state);
            }
        }
    }

    /// The peer has applied a state. Ignored if that is nothing new.
    pub(super) fn acked(&mut self, tick: u32) {
        let Some(unacked) = &mut self.unacked else { return };
        let Some(index) = unacked.iter().position(|state| state.tick() == tick) else { return };
        // Earlier ones will not be acknowledged any more: an acknowledgement names the newest state applied.
        let state = unacked.drain(..=index).next_back();
        if let Some(state) = state {
            self.add(state);
        }
    }

    fn add(&mut self, state: S) {
        self.had.swap(0, 1);
        self.had[0] = Some(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl StateTick for u32 {
        fn tick(&self) -> u32 {
            *self
        }
    }

    #[test]
    fn on_a_stream_sent_is_had() {
        let mut baselines = Baselines::new(Delivery::Ordered);
        assert_eq!(baselines.references(1), (None, None));
        baselines.sent(1u32);
        assert_eq!(baselines.references(2), (Some(&1), None));
        baselines.sent(3);
        baselines.acked(1);
        assert_eq!(baselines.references(4), (Some(&3), Some(&1)));
    }

    #[test]
    fn on_datagrams_only_acknowledged_is_had() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        for tick in 1..=4u32 {
            baselines.sent(tick);
        }
        assert_eq!(baselines.references(5), (None, None));
        baselines.acked(2);
        baselines.acked(2);
        assert_eq!(baselines.references(5), (Some(&2), None));
        baselines.acked(1);
        baselines.acked(4);
        assert_eq!(baselines.references(5), (Some(&4), Some(&2)));
    }

    #[test]
    fn too_old_is_not_used() {
        let mut baselines = Baselines::new(Delivery::Ordered);
        baselines.sent(1u32);
        baselines.sent(11);
        assert_eq!(baselines.references(65), (Some(&11), Some(&1)));
        assert_eq!(baselines.references(66), (Some(&11), None));
        assert_eq!(baselines.references(76), (None, None));
    }

    // Promise 4: "One client, however slow or hostile, does not … grow memory without bound."
    #[test]
    fn unacknowledged_states_are_bounded() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        for tick in 0..1000u32 {
            baselines.sent(tick);
        }
        assert_eq!(baselines.unacked.unwrap().len(), MAX_IN_FLIGHT);
    }
}
