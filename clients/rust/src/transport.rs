//! Transports: they carry bytes in and out.
//!
//! | | WebSocket | QUIC | WebTransport |
//! | --- | --- | --- | --- |
//! | over | TCP | UDP | UDP, HTTP/3 |
//! | states, inputs | in order, even late ones | datagrams: none waits for a lost one | as QUIC |
//! | a change of network | a new connection, the same seat | the same connection | the same connection |
//! | works where UDP is blocked | yes | no | no |
//!
//! A [`Transport`] is polled by the task that owns it. A WebSocket starts no task or thread. QUIC and
//! WebTransport have quinn's tasks: one per connection, one per socket ([`Endpoint`]).
//!
//! # Selection
//! [`Options::transports`](crate::Options::transports) are tried in order and raced as Happy Eyeballs races
//! addresses (RFC 8305): each gets a head start before the next begins, longer if the server is far away, and
//! the first to connect wins. So where UDP is blocked, or the server has no QUIC, a player is on a WebSocket
//! a moment later. The winner is tried first for the next ten minutes. If it is not the preferred transport,
//! that is logged once, as a warning, with the reason.

mod denied;
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

pub use dial::Dialed;
pub(crate) use dial::Dialer;
pub use endpoint::Endpoint;
pub use quic::Quic;
pub use race::{Won, race};
pub use trust::Trust;
pub use websocket::WebSocket;

use crate::Options;
use bytes::Bytes;
use driftless_proto::{code::CloseCode, lane::Lane, session::Delivery, wire};
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
    /// QUIC as browsers offer it: through HTTP/3.
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
    /// Opens a connection over the first of the options' transports that works, for callers that drive it
    /// themselves ([`Connection::open`](crate::Connection::open) does more): at the options' address, or at
    /// the node to which the client was sent ([`ClientCore::node`](crate::ClientCore::node)).
    ///
    /// # Errors
    /// No transport works.
    pub async fn dial(options: &Options, node: Option<&wire::Moved>) -> Result<Dialed, DialError> {
        Dialer::default().dial(options, node).await
    }

    /// The kind of transport.
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::WebSocket(_) => TransportKind::WebSocket,
            Self::Quic(quic) => quic.kind(),
        }
    }

    /// How it delivers messages.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::WebSocket(_) => Delivery::Ordered,
            Self::Quic(_) => Delivery::Datagram,
        }
    }

    /// Longest datagram, bytes; 0: it has none. Changes with the path.
    pub fn max_datagram(&self) -> usize {
        match self {
            Self::WebSocket(_) => 0,
            Self::Quic(quic) => quic.max_datagram(),
        }
    }

    /// The next message. Cancel-safe. After an error the connection has to be dropped.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        match self {
            Self::WebSocket(socket) => socket.poll_recv(cx),
            Self::Quic(quic) => quic.poll_recv(cx),
        }
    }

    /// Queues a message. Call it only after a flush that was ready.
    pub fn send(&mut self, message: Bytes, lane: Lane) -> Result<(), Closed> {
        match self {
            Self::WebSocket(socket) => socket.send(message),
            Self::Quic(quic) => quic.send(message, lane),
        }
    }

    /// Writes what is queued. Pending: the network takes no more for now.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        match self {
            Self::WebSocket(socket) => socket.poll_flush(cx),
            Self::Quic(quic) => quic.poll_flush(cx),
        }
    }

    /// Closes the connection with a code and a reason, if the network takes them at once.
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
        found.ok_or_else(|| format!("{name:?} is not a transport: use websocket, quic or webtransport"))
    }
}

