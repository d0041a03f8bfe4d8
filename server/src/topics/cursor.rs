//! Where somebody is in a topic, and what comes next.

use super::{
    event::Event,
    id::{EventId, Since},
    topic::{At, Next, Topic, Waiter},
};
use std::sync::Arc;

/// A topic that somebody reads, and up to where.
#[derive(Debug)]
pub(super) struct Cursor {
    topic: Arc<Topic>,
    from: From,
}

#[derive(Debug)]
enum From {
    /// It has begun nowhere yet.
    Start(Since),
    After(At),
}

/// What there is next.
#[derive(Debug)]
pub(super) enum Read {
    /// It begins after this id, or goes on after it. `missed_after`: up to where it has read before, if it
    /// may have missed something since.
    Begun {
        at: EventId,
        missed_after: Option<Since>,
    },
    Event(Arc<Event>),
    /// It was so slow that what it was to read next has been dropped.
    Lost,
}

impl Cursor {
    pub(super) fn new(topic: Arc<Topic>, since: Since) -> Self {
        Self { topic, from: From::Start(since) }
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Reads on. None: there is nothing yet, and the `waiter` will be woken.
    pub(super) fn next(&mut self, waiter: Option<Waiter<'_>>) -> Option<Read> {
        loop {
            let (to, missed_after) = match &self.from {
                From::Start(since) => {
                    let (to, gap) = self.topic.start(since, waiter)?;
                    (to, gap.then(|| since.clone()))
                }
                From::After(at) => match self.topic.next(*at, waiter)? {
                    Next::Event(event) => {
                        self.from = From::After(at.to(event.id));
                        return Some(Read::Event(event));
                    }
                    Next::Moved { to, gap: true } => (to, Some(Since::After(at.id))),
                    Next::Moved { to, gap: false } => {
                        self.from = From::After(to);
                        continue;
                    }
                    Next::Lost => return Some(Read::Lost),
                },
            };
            self.from = From::After(to);
            return Some(Read::Begun { at: to.id, missed_after });
        }
    }

    /// Goes on with what is still there, after this id.
    pub(super) fn skip(&mut self) -> Option<EventId> {
        let From::After(at) = &self.from else { return None };
        let (to, _) = self.topic.start(&Since::After(at.id), None)?;
        self.from = From::After(to);
        Some(to.id)
    }
}
