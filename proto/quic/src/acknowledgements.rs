//! How often the peer acknowledges packets (draft-ietf-quic-ack-frequency-04, which quinn speaks; browsers may not).
//!
//! A session's packets go both ways in every tick, so an acknowledgement needs no packet of its own: it can ride on the next
//! input or state. RFC 9000's receiver does not wait so long: 25 ms, where a tick has 50. With this extension it
//! waits for up to a round trip, which is as far as quinn lets it: on a path of 60 ms a third of all packets is saved, on one
//! below 25 ms nothing changes. A link that is too narrow for the states has a long round trip, and there it matters
//! most: acknowledgements alone took a third of 2 kB/s.
//!
//! What it costs: a reliable message that is lost, with no packet behind it that tells, is sent again up to so much later.
//! States and inputs are never sent again, and the session's own acknowledgements ride on inputs anyway.

use quinn_proto::{AckFrequencyConfig, VarInt};
use std::time::Duration;

/// Packets that may go unacknowledged: a second of 20 Hz, and more than the burst of a large state.
const PACKETS: u32 = 20;
/// Longest wait, whatever the round trip.
const WAIT: Duration = Duration::from_millis(400);

pub(super) fn frequency() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config.ack_eliciting_threshold(VarInt::from_u32(PACKETS)).max_ack_delay(Some(WAIT));
    config
}
