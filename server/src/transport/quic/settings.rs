//! Configuration of quinn.

use crate::{config::Config, transport::LAST_WORD};
use driftless_proto::limits::ALPN;
use quinn::{IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicServerConfig};
use rustls::server::ResolvesServerCert;
use std::{io, sync::Arc};

/// Bidirectional streams that a client may have open: the reliable one, and WebTransport's request.
const STREAMS: u32 = 2;
/// Unidirectional streams: HTTP/3's control stream and the two of its header compression (RFC 9114, section
/// 6.2; browsers open all three), and one that an extension may add.
const CONTROL_STREAMS: u32 = 4;
/// Bytes that a stream may hold in addition to a message. Connections have it twice, for HTTP/3's streams.
const WINDOW_SLACK: usize = 16 * 1024;
/// Bytes of reliable messages and large states that may be unacknowledged. A client that stops reading can
/// make the server hold this much.
const SEND_WINDOW: u64 = 256 * 1024;
/// Bytes of datagrams that wait to be read.
const DATAGRAMS_IN: usize = 64 * 1024;
/// Connection attempts that may wait for the thread, bytes of each, and bytes of all.
const ATTEMPTS: (usize, u64, u64) = (1024, 16 * 1024, 4 << 20);

/// The configuration of an endpoint for both ALPNs.
///
/// # Errors
/// If the TLS library refuses its own defaults.
pub(super) fn server_config(
    config: &Config,
    certificates: Arc<dyn ResolvesServerCert>,
) -> io::Result<quinn::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = [ALPN, web_transport_quinn::ALPN].map(|alpn| alpn.as_bytes().to_vec()).into();
    // No 0-RTT: early data can be replayed.
    tls.max_early_data_size = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let (attempts, bytes_each, bytes_all) = ATTEMPTS;
    server
        .transport_config(Arc::new(transport_config(config)?))
        .max_incoming(attempts)
        .incoming_buffer_size(bytes_each)
        .incoming_buffer_size_total(bytes_all);
    Ok(server)
}

fn transport_config(config: &Config) -> io::Result<TransportConfig> {
    let stream = config.limits.message_bytes + WINDOW_SLACK;
    let window = |bytes: usize| VarInt::try_from(bytes as u64).map_err(io::Error::other);
    // Doubled, because a server that stood still for a timeout has yet to read what came meanwhile.
    let idle = 2 * config.limits.timeout + LAST_WORD;
    let mut transport = driftless_quic::transport_config();
    transport
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(CONTROL_STREAMS.into())
        .stream_receive_window(window(stream)?)
        .receive_window(window(stream + WINDOW_SLACK)?)
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAMS_IN))
        .max_idle_timeout(Some(IdleTimeout::try_from(idle).map_err(io::Error::other)?));
    Ok(transport)
}
