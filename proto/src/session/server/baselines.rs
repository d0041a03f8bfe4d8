//! What the peer has: the states that a delta may refer to.

use super::{Delivery, StateTick, had::Had, zones::MAX_PARTS};
use crate::{delta::MAX_AGE, gate::MAX_IN_FLIGHT, state::zones::Ticks, view::ZoneId};
use std::{collections::VecDeque, mem};

/// Most messages that are under way: those of as many states as may be in flight, each of as many messages
/// as a state may take.
const MAX_UNACKED: usize = MAX_IN_FLIGHT * MAX_PARTS;

/// The states that the peer is certain to have when the next message arrives, and the messages that it may
/// have.
#[derive(Debug)]
pub(super) struct Baselines<S> {
    /// The last two states of which the peer has something, newest first.
    had: [Option<S>; 2],
    /// Older ones that are still needed, oldest first: only if `keeps_older`.
    older: Vec<S>,
    keeps_older: bool,
    /// The ticks at which the peer has zone 0.
    zone_0: Had,
    delivery: Delivery,
    /// Number of the last message.
    number: u32,
    /// Messages that are not acknowledged, oldest first. None on ordered transports, where sending a state is
    /// enough.
    unacked: Option<VecDeque<Unacked<S>>>,
    /// Memory to reuse.
    spare: Vec<Vec<ZoneId>>,
}

/// A message that may arrive.
#[derive(Debug)]
struct Unacked<S> {
    state: S,
    number: u32,
    covers: Covers,
}

/// The zones whose content a message tells, if only by saying nothing of them.
#[derive(Debug, Default)]
pub(super) struct Covers {
    pub(super) zone_0: bool,
    /// The others, ascending.
    pub(super) zones: Vec<ZoneId>,
}

/// A baseline and a prior: states, of which a delta uses the content of one zone.
#[derive(Debug)]
pub(super) struct Pair<'a, S> {
    pub(super) baseline: Option<&'a S>,
    pub(super) prior: Option<&'a S>,
}

impl<S: StateTick> Pair<'_, S> {
    pub(super) fn ticks(&self) -> Ticks {
        (self.baseline.map(S::tick), self.prior.map(S::tick))
    }
}

impl<S: StateTick> Baselines<S> {
    pub(super) fn new(delivery: Delivery) -> Self {
        let unacked = match delivery {
            Delivery::Ordered => None,
            Delivery::Datagram => Some(VecDeque::with_capacity(MAX_IN_FLIGHT)),
        };
        Self {
            had: [None, None],
            older: Vec::new(),
            keeps_older: false,
            zone_0: Had::default(),
            delivery,
            number: 0,
            unacked,
            spare: Vec::new(),
        }
    }

    /// Forgets what the peer has. Numbers go on.
    pub(super) fn forget(&mut self) {
        *self = Self { number: self.number, ..Self::new(self.delivery) };
    }

