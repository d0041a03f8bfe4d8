//! The events that are kept.

use bytes::Bytes;
use std::collections::VecDeque;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Figures of the whole server.
    Server,
    /// Figures of the rooms.
    Rooms,
    /// Who came and went.
    Presence,
}

impl Topic {
    const ALL: [Topic; 3] = [Topic::Server, Topic::Rooms, Topic::Presence];

    /// The name of the topic's events.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Server => "server",
            Topic::Rooms => "rooms",
            Topic::Presence => "presence",
        }
    }

    /// How many events are kept: five minutes of the server's figures, and at most 256 × 64 changes of
    /// presence.
    fn kept(self) -> usize {
        match self {
            Topic::Server => 300,
            Topic::Rooms => 1,
            Topic::Presence => 256,
        }
    }

    /// Whether a newer event makes an older one worthless.
    fn supersedes(self) -> bool {
        self != Topic::Presence
    }
}

/// The newest events of each topic, numbered in one sequence from 1.
#[derive(Debug, Default)]
pub(super) struct Ring {
    newest: u64,
    topics: [VecDeque<(u64, Bytes)>; Topic::ALL.len()],
    lost_to: u64,
}

impl Ring {
    /// Adds an event. `text` makes it from its number, which is returned.
    pub(super) fn push(&mut self, topic: Topic, text: impl FnOnce(u64) -> Bytes) -> u64 {
        self.newest += 1;
        let events = &mut self.topics[topic as usize];
        if events.len() == topic.kept()
            && let Some((id, _)) = events.pop_front()
            && !topic.supersedes()
        {
            self.lost_to = id;
        }
        events.push_back((self.newest, text(self.newest)));
        self.newest
    }

    /// Number of the newest event.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Number of the newest event that is no longer kept although nothing has superseded it.
    pub(super) fn lost_to(&self) -> u64 {
        self.lost_to
    }

    /// The next event after `at`. Superseded events later than `history_to` are left out.
    pub(super) fn after(&self, at: u64, history_to: u64) -> Option<(u64, Bytes)> {
        let next = Topic::ALL.iter().filter_map(|topic| {
            let events = &self.topics[*topic as usize];
            let first = events.get(events.partition_point(|(id, _)| *id <= at))?;
            if first.0 > history_to && topic.supersedes() { events.back() } else { Some(first) }
        });
        next.min_by_key(|(id, _)| *id).cloned()
    }
}
