//! How long a transport is tried before the next one is tried in parallel.
//!
//! A fixed time suits only one distance. Over longer ones, a transport that needs more round trips would lose
//! to one that needs fewer even when nothing is wrong with either. So if a round trip has been measured, the
//! head start is the time that the handshakes take, and half as much again. (RFC 8305, section 5, lets the
//! delay follow earlier round trips, up to 2 s.)

use super::TransportKind;
use std::time::Duration;

/// Longest head start over a long distance.
const LONGEST: Duration = Duration::from_secs(2);

/// The head start of a transport that first asks for the server's certificates (`fetches`) or does not, for
/// this round trip; at least `least`.
pub(super) fn head_start(
    kind: TransportKind,
    fetches: bool,
    round_trip: Option<Duration>,
    least: Duration,
) -> Duration {
    let trips = match kind {
        // TCP, and the upgrade. TLS is not counted for either.
        TransportKind::WebSocket => 2,
        // The handshake; for WebTransport also the server's settings and the answer to the request.
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
