//! What one way of a link is like at one time.

use super::Loss;
use std::time::Duration;

/// One way of a link. The default is a perfect wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// How long the way takes.
    pub latency: Duration,
    /// Each way takes up to this much more or less, any value alike. It delays, but does not reorder: a real
    /// link's jitter comes from queues, and those keep order.
    pub jitter: Duration,
    /// How much is lost on the wire.
    pub loss: Loss,
    /// Share that is held back by `reorder_by`, so that others overtake it: 0 to 1.
    pub reorder: f64,
    /// See `reorder`.
    pub reorder_by: Duration,
    /// Share that arrives twice: 0 to 1.
    pub duplicate: f64,
    /// Bytes a second that the narrowest place carries, headers included. None: no limit.
    pub rate: Option<u64>,
    /// Bytes that may wait there. What comes when it is full is dropped (drop-tail). Of no meaning without
    /// `rate`.
    pub queue: u64,
    /// Nothing passes.
    pub black_out: bool,
}
