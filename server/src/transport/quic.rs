//! QUIC: one UDP port for native clients (ALPN `driftless/1`) and browsers (ALPN `h3`, see `webtransport`).
//!
//! ```text
//!  UDP port ─► one socket per thread, chosen by connection ID
//!              ─► quinn's endpoint ─► admission ─► handshake ─► session (all on that thread)
//! ```
//!
//! **Threads.** Every thread on which rooms and players live has its own socket on the same port, and an
//! endpoint on it. The first two bytes of the connection IDs that an endpoint issues identify the thread, and
//! a filter in the kernel reads them. So a packet wakes only the thread that needs it, even after the
//! client's address has changed. On a system without such a filter, the first thread serves all of QUIC.
//!
//! **Strangers.** Before an address is validated, quinn sends at most three times what it received (RFC 9000,
//! section 8.1), plus the rest of the datagram that crosses that limit. With
//! [`quic_retry_above`](crate::config::Config::quic_retry_above) handshakes in progress, a new one must first
//! return a token that was sent to its address (Retry, a tenth of the size of what it answers); with
//! [`quic_handshakes`](crate::config::Config::quic_handshakes) in progress it is refused
//! (`CONNECTION_REFUSED`). A handshake must end within `limits.handshake`, and so must WebTransport's request
//! after it; the join must come within twice that. Permits of the [door](crate::door::Door) are taken after
//! the handshake. A connection that gets none is closed with `ServerFull` or `AddressLimit`, and while the
//! server shuts down, with `Draining`.
//!
//! **0-RTT** is not accepted: anybody who saw early data can replay it, and a repeated join is not harmless.
//! A handshake takes one round trip, the same as a TLS resumption without early data.
//!
//! **Migration** works: the connection continues from the client's new address once quinn has validated it.
//! It stays counted for the address that it was opened from.

mod endpoint;
mod handshakes;
mod reading;
mod route;
mod settings;
mod sockets;

pub(crate) use endpoint::Quic;
