//! The history of a topic: its newest events, as many as the bounds allow. Pure: time is an argument.

use super::{event::Event, id::EventId};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How much of a topic is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Events.
    pub events: usize,
    /// Bytes of memory. (The newest event is kept, however long.)
    pub bytes: usize,
    /// How long.
    pub age: Duration,
}

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The id of the newest event, also if that is no longer kept.
    newest: EventId,
    /// Up to this id, events may have been that are no longer kept, although nothing has replaced them.
    lost_to: EventId,
    /// The newest event of those that replace each other.
    latest: Option<EventId>,
}

/// What there is after an id.
#[derive(Debug)]
pub(super) enum After<'a> {
    Event(&'a Arc<Event>),
    Nothing,
    /// Events that are no longer here.
    Lost,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// After this id.
    pub at: EventId,
    /// Whether there may have been events between the id that the reader has and this one.
    pub gap: bool,
}

impl Ring {
    /// Of a topic of which nothing is known up to `floor`.
    pub(super) fn empty(floor: EventId) -> Self {
        Self::new(floor, floor)
    }

    /// Of a topic that has no event now, and of which nothing is known up to `lost_to`.
    pub(super) fn new(lost_to: EventId, newest: EventId) -> Self {
        Self { newest, lost_to, ..Self::default() }
    }

    /// The id of the newest event.
    pub(super) fn newest(&self) -> EventId {
        self.newest
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds an event, whose id is above all others. (One whose id is not is here already.)
    pub(super) fn push(&mut self, event: Arc<Event>, bounds: &Bounds) {
        if event.id <= self.newest {
            return;
        }
        if event.latest {
            self.replace(event.id);
        }
        self.newest = event.id;
        self.bytes += event.size();
        self.events.push_back(event);
        while self.events.len() > bounds.events || (self.bytes > bounds.bytes && self.events.len() > 1) {
            self.drop_oldest();
        }
    }

    /// Drops what is too old.
    pub(super) fn expire(&mut self, now_ms: u64, bounds: &Bounds) {
        let age = u64::try_from(bounds.age.as_millis()).unwrap_or(u64::MAX);
        let oldest = EventId::at(now_ms.saturating_sub(age));
        while self.events.front().is_some_and(|event| event.id < oldest) {
            self.drop_oldest();
        }
    }

    /// Where a reader begins that has read up to `after`. A new one (None) begins with the newest of the
    /// events that replace each other, if there is one, or else with what is yet to come.
    pub(super) fn start(&self, after: Option<EventId>) -> Start {
        match after {
            None => Start { at: self.latest.map_or(self.newest, EventId::predecessor), gap: false },
            Some(EventId::ZERO) => Start { at: self.lost_to, gap: false },
            // One that is above all is of a topic that has begun anew.
            Some(id) if (self.lost_to..=self.newest).contains(&id) => Start { at: id, gap: false },
            Some(_) => Start { at: self.lost_to, gap: true },
        }
    }

    /// What there is after an id. (After one that is above all, what is above that.)
    pub(super) fn after(&self, at: EventId) -> After<'_> {
        if at < self.lost_to {
            return After::Lost;
        }
        let next = self.events.partition_point(|event| event.id <= at);
        self.events.get(next).map_or(After::Nothing, After::Event)
    }

