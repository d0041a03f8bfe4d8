//! When the next state may be sent: at most K states unacknowledged.
//!
//! K = ceil(min_rtt / tick) + 1, where min_rtt is the least time from sending a state to its
//! acknowledgement over a window (so it contains the acknowledgement's wait for the next input). K is at most `MAX_IN_FLIGHT`.

use std::time::{Duration, Instant};

/// Most states in flight, whatever the round-trip time says (a peer chooses when it acknowledges).
pub const MAX_IN_FLIGHT: usize = 16;

/// The in-flight gate of one connection.
#[derive(Debug)]
pub struct Gate {}

impl Gate {
    /// A gate for states that are `tick` apart.
    pub fn new(_tick: Duration) -> Self {
        todo!()
    }
    /// Whether a state may be sent now.
    pub fn is_open(&self) -> bool {
        todo!()
    }
    /// A state was sent.
    pub fn sent(&mut self, _now: Instant, _tick: u32) {
        todo!()
    }
    /// The peer acknowledged a state, and with it all before it. False: that state was never sent.
    pub fn acked(&mut self, _now: Instant, _tick: u32) -> bool {
        todo!()
    }
    /// K, as it is now.
    pub fn limit(&self) -> usize {
        todo!()
    }
    /// Least time from a state to its acknowledgement in the window. None: none yet.
    pub fn min_rtt(&self) -> Option<Duration> {
        todo!()
    }
}
