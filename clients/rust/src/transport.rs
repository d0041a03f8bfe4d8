//! What carries messages: bytes in, bytes out.
//!
//! | | WebSocket | QUIC | WebTransport |
//! | --- | --- | --- | --- |
//! | below it | TCP | UDP | UDP, HTTP/3 |
//! | states, inputs | in order, late ones too | datagrams: none waits for a lost one | as QUIC |
//! | a change of network | a new connection, the same seat | the same connection | the same connection |
//! | works where UDP is blocked | yes | no | no |
//!
//! A [`Transport`] is polled by the task that owns it. A WebSocket starts no task and no thread; QUIC and WebTransport have
//! quinn's: one for a connection, one for a socket ([`Endpoint`]).
//!
//! # Which one
//! [`Options::transports`](crate::Options::transports) in their order, raced as addresses are by Happy Eyeballs (RFC 8305): each
//! gets a head start before the next begins, longer where the way to the server is, and the first that is open wins. So where UDP
//! is blocked, or the server has no QUIC, a player is on a WebSocket a moment later; and the way that worked is tried first for
//! the next ten minutes. That it is not the first of them is logged once, as a warning, with the reason.

mod dial;
mod endpoint;
mod fetch;
mod head_start;
mod preference;
pub mod quic;
mod race;
mod stream;
mod target;
mod trust;
pub mod websocket;

pub(crate) use dial::Dialer;
pub use endpoint::Endpoint;
pub use quic::Quic;
pub use race::{Won, race};
pub use trust::Trust;
pub use websocket::WebSocket;

use crate::Options;
use bytes::Bytes;
use driftless_proto::{lane::Lane, session::Delivery};
use std::{
    fmt,
    str::FromStr,
    task::{Context, Poll},
};

/// A kind of transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// TCP, in order.
    WebSocket,
    /// UDP, with datagrams.
    Quic,
    /// What browsers have of QUIC: with HTTP/3 between.
    WebTransport,
}

/// An open connection to a server.
#[derive(Debug)]
pub enum Transport {
    /// A WebSocket.
    WebSocket(Box<WebSocket>),
    /// QUIC or WebTransport.
    Quic(Box<Quic>),
}

impl Transport {
    /// Opens a connection over the first of the options' transports that works, for those who drive it themselves
    /// ([`Connection::open`](crate::Connection::open) does more).
    ///
    /// # Errors
    /// None works.
    pub async fn dial(options: &Options) -> Result<Self, DialError> {
        Dialer::default().dial(options).await
    }

    /// What it is.
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::WebSocket(_) => TransportKind::WebSocket,
            Self::Quic(quic) => quic.kind(),
        }
    }

    /// What it promises about messages.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::WebSocket(_) => Delivery::Ordered,
            Self::Quic(_) => Delivery::Datagram,
        }
    }

    /// Bytes of the longest datagram now; 0: it has none. Changes with the path.
    pub fn max_datagram(&self) -> usize {
        match self {
            Self::WebSocket(_) => 0,
            Self::Quic(quic) => quic.max_datagram(),
        }
    }

    /// The next message. Cancel-safe. After an error the connection is to be dropped.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        match self {
            Self::WebSocket(socket) => socket.poll_recv(cx),
            Self::Quic(quic) => quic.poll_recv(cx),
        }
    }

    /// Queues a message, only after a flush that was ready.
    pub fn send(&mut self, message: Bytes, lane: Lane) -> Result<(), Closed> {
        match self {
            Self::WebSocket(socket) => socket.send(message),
            Self::Quic(quic) => quic.send(message, lane),
        }
    }

    /// Writes what is queued. Pending: the network takes no more now.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        match self {
            Self::WebSocket(socket) => socket.poll_flush(cx),
            Self::Quic(quic) => quic.poll_flush(cx),
        }
    }

    /// Says goodbye, if the network takes it at once.
    pub fn close(&mut self, code: u16, reason: &str) {
        match self {
            Self::WebSocket(socket) => socket.close(code, reason),
            Self::Quic(quic) => quic.close(code, reason),
        }
    }
}

impl From<WebSocket> for Transport {
    fn from(socket: WebSocket) -> Self {
        Self::WebSocket(Box::new(socket))
    }
}

impl From<Quic> for Transport {
    fn from(quic: Quic) -> Self {
        Self::Quic(Box::new(quic))
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "websocket",
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
        })
    }
}

impl FromStr for TransportKind {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::WebSocket, Self::Quic, Self::WebTransport];
        let found = all.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| format!("{name:?} is no transport: websocket, quic or webtransport"))
    }
}

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
    /// The server said no, in HTTP.
    #[error("{address} refused with HTTP status {status}: {body}")]
    Refused {
        /// Host and port.
        address: String,
        /// HTTP status.
        status: u16,
        /// The first 200 bytes of what it said.
        body: String,
    },
    /// The answer breaks the handshake, or is not `driftless.v1`.
    #[error("{address} does not speak {protocol}: {reason}", protocol = driftless_proto::limits::SUBPROTOCOL)]
    NotDriftless {
        /// Host and port.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The server's certificate is none that [`Options::trust`](crate::Options::trust) takes.
    #[error("{address} is not to be trusted: {reason}")]
    Untrusted {
        /// Host and port.
        address: String,
        /// What is wrong with the certificate, or with what was to be trusted.
        reason: String,
    },
    /// No transport works.
    #[error("{}", .0.iter().map(|(kind, error)| format!("{kind}: {error}")).collect::<Vec<_>>().join("; "))]
    All(Vec<(TransportKind, DialError)>),
}

impl DialError {
    /// Whether the same address may work later.
    pub fn may_retry(&self) -> bool {
        match self {
            DialError::Url { .. } | DialError::NotDriftless { .. } => false,
            // A server's certificate is renewed, and hashes are fetched anew for each dial.
            DialError::Untrusted { .. } | DialError::Unreachable { .. } | DialError::TimedOut { .. } => true,
            DialError::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            DialError::All(errors) => errors.iter().any(|(_, error)| error.may_retry()),
        }
    }

    /// One transport's error is as it is.
    fn all(mut errors: Vec<(TransportKind, DialError)>) -> Self {
        match errors.pop() {
            Some((_, only)) if errors.is_empty() => only,
            last => Self::All(errors.into_iter().chain(last).collect()),
        }
    }
}