    /// Baseline and prior of zone 0 for a delta to `current`.
    pub(super) fn references(&self, current: &S) -> Pair<'_, S> {
        self.references_of(self.zone_0, current)
    }

    /// The same for a zone that the peer has at these ticks. None if they are older than the wire can express
    /// or the peer keeps.
    ///
    /// If peers have many different ones, such are preferred as many have, so that many peers share few
    /// encodings. On datagrams, a state every few ticks that nearly everybody has got. Where a peer has only
    /// the last two, the last one alone, unless both are the newest there can be.
    pub(super) fn references_of(&self, zone: Had, current: &S) -> Pair<'_, S> {
        let tick = current.tick();
        let usable = |state: &&S| zone.has(state.tick()) && tick.saturating_sub(state.tick()) <= MAX_AGE;
        let mut all = self.newest_first().filter(usable);
        let exact = Pair { baseline: all.next(), prior: all.next() };
        if !current.prefers_common() {
            return exact;
        }
        match (self.delivery, exact.ticks()) {
            (Delivery::Ordered, (Some(baseline), Some(prior))) if prior + 2 < tick || baseline + 1 < tick => {
                Pair { prior: None, ..exact }
            }
            (Delivery::Ordered, _) => exact,
            (Delivery::Datagram, _) => {
                let is_common = |state: &&S| Had::is_common(state.tick());
                let mut common = self.newest_first().filter(usable).filter(is_common);
                match common.next() {
                    Some(baseline) => Pair { baseline: Some(baseline), prior: common.next() },
                    None => exact,
                }
            }
        }
    }

    /// The number for the next message, of a state of this tick.
    pub(super) fn next_number(&self, tick: u32) -> u32 {
        tick.max(self.number.saturating_add(1))
    }

    /// Memory for a message's zones.
    pub(super) fn covers(&mut self, zone_0: bool) -> Covers {
        Covers { zone_0, zones: self.spare.pop().unwrap_or_default() }
    }

    /// A message of a state was sent. On ordered transports the peer has what it covers: the caller notes
    /// zones other than zone 0.
    pub(super) fn sent(&mut self, state: S, number: u32, covers: Covers) {
        self.number = number;
        match &mut self.unacked {
            None => {
                if covers.zone_0 {
                    self.zone_0.add(state.tick(), self.delivery);
                }
                self.had(state);
            }
            Some(unacked) => {
                // A new state beyond those that may be in flight takes the place of the oldest.
                let is_new = unacked.back().is_none_or(|last| last.state.tick() != state.tick());
                while unacked.len() >= MAX_UNACKED || (is_new && states(unacked) >= MAX_IN_FLIGHT) {
                    unacked.pop_front().into_iter().for_each(|m| recycle(&mut self.spare, m.covers));
                }
                unacked.push_back(Unacked { state, number, covers });
            }
        }
    }

    /// The peer has applied the message with this number, and those before it that are not `missing` (bit n:
    /// the one n + 1 before it). Calls `zone` for each zone whose content it has since, with the tick.
    /// Returns the tick of the state, unless the acknowledgement is late or repeated.
    ///
    /// # Errors
    /// `NeverSent`: no message had this number yet.
    pub(super) fn acked(
        &mut self,
        number: u32,
        missing: u32,
        mut zone: impl FnMut(ZoneId, u32),
    ) -> Result<Option<u32>, NeverSent> {
        if number > self.number {
            return Err(NeverSent);
        }
        let Some(mut unacked) = self.unacked.take() else { return Ok(Some(number)) };
        let tick = unacked.iter().find(|message| message.number == number).map(|m| m.state.tick());
        let mut kept = 0;
        while let Some(tick) = tick
            && let Some(message) = unacked.get(kept)
            && message.number <= number
        {
            let behind = number - message.number;
            let is_missing = behind > 0 && missing.checked_shr(behind - 1).is_none_or(|bits| bits & 1 != 0);
            // Another part of the same state may still come; an earlier state would be stale.
            if is_missing && message.state.tick() == tick {
                kept += 1;
                continue;
            }
            let Some(Unacked { state, covers, .. }) = unacked.remove(kept) else { break };
            if !is_missing {
                if covers.zone_0 {
                    self.zone_0.add(state.tick(), self.delivery);
                }
                covers.zones.iter().for_each(|&of| zone(of, state.tick()));
                if self.had[0].as_ref().is_none_or(|newest| newest.tick() < state.tick()) {
                    self.had(state);
                }
            }
            recycle(&mut self.spare, covers);
        }
        self.unacked = Some(unacked);
        Ok(tick)
    }

    /// The peer is told that it no longer sees a zone: what arrives from now on does not change that.
    pub(super) fn left(&mut self, zone: ZoneId) {
        for message in self.unacked.iter_mut().flatten() {
            if let Ok(at) = message.covers.zones.binary_search(&zone) {
                message.covers.zones.remove(at);
            }
        }
    }

    /// How the transport delivers.
    pub(super) fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Whether references may be older than the last two states: there are zones that may be deferred, or
    /// common ones are preferred.
    pub(super) fn keep_older(&mut self, keep: bool) {
        self.keeps_older = keep;
    }

    /// Drops states that are not needed any more. `oldest`: the earliest tick that a zone other than zone 0
    /// needs.
    pub(super) fn prune(&mut self, oldest: Option<u32>, common: bool) {
        if self.older.is_empty() {
            return;
        }
        let newest = self.had[0].as_ref().map_or(0, S::tick);
        let zone_0 = self.zone_0.oldest_needed(common);
        let oldest = oldest.unwrap_or(zone_0).min(zone_0).max(newest.saturating_sub(MAX_AGE));
        let needed = self.older.partition_point(|state| state.tick() < oldest);
        self.older.drain(..needed);
    }

    fn had(&mut self, state: S) {
        let [newest, before] = &mut self.had;
        let older = mem::replace(before, newest.replace(state));
        if self.keeps_older {
            self.older.extend(older);
        }
    }

    fn newest_first(&self) -> impl Iterator<Item = &S> {
        self.had.iter().flatten().chain(self.older.iter().rev())
    }
}

/// How many states these messages are of, which are in order of number.
fn states<S: StateTick>(messages: &VecDeque<Unacked<S>>) -> usize {
    let mut last = None;
    messages
        .iter()
        .map(|message| message.state.tick())
        .filter(|tick| last.replace(*tick) != Some(*tick))
        .count()
}

fn recycle(spare: &mut Vec<Vec<ZoneId>>, mut covers: Covers) {
    if covers.zones.capacity() > 0 {
        covers.zones.clear();
        spare.push(covers.zones);
    }
}

