//! What the client of a game publishes over its connection: one after the other, each answered, in order.

use super::{
    Author, EventKind, Message, Topics,
    id::EventId,
    wire::{encode, topic},
};
use crate::ground::{credit::Credit, identity::Identity, source::Source};
use bytes::Bytes;
use driftless_proto::{
    limits::MAX_PUBLISH,
    names::PRESENCE,
    wire::{Publish, TopicMessage, topic_message::Kind},
};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// What a connection may publish in a second on average, and at once.
const RATE: f64 = 5.0;
const BURST: f64 = 20.0;
/// Publications that may wait for Redis, or their answers for the client.
const MOST: usize = 256;

/// Who publishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publisher<'a> {
    pub identity: &'a Identity,
    pub source: Source,
    /// It sends messages of all kinds too fast.
    pub excess: bool,
}

/// As many wait as may. None is answered by silence, so the connection has to end.
#[derive(Debug)]
pub(crate) struct TooManyWait;

/// What a connection publishes.
#[derive(Debug)]
pub(super) struct Publications {
    /// The task that publishes, once there is something to publish.
    task: Option<Task>,
    unanswered: usize,
    credit: Credit,
}

#[derive(Debug)]
struct Task {
    to: UnboundedSender<Publication>,
    answers: UnboundedReceiver<Bytes>,
}

#[derive(Debug)]
struct Publication {
    topic: String,
    of: Source,
    /// What is to be published, or why nothing is.
    said: Result<Message, Refusal>,
}

/// Why something is not published: in a word, and for developers.
type Refusal = (&'static str, String);

impl Publications {
    pub(super) fn new(now: Instant) -> Self {
        Self { task: None, unanswered: 0, credit: Credit::full(RATE, BURST, now) }
    }

    /// Publishes something, or will say why not.
    pub(super) fn publish(
        &mut self,
        topics: &Arc<Topics>,
        publisher: Publisher<'_>,
        publish: Publish,
        now: Instant,
    ) -> Result<(), TooManyWait> {
        if self.unanswered >= MOST {
            return Err(TooManyWait);
        }
        self.unanswered += 1;
        let Publish { topic, text, event, latest } = publish;
        let may = self.check(topics, publisher, &topic, now);
        let said = may.and_then(|()| message(text, &event, latest, publisher.identity));
        let task = self.task.get_or_insert_with(|| Task::start(topics.clone()));
        // The task is there for as long as this is.
        let _ = task.to.send(Publication { topic, of: publisher.source, said });
        Ok(())
    }

    fn check(
        &mut self,
        topics: &Topics,
        Publisher { identity, source, excess }: Publisher<'_>,
        topic: &str,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.credit.earn(now);
        if excess || !self.credit.take() {
            return Err(("too_often", format!("a client may publish {RATE} times a second")));
        }
        // (Where users are, the server itself says.)
        if topic.starts_with(PRESENCE) || !identity.topics.may_write(topic) {
            return Err(("forbidden", format!("{} may not publish in topic {topic:?}", identity.user)));
        }
        topics.may_publish(source).map_err(|wait| {
            ("too_often", format!("too many events from this address: try again in {wait:?}"))
        })
    }

    /// The next answer, if there is one.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let answer = self.task.as_mut()?.answers.try_recv().ok()?;
        self.unanswered -= 1;
        Some(answer)
    }
}

impl Task {
    /// Publishes for as long as somebody holds this, and on any thread: a connection may move to another. Of
    /// one that has ended, nothing goes out that still waits: its user may be revoked.
    fn start(topics: Arc<Topics>) -> Self {
        let (to, mut publications) = mpsc::unbounded_channel();
        let (tell, answers) = mpsc::unbounded_channel();
        actix_rt::spawn(async move {
            while let Some(Publication { topic, of, said }) = publications.recv().await {
                if tell.is_closed() {
                    return;
                }
                let published = match said {
                    Ok(message) => topics.publish(&topic, message, Some(of)).await,
                    Err(refusal) => {
                        let _ = tell.send(answer(&topic, Err(refusal)));
                        continue;
                    }
                };
                let published = published.map_err(|error| (error.code(), error.to_string()));
                let _ = tell.send(answer(&topic, published));
            }
        });
        Self { to, answers }
    }
}

fn message(text: String, event: &str, latest: bool, of: &Identity) -> Result<Message, Refusal> {
    if text.len() > MAX_PUBLISH {
        return Err(("too_large", format!("a client may publish at most {MAX_PUBLISH} bytes at a time")));
    }
    let kind = match event {
        "" => None,
        name => Some(
            EventKind::new(name).ok_or_else(|| ("bad_event", format!("no event can be called {name:?}")))?,
        ),
    };
    Ok(Message { text: text.into(), kind, latest, author: Some(Author::of(of)) })
}

fn answer(name: &str, published: Result<EventId, Refusal>) -> Bytes {
    encode(match published {
        Ok(id) => TopicMessage { kind: Kind::Published.into(), id: id.to_string(), ..topic(name) },
        Err((code, text)) => {
            TopicMessage { kind: Kind::Refused.into(), event: code.to_owned(), text, ..topic(name) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::tests::{message, topics};
    use tokio::task::yield_now;

    #[actix::test]
    async fn what_waits_when_its_connection_ends_is_not_published() {
        let topics = topics(8);
        let say = |task: &Task, name: &str| {
            let of = Source::of("192.0.2.1".parse().unwrap());
            task.to.send(Publication { topic: name.to_owned(), of, said: Ok(message()) }).unwrap();
        };
        let mut task = Task::start(topics.clone());
        say(&task, "news");
        task.answers.recv().await.unwrap();
        (0..3).for_each(|_| say(&task, "news"));
        drop(task);
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(topics.metrics.topics.events.get(), 1);
    }
}
