//! How QUIC behaves at both ends, the server's and the native client's, where it is not quinn's own default.
//!
//! | what | quinn's default | here | why |
//! | --- | --- | --- | --- |
//! | congestion window | may shrink to two packets | never below 32 KiB | black-outs: see `congestion.rs` |
//! | acknowledgements asked of the peer | every other packet, 25 ms late at most | every 20th, a round trip late at most (25 ms at least, 400 ms at most) | most ride on inputs and states then: see `acknowledgements.rs` |
//! | round trip taken for granted before one is measured | 333 ms | 200 ms | a lost first packet costs a whole handshake: see `INITIAL_RTT` |
//! | datagrams that wait for the window | 1 MiB | 4 KiB | an input or a state that waits is out of date soon: the next one is better |

#![warn(missing_docs)] // read by users

mod acknowledgements;
mod congestion;

use quinn_proto::TransportConfig;
use std::{sync::Arc, time::Duration};

/// Bytes of datagrams that wait for the congestion window. Small: older ones are dropped for newer ones only when it is full.
const DATAGRAMS_OUT: usize = 4 * 1024;

/// A packet of the handshake that is lost is sent again after three times this, the next time after twice as long. If then the
/// answer is lost, the first acknowledgement is of a packet that was sent long ago, all that time counts as the round trip
/// (RFC 9002, section 5.1: the sample cannot tell), and the next packet that is lost waits for three times *that*, doubled: with
/// RFC 9002's 333 ms, three unlucky losses on a path of 60 ms cost 7.5 s, and a server waits for 5. Of 20,000 joins at 5 % loss, 12
/// came too late.
///
/// RFC 9002 (section 6.2.2) takes 333 ms for want of a better guess; browsers take 100. Below a third of the round trip, all is sent
/// twice on paths that only are long: with 200 ms that begins at 600.
const INITIAL_RTT: Duration = Duration::from_millis(200);

/// What both ends have in common. Each end adds its limits.
pub fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(congestion::WithFloor::default()))
        .ack_frequency_config(Some(acknowledgements::frequency()))
        .datagram_send_buffer_size(DATAGRAMS_OUT)
        .initial_rtt(INITIAL_RTT);
    config
}
