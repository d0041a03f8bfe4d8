//! How often the peer acknowledges packets (draft-ietf-quic-ack-frequency-04, which quinn speaks; browsers may not).
//!
//! A session's packets go both ways in every tick, so an acknowledgement needs no packet of its own: it can ride on the next
//! input or state. RFC 9000's receiver does not wait so long: 25 ms, where a tick has 50. With this extension it
//! waits for up to a round trip, which is as far as quinn lets it: on a path of 60 ms a third of all packets is saved, on one
//! below 25 ms nothing changes. What it costs: a reliable message that is lost is sent again up to so much later. States and
//! inputs are never sent again, and the session's own acknowledgements ride on inputs anyway.

use quinn_proto::{AckFrequencyConfig, VarInt};
use std::time::Duration;

/// Packets that may go unacknowledged. Those of a large state come in a burst of up to a dozen.
const PACKETS: u32 = 10;
/// Longest wait: two ticks of 20 Hz.
const WAIT: Duration = Duration::from_millis(100);

pub(super) fn frequency() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config.ack_eliciting_threshold(VarInt::from_u32(PACKETS)).max_ack_delay(Some(WAIT));
    config
}
