//! One direction of the network.

use super::Dice;
use bytes::Bytes;
use driftless_proto::session::Delivery;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a link does to messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions {
    /// Delivery time.
    pub delay: Duration,
    /// Upper bound of the random extra delay of each message. On datagrams this reorders.
    pub jitter: Duration,
    /// Percentage of lost messages. On an ordered link they are 200 ms late instead, as if sent again.
    pub loss: u32,
    /// Percentage of duplicated messages. Not on an ordered link.
    pub duplication: u32,
    /// Bytes per second. 0: unlimited.
    pub rate: u32,
}

/// One direction: messages in transit.
#[derive(Debug)]
pub struct Link {
    delivery: Delivery,
    pub conditions: Conditions,
    /// While true, nothing is delivered: the reader does not read.
    pub stalled: bool,
    on_the_way: BTreeMap<(Instant, u64), Bytes>,
    last_arrival: Option<Instant>,
    free_at: Option<Instant>,
    count: u64,
}

impl Link {
    pub fn new(delivery: Delivery, conditions: Conditions) -> Self {
        Self {
            delivery,
            conditions,
            stalled: false,
            on_the_way: BTreeMap::new(),
            last_arrival: None,
            free_at: None,
            count: 0,
        }
    }

    pub fn send(&mut self, now: Instant, dice: &mut Dice, message: Bytes) {
        let Conditions { delay, jitter, loss, duplication, rate } = self.conditions;
        let mut at = now + delay + dice.below(jitter);
        if rate > 0 {
            let free_at = self.free_at.map_or(now, |at| at.max(now));
            let written = free_at + Duration::from_secs(1) * message.len() as u32 / rate;
            self.free_at = Some(written);
            at += written - now;
        }
        let lost = dice.percent(loss);
        match self.delivery {
            Delivery::Ordered => {
                if lost {
                    at += Duration::from_millis(200);
                }
                at = self.last_arrival.map_or(at, |last| last.max(at));
                self.last_arrival = Some(at);
            }
            Delivery::Datagram if lost => return,
            Delivery::Datagram => {
                if dice.percent(duplication) {
                    self.put(at + dice.below(jitter * 4), message.clone());
                }
            }
        }
        self.put(at, message);
    }

    /// The next message that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Bytes> {
        let (&(at, _), _) = self.on_the_way.first_key_value()?;
        if self.stalled || at > now {
            return None;
        }
        self.on_the_way.pop_first().map(|(_, message)| message)
    }

    /// Bytes in transit.
    pub fn bytes(&self) -> usize {
        self.on_the_way.values().map(Bytes::len).sum()
    }

    /// The connection is lost, and with it everything in transit.
    pub fn cut(&mut self) {
        *self = Self::new(self.delivery, self.conditions);
    }

    fn put(&mut self, at: Instant, message: Bytes) {
        self.count += 1;
        self.on_the_way.insert((at, self.count), message);
    }
}
