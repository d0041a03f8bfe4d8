//! Transports: they carry bytes in and out, and nothing else.
//!
//! | | [`websocket`] | [`quic`] | `webtransport` |
//! | --- | --- | --- | --- |
//! | over | TCP | UDP, encrypted | UDP, encrypted, with HTTP/3 |
//! | reliable messages | binary frames | one stream, each message after its length | as QUIC |
//! | states, inputs | in the same frames | datagrams; a large state has a stream of its own | as QUIC |
//! | close | WebSocket close code and reason | application close code and reason of the connection | code and reason of the session |
//!
//! Each connection is served by a task that puts what arrives into the connection's
//! [`Peer`](crate::connection::Peer) and pulls out of it what the network has room for. QUIC and WebTransport
//! differ only in how a connection begins; the task is the same, in `session`.

mod accept;
mod http2;
pub(crate) mod lease;
mod pace;
mod proxy_protocol;
pub(crate) mod quic;
mod session;
mod socket;
mod stream;
pub(crate) mod websocket;
mod webtransport;

pub(crate) use accept::{Accept, HTTP2};
pub(crate) use http2::{Http2, Patience};
pub(crate) use stream::Stream;

use std::time::Duration;

/// Path of WebSocket and WebTransport.
pub(crate) const PATH: &str = "/v1/connect";
/// Time limit of a close, from the moment the session closes until the goodbye is sent and the peer's close
/// or end of stream has been read. Then the connection is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// How much longer a transport waits than the session, so that the session times out first and says goodbye.
pub(crate) const LAST_WORD: Duration = CLOSE_LIMIT.saturating_add(Duration::from_secs(1));

/// What a client or a proxy sends first, or after an upgrade.
#[cfg(any(test, fuzzed))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = proxy_protocol::parse(bytes);
    websocket::fuzz(bytes);
}
