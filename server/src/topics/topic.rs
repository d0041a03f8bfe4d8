//! A topic on this node: its history, and who waits for more.

use super::{
    event::{Event, Message},
    horizon::Horizon,
    id::{EventId, Since},
    ring::{After, Bounds, Ring, Start},
};
use crate::clock;
use parking_lot::Mutex;
use slab::Slab;
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};

/// A topic. Readers are places in it, not queues: one that is slow costs what one costs that is not.
#[derive(Debug)]
pub(super) struct Topic {
    state: Mutex<State>,
    /// Rises with each change.
    version: AtomicU64,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    /// How many histories it has had: each may be of another Redis than the one before. 0: it is not here
    /// yet, and readers wait.
    histories: u64,
    /// Of a topic of many nodes: what there may be besides.
    horizon: Option<Arc<Horizon>>,
    /// Those who wait for an event, by their keys. None: it does not wait.
    waiting: Slab<Option<Waker>>,
    /// The memory of the list of those who are woken next.
    spare: Vec<Waker>,
}

/// A place in a history.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub id: EventId,
    history: u64,
}

impl At {
    /// A later place of the same history.
    pub(super) fn to(self, id: EventId) -> Self {
        Self { id, ..self }
    }
}

/// What there is for a reader.
#[derive(Debug)]
pub(super) enum Next {
    Event(Arc<Event>),
    /// There is another history: it goes on after this place. `gap`: it may have missed something.
    Moved {
        to: At,
        gap: bool,
    },
    /// It was so slow that what it was to read next has been dropped.
    Lost,
}

/// A reader that waits: its key, and who is woken.
pub(super) type Waiter<'a> = (usize, &'a Waker);

impl Topic {
    /// A topic with this history. None: it is not here yet.
    pub(super) fn new(ring: Option<Ring>) -> Self {
        Self::with(ring, None)
    }

    /// A topic of many nodes, whose history is not here yet. Other nodes may have published what has not come
    /// here yet, up to this horizon.
    pub(super) fn of_nodes(horizon: Arc<Horizon>) -> Self {
        Self::with(None, Some(horizon))
    }

    fn with(ring: Option<Ring>, horizon: Option<Arc<Horizon>>) -> Self {
        let histories = u64::from(ring.is_some());
        let (ring, waiting, spare) = (ring.unwrap_or_default(), Slab::new(), Vec::new());
        let state = State { ring, histories, horizon, waiting, spare };
        Self { state: Mutex::new(state), version: AtomicU64::new(1) }
    }

    /// Publishes something now. Returns its id.
    pub(super) fn publish(&self, now_ms: u64, message: Message, bounds: &Bounds) -> EventId {
        let mut id = EventId::ZERO;
        self.change(|State { ring, .. }| {
            ring.expire(now_ms, bounds);
            id = ring.newest().next(now_ms);
            ring.push(Event::new(id, message), bounds);
        });
        id
    }

    /// This is its history now.
    pub(super) fn load(&self, ring: Ring) {
        self.change(|state| {
            state.ring = ring;
            state.histories += 1;
        });
    }

    /// These have been published elsewhere, and are in order.
    pub(super) fn append(&self, events: Vec<Arc<Event>>, bounds: &Bounds) {
        self.change(|state| events.into_iter().for_each(|event| state.ring.push(event, bounds)));
    }

    /// Drops what is too old.
    pub(super) fn expire(&self, now_ms: u64, bounds: &Bounds) {
        self.state.lock().ring.expire(now_ms, bounds);
    }

    /// The id of the newest event, if there is none any more to read.
    pub(super) fn ended_at(&self) -> Option<EventId> {
        let state = self.state.lock();
        state.ring.is_empty().then(|| state.ring.newest())
    }

    /// Takes a place among the readers. Returns its key.
    pub(super) fn enter(&self) -> usize {
        self.state.lock().waiting.insert(None)
    }

    /// Gives a place back.
    pub(super) fn leave(&self, key: usize) {
        self.state.lock().waiting.remove(key);
    }

    /// Rises with each change. Never 0.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Where a reader begins, and whether it may have missed something. None: that is not known yet, and the
    /// `waiter` will be woken.
    pub(super) fn start(&self, since: &Since, waiter: Option<Waiter<'_>>) -> Option<(At, bool)> {
        let mut state = self.state.lock();
        if state.histories == 0 {
            state.wait(waiter);
            return None;
        }
        Some(state.start(since))
    }