/// An acknowledgement of a message that was never sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NeverSent;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct State(u32, bool);

    impl StateTick for State {
        fn tick(&self) -> u32 {
            self.0
        }
        fn prefers_common(&self) -> bool {
            self.1
        }
    }

    fn sent(baselines: &mut Baselines<State>, tick: u32) {
        let covers = baselines.covers(true);
        let number = baselines.next_number(tick);
        baselines.sent(State(tick, false), number, covers);
        baselines.prune(None, false);
    }

    fn acked(baselines: &mut Baselines<State>, number: u32, missing: u32) {
        baselines.acked(number, missing, |_, _| panic!("only zone 0")).unwrap();
    }

    fn references(baselines: &Baselines<State>, tick: u32) -> Ticks {
        baselines.references(&State(tick, false)).ticks()
    }

    #[test]
    fn on_a_stream_sent_is_had() {
        let mut baselines = Baselines::new(Delivery::Ordered);
        assert_eq!(references(&baselines, 1), (None, None));
        sent(&mut baselines, 1);
        assert_eq!(references(&baselines, 2), (Some(1), None));
        sent(&mut baselines, 3);
        acked(&mut baselines, 1, 0);
        assert_eq!(references(&baselines, 4), (Some(3), Some(1)));
    }

    #[test]
    fn on_datagrams_only_acknowledged_is_had() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        (1..=4).for_each(|tick| sent(&mut baselines, tick));
        assert_eq!(references(&baselines, 5), (None, None));
        acked(&mut baselines, 2, u32::MAX);
        acked(&mut baselines, 2, 0);
        assert_eq!(references(&baselines, 5), (Some(2), None));
        acked(&mut baselines, 1, 0);
        acked(&mut baselines, 4, u32::MAX);
        assert_eq!(references(&baselines, 5), (Some(4), Some(2)));
        assert_eq!(baselines.acked(5, 0, |_, _| ()), Err(NeverSent));
    }

    #[test]
    fn what_is_not_missing_is_had_too() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        (1..=5).for_each(|tick| sent(&mut baselines, tick));
        acked(&mut baselines, 5, 0b0101); // 4 and 2 are missing
        let all: Vec<_> = (0..9).filter(|tick| baselines.zone_0.has(*tick)).collect();
        assert_eq!(all, [1, 3, 5]);
        assert_eq!(references(&baselines, 6), (Some(5), Some(3)));
    }

    #[test]
    fn in_a_crowd_the_references_are_common() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        baselines.keep_older(true);
        for tick in 1..=14 {
            let number = baselines.next_number(tick);
            let covers = baselines.covers(true);
            baselines.sent(State(tick, true), number, covers);
            acked(&mut baselines, number, u32::MAX);
            baselines.prune(None, true);
        }
        assert_eq!(baselines.references(&State(15, true)).ticks(), (Some(12), Some(8)));
        assert_eq!(references(&baselines, 15), (Some(14), Some(13)));
        assert!(baselines.older.len() < 8, "{:?}", baselines.older);
    }

    #[test]
    fn in_a_crowd_who_has_only_two_states_gets_the_difference_to_one() {
        let mut baselines = Baselines::new(Delivery::Ordered);
        for (tick, expected) in [(3, (Some(3), None)), (4, (Some(4), Some(3))), (6, (Some(6), None))] {
            sent(&mut baselines, tick);
            assert_eq!(baselines.references(&State(tick + 1, true)).ticks(), expected);
        }
        assert_eq!(references(&baselines, 7), (Some(6), Some(4)));
    }

    #[test]
    fn too_old_is_not_used() {
        let mut baselines = Baselines::new(Delivery::Ordered);
        sent(&mut baselines, 1);
        sent(&mut baselines, 11);
        assert_eq!(references(&baselines, 65), (Some(11), Some(1)));
        assert_eq!(references(&baselines, 66), (Some(11), None));
        assert_eq!(references(&baselines, 76), (None, None));
    }

    // Promise 4: "One client, however slow or hostile, does not … grow memory without bound."
    #[test]
    fn states_of_many_messages_are_kept_until_their_acknowledgements_come() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        let mut numbers = Vec::new();
        for tick in 1..=40 {
            for part in 0..MAX_PARTS {
                let (number, covers) = (baselines.next_number(tick), baselines.covers(part == 0));
                baselines.sent(State(tick, false), number, covers);
                numbers.push(number);
            }
            // As many states may be in flight as there are.
            if tick as usize >= MAX_IN_FLIGHT {
                let number = numbers[(tick as usize - MAX_IN_FLIGHT) * MAX_PARTS];
                assert!(baselines.acked(number, u32::MAX, |_, _| ()).unwrap().is_some(), "{tick}");
            }
        }
    }

    #[test]
    fn unacknowledged_states_are_bounded() {
        let mut baselines = Baselines::new(Delivery::Datagram);
        (0..1000).for_each(|tick| sent(&mut baselines, tick));
        assert_eq!(baselines.unacked.as_ref().unwrap().len(), MAX_IN_FLIGHT);
        assert!(baselines.older.is_empty() && baselines.spare.is_empty());
    }
}
