//! Configuration of a client session.

use crate::{session::Delivery, wire};
use std::time::Duration;

/// Configuration of a client session.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// How the transport delivers.
    pub delivery: Delivery,
    /// Time between the pings that measure the server's clock.
    pub ping_interval: Duration,
    /// How long the server may be silent before the connection counts as lost. (The timeout in the welcome is
    /// used if it is longer.)
    pub timeout: Duration,
    /// Column codings to offer in addition to PACKED.
    pub codings: Vec<wire::ColumnCoding>,
    /// Commands that may wait for the server's confirmation.
    pub max_commands: usize,
    /// Whether states are applied. If not, they are only acknowledged, and there is no snapshot: for load
    /// tests in which other clients do the checking.
    pub applies_states: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            delivery: Delivery::Ordered,
            ping_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            codings: vec![wire::ColumnCoding::Dense, wire::ColumnCoding::Rice],
            max_commands: 64,
            applies_states: true,
        }
    }
}
