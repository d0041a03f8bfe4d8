//! A history that comes from Redis, page after page, the newest events first. Pure.

use super::{
    event::Event,
    id::EventId,
    ring::{Bounds, Ring},
    stream::{Entry, Page},
};
use crate::clock::millis;
use std::{sync::Arc, time::Duration};

/// The shortest time that a node may have a history kept.
const SHORTEST: Duration = Duration::from_secs(1);

/// What has come of a history.
#[derive(Debug, Default)]
pub(super) struct Coming {
    /// There was none at this time; and what began since, this node was told.
    silent_since: Option<EventId>,
    /// The last entry that has come, whatever it is.
    oldest: Option<EventId>,
    /// The newest first.
    events: Vec<Arc<Event>>,
    bytes: usize,
}

/// A topic as Redis has it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub ring: Ring,
    /// Whether it has a history. If not, it is told when it has one.
    pub has_history: bool,
}

impl Coming {
    /// One that begins after this.
    pub(super) fn since(silent: EventId) -> Self {
        Self { silent_since: Some(silent), ..Self::default() }
    }

    /// Before which entry the next page ends. None: none has come yet.
    pub(super) fn before(&self) -> Option<EventId> {
        self.oldest
    }

    /// How much has come, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a page. Returns the history when it is whole, or as long as may be.
    pub(super) fn add(mut self, page: Page, bounds: &Bounds, watch: &Watch) -> Result<Loaded, Self> {
        let is_last = page.is_last();
        let Page { now_ms, has_history, lost, begun, since_ms, shortest_ms, entries } = page;
        self.oldest = entries.last().map(|entry| entry.id).or(self.oldest);
        for Entry { event, .. } in entries {
            let Some(event) = event else { continue };
            self.bytes += event.size();
            self.events.push(event);
        }
        let oldest = self.oldest.map(EventId::predecessor);
        let floor = if is_last {
            // What was kept for a shorter time than this was over by then, and nothing is known of it.
            let forgotten = |at_ms: u64| EventId::at(at_ms.saturating_sub(shortest_ms).max(since_ms));
            let silent = self.silent_since.filter(|since| watch.is_unbroken_since(*since));
            let before = || match (begun, oldest) {
                (Some(begun), _) => forgotten(begun.ms),
                (None, Some(oldest)) => oldest,
                (None, None) => forgotten(now_ms),
            };
            let floor = lost.or(silent).unwrap_or_else(before);
            oldest.map_or(floor, |oldest| oldest.min(floor))
        } else if self.events.len() < bounds.events && self.bytes < bounds.bytes {
            return Err(self);
        } else {
            oldest.unwrap_or_default()
        };
        // (An event of this millisecond may be yet to come.)
        let newest = if self.events.is_empty() { EventId::at(now_ms.saturating_sub(1)) } else { floor };
        let mut ring = Ring::new(floor.min(newest), newest);
        self.events.into_iter().rev().for_each(|event| ring.push(event, bounds));
        Ok(Loaded { ring, has_history })
    }
}

/// Whether this node has looked at the streams all the time. What was published, and was over, while it stood
/// still or had no connection, it has not seen. All times are those of Redis.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen_until: Option<u64>,
    unbroken_since: EventId,
}

impl Watch {
    /// It asks for what is there at this time.
    pub(super) fn looks(&mut self, now_ms: u64) {
        let seen_until = *self.seen_until.get_or_insert(now_ms);
        if self.unbroken_since == EventId::ZERO || now_ms >= seen_until.saturating_add(millis(SHORTEST)) {
            self.unbroken_since = EventId::at(now_ms.saturating_sub(1));
        }
    }

    /// It has been told everything up to this time.
    pub(super) fn has_seen(&mut self, until_ms: u64) {
        self.seen_until = Some(until_ms);
    }

    /// Whether nothing has passed unseen since then.
    pub(super) fn is_unbroken_since(&self, id: EventId) -> bool {
        id >= self.unbroken_since
    }
}

#[cfg(test)]
mod tests {
    use super::{super::event::Message, super::ring::After, *};
    use bytes::Bytes;

