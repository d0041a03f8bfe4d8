//! Measurements of a connection.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a connection measures and presence shows. Written by the connection's thread, read by any.
#[derive(Debug, Default)]
pub struct Vitals {
    /// When the last message came, microseconds of the server clock.
    pub last_seen_us: AtomicU64,
    /// Smoothed round-trip time, microseconds. 0: not measured yet.
    pub rtt_us: AtomicU32,
}

impl Vitals {
    /// For a connection that was heard from at `now_us`.
    pub fn seen(now_us: u64) -> Self {
        Self { last_seen_us: AtomicU64::new(now_us), rtt_us: AtomicU32::new(0) }
    }

    /// A message came.
    pub fn set_last_seen(&self, now_us: u64) {
        self.last_seen_us.store(now_us, Relaxed);
    }

    /// A round-trip time was measured.
    pub fn set_rtt(&self, rtt_us: u32) {
        self.rtt_us.store(rtt_us, Relaxed);
    }

    /// When the last message came, microseconds of the server clock.
    pub fn last_seen(&self) -> u64 {
        self.last_seen_us.load(Relaxed)
    }

    /// Round-trip time, microseconds. None: not measured yet.
    pub fn rtt(&self) -> Option<u32> {
        Some(self.rtt_us.load(Relaxed)).filter(|us| *us > 0)
    }
}
