//! From an accepted TCP connection to HTTP: socket options, the client's address, a permit for it, and TLS if
//! there is a certificate.

use super::{Stream, lease, pace::Pace, proxy_protocol, socket::tune};
use crate::{door::Door, metrics::Metrics};
use actix_http::{Protocol, error::DispatchError};
use actix_rt::{
    net::TcpStream,
    time::{sleep, timeout},
};
use actix_service::{IntoService as _, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service};
use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, sync::Semaphore};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, warn};

/// First byte of a TLS handshake (RFC 8446, section 5.1: the content type of a record).
const HANDSHAKE: u8 = 22;
/// The answer to a client that speaks HTTP without TLS.
const USE_HTTPS: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: 219\r\n\r\n",
    r#"{"type":"about:blank","title":"Bad Request","status":400,"#,
    r#""detail":"this port speaks TLS: begin the URL with https:// or wss://; "#,
    r#"a proxy that speaks HTTP to it needs a server without tls_certificate","code":"https_only"}"#
);

/// What a client asks for that speaks HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";
/// Bytes of a first record that are waited for. A ClientHello is shorter, even with post-quantum keys.
const FIRST_RECORD: usize = 4096;
/// Time between two looks at an incomplete record.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// TLS handshakes that a thread may have in progress. Each takes some 40 KiB.
const TLS_HANDSHAKES: usize = 512;

/// How TCP connections are accepted.
#[derive(Clone)]
pub(crate) struct Accept {
    /// How long sent bytes may stay unacknowledged before the kernel ends the connection.
    pub user_timeout: Duration,
    /// How long a TLS handshake may take, including what precedes it.
    pub handshake: Duration,
    /// How long the first request may take.
    pub request: Duration,
    /// TLS, if the port speaks it.
    pub tls: Option<TlsAcceptor>,
    /// Whether trusted proxies begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Decides who may come in.
    pub door: Arc<Door>,
    /// Counts refusals.
    pub metrics: Arc<Metrics>,
}

/// Why a connection was not accepted.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("its source has as many connections as it may")]
    Refused,
    #[error("it sent nothing in time")]
    TooLate,
    #[error("the connection is lost: {0}")]
    Gone(io::Error),
    #[error(transparent)]
    ProxyProtocol(io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the thread already has as many TLS handshakes in progress as it may")]
    TooManyHandshakes,
}

impl NotTaken {
    /// The reason label in the `refused` metric. None: the door has counted it, or it was not refused.
    fn reason(&self) -> Option<&'static str> {
        match self {
            NotTaken::Refused | NotTaken::Gone(_) => None,
            NotTaken::ProxyProtocol(_) => Some("proxy_protocol"),
            NotTaken::TooLate | NotTaken::Tls(_) => Some("tls"),
            NotTaken::TooManyHandshakes => Some("tls_handshakes"),
        }
    }
}

/// What the handshakes of a thread share.
struct Handshakes {
    pace: Pace,
    places: Arc<Semaphore>,
}

