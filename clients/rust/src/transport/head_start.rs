//! How long a transport is tried before the next one is tried beside it.
//!
//! A fixed time is right for one length of way. Over a longer one, what needs more round trips loses to what needs fewer
//! whenever nothing is wrong with either. So the head start is as long as the handshakes take, and half as long again, where
//! a round trip has been seen (RFC 8305, section 5, lets the delay follow the history of round trips, up to 2 s).

use super::TransportKind;
use std::time::Duration;

/// Longest head start that a long way gets.
const LONGEST: Duration = Duration::from_secs(2);

/// The head start of a transport that asks for the server's certificates first (`fetches`) or does not, over a way of this
/// round trip; never less than `least`.
pub(super) fn head_start(
    kind: TransportKind,
    fetches: bool,
    round_trip: Option<Duration>,
    least: Duration,
) -> Duration {
    let trips = match kind {
        // TCP, and the upgrade; TLS is counted for nobody.
        TransportKind::WebSocket => 2,
        // The handshake; then the server's settings, and the answer to the request.
        TransportKind::Quic => 1,
        TransportKind::WebTransport => 3,
    };
    // TCP, and the answer.
    let fetching = if fetches && kind != TransportKind::WebSocket { 2 } else { 0 };
    let needed = round_trip.unwrap_or_default().min(LONGEST) * (trips + fetching) * 3 / 2;
    least.max(needed.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::{TransportKind::*, *};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_as_long_as_the_handshakes_and_half_as_long_again() {
        assert_eq!(head_start(Quic, true, Some(400 * MS), 250 * MS), 1800 * MS);
        assert_eq!(head_start(Quic, false, Some(400 * MS), 250 * MS), 600 * MS);
        assert_eq!(head_start(WebTransport, false, Some(200 * MS), 250 * MS), 900 * MS);
        assert_eq!(head_start(WebSocket, true, Some(200 * MS), 250 * MS), 600 * MS);
    }

    #[test]
    fn it_has_the_bounds_that_are_given_and_of_rfc_8305() {
        for near in [None, Some(Duration::ZERO), Some(20 * MS)] {
            assert_eq!(head_start(WebTransport, true, near, 250 * MS), 250 * MS);
        }
        assert_eq!(head_start(Quic, true, Some(Duration::MAX), 250 * MS), 2000 * MS);
        assert_eq!(head_start(Quic, true, None, 60_000 * MS), 60_000 * MS);
    }
}
