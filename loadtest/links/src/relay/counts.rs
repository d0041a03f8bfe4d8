//! What a relay did.

use crate::model::{Dropped, Way};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counters of a relay, of all its clients together.
#[derive(Debug, Default)]
pub struct Counts {
    up: WayCounts,
    down: WayCounts,
    /// Clients that were not served because there were too many.
    pub refused: AtomicU64,
}

/// Counters of one way. Bytes are payload of UDP or TCP.
#[derive(Debug, Default)]
pub struct WayCounts {
    /// Datagrams or segments sent into the link.
    pub packets: AtomicU64,
    /// Bytes sent into the link. For TCP, without those sent again.
    pub bytes: AtomicU64,
    /// Datagrams lost on the wire; segments sent again.
    pub lost: AtomicU64,
    /// Datagrams that found the queue full.
    pub overflowed: AtomicU64,
    /// Datagrams sent into a blackout.
    pub blacked_out: AtomicU64,
    /// Datagrams that this machine's sockets did not take.
    pub unsent: AtomicU64,
}

impl Counts {
    /// Those of one way.
    pub fn way(&self, way: Way) -> &WayCounts {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

impl WayCounts {
    /// A packet of so many bytes was sent into the link.
    pub fn sent(&self, bytes: usize) {
        self.packets.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
    pub(super) fn dropped(&self, why: Dropped) {
        let counter = match why {
            Dropped::Loss => &self.lost,
            Dropped::Queue => &self.overflowed,
            Dropped::BlackOut => &self.blacked_out,
        };
        counter.fetch_add(1, Relaxed);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, way) in [("up", &self.up), ("down", &self.down)] {
            let count = |counter: &AtomicU64| counter.load(Relaxed);
            write!(
                f,
                "{name} {} packets with {} bytes, {} lost, {} overflowed, {} in blackouts; ",
                count(&way.packets),
                count(&way.bytes),
                count(&way.lost),
                count(&way.overflowed),
                count(&way.blacked_out)
            )?;
        }
        write!(f, "{} clients refused", self.refused.load(Relaxed))
    }
}