impl Accept {
    /// A service that accepts connections and hands them to the one that speaks their protocol.
    pub(crate) fn then<S, T>(
        self,
        http1: S,
        http2: T,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
    where
        S: ServiceFactory<
                (Stream, Protocol, Option<SocketAddr>),
                Config = (),
                Response = (),
                Error = DispatchError,
                InitError = (),
            > + 'static,
        T: ServiceFactory<
                (Stream, SocketAddr),
                Config = (),
                Response = (),
                Error = DispatchError,
                InitError = (),
            > + 'static,
    {
        // A little longer than a request has, so that a late client is told so.
        let request = self.request + Duration::from_secs(1);
        let handshakes =
            Rc::new(Handshakes { pace: Pace::new(), places: Arc::new(Semaphore::new(TLS_HANDSHAKES)) });
        let accept = fn_service(move |stream: TcpStream| {
            let (accept, handshakes) = (self.clone(), handshakes.clone());
            async move {
                let within = timeout(accept.handshake, accept.accept(stream, &handshakes)).await;
                let (stream, protocol, peer) =
                    within.unwrap_or(Err(NotTaken::TooLate)).map_err(|not_taken| {
                        if let Some(reason) = not_taken.reason() {
                            accept.metrics.refused.inc(reason);
                        }
                        debug!(%not_taken, "did not accept a connection");
                        io::Error::other(not_taken)
                    })?;
                Ok((stream, protocol, peer))
            }
        });
        let both = fn_factory(move || {
            let services = (http1.new_service(()), http2.new_service(()));
            async move {
                let (http1, http2) = (Rc::new(services.0.await?), Rc::new(services.1.await?));
                let serve = move |(stream, protocol, peer): (Stream, Protocol, SocketAddr)| {
                    let (http1, http2) = (http1.clone(), http2.clone());
                    async move {
                        match protocol {
                            Protocol::Http2 => http2.call((stream, peer)).await,
                            _ => lease::hold(request, http1.call((stream, protocol, Some(peer)))).await,
                        }
                    }
                };
                Ok(serve.into_service())
            }
        });
        accept.and_then(both)
    }

    async fn accept(
        &self,
        mut stream: TcpStream,
        handshakes: &Handshakes,
    ) -> Result<(Stream, Protocol, SocketAddr), NotTaken> {
        let mut peer = stream.peer_addr().map_err(NotTaken::Gone)?;
        if let Err(e) = tune(&stream, self.user_timeout) {
            warn!(error = %e, "cannot set the options of a socket");
        }
        if self.proxy_protocol && self.door.proxies().trust(peer.ip()) {
            let client = proxy_protocol::client(&mut stream).await.inspect_err(|error| {
                // A health check may also say nothing and go.
                if error.kind() == io::ErrorKind::InvalidData {
                    warn!(proxy = %peer, %error, "closed a connection of a trusted proxy (proxy_protocol)");
                }
            });
            peer = client.map_err(NotTaken::ProxyProtocol)?.unwrap_or(peer);
        }
        let place = self.door.socket(peer.ip()).ok_or(NotTaken::Refused)?;
        let Some(tls) = &self.tls else { return Ok((Stream::plain(stream, place), Protocol::Http1, peer)) };
        let _of_source = self.door.tls_handshake(peer.ip()).ok_or(NotTaken::Refused)?;
        // Until the handshake can begin, it takes nothing that others may need.
        first_record(&stream).await.map_err(NotTaken::Tls)?;
        let of_thread = handshakes.places.clone().try_acquire_owned();
        let _of_thread = of_thread.map_err(|_| NotTaken::TooManyHandshakes)?;
        let has_players = || self.door.connections() > 0;
        let stream = handshakes.pace.run(has_players, self.shake_hands(tls, stream, peer)).await;
        let stream = stream.map_err(NotTaken::Tls)?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
        Ok((Stream::tls(stream, place), protocol, peer))
    }

    async fn shake_hands(
        &self,
        tls: &TlsAcceptor,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first == [HANDSHAKE] {
            return tls.accept(stream).await;
        }
        if first[0].is_ascii_uppercase() {
            info!(
                %peer,
                "plain HTTP on the TLS port: answered with 400; clients must use https:// or wss://"
            );
            // Unread bytes would reset the connection, and the answer would be lost with it.
            let _ = stream.try_read(&mut [0; 4096]);
            stream.write_all(USE_HTTPS.as_bytes()).await?;
            stream.shutdown().await?;
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the first byte is not that of a TLS handshake"))
    }
}

/// Waits for the whole first record (RFC 8446, section 5.1), or for something that is not one.
async fn first_record(stream: &TcpStream) -> io::Result<()> {
    let mut record = [0; FIRST_RECORD];
    loop {
        let read = stream.peek(&mut record).await?;
        match record[..read] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            [HANDSHAKE] | [HANDSHAKE, _] | [HANDSHAKE, _, _] | [HANDSHAKE, _, _, _] => {}
            [HANDSHAKE, _, _, high, low, ref rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if rest.len() >= length.min(FIRST_RECORD - 5) {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        // The socket says only that there is something to read, not that there is more.
        sleep(LOOK_AGAIN).await;
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
