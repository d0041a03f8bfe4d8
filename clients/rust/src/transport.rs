//! What carries messages: bytes in, bytes out.
//!
//! A transport is polled by the task that owns it; it starts no task and no thread. The next ones (QUIC,
//! WebTransport) are one more file each, with the same six methods as [`websocket::WebSocket`].

pub mod websocket;

/// How a transport ended, before it is known what that means to the player.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The server closed it and said why.
    #[error("closed by the server with {code}: {reason}")]
    ByPeer {
        /// Close code (RFC 6455 section 7.4). 1005: the server gave none.
        code: u16,
        /// For a person to read.
        reason: String,
    },
    /// It broke without a close.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The server announced a message longer than this end takes.
    #[error("a message of {size} bytes, where {limit} are allowed (see Options::max_message_bytes)")]
    TooLarge {
        /// Announced, bytes.
        size: usize,
        /// Allowed, bytes.
        limit: usize,
    },
    /// The server broke the rules of the transport.
    #[error("the server broke the transport's protocol: {0}")]
    Violation(String),
}

/// Why a transport could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address is not one that this client can dial: the caller's fault.
    #[error("bad url {url:?}: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// No answer within [`Options::connect_timeout`](crate::Options::connect_timeout).
    #[error("no answer from {address} within {after:?}")]
    TimedOut {
        /// Host and port.
        address: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// The server answered with something else than a WebSocket.
    #[error("{address} refused the WebSocket with HTTP status {status}: {body}")]
    Refused {
        /// Host and port.
        address: String,
        /// HTTP status.
        status: u16,
        /// The first 200 bytes of what it said.
        body: String,
    },
    /// The answer breaks the WebSocket handshake, or is not `driftless.v1`.
    #[error("{address} does not speak {protocol}: {reason}", protocol = driftless_proto::limits::SUBPROTOCOL)]
    NotDriftless {
        /// Host and port.
        address: String,
        /// What is wrong.
        reason: String,
    },
}

impl DialError {
    /// Whether the same address may work later.
    pub fn may_retry(&self) -> bool {
        match self {
            DialError::Url { .. } | DialError::NotDriftless { .. } => false,
            DialError::Unreachable { .. } | DialError::TimedOut { .. } => true,
            DialError::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
        }
    }
}
