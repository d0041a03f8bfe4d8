//! The metrics of the server, for `/metrics`.
//!
//! Every metric is a field with a handle that is cheap to update: an atomic, without locks or label look-ups.
//! Threads that handle messages count in [`LocalCounters`] and add them a few times per second. Names follow
//! OpenMetrics: base units in the name, and `_total` at the end of counters.

mod bounds;
mod by_reason;
mod histogram;
mod local;
mod matching;
mod nodes;
mod process;
mod rooms;
mod scope;
mod store;
mod text;
mod topics;

pub use by_reason::ByReason;
pub use histogram::DurationHistogram;
pub use local::LocalCounters;
pub use matching::MatchMetrics;
pub use nodes::{MIGRATIONS_FAILED, NodeMetrics};
pub use process::{ProcessCollector, ProcessStats};
pub use rooms::RoomMetrics;
pub use store::StoreMetrics;
pub use topics::TopicMetrics;

use crate::{ground::transport_kind::TransportKind, telemetry};
use by_reason::Label;
use driftless_proto::code::CloseCode;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use scope::Scope;

/// All metrics of a server. One instance, shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    by_transport: [TransportMetrics; TransportKind::ALL.len()],
    /// Sessions that ended, by close code, or "lost" when the connection broke without one.
    pub disconnects: ByReason,
    /// Upgrades and connections refused before there was a session.
    pub refused: ByReason,
    /// HTTP requests refused before they reached a route, and wrong admin tokens.
    pub requests_refused: ByReason,
    /// Parts of the server that are not well: 1, or 0.
    failing: Family<Label, Gauge>,
    /// When the certificate ends, seconds since 1970, by where it comes from.
    certificate_expires: Family<Label, Gauge>,
    /// What rooms and their players do.
    pub rooms: RoomMetrics,
    /// What concerns matches.
    pub matching: MatchMetrics,
    /// What is written to disk.
    pub store: StoreMetrics,
    /// What concerns other nodes, and Redis.
    pub nodes: NodeMetrics,
    /// What concerns topics.
    pub topics: TopicMetrics,
}

/// Metrics of one transport.
#[derive(Debug, Clone, Default)]
pub struct TransportMetrics {
    /// Current number of connections.
    pub connections: Gauge,
    /// Connections made.
    pub connections_total: Counter,
    /// Bytes of messages from clients, without framing. Updated by `Metrics::add`.
    pub received_bytes: Counter,
    /// Bytes of messages to clients, without framing. Updated by `Metrics::add`.
    pub sent_bytes: Counter,
    /// Messages from clients. Updated by `Metrics::add`.
    pub received_messages: Counter,
    /// Messages to clients. Updated by `Metrics::add`.
    pub sent_messages: Counter,
}

/// Why somebody gets no session: what the door says, and what connections lack.
const REFUSED: [&str; 33] = [
    "address_full",
    "draining",
    "forbidden",
    "foreign_host",
    "foreign_origin",
    "handshake",
    "handshakes",
    "identity_unavailable",
    "kind_forbidden",
    "no_token",
    "not_found",
    "proxy_protocol",
    "revoked",
    "room_forbidden",
    "server_full",
    "sockets",
    "subprotocol",
    "tls",
    "tls_handshakes",
    "token_algorithm",
    "token_audience",
    "token_claims",
    "token_expired",
    "token_in_use",
    "token_issuer",
    "token_long_lived",
    "token_malformed",
    "token_not_valid_yet",
    "token_signature",
    "token_unknown_key",
    "token_used",
    "too_fast",
    "unauthenticated",
];

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let scope = &mut Scope(registry.sub_registry_with_prefix("driftless"));
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        scope.0.register("build", "Version of the server", Info::new(build.to_vec()));
        let help =
            "Log lines that were not written, because nobody read the earlier ones or because of an error.";
        scope.put("log_lines_dropped", help, None, telemetry::lines_dropped());
        let closes = CloseCode::ALL.iter().map(|code| code.name());
        let requests_refused = [
            "address_full",
            "wrong_token",
            "foreign_origin",
            "foreign_host",
            "too_often",
            "no_upgrade",
            "head_too_large",
            "unauthorized",
        ];
        let certificate_expires = Family::default();
        let help = "When the certificate that is served expires, since 1970: one from files, or a self_signed \
                    one, which the server renews by itself.";
        scope.put("certificate_expires", help, Some(Unit::Seconds), &certificate_expires);
        let metrics = Self {
            by_transport: by_transport(scope),
            disconnects: scope.by_reason(
                "disconnects",
                "Sessions that ended, by close code, or lost.",
                "reason",
                closes.chain([LOST]),
            ),
            refused: scope.by_reason(
                "refused",
                "Connections refused before there was a session.",
                "reason",
                REFUSED,
            ),
            requests_refused: scope.by_reason(
                "requests_refused",
                "HTTP requests refused before they reached a route, and wrong admin tokens.",
                "reason",
                requests_refused,
            ),
            failing: scope.count(
                "failing",
                "Whether a part of the server is not well: 1, or 0. /healthz?verbose says why.",
            ),
            certificate_expires,
            rooms: RoomMetrics::new(scope),
            matching: MatchMetrics::new(scope),
            store: StoreMetrics::new(scope),
            nodes: NodeMetrics::new(scope),
            topics: TopicMetrics::new(scope),
            registry: Registry::default(),
        };
        registry.register_collector(Box::new(ProcessCollector::new()));
        Self { registry, ..metrics }
    }

    /// The handles of one transport.
    pub fn transport(&self, kind: TransportKind) -> &TransportMetrics {
        &self.by_transport[kind as usize]
    }

    /// Whether a part of the server is not well: 1, or 0. There must be few parts.
    pub fn failing(&self, part: &'static str) -> Gauge {
        self.failing.get_or_create_owned(&Label { key: "part", value: part })
    }

    /// When the certificate that is served ends, seconds since 1970. `source` is where it comes from.
    pub fn certificate_expires(&self, source: &'static str) -> Gauge {
        self.certificate_expires.get_or_create_owned(&Label { key: "source", value: source })
    }

    /// Counts a session that ended. None: the connection broke without a close code.
    pub fn disconnected(&self, code: Option<CloseCode>) {
        self.disconnects.inc(code.map_or(LOST, CloseCode::name));
    }

    /// Adds what a thread has counted for one transport.
    pub fn add(&self, transport: TransportKind, local: &LocalCounters) {
        let transport = self.transport(transport);
        for (counter, n) in [
            (&transport.received_bytes, local.bytes_in),
            (&transport.sent_bytes, local.bytes_out),
            (&transport.received_messages, local.messages_in),
            (&transport.sent_messages, local.messages_out),
            (&self.rooms.states_sent, local.states_sent),
            (&self.rooms.stale_states_dropped, local.stale_states_dropped),
            (&self.rooms.deltas_encoded, local.deltas_encoded),
            (&self.rooms.deltas_shared, local.deltas_shared),
            (&self.rooms.inputs, local.inputs),
            (&self.rooms.excess_dropped, local.excess_dropped),
        ] {
            if n > 0 {
                counter.inc_by(n);
            }
        }
    }

    /// All metrics as OpenMetrics text 1.0.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }

    /// All metrics in the Prometheus text format 0.0.4, for clients that do not read OpenMetrics.
    pub fn encode_prometheus(&self) -> String {
        text::from_openmetrics(&self.encode())
    }
}

