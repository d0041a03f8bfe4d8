//! QUIC: one UDP port for native clients (ALPN `driftless/1`) and browsers (ALPN `h3`, see `webtransport`).
//!
//! ```text
//!  UDP port ─► one socket a thread, chosen by connection ID ─► quinn's endpoint ─► admission ─► handshake ─► session
//!                                                                 (same thread, all the way)
//! ```
//!
//! **Threads.** Every thread that rooms and players live on has a socket of its own on the same port, and an endpoint on it. The first two
//! bytes of the connection IDs that an endpoint gives out say which thread it is, and a filter in the kernel reads them: so a packet
//! wakes the thread that needs it and no other, also after the client's address has changed. Where the system has no such filter, the
//! first thread serves all.
//!
//! **Strangers.** Before an address is validated, quinn sends three times what it received (RFC 9000, section 8.1), and the rest of the
//! datagram that crosses that limit. With [`quic_retry_above`](crate::config::Config::quic_retry_above) handshakes in progress, a new one
//! must first bring back a token that was sent to its address (Retry, a tenth of what it answers); with
//! [`quic_handshakes`](crate::config::Config::quic_handshakes) in progress it is refused (`CONNECTION_REFUSED`). A
//! handshake must end within `limits.handshake`, so must the request of WebTransport after it, and the
//! join come within twice that. Places of [`ConnectionLimits`](crate::door::ConnectionLimits) are taken
//! after the handshake; who finds none is closed with `ServerFull` or `AddressLimit`, and everybody with
//! `Draining` while the server goes down.
//!
//! **0-RTT** is not accepted: early data can be replayed by anybody who saw it, and a join is not harmless when repeated.
//! A handshake is one round trip, as a resume of TLS would be with it.
//!
//! **Migration** works: the connection goes on from the client's new address, once quinn has validated it. Its place is counted for
//! the address that it was opened from.

mod endpoint;
mod handshakes;
mod route;
mod settings;
mod sockets;

pub(crate) use endpoint::Quic;
