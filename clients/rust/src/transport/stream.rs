//! The byte stream under a WebSocket: TCP, or TLS over TCP.

use super::{DialError, Trust, target::Target, trust};
use rustls::pki_types::ServerName;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A WebSocket begins as HTTP/1.1 (RFC 6455 section 4.1).
const ALPN: &[u8] = b"http/1.1";

/// A connected stream.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    /// Boxed, because it takes a kilobyte that connections without TLS need not pay for.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects, with a TLS handshake for `wss://`.
    pub async fn connect(target: &Target, trust: &Trust) -> Result<Self, DialError> {
        let address = target.address();
        let tcp = TcpStream::connect(&address).await.map_err(|e| target.unreachable(e))?;
        tcp.set_nodelay(true).map_err(|e| target.unreachable(e))?;
        if !target.is_secure() {
            return Ok(Self::Plain(tcp));
        }
        let untrusted = |reason: String| DialError::Untrusted { address: address.clone(), reason };
        let config = trust::client_config(trust, ALPN).map_err(untrusted)?;
        let name = ServerName::try_from(target.name().to_owned()).map_err(|e| target.bad(e.to_string()))?;
        match TlsConnector::from(Arc::new(config)).connect(name, tcp).await {
            Ok(tls) => Ok(Self::Tls(Box::new(tls))),
            Err(e) => Err(match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_)) => untrusted(e.to_string()),
                Some(rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion)) => {
                    let reason = "it speaks no version of TLS that this client does: 1.2 and 1.3 \
                                  (nginx: ssl_protocols TLSv1.2 TLSv1.3)";
                    DialError::NotDriftless { address: address.clone(), reason: reason.to_owned() }
                }
                Some(_) => DialError::NotDriftless { address: address.clone(), reason: e.to_string() },
                None => target.unreachable(e),
            }),
        }
    }

    /// The TCP stream.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }

    /// TLS may take bytes that the socket has no room for; `poll_flush` says when they are sent.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())), // TCP_NODELAY: written is sent
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }
}
