//! What one room costs, for metrics and the dashboard.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counted by the room's thread and, a few times per second, by those of its connections.
#[derive(Debug, Default)]
pub struct RoomFigures {
    /// Ticks run.
    pub ticks: AtomicU64,
    /// Total time from the start of ticks to the end of their publishing, nanoseconds.
    pub busy_ns: AtomicU64,
    /// The longest such time since it was last reset to zero.
    pub longest_busy_ns: AtomicU64,
    /// Total time from the deadlines of ticks to their starts, nanoseconds.
    pub late_ns: AtomicU64,
    /// The longest such time since it was last reset to zero.
    pub longest_late_ns: AtomicU64,
    /// Bytes of messages sent to its players, without framing.
    pub sent_bytes: AtomicU64,
    /// States that a newer one replaced before they were sent.
    pub stale_states_dropped: AtomicU64,
}

impl RoomFigures {
    /// A tick was run.
    pub fn ticked(&self, late: Duration, busy: Duration) {
        let (late, busy) = (late.as_nanos() as u64, busy.as_nanos() as u64);
        self.ticks.fetch_add(1, Relaxed);
        self.busy_ns.fetch_add(busy, Relaxed);
        self.longest_busy_ns.fetch_max(busy, Relaxed);
        self.late_ns.fetch_add(late, Relaxed);
        self.longest_late_ns.fetch_max(late, Relaxed);
    }

    /// A connection has sent `bytes`, and dropped `stale` states.
    pub fn sent(&self, bytes: u64, stale: u64) {
        if bytes > 0 {
            self.sent_bytes.fetch_add(bytes, Relaxed);
        }
        if stale > 0 {
            self.stale_states_dropped.fetch_add(stale, Relaxed);
        }
    }
}
