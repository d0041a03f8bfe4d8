//! In how many topics each source publishes: nobody has all that there may be. (With other nodes, Redis
//! counts them.)

use crate::ground::source::Source;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The part of all topics in which one source may publish: one in so many.
const PART: usize = 8;
/// But in at least so many.
const LEAST: usize = 8;

/// In how many topics somebody may publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// A further topic gets a history if fewer have one.
    pub topics: usize,
    /// Who publishes, if that counts, and in how many topics he may.
    pub source: Option<(Source, usize)>,
}

/// The topics in which each source has published of late.
#[derive(Debug)]
pub(super) struct Spread {
    most: usize,
    /// How long a topic counts after the last event.
    age: Duration,
    of: Mutex<HashMap<Source, HashMap<Box<str>, Instant>>>,
}

impl Spread {
    /// Of at most so many topics, which have a history for so long.
    pub(super) fn new(topics: usize, age: Duration) -> Self {
        Self { most: (topics / PART).max(LEAST), age, of: Mutex::default() }
    }

    /// In how many topics a source may publish.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The source publishes in this topic, or is about to. The error says in how many it may.
    pub(super) fn publishes(&self, now: Instant, source: Source, topic: &str) -> Result<(), usize> {
        let mut of = self.of.lock();
        let topics = of.entry(source).or_default();
        if let Some(last) = topics.get_mut(topic) {
            *last = now;
            return Ok(());
        }
        if topics.len() >= self.most {
            return Err(self.most);
        }
        topics.insert(topic.into(), now);
        Ok(())
    }

    /// What the source was about to publish was not published. (If it has published more since, that counts.)
    pub(super) fn takes_back(&self, at: Instant, source: Source, topic: &str) {
        let mut of = self.of.lock();
        let Some(topics) = of.get_mut(&source) else { return };
        if topics.get(topic) == Some(&at) {
            topics.remove(topic);
        }
    }

    /// Forgets topics that have been quiet.
    pub(super) fn tidy(&self, now: Instant) {
        self.of.lock().retain(|_, topics| {
            topics.retain(|_, last| now.saturating_duration_since(*last) < self.age);
            !topics.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 4
    #[test]
    fn a_source_publishes_in_a_part_of_all_topics_until_some_are_quiet() {
        let (spread, now) = (Spread::new(100, Duration::from_secs(60)), Instant::now());
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| Source::of(address.parse().unwrap()));
        let at = |seconds, source, n: u32| {
            spread.publishes(now + Duration::from_secs(seconds), source, &format!("chat-{n}"))
        };
        assert!((0..12).all(|n| at(0, here, n).is_ok()));
        assert_eq!(at(0, here, 12), Err(12));
        assert!(at(0, there, 12).is_ok(), "others have their own");
        assert!(at(30, here, 0).is_ok(), "it goes on in those that it has");
        spread.tidy(now + Duration::from_secs(60));
        assert!((1..12).all(|n| at(60, here, n + 100).is_ok()));
        assert_eq!(at(60, here, 12), Err(12));
        spread.tidy(now + Duration::from_secs(120));
        assert!(spread.of.lock().is_empty(), "what is over takes no memory");
    }
}
