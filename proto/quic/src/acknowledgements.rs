//! How often the peer acknowledges packets (draft-ietf-quic-ack-frequency-04, which quinn supports; browsers
//! may not).
//!
//! A session sends packets both ways in every tick, so an acknowledgement needs no packet of its own: it can
//! travel with the next input or state. A receiver following RFC 9000 waits at most 25 ms, while a tick at 20
//! Hz takes 50. With this extension it waits up to a round trip, the most that quinn allows. On a path of 60
//! ms that saves a third of all packets; below 25 ms nothing changes. A link that is too narrow for the
//! states has a long round trip, and there it matters most: acknowledgements alone took a third of 2 kB/s.
//!
//! The cost: a lost reliable message that no later packet reveals is sent again later, by up to that wait.
//! States and inputs are never sent again, and the session's own acknowledgements travel with inputs anyway.

use quinn_proto::{AckFrequencyConfig, VarInt};
use std::time::Duration;

/// Packets that may go unacknowledged: a second's worth at 20 Hz, and more than the burst of a large state.
const PACKETS: u32 = 20;
/// Longest wait, whatever the round trip.
const WAIT: Duration = Duration::from_millis(400);

pub(super) fn frequency() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config.ack_eliciting_threshold(VarInt::from_u32(PACKETS)).max_ack_delay(Some(WAIT));
    config
}
