//! The ways in which a client may be connected.

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// WebSocket over TCP.
    WebSocket,
    /// QUIC itself.
    Quic,
    /// WebTransport, which is HTTP/3 over QUIC.
    WebTransport,
}

impl TransportKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [TransportKind; 3] =
        [TransportKind::WebSocket, TransportKind::Quic, TransportKind::WebTransport];

    /// Name in metrics, logs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            TransportKind::WebSocket => "websocket",
            TransportKind::Quic => "quic",
            TransportKind::WebTransport => "webtransport",
        }
    }
}
