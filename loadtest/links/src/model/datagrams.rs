//! What becomes of datagrams.

use super::{Bottleneck, LossState, Path};
use fastrand::Rng;
use std::time::Duration;

/// Bytes of IPv4 and UDP headers, which count toward the rate.
pub const UDP_HEADERS: usize = 20 + 8;

/// One way of one link, for datagrams.
///
/// Every datagram draws the same number of random numbers, so the n-th datagram of a way meets the same fate
/// on the wire whenever it comes. (Whether the queue has room does depend on when it comes.)
#[derive(Debug, Clone)]
pub struct Datagrams {
    path: Path,
    dice: Rng,
    loss: LossState,
    bottleneck: Bottleneck,
    /// When the last one that was not held back arrives.
    last: Duration,
}

/// What becomes of one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive.
    Dropped(Dropped),
    /// It arrives.
    Arrives {
        /// When.
        at: Duration,
        /// When a duplicate arrives, if one does.
        again: Option<Duration>,
    },
}

/// Why a datagram does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// The queue was full.
    Queue,
    /// Nothing passes.
    BlackOut,
    /// The dice.
    Loss,
}

impl Datagrams {
    /// A way with the random numbers of this seed.
    pub fn new(path: Path, seed: u64) -> Self {
        Self {
            path,
            dice: Rng::with_seed(seed),
            loss: LossState::default(),
            bottleneck: Bottleneck::default(),
            last: Duration::ZERO,
        }
    }

    /// A datagram with this many bytes of payload is sent now. Times must not go backward.
    pub fn offer(&mut self, now: Duration, payload: usize) -> Fate {
        let here = self.path.at(now);
        let lost = self.loss.draw(&here.loss, &mut self.dice);
        let [jitter, reorder, duplicate] = std::array::from_fn(|_| self.dice.f64());
        let Some(departure) = self.bottleneck.admit(now, here.rate, here.queue, payload + UDP_HEADERS) else {
            return Fate::Dropped(Dropped::Queue);
        };
        if here.black_out || self.path.at(departure).black_out {
            return Fate::Dropped(Dropped::BlackOut);
        }
        if lost {
            return Fate::Dropped(Dropped::Loss);
        }
        let mut at = (departure + jittered(here.latency, here.jitter, jitter)).max(self.last);
        self.last = at;
        if reorder < here.reorder {
            at += here.reorder_by;
        }
        Fate::Arrives { at, again: (duplicate < here.duplicate).then_some(at) }
    }
}

/// The latency with its jitter: `dice` is 0 for the least, 1 for the most.
pub(super) fn jittered(latency: Duration, jitter: Duration, dice: f64) -> Duration {
    (latency + jitter.mul_f64(2.0 * dice)).saturating_sub(jitter)
}