    const BOUNDS: Bounds = Bounds { events: 100, bytes: 1 << 20, age: Duration::from_secs(10) };

    fn id(ms: u64) -> EventId {
        EventId::at(ms)
    }

    /// A page at 30 s that begins with the newest, of a history that began at 20 s.
    fn page(events: impl Iterator<Item = u64>) -> Page {
        let message = || Message { text: Bytes::from_static(b"x"), ..Message::default() };
        let entries: Vec<_> = events.map(|ms| Entry::of(Event::new(id(ms), message()))).collect();
        let begun = (!entries.is_empty()).then(|| id(20_000));
        Page {
            now_ms: 30_000,
            has_history: begun.is_some(),
            lost: None,
            begun,
            since_ms: 5_000,
            shortest_ms: 2_000,
            entries,
        }
    }

    fn whole(coming: Coming, page: Page) -> Ring {
        coming.add(page, &BOUNDS, &Watch::default()).unwrap().ring
    }

    fn gap(ring: &Ring, ms: u64) -> bool {
        ring.start(Some(id(ms))).gap
    }

    fn read(ring: &Ring, mut at: EventId) -> Vec<u64> {
        let next = || match ring.after(at) {
            After::Event(event) => {
                at = event.id;
                Some(at.ms)
            }
            After::Nothing | After::Lost => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_history_is_as_much_as_may_be_of_its_pages() {
        let coming = Coming::default().add(page((20_937..=21_000).rev()), &BOUNDS, &Watch::default());
        let coming = coming.unwrap_err();
        assert_eq!(coming.before(), Some(id(20_937)));
        let Loaded { ring, has_history } =
            coming.add(page((20_873..20_937).rev()), &BOUNDS, &Watch::default()).unwrap();
        assert!(has_history && !gap(&ring, 20_900) && gap(&ring, 20_899), "100 events");
        assert_eq!(read(&ring, id(20_900)), (20_901..=21_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_dropped_while_pages_came_is_lost_unless_it_came() {
        let coming = || Coming::default().add(page((20_937..=21_000).rev()), &BOUNDS, &Watch::default());
        let last = |lost, events: &[u64]| Page { lost: Some(id(lost)), ..page(events.iter().copied()) };
        let ring = whole(coming().unwrap_err(), last(20_930, &[20_936, 20_935]));
        assert!(gap(&ring, 20_929) && !gap(&ring, 20_930));
        let ring = whole(coming().unwrap_err(), last(20_950, &[]));
        assert_eq!(read(&ring, ring.start(Some(id(20_900))).at).len(), 64, "all that has come is there");
    }

    #[test]
    fn before_a_history_that_began_nothing_is_known_of_what_was_kept_for_a_shorter_time() {
        let ring = whole(Coming::default(), page([20_001, 20_000].into_iter()));
        assert!(gap(&ring, 17_999) && !gap(&ring, 18_000), "2 s before it began");
        let nothing = whole(Coming::default(), page(std::iter::empty()));
        assert!(gap(&nothing, 27_999) && !gap(&nothing, 28_000), "2 s before now");
        assert!(gap(&nothing, 31_000), "it is of another Redis");
        let young = Page { since_ms: 29_000, ..page(std::iter::empty()) };
        assert!(gap(&whole(Coming::default(), young), 28_999), "Redis has forgotten what was before");
    }

    #[test]
    fn one_who_has_watched_a_silent_topic_has_missed_nothing_when_it_begins() {
        let begun = || Coming::since(id(10_000));
        let mut watch = Watch::default();
        watch.looks(10_001);
        watch.has_seen(29_500);
        watch.looks(30_000);
        let ring = |watch: &Watch| begun().add(page([20_000].into_iter()), &BOUNDS, watch).unwrap().ring;
        assert!(!gap(&ring(&watch), 10_000));
        watch.looks(30_500);
        assert!(gap(&ring(&watch), 10_000), "it stood still, so another may have begun, and been over");
        let lost = Page { lost: Some(id(20_000)), ..page([20_001].into_iter()) };
        assert!(gap(&whole(begun(), lost), 10_000), "what was dropped, nobody has seen");
    }
}
