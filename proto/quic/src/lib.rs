//! QUIC settings of both ends, the server's and the native client's, where they differ from quinn's defaults.
//!
//! | what | quinn's default | here | why |
//! | --- | --- | --- | --- |
//! | congestion window | may shrink to two packets | at least 32 KiB | blackouts: see `congestion.rs` |
//! | acknowledgements requested from the peer | every other packet, at most 25 ms late | every 20th, at most a round trip late (between 25 ms and 400 ms) | most then travel with inputs and states: see `acknowledgements.rs` |
//! | assumed round trip before the first measurement | 333 ms | 200 ms | losing the first packet may cost the whole handshake: see `INITIAL_RTT` |
//! | search for the longest packet that the path carries | five probes of up to 1452 bytes | none: packets of 1200 bytes | at 2 kB/s the probes fill the path for 3 s: see `transport_config` |
//! | datagrams that wait for the window | 1 MiB | 4 KiB | an input or state that waits is soon outdated: the next one is better |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod acknowledgements;
mod congestion;

use quinn_proto::TransportConfig;
use std::{sync::Arc, time::Duration};

/// Bytes of datagrams that may wait for the congestion window. Small, because older datagrams are dropped in
/// favour of newer ones only when this buffer is full.
const DATAGRAMS_OUT: usize = 4 * 1024;

/// A lost handshake packet is sent again after three times this, and the next time after twice as long. If
/// the answer is lost then, the first acknowledgement is for a packet sent long ago, all that time counts as
/// the round trip (RFC 9002, section 5.1: the sample cannot tell), and the next lost packet waits for three
/// times *that*, doubled. With RFC 9002's 333 ms, three unlucky losses on a path of 60 ms cost 7.5 s; of
/// 20,000 joins at 5 % loss, 12 took more than 5 s.
///
/// RFC 9002 (section 6.2.2) recommends 333 ms for lack of a better guess; browsers use 100. If three times
/// the value is below the real round trip, everything is sent twice although nothing was lost: with 200 ms
/// that begins at 600 ms.
const INITIAL_RTT: Duration = Duration::from_millis(200);

/// Settings that both ends share. Each end adds its own limits.
///
/// The MTU is not discovered. States of a small room take a hundred bytes, so longer packets would only help
/// states of more than one packet (by a sixth), while on a narrow path the probes (RFC 9000, section 14.4)
/// are in everything's way just when a player joins: with 2 kB/s down, the zone nearest to a player was 6.1 s
/// old at the 99th percentile, and 2.2 s without them.
pub fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(congestion::WithFloor::default()))
        .ack_frequency_config(Some(acknowledgements::frequency()))
        .datagram_send_buffer_size(DATAGRAMS_OUT)
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(None);
    config
}
