//! From an accepted TCP connection to HTTP: socket options, and TLS if there is a certificate for it.

use super::{Stream, lease, socket::tune};
use crate::metrics::Metrics;
use actix_http::{Protocol, error::DispatchError};
use actix_rt::{net::TcpStream, time::timeout};
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

/// First byte of a TLS handshake (RFC 8446, section 5.1: the content type of a record).
const HANDSHAKE: u8 = 22;
/// What somebody who speaks HTTP without TLS is told.
const USE_HTTPS: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 103\r\n\r\n",
    r#"{"error":{"code":"https_only","message":"this port speaks TLS: begin the URL with https:// or wss://"}}"#
);

/// How connections are taken in.
#[derive(Clone)]
pub struct Accept {
    /// How long sent bytes may stay unacknowledged before the kernel ends the connection.
    pub user_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the first request may take.
    pub request: Duration,
    /// TLS, if that is what is spoken here.
    pub tls: Option<TlsAcceptor>,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
}

impl Accept {
    /// A service that takes connections in and hands them to `http`.
    pub fn then<S>(
        self,
        http: S,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
    where
        S: ServiceFactory<
                (Stream, Protocol, Option<SocketAddr>),
                Config = (),
                Response = (),
                Error = DispatchError,
                InitError = (),
            > + 'static,
    {
        let request = self.request;
        let accept = fn_service(move |stream: TcpStream| {
            let accept = self.clone();
            async move {
                let peer = stream.peer_addr().ok();
                Ok((accept.accept(stream, peer).await?, Protocol::Http1, peer))
            }
        });
        accept.and_then(apply_fn_factory(http, move |connection, http: &S::Service| {
            lease::hold(request, http.call(connection))
        }))
    }

    async fn accept(&self, stream: TcpStream, peer: Option<SocketAddr>) -> io::Result<Stream> {
        if let Err(e) = tune(&stream, self.user_timeout) {
            warn!(error = %e, "the options of a socket could not be set");
        }
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let done = timeout(self.handshake, self.shake_hands(tls, stream, peer)).await;
        done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).inspect_err(|e| {
            self.metrics.refused.inc("tls");
            debug!(?peer, error = %e, "no TLS handshake");
        })
    }

    async fn shake_hands(
        &self,
        tls: &TlsAcceptor,
        mut stream: TcpStream,
        peer: Option<SocketAddr>,
    ) -> io::Result<Stream> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first == [HANDSHAKE] {
            return Ok(Stream::Tls(Box::new(tls.accept(stream).await?)));
        }
        if first[0].is_ascii_uppercase() {
            info!(
                ?peer,
                "plain HTTP on the port for TLS: answered with 400; clients must use https:// or wss://"
            );
            // What is left unread would reset the connection, and the answer with it.
            let _ = stream.try_read(&mut [0; 4096]);
            stream.write_all(USE_HTTPS.as_bytes()).await?;
            stream.shutdown().await?;
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the first byte is not that of a TLS handshake"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let (head, body) = USE_HTTPS.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
