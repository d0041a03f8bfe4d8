//! What is in flight on a client's link: datagrams, each with the time at which the model has it arrive.

use super::{Counts, Link};
use crate::{
    model::{Datagrams, Dropped, Fate, Way},
    schedule::Schedule,
};
use std::{sync::Arc, time::Duration};

/// Both ways of a client's link.
pub struct Flight<T> {
    up: Datagrams,
    down: Datagrams,
    waiting: Schedule<(Way, T)>,
    /// Most that may be in flight, both ways together.
    most: usize,
    counts: Arc<Counts>,
}

impl<T: Clone> Flight<T> {
    /// For the link's next client.
    pub fn new(link: &Link, most: usize, counts: Arc<Counts>) -> Self {
        let seed = link.client_seed();
        Self {
            up: link.datagrams(Way::Up, seed),
            down: link.datagrams(Way::Down, seed),
            waiting: Schedule::default(),
            most,
            counts,
        }
    }
    /// A datagram with a payload of this many bytes is sent. It may never arrive, or arrive twice.
    pub fn send(&mut self, now: Duration, way: Way, payload: usize, datagram: T) {
        let model = match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        };
        let counts = self.counts.way(way);
        match model.offer(now, payload) {
            Fate::Dropped(why) => counts.dropped(why),
            Fate::Arrives { at, again } => {
                for at in [Some(at), again].into_iter().flatten() {
                    if self.waiting.len() >= self.most {
                        counts.dropped(Dropped::Queue);
                        continue;
                    }
                    self.waiting.push(at, (way, datagram.clone()));
                }
            }
        }
    }
    /// The next that has arrived by now.
    pub fn pop(&mut self, now: Duration) -> Option<(Way, T)> {
        self.waiting.pop(now)
    }
    /// When the next arrives. None: nothing is in flight.
    pub fn next(&self) -> Option<Duration> {
        self.waiting.next()
    }
}
