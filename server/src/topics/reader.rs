//! Somebody who reads a topic: a place in its history.

use super::{
    ReaderPlace,
    cursor::{Cursor, Read},
    event::Event,
    id::{EventId, Since},
    topic::Topic,
    watched::WatchedUser,
};
use crate::ground::{
    shares::Share,
    tenure::{Tenancy, Tenure},
};
use driftless_proto::code::CloseCode;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Reads topics, event after event.
pub(crate) struct Reader {
    parts: Vec<Part>,
    /// The one that is looked at first, so that each has its turn.
    first: usize,
    /// Who reads, if that was asked.
    tenure: Option<Tenure>,
    place: ReaderPlace,
}

/// A topic that it reads.
struct Part {
    cursor: Cursor,
    /// Its key among those who read the topic.
    key: usize,
    _share: Share,
}

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum Step {
    /// It begins after this id, or goes on after it. `missed_after`: up to where it has read before, if it
    /// may have missed something since.
    Begun {
        at: EventId,
        missed_after: Option<Since>,
    },
    Event(Arc<Event>),
    /// It gets no more.
    Over(Goodbye),
}

/// Why a reader gets no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub code: CloseCode,
    pub reason: &'static str,
    /// When it is to come back. None: soon.
    pub back_in: Option<Duration>,
}

impl Reader {
    pub(super) fn of_topic(
        topic: Arc<Topic>,
        since: &Since,
        tenure: Option<Tenure>,
        place: ReaderPlace,
    ) -> Self {
        let part = Part::new(topic, since.clone(), Share::uncounted());
        Self { parts: vec![part], first: 0, tenure, place }
    }

    pub(super) fn of_users(users: Vec<WatchedUser>, tenure: Option<Tenure>, place: ReaderPlace) -> Self {
        let part = |WatchedUser { topic, share }| Part::new(topic, Since::Now, share);
        Self { parts: users.into_iter().map(part).collect(), first: 0, tenure, place }
    }

    /// What there is for it.
    pub(crate) fn poll(&mut self, now: Instant, context: &Context<'_>) -> Poll<Step> {
        if let Some(goodbye) = self.ends(now) {
            return self.over(goodbye);
        }
        let count = self.parts.len();
        for turn in self.first..self.first + count {
            let Part { cursor, key, .. } = &mut self.parts[turn % count];
            let Some(read) = cursor.next(Some((*key, context.waker()))) else { continue };
            self.first = (turn + 1) % count;
            return match read {
                Read::Begun { at, missed_after } => Poll::Ready(Step::Begun { at, missed_after }),
                Read::Event(event) => {
                    self.place.all.metrics.topics.events_sent.inc();
                    Poll::Ready(Step::Event(event))
                }
                Read::Lost => self.over(Goodbye {
                    code: CloseCode::SlowConsumer,
                    reason: "the reader was so slow that events it had not read were dropped",
                    back_in: None,
                }),
            };
        }
        Poll::Pending
    }

    /// When it ends by itself.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.tenure.as_ref().and_then(Tenure::ends_at)
    }

    fn ends(&mut self, now: Instant) -> Option<Goodbye> {
        if let Some(back_in) = self.place.all.back_in() {
            let reason = "the server is shutting down";
            return Some(Goodbye { code: CloseCode::Draining, reason, back_in: Some(back_in) });
        }
        match self.tenure.as_mut()?.poll(now) {
            Tenancy::Over(code, reason) => Some(Goodbye { code, reason, back_in: None }),
            // It has no way to send a fresh token but to come again.
            Tenancy::Goes | Tenancy::Ask(_) => None,
        }
    }

    fn over(&self, goodbye: Goodbye) -> Poll<Step> {
        self.place.all.metrics.topics.readers_closed.inc(goodbye.code.name());
        Poll::Ready(Step::Over(goodbye))
    }
}

impl Part {
    fn new(topic: Arc<Topic>, since: Since, share: Share) -> Self {
        Self { key: topic.enter(), cursor: Cursor::new(topic, since), _share: share }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.cursor.topic().leave(self.key);
    }
}
