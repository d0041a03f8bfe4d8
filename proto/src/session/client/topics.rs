//! The topics that a client reads, over any number of connections; and what it publishes over this one.

use super::ClientEvent;
use crate::wire::{Publish, ReadTopic, TopicMessage, client_message::Body, topic_message::Kind};
use std::collections::{BTreeMap, VecDeque};

/// What it reads, and what it publishes.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// By name: the id of the last event. Empty: none.
    read: BTreeMap<String, String>,
    /// What the server is to be told.
    unsent: VecDeque<Body>,
    /// How many were published over any connections.
    published: u64,
    /// The topics of those that the server has not answered.
    unanswered: VecDeque<String>,
}

impl Topics {
    pub(super) fn read(&mut self, topic: &str, after: &str) {
        self.read.insert(topic.to_owned(), after.to_owned());
        self.tell(topic, after, false);
    }

    pub(super) fn stop(&mut self, topic: &str) {
        if self.read.remove(topic).is_some() {
            self.tell(topic, "", true);
        }
    }

    /// Publishes something over this connection. Returns its number.
    pub(super) fn publish(&mut self, publish: Publish) -> u64 {
        self.published += 1;
        self.unanswered.push_back(publish.topic.clone());
        self.unsent.push_back(Body::Publish(publish));
        self.published
    }

    /// The connection is lost, and with it the answers to what was published over it. Nothing is read over
    /// the next one yet.
    pub(super) fn disconnected(&mut self) -> Vec<ClientEvent> {
        let again = |(topic, after): (&String, &String)| {
            Body::ReadTopic(ReadTopic { topic: topic.clone(), after: after.clone(), stop: false })
        };
        self.unsent = self.read.iter().map(again).collect();
        let lost = |topic| TopicMessage {
            topic,
            kind: Kind::Refused.into(),
            event: "connection_lost".to_owned(),
            text: "the connection was lost: it may be published all the same".to_owned(),
            ..TopicMessage::default()
        };
        let number = self.published - self.unanswered.len() as u64;
        let unanswered = self.unanswered.drain(..).zip(number + 1..);
        unanswered.map(|(topic, number)| ClientEvent::Published { number, answer: lost(topic) }).collect()
    }

    /// What the server is to be told next.
    pub(super) fn next(&mut self) -> Option<Body> {
        self.unsent.pop_front()
    }

    /// Takes a message. None: it is of a topic that is read no longer.
    pub(super) fn take(&mut self, message: TopicMessage) -> Option<ClientEvent> {
        if let Kind::Published | Kind::Refused = message.kind() {
            let number = self.published - self.unanswered.len() as u64 + 1;
            self.unanswered.pop_front()?;
            return Some(ClientEvent::Published { number, answer: message });
        }
        let after = self.read.get_mut(&message.topic)?;
        if message.kind() == Kind::Over {
            self.read.remove(&message.topic);
        } else {
            after.clone_from(&message.id);
        }
        Some(ClientEvent::Topic(message))
    }

    /// Only the last word on a topic counts.
    fn tell(&mut self, topic: &str, after: &str, stop: bool) {
        self.unsent.retain(|told| !matches!(told, Body::ReadTopic(told) if told.topic == topic));
        let read = ReadTopic { topic: topic.to_owned(), after: after.to_owned(), stop };
        self.unsent.push_back(Body::ReadTopic(read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, id: &str) -> TopicMessage {
        TopicMessage { topic: "news".to_owned(), id: id.to_owned(), kind: kind.into(), ..Default::default() }
    }

    fn told(topics: &mut Topics) -> Vec<(String, String, bool)> {
        let next = std::iter::from_fn(|| topics.next());
        let read = |body| match body {
            Body::ReadTopic(ReadTopic { topic, after, stop }) => (topic, after, stop),
            other => panic!("{other:?}"),
        };
        next.map(read).collect()
    }

    #[test]
    fn another_connection_goes_on_after_the_last_event() {
        let mut topics = Topics::default();
        topics.read("news", "");
        topics.read("chat", "7-0");
        assert_eq!(told(&mut topics).len(), 2);
        for (kind, id) in [(Kind::Begun, "5-0"), (Kind::Event, "6-0")] {
            assert!(topics.take(message(kind, id)).is_some());
        }
        assert_eq!(topics.disconnected(), []);
        let again = [("chat", "7-0", false), ("news", "6-0", false)];
        assert_eq!(told(&mut topics), again.map(|(topic, id, stop)| (topic.to_owned(), id.to_owned(), stop)));
        assert!(topics.take(message(Kind::Over, "")).is_some());
        assert_eq!(topics.take(message(Kind::Event, "8-0")), None);
        topics.stop("chat");
        topics.stop("chat");
        assert_eq!(told(&mut topics), [("chat".to_owned(), String::new(), true)]);
        assert_eq!(topics.disconnected(), []);
        assert_eq!(told(&mut topics), []);
    }

    #[test]
    fn what_is_published_is_answered_in_order_or_lost_with_the_connection() {
        let mut topics = Topics::default();
        let publish =
            |text: &str| Publish { topic: "news".to_owned(), text: text.to_owned(), ..Default::default() };
        let numbers = ["a", "b", "c"].map(|text| topics.publish(publish(text)));
        assert_eq!(numbers, [1, 2, 3]);
        for text in ["a", "b", "c"] {
            assert_eq!(topics.next(), Some(Body::Publish(publish(text))));
        }
        let answer = message(Kind::Published, "5-0");
        assert_eq!(topics.take(answer.clone()), Some(ClientEvent::Published { number: 1, answer }));
        let lost = topics.disconnected();
        let lost = lost.into_iter().map(|event| match event {
            ClientEvent::Published { number, answer } => (number, answer.kind(), answer.event),
            other => panic!("{other:?}"),
        });
        let refused = |number| (number, Kind::Refused, "connection_lost".to_owned());
        assert_eq!(lost.collect::<Vec<_>>(), [refused(2), refused(3)]);
        assert_eq!(topics.take(message(Kind::Published, "6-0")), None, "nobody has asked");
        assert_eq!((topics.publish(publish("d")), topics.next().is_some()), (4, true));
    }
}