    /// The newest of the events that replace each other is now this one.
    fn replace(&mut self, by: EventId) {
        let Some(old) = self.latest.replace(by) else { return };
        if let Ok(at) = self.events.binary_search_by_key(&old, |event| event.id)
            && let Some(event) = self.events.remove(at)
        {
            self.bytes -= event.size();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(event) = self.events.pop_front() else { return };
        self.bytes -= event.size();
        self.lost_to = event.id;
        self.latest.take_if(|latest| *latest == event.id);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::event::Message, *};
    use bytes::Bytes;
    use proptest::prelude::*;

    const MANY: Bounds = Bounds { events: 1000, bytes: 1 << 20, age: Duration::from_secs(60) };

    fn id(ms: u64) -> EventId {
        EventId::at(ms)
    }

    fn event(ms: u64, latest: bool) -> Arc<Event> {
        Event::new(id(ms), Message { text: Bytes::from_static(b"x"), latest, ..Message::default() })
    }

    fn ring(events: &[(u64, bool)], bounds: &Bounds) -> Ring {
        let mut ring = Ring::empty(EventId::ZERO);
        events.iter().for_each(|(ms, latest)| ring.push(event(*ms, *latest), bounds));
        ring
    }

    /// What a reader gets that has read up to `at`, and whether it is told that something is lost.
    fn read(ring: &Ring, mut at: EventId) -> (Vec<u64>, bool) {
        let mut got = Vec::new();
        loop {
            match ring.after(at) {
                After::Event(event) => {
                    got.push(event.id.ms);
                    at = event.id;
                }
                After::Nothing => return (got, false),
                After::Lost => return (got, true),
            }
        }
    }

    #[test]
    fn a_reader_gets_what_follows_its_id_and_a_new_one_what_is_yet_to_come() {
        let ring = ring(&[(1, false), (2, false), (3, false)], &MANY);
        assert_eq!(ring.start(None), Start { at: id(3), gap: false });
        assert_eq!(ring.start(Some(EventId::ZERO)), Start { at: id(0), gap: false });
        assert_eq!(ring.start(Some(id(2))), Start { at: id(2), gap: false });
        assert_eq!(read(&ring, id(1)), (vec![2, 3], false));
    }

    #[test]
    fn a_reader_whose_id_is_gone_is_told_of_a_gap_and_gets_what_is_kept() {
        let two = Bounds { events: 2, ..MANY };
        let ring = ring(&[(1, false), (2, false), (3, false), (4, false)], &two);
        for gone in [1, 9] {
            let start = ring.start(Some(id(gone)));
            assert_eq!(start, Start { at: id(2), gap: true }, "{gone}");
            assert_eq!(read(&ring, start.at), (vec![3, 4], false));
        }
        assert!(!ring.start(Some(id(2))).gap, "it has missed nothing");
        assert_eq!(read(&ring, id(1)), (vec![], true), "whoever is that far behind falls out");
    }

    // Promise 2: "State it misses is superseded, never replayed late."
    #[test]
    fn of_events_that_replace_each_other_only_the_newest_is_there_and_nothing_counts_as_lost() {
        let one = Bounds { events: 1, ..MANY };
        let ring = ring(&[(1, true), (2, true), (3, true)], &one);
        assert_eq!(read(&ring, id(0)), (vec![3], false));
        assert_eq!(read(&ring, ring.start(None).at), (vec![3], false), "also for a new reader");
    }

    #[test]
    fn what_is_replaced_lies_anywhere_between_others() {
        let ring = ring(&[(1, true), (2, false), (3, true), (4, false), (5, true), (6, false)], &MANY);
        assert_eq!(read(&ring, id(0)), (vec![2, 4, 5, 6], false));
        assert_eq!(read(&ring, ring.start(None).at), (vec![5, 6], false));
    }

    #[test]
    fn what_is_too_old_is_dropped() {
        let mut ring = ring(&[(1_000, true), (2_000, false)], &MANY);
        ring.expire(61_000, &MANY);
        assert_eq!(read(&ring, id(0)).0, [1_000, 2_000]);
        ring.expire(61_001, &MANY);
        assert!(ring.start(Some(id(999))).gap);
        assert_eq!(ring.start(None).at, id(2_000), "what was the newest of its kind is gone");
        ring.expire(99_000, &MANY);
        assert!(ring.is_empty() && ring.newest() == id(2_000));
        assert!(!ring.start(Some(id(2_000))).gap, "who had read everything has missed nothing");
    }

    #[test]
    fn what_may_have_been_before_the_server_was_started_is_a_gap() {
        let ring = Ring::empty(id(100));
        assert!(ring.start(Some(id(99))).gap && ring.start(Some(id(101))).gap);
        assert!(!ring.start(Some(id(100))).gap && !ring.start(None).gap);
    }

    #[derive(Debug, Clone, Copy)]
    enum Do {
        Push { latest: bool, length: usize },
        Expire { now: u64 },
        Read,
    }

    fn deeds() -> impl Strategy<Value = Vec<Do>> {
        let push = (any::<bool>(), 0usize..300).prop_map(|(latest, length)| Do::Push { latest, length });
        let expire = (0u64..400).prop_map(|now| Do::Expire { now });
        proptest::collection::vec(prop_oneof![8 => push, 1 => expire, 4 => Just(Do::Read)], 1..120)
    }

    proptest! {
        // Promises 2 and 4, for a reader that reads now and then: everything, each once and in order, but for
        // what was replaced; or it is told.
        #[test]
        fn a_reader_gets_everything_once_or_is_told(deeds in deeds(), events in 1usize..8, bytes in 1usize..2000) {
            let bounds = Bounds { events, bytes, age: Duration::from_millis(50) };
            let mut ring = Ring::empty(EventId::ZERO);
            let mut published: Vec<(EventId, bool)> = Vec::new();
            let mut at = EventId::ZERO;
            for deed in deeds {
                match deed {
                    Do::Push { latest, length } => {
                        let id = ring.newest().next(published.len() as u64);
                        let message = Message { text: vec![b'x'; length].into(), latest, ..Message::default() };
                        ring.push(Event::new(id, message), &bounds);
                        published.push((id, latest));
                    }
                    Do::Expire { now } => ring.expire(now, &bounds),
                    Do::Read => {
                        let newest = published.iter().rev().find(|(_, latest)| *latest).map(|(id, _)| *id);
                        let wanted: Vec<EventId> = published.iter()
                            .filter(|(id, latest)| *id > at && (!*latest || Some(*id) == newest))
                            .map(|(id, _)| *id).collect();
                        let mut got = Vec::new();
                        let told = loop {
                            match ring.after(at) {
                                After::Event(event) => { at = event.id; got.push(at); }
                                After::Nothing => break false,
                                After::Lost => break true,
                            }
                        };
                        if told {
                            prop_assert!(got.is_empty());
                            at = ring.start(Some(at)).at;
                        } else {
                            prop_assert_eq!(got, wanted);
                        }
                    }
                }
                let sum: usize = ring.events.iter().map(|event| event.size()).sum();
                prop_assert_eq!(sum, ring.bytes);
                prop_assert!(ring.events.len() <= events);
                prop_assert!(sum <= bytes || ring.events.len() <= 1);
                prop_assert!(ring.events.iter().filter(|event| event.latest).count() <= 1);
            }
        }
    }
}
