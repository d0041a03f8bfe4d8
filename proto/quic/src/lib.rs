//! How QUIC behaves at both ends, the server's and the native client's, where it is not quinn's own default.
//!
//! | what | quinn's default | here | why |
//! | --- | --- | --- | --- |
//! | congestion window | may shrink to two packets | never below 32 KiB | black-outs: see `congestion.rs` |
//! | acknowledgements asked of the peer | every other packet, 25 ms late at most | every 20th, a round trip late at most (25 ms at least, 400 ms at most) | most ride on inputs and states then: see `acknowledgements.rs` |
//! | datagrams that wait for the window | 1 MiB | 4 KiB | an input or a state that waits is out of date soon: the next one is better |

mod acknowledgements;
mod congestion;

use quinn_proto::TransportConfig;
use std::sync::Arc;

/// Bytes of datagrams that wait for the congestion window. Small: older ones are dropped for newer ones only when it is full.
const DATAGRAMS_OUT: usize = 4 * 1024;

/// What both ends have in common. Each end adds its limits.
pub fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(congestion::WithFloor::default()))
        .ack_frequency_config(Some(acknowledgements::frequency()))
        .datagram_send_buffer_size(DATAGRAMS_OUT);
    config
}
