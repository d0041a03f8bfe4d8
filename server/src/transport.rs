//! What carries messages: a way in and out of bytes, and nothing else.
//!
//! | | [`websocket`] | [`quic`] | `webtransport` |
//! | --- | --- | --- | --- |
//! | below | TCP | UDP, encrypted | UDP, encrypted, with HTTP/3 |
//! | reliable messages | binary frames | one stream, each after its length | as QUIC |
//! | states, inputs | in the same frames | datagrams; a large state has a stream of its own | as QUIC |
//! | close | code and reason of the WebSocket | application's code and reason of the connection | code and reason of the session |
//!
//! Each is a task that puts what arrives into the connection's [`Peer`](crate::connection::Peer) and pulls out of it what the network has
//! room for. QUIC and WebTransport differ only in how a connection begins; the task is the same, in `session`.

mod accept;
pub(crate) mod lease;
mod pace;
mod proxy_protocol;
pub(crate) mod quic;
mod session;
mod socket;
mod stream;
pub(crate) mod websocket;
mod webtransport;

pub(crate) use accept::Accept;
pub(crate) use stream::Stream;

use std::time::Duration;

/// Where WebSocket and WebTransport are.
pub(crate) const PATH: &str = "/v1/connect";
/// How long a close may take, from the moment the session closes: the goodbye sent, the peer's close or end of stream read. Then
/// the connection is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// By so much a transport's own patience exceeds the session's, which speaks first, with a goodbye.
pub(crate) const LAST_WORD: Duration = CLOSE_LIMIT.saturating_add(Duration::from_secs(1));