fn by_transport(scope: &mut Scope<'_>) -> [TransportMetrics; TransportKind::ALL.len()] {
    let connections: Family<Label, Gauge> = scope.count("connections", "Current number of connections.");
    // A family's name must not be another's sample name: "connections_total" would be a sample of
    // "connections".
    let connections_total: Family<Label, Counter> = scope.count("connections_opened", "Connections made.");
    let received_bytes: Family<Label, Counter> =
        scope.bytes("received", "Bytes of messages from clients, without framing.");
    let received_messages: Family<Label, Counter> =
        scope.count("received_messages", "Messages from clients.");
    let sent_bytes: Family<Label, Counter> =
        scope.bytes("sent", "Bytes of messages to clients, without framing.");
    let sent_messages: Family<Label, Counter> = scope.count("sent_messages", "Messages to clients.");
    TransportKind::ALL.map(|kind| {
        let label = Label { key: "transport", value: kind.name() };
        TransportMetrics {
            connections: connections.get_or_create_owned(&label),
            connections_total: connections_total.get_or_create_owned(&label),
            received_bytes: received_bytes.get_or_create_owned(&label),
            sent_bytes: sent_bytes.get_or_create_owned(&label),
            received_messages: received_messages.get_or_create_owned(&label),
            sent_messages: sent_messages.get_or_create_owned(&label),
        }
    })
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const LOST: &str = "lost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_counted_is_added_once() {
        let metrics = Metrics::new();
        let mut local = LocalCounters { bytes_in: 5, messages_in: 1, states_sent: 2, ..Default::default() };
        metrics.add(TransportKind::WebSocket, &local.take());
        metrics.add(TransportKind::WebSocket, &local.take());
        assert_eq!(metrics.transport(TransportKind::WebSocket).received_bytes.get(), 5);
        assert_eq!(metrics.rooms.states_sent.get(), 2);
    }

    #[test]
    fn every_close_code_is_a_reason() {
        let metrics = Metrics::new();
        metrics.disconnected(Some(CloseCode::SlowConsumer));
        metrics.disconnected(None);
        let text = metrics.encode();
        assert!(text.contains("driftless_disconnects_total{reason=\"slow_consumer\"} 1\n"), "{text}");
        assert!(text.contains("driftless_disconnects_total{reason=\"lost\"} 1\n"), "{text}");
        assert!(text.contains("driftless_disconnects_total{reason=\"kicked\"} 0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let text = Metrics::new().encode_prometheus();
        assert!(text.contains("# TYPE driftless_ticks_total counter\ndriftless_ticks_total 0\n"), "{text}");
        assert!(text.contains("# TYPE driftless_sent_bytes_total counter\n"), "{text}");
        assert!(!text.contains("EOF") && !text.contains("UNIT"), "{text}");
    }
}
