//! What presence shows of a seat besides who has it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Since when a seat is taken, and what its connection measures. Written by its room and the connection's
/// thread, read by any.
#[derive(Debug, Default)]
pub struct Vitals {
    /// When the last message came, microseconds of the server clock.
    pub last_seen_us: AtomicU64,
    /// Smoothed round-trip time, microseconds. 0: not measured yet.
    pub rtt_us: AtomicU32,
    /// When the seat was taken, milliseconds since 1970. 0: nobody has said.
    pub since_unix_ms: AtomicU64,
}

impl Vitals {
    /// For a connection that was heard from at `now_us`.
    pub fn seen(now_us: u64) -> Self {
        Self { last_seen_us: AtomicU64::new(now_us), ..Self::default() }
    }

    /// The seat is taken, unless it was before: at another node, or by another process.
    pub fn taken(&self, now_unix_ms: u64) {
        let _ = self.since_unix_ms.compare_exchange(0, now_unix_ms, Relaxed, Relaxed);
    }

    /// When the seat was taken, milliseconds since 1970. None: nobody has said.
    pub fn since_unix_ms(&self) -> Option<u64> {
        Some(self.since_unix_ms.load(Relaxed)).filter(|ms| *ms > 0)
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