/// How a transport ended, before it is known what that means for the player.
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
    /// The connection broke without a close.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The server announced a message longer than this client accepts.
    #[error("a message of {size} bytes; at most {limit} are allowed (see Options::max_message_bytes)")]
    TooLarge {
        /// Announced length, bytes.
        size: usize,
        /// Allowed length, bytes.
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
    /// This client cannot dial the URL: the caller's fault.
    #[error("bad url {url:?}: {reason}")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers at the address.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The system's error.
        reason: String,
    },
    /// No answer within [`Options::connect_timeout`](crate::Options::connect_timeout).
    #[error("no answer from {address} within {after:?}")]
    TimedOut {
        /// Host and port.
        address: String,
        /// How long the client waited.
        after: std::time::Duration,
    },
    /// The server does not let this player in.
    #[error("{address} does not let this player in ({name}): {reason}")]
    Denied {
        /// Host and port.
        address: String,
        /// [`Unauthenticated`](CloseCode::Unauthenticated): it has no good token.
        /// [`Forbidden`](CloseCode::Forbidden): the token does not allow what it asks for.
        code: CloseCode,
        /// The server's word for it: `token_expired`. Over WebTransport it says only the status.
        name: String,
        /// For a person to read.
        reason: String,
    },
    /// What answers refused otherwise, with an HTTP status: a server that cannot take anybody now, or a proxy
    /// in its place.
    #[error("{address} refused with HTTP status {status}: {body}")]
    Refused {
        /// Host and port.
        address: String,
        /// HTTP status.
        status: u16,
        /// The first 200 bytes of the answer's body.
        body: String,
    },
    /// The answer violates the handshake, or the server does not speak `driftless.v1`.
    #[error("{address} does not speak {protocol}: {reason}", protocol = driftless_proto::limits::SUBPROTOCOL)]
    NotDriftless {
        /// Host and port.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// [`Options::trust`](crate::Options::trust) does not accept the server's certificate.
    #[error("{address} is not trusted: {reason}")]
    Untrusted {
        /// Host and port.
        address: String,
        /// What is wrong with the certificate, or with the trust setting.
        reason: String,
    },
    /// [`Options::token`](crate::Options::token) gave no token.
    #[error("no token: {reason}")]
    NoToken {
        /// What it said.
        reason: String,
    },
    /// [`Options::token`](crate::Options::token) gave none within
    /// [`Options::connect_timeout`](crate::Options::connect_timeout).
    #[error("no token within {after:?}")]
    TokenTimedOut {
        /// How long the client waited.
        after: std::time::Duration,
    },
    /// No transport works.
    #[error("{}", .0.iter().map(|(kind, error)| format!("{kind}: {error}")).collect::<Vec<_>>().join("; "))]
    All(Vec<(TransportKind, DialError)>),
}

impl DialError {
    /// Whether the same address may work later.
    pub fn may_retry(&self) -> bool {
        match self {
            DialError::Url { .. } => false,
            // Then the same token is good.
            DialError::Denied { name, .. } => name == denied::EARLY,
            // A proxy may answer while the server is away.
            DialError::Refused { .. } | DialError::NotDriftless { .. } => true,
            // A server may renew its certificate, and hashes are fetched anew for each dial.
            DialError::Untrusted { .. } | DialError::Unreachable { .. } | DialError::TimedOut { .. } => true,
            DialError::NoToken { .. } | DialError::TokenTimedOut { .. } => true,
            DialError::All(errors) => {
                // What the server says of a player is true of all transports.
                let mut denials = errors.iter().filter(|(_, error)| error.denied().is_some()).peekable();
                match denials.peek() {
                    Some(_) => denials.all(|(_, error)| error.may_retry()),
                    None => errors.iter().any(|(_, error)| error.may_retry()),
                }
            }
        }
    }

    /// With which close code the server does not let this player in. None: something else has failed.
    pub fn denied(&self) -> Option<CloseCode> {
        match self {
            DialError::Denied { code, .. } => Some(*code),
            DialError::All(errors) => errors.iter().find_map(|(_, error)| error.denied()),
            _ => None,
        }
    }

    /// The error of a single transport is returned as it is.
    fn all(mut errors: Vec<(TransportKind, DialError)>) -> Self {
        match errors.pop() {
            Some((_, only)) if errors.is_empty() => only,
            last => Self::All(errors.into_iter().chain(last).collect()),
        }
    }
}
