//! What one way of a link is like at one time.

use super::Loss;
use std::time::Duration;

/// One way of a link. The default is a perfect wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// How long the way takes.
    pub latency: Duration,
    /// How much more or less it may take, uniformly distributed. It delays but does not reorder: the jitter
    /// of real links comes from queues, which keep order.
    pub jitter: Duration,
    /// How much is lost on the wire.
    pub loss: Loss,
    /// Share that is held back by `reorder_by` so that others overtake, 0 to 1.
    pub reorder: f64,
    /// See `reorder`.
    pub reorder_by: Duration,
    /// Share that arrives twice: 0 to 1.
    pub duplicate: f64,
    /// Rate of the bottleneck, bytes per second including headers. None: no limit.
    pub rate: Option<u64>,
    /// Bytes that may wait there; what arrives when it is full is dropped (drop-tail). Meaningless without
    /// `rate`.
    pub queue: u64,
    /// Nothing passes.
    pub black_out: bool,
}
