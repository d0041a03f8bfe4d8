//! The topics that a client reads, over any number of connections.

use crate::wire::{ReadTopic, TopicMessage, topic_message::Kind};
use std::collections::{BTreeMap, VecDeque};

/// What it reads.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// By name: the id of the last event. Empty: none.
    read: BTreeMap<String, String>,
    /// What the server is to be told.
    unsent: VecDeque<ReadTopic>,
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

    /// There is another connection, over which nothing is read yet.
    pub(super) fn disconnected(&mut self) {
        let again = |(topic, after): (&String, &String)| ReadTopic {
            topic: topic.clone(),
            after: after.clone(),
            stop: false,
        };
        self.unsent = self.read.iter().map(again).collect();
    }

    /// What the server is to be told next.
    pub(super) fn next(&mut self) -> Option<ReadTopic> {
        self.unsent.pop_front()
    }

    /// Takes a message. False: it is of a topic that is read no longer.
    pub(super) fn take(&mut self, message: &TopicMessage) -> bool {
        let Some(after) = self.read.get_mut(&message.topic) else { return false };
        if message.kind() == Kind::Over {
            self.read.remove(&message.topic);
        } else {
            after.clone_from(&message.id);
        }
        true
    }

    /// Only the last word on a topic counts.
    fn tell(&mut self, topic: &str, after: &str, stop: bool) {
        self.unsent.retain(|told| told.topic != topic);
        self.unsent.push_back(ReadTopic { topic: topic.to_owned(), after: after.to_owned(), stop });
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
        next.map(|ReadTopic { topic, after, stop }| (topic, after, stop)).collect()
    }

    #[test]
    fn another_connection_goes_on_after_the_last_event() {
        let mut topics = Topics::default();
        topics.read("news", "");
        topics.read("chat", "7-0");
        assert_eq!(told(&mut topics).len(), 2);
        assert!(topics.take(&message(Kind::Begun, "5-0")) && topics.take(&message(Kind::Event, "6-0")));
        topics.disconnected();
        let again = [("chat", "7-0", false), ("news", "6-0", false)];
        assert_eq!(told(&mut topics), again.map(|(topic, id, stop)| (topic.to_owned(), id.to_owned(), stop)));
        assert!(topics.take(&message(Kind::Over, "")) && !topics.take(&message(Kind::Event, "8-0")));
        topics.stop("chat");
        topics.stop("chat");
        assert_eq!(told(&mut topics), [("chat".to_owned(), String::new(), true)]);
        topics.disconnected();
        assert_eq!(told(&mut topics), []);
    }
}