    /// What there is for a reader after a place. None: nothing yet, and the `waiter` will be woken.
    pub(super) fn next(&self, at: At, waiter: Option<Waiter<'_>>) -> Option<Next> {
        let mut state = self.state.lock();
        let next = state.next(at);
        if next.is_none() {
            state.wait(waiter);
        }
        next
    }

    /// Wakes all readers.
    pub(super) fn wake(&self) {
        self.change(|_| ());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut woken = {
            let mut state = self.state.lock();
            change(&mut state);
            self.version.fetch_add(1, Ordering::Release);
            let mut woken = mem::take(&mut state.spare);
            woken.extend(state.waiting.iter_mut().filter_map(|(_, waker)| waker.take()));
            woken
        };
        // Without the lock, which those who are woken take.
        woken.drain(..).for_each(Waker::wake);
        self.state.lock().spare = woken;
    }
}

impl State {
    fn start(&self, since: &Since) -> (At, bool) {
        let Start { at, gap } = match since {
            Since::Now => self.ring.start(None),
            Since::After(id) if self.is_behind(*id) => Start { at: *id, gap: false },
            Since::After(id) => self.ring.start(Some(*id)),
            Since::Foreign(_) => Start { gap: true, ..self.ring.start(None) },
        };
        (At { id: at, history: self.histories }, gap)
    }

    /// Whether a reader who has this id has read what has not come here yet.
    fn is_behind(&self, id: EventId) -> bool {
        let may_be = |horizon: &Arc<Horizon>| horizon.includes(id, clock::now());
        id > self.ring.newest() && self.horizon.as_ref().is_some_and(may_be)
    }

    fn next(&self, at: At) -> Option<Next> {
        if at.history != self.histories {
            let (to, gap) = self.start(&Since::After(at.id));
            return Some(Next::Moved { to, gap });
        }
        match self.ring.after(at.id) {
            After::Event(event) => Some(Next::Event(event.clone())),
            After::Lost => Some(Next::Lost),
            After::Nothing => None,
        }
    }

    fn wait(&mut self, waiter: Option<Waiter<'_>>) {
        if let Some((key, waker)) = waiter
            && let Some(waiting) = self.waiting.get_mut(key)
        {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BOUNDS: Bounds = Bounds { events: 100, bytes: 1 << 20, age: Duration::from_secs(60) };

    fn id(ms: u64) -> EventId {
        EventId::at(ms)
    }

    fn event(ms: u64) -> Arc<Event> {
        Event::new(id(ms), Message { text: "x".into(), ..Message::default() })
    }

    // "Each event once, in order, with an id": also for one who comes from a node that has read more.
    #[test]
    fn whoever_has_read_more_than_has_come_here_goes_on_there_and_gets_what_follows() {
        let horizon = Arc::<Horizon>::default();
        horizon.told(clock::now(), 50_000);
        let topic = Topic::of_nodes(horizon);
        let come = |ms: &[u64]| topic.append(ms.iter().map(|ms| event(*ms)).collect(), &BOUNDS);
        let start = |ms| topic.state.lock().start(&Since::After(id(ms)));
        let next = |at| match topic.state.lock().next(at) {
            Some(Next::Event(event)) => Some(event.id.ms),
            other => other.map(|other| panic!("{other:?}")),
        };
        topic.load(Ring::empty(id(10_000)));
        come(&[20_000, 30_000]);
        let (at, gap) = start(49_999);
        assert!(!gap && next(at).is_none(), "nothing again");
        come(&[40_000, 49_999]);
        assert_eq!(next(at), None);
        come(&[49_999, 50_001]);
        assert_eq!(next(at), Some(50_001));
        let (at, gap) = start(4_000_000);
        assert!(gap && at.id == id(10_000), "of another Redis");
        topic.load(Ring::empty(id(60_000)));
        assert!(start(50_001).1, "of one that has begun anew");
    }

    #[test]
    fn an_id_that_no_event_of_this_server_has_is_of_another() {
        let topic = Topic::new(Some(Ring::empty(id(10_000))));
        assert!(topic.state.lock().start(&Since::After(id(10_001))).1);
    }
}
