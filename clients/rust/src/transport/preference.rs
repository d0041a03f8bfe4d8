//! Which transport to try first.

use super::TransportKind;
use std::time::{Duration, Instant};

/// How long the transport that worked is tried first. After that the options' order applies again, because
/// the network may no longer block UDP.
const MEMORY: Duration = Duration::from_secs(600);

/// What a client has learned about its network.
#[derive(Debug, Clone, Default)]
pub(super) struct Preference {
    worked: Option<(TransportKind, Instant)>,
}

impl Preference {
    /// The transports in the order in which to try them.
    pub fn order(&self, now: Instant, wanted: &[TransportKind]) -> Vec<TransportKind> {
        let mut order: Vec<TransportKind> = Vec::with_capacity(wanted.len());
        let fresh = |(_, at): &(_, Instant)| now.saturating_duration_since(*at) < MEMORY;
        let first = self.worked.filter(fresh).map(|(kind, _)| kind).filter(|kind| wanted.contains(kind));
        for kind in first.into_iter().chain(wanted.iter().copied()) {
            if !order.contains(&kind) {
                order.push(kind);
            }
        }
        order
    }

    /// This transport won.
    pub fn worked(&mut self, now: Instant, kind: TransportKind) {
        // Counted from the first time, so that a client that reconnects often is not kept from a better
        // transport forever.
        if self.worked.is_none_or(|(last, at)| last != kind || now.saturating_duration_since(at) >= MEMORY) {
            self.worked = Some((kind, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TransportKind::*, *};

    #[test]
    fn what_worked_goes_first_for_a_while() {
        let start = Instant::now();
        let mut preference = Preference::default();
        assert_eq!(preference.order(start, &[Quic, WebSocket]), [Quic, WebSocket]);
        preference.worked(start, WebSocket);
        assert_eq!(preference.order(start, &[Quic, WebSocket]), [WebSocket, Quic]);
        let nearly = start + MEMORY - Duration::from_secs(1);
        preference.worked(nearly, WebSocket);
        assert_eq!(
            preference.order(nearly, &[Quic, WebTransport, WebSocket]),
            [WebSocket, Quic, WebTransport]
        );
        assert_eq!(preference.order(start + MEMORY, &[Quic, WebSocket]), [Quic, WebSocket]);
    }

    #[test]
    fn what_is_not_wanted_is_not_tried_and_nothing_is_tried_twice() {
        let start = Instant::now();
        let mut preference = Preference::default();
        preference.worked(start, WebSocket);
        assert_eq!(preference.order(start, &[Quic, WebTransport, Quic]), [Quic, WebTransport]);
        assert_eq!(preference.order(start, &[]), []);
    }
}
