//! How a client session behaves.

use crate::{session::Delivery, wire};
use std::time::Duration;

/// How a client session behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// What the transport gives.
    pub delivery: Delivery,
    /// Time between pings that measure the server's clock.
    pub ping_interval: Duration,
    /// How long the server may be silent before the connection counts as lost. (The server's word in the
    /// welcome wins if longer.)
    pub timeout: Duration,
    /// Column codings to offer besides PACKED.
    pub codings: Vec<wire::ColumnCoding>,
    /// Commands that may wait for the server's acknowledgement.
    pub max_commands: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            delivery: Delivery::Ordered,
            ping_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            codings: vec![wire::ColumnCoding::Rice],
            max_commands: 64,
        }
    }
}
