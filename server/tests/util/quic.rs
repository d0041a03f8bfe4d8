//! A QUIC or WebTransport connection for tests. Blocking, like everything here; quinn runs on a thread of its
//! own.

use super::{
    PATIENCE,
    player::{Arrived, Player, Wire},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    framing::{Framing, put_message},
    lane::Lane,
    limits::{ALPN, SUBPROTOCOL},
    session::Delivery,
    wire,
};
use quinn::{
    ClientConfig, Connection, Endpoint, TransportConfig,
    crypto::rustls::QuicClientConfig,
    rustls::{
        self, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};
use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, LazyLock, mpsc},
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    time::{error::Elapsed, timeout},
};
use web_transport_quinn::{SendStream, Session, SessionError, WebTransportError, proto::ConnectRequest};

/// The runtime of the clients' connections.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
});

/// Runs to completion, or fails the test.
#[track_caller]
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { timeout(PATIENCE, future).await }).expect("in time")
}

/// The result within this many milliseconds, for futures that are not expected to complete.
pub fn within<T>(milliseconds: u64, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    RUNTIME.block_on(async { timeout(Duration::from_millis(milliseconds), future).await })
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Quic,
    WebTransport,
}

pub const BOTH: [Kind; 2] = [Kind::Quic, Kind::WebTransport];

/// A session with its reliable stream.
pub struct Link {
    kind: Kind,
    pub endpoint: Endpoint,
    pub session: Session,
    stream: SendStream,
    arrived: mpsc::Receiver<Came>,
}

/// What arrived, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// On the reliable stream.
    Reliable(Bytes),
    /// As a datagram.
    Datagram(Bytes),
    /// On a stream of its own.
    Large(Bytes),
    /// The server closed the session.
    Closed { code: u32, reason: String },
    /// The connection is lost.
    Lost(String),
}

impl Link {
    /// A session whose reliable stream is opened by the first message.
    #[track_caller]
    pub fn connect(kind: Kind, address: SocketAddr) -> Self {
        let (endpoint, session) = wait(open(kind, address, config(kind))).expect("a session");
        Self::on(kind, endpoint, session)
    }

    /// On an open session.
    #[track_caller]
    pub fn on(kind: Kind, endpoint: Endpoint, session: Session) -> Self {
        let (stream, mut incoming) = wait(session.open_bi()).expect("a stream");
        let (came, arrived) = mpsc::channel();
        let (reader, sender) = (session.clone(), came.clone());
        RUNTIME.spawn(async move {
            loop {
                match reader.read_datagram().await {
                    Ok(message) => drop(sender.send(Came::Datagram(message))),
                    Err(error) => return drop(sender.send(closed(error))),
                }
            }
        });
        let sender = came.clone();
        RUNTIME.spawn(async move {
            let mut framing = Framing::new(1 << 20);
            while let Ok(Some(chunk)) = incoming.read_chunk(1 << 20, true).await {
                let mut chunk = chunk.bytes;
                while let Some(message) = framing.next_message(&mut chunk).expect("the server's framing") {
                    let _ = sender.send(Came::Reliable(message));
                }
            }
        });
        let acceptor = session.clone();
        RUNTIME.spawn(async move {
            while let Ok(mut stream) = acceptor.accept_uni().await {
                let sender = came.clone();
                RUNTIME.spawn(async move {
                    // A stream that is reset is a state that was superseded.
                    if let Ok(message) = stream.read_to_end(1 << 20).await {
                        let _ = sender.send(Came::Large(message.into()));
                    }
                });
            }
        });
        Self { kind, endpoint, session, stream, arrived }
    }

    /// Sends a message on the reliable stream.
    pub fn send_reliable(&mut self, message: &[u8]) -> io::Result<()> {
        let mut framed = BytesMut::new();
        put_message(message, &mut framed);
        self.send_raw(&framed)
    }

    /// Sends raw bytes on the reliable stream.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        wait(self.stream.write_all(bytes)).map_err(io::Error::other)
    }

    /// Ends our half of the reliable stream.
    pub fn finish_stream(&mut self) {
        self.stream.finish().expect("the stream is open");
    }

    /// Resets our half of the reliable stream.
    pub fn reset_stream(&mut self) {
        self.stream.reset(7).expect("the stream is open");
    }

    pub fn send_datagram(&self, message: &[u8]) -> io::Result<()> {
        self.session.send_datagram(Bytes::copy_from_slice(message)).map_err(io::Error::other)
    }

    /// What arrives next.
    #[track_caller]
    pub fn recv(&mut self) -> Came {
        self.recv_by(Instant::now() + PATIENCE).expect("something in time")
    }

    pub fn recv_by(&mut self, deadline: Instant) -> Option<Came> {
        self.arrived.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Reads until the server closes. Returns the code and reason.
    #[track_caller]
    pub fn close_code(&mut self) -> (u32, String) {
        loop {
            match self.recv() {
                Came::Closed { code, reason } => return (code, reason),
                Came::Lost(why) => panic!("lost without a close: {why}"),
                _ => {}
            }
        }
    }
}

/// The code and reason with which the server closes a session at once.
#[track_caller]
pub fn refused(kind: Kind, address: SocketAddr) -> (u32, String) {
    let (_endpoint, session) = wait(open(kind, address, config(kind))).expect("a session");
    match closed(wait(session.closed())) {
        Came::Closed { code, reason } => (code, reason),
        other => panic!("{other:?}"),
    }
}

/// What the end of a session says.
pub fn closed(error: SessionError) -> Came {
    match error {
        SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => {
            Came::Closed { code, reason }
        }
        error => Came::Lost(error.to_string()),
    }
}

/// A client that accepts any certificate.
pub fn config(kind: Kind) -> ClientConfig {
    let mut tls = any_certificate();
    tls.alpn_protocols = vec![alpn(kind).as_bytes().to_vec()];
    with_tls(tls)
}

/// TLS that accepts any certificate.
pub fn any_certificate() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth()
}

pub fn with_tls(tls: rustls::ClientConfig) -> ClientConfig {
    let mut config =
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3 with its first cipher")));
    let mut transport = TransportConfig::default();
    // As long as a busy machine may keep the server waiting.
    transport.max_idle_timeout(Some(PATIENCE.try_into().expect("short enough")));
    config.transport_config(Arc::new(transport));
    config
}

pub fn alpn(kind: Kind) -> &'static str {
    match kind {
        Kind::Quic => ALPN,
        Kind::WebTransport => web_transport_quinn::ALPN,
    }
}

/// An endpoint on a free port of loopback.
pub fn endpoint() -> Endpoint {
    let _guard = RUNTIME.enter();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    Endpoint::new(Default::default(), None, socket, Arc::new(quinn::TokioRuntime)).expect("an endpoint")
}

/// A QUIC connection.
pub async fn dial(
    endpoint: &Endpoint,
    address: SocketAddr,
    config: ClientConfig,
) -> Result<Connection, String> {
    let connecting = endpoint.connect_with(config, address, "localhost").map_err(|e| e.to_string())?;
    connecting.await.map_err(|e| e.to_string())
}

/// A session.
pub async fn open(
    kind: Kind,
    address: SocketAddr,
    config: ClientConfig,
) -> Result<(Endpoint, Session), String> {
    let endpoint = endpoint();
    let connection = dial(&endpoint, address, config).await?;
    let session = match kind {
        Kind::Quic => Session::raw(connection),
        Kind::WebTransport => request(connection, "/v1/connect", &[SUBPROTOCOL]).await?,
    };
    Ok((endpoint, session))
}

/// Asks for a WebTransport session.
pub async fn request(connection: Connection, path: &str, protocols: &[&str]) -> Result<Session, String> {
    let url = format!("https://localhost{path}").parse::<url::Url>().expect("a URL");
    let request = ConnectRequest::new(url).with_protocols(protocols.iter().map(|p| (*p).to_owned()));
    Session::connect(connection, request).await.map_err(|e| e.to_string())
}

/// Requests a WebTransport session as a page would.
pub async fn request_from(connection: Connection, origin: &str) -> Result<Session, String> {
    let url = "https://localhost/v1/connect".parse::<url::Url>().expect("a URL");
    let origin = origin.parse().expect("a header");
    let request = ConnectRequest::new(url).with_protocol(SUBPROTOCOL);
    let request = request.with_header(web_transport_quinn::http::header::ORIGIN, origin);
    Session::connect(connection, request).await.map_err(|e| e.to_string())
}

impl Wire for Link {
    const DELIVERY: Delivery = Delivery::Datagram;

    fn again(&self, address: SocketAddr) -> Self {
        Self::connect(self.kind, address)
    }
    fn send_message(&mut self, message: &[u8]) -> io::Result<()> {
        match Lane::of_client_message(message) {
            Lane::Reliable => self.send_reliable(message),
            Lane::Unreliable => self.send_datagram(message),
        }
    }
    fn next_by(&mut self, deadline: Instant) -> Option<Arrived> {
        Some(match self.recv_by(deadline)? {
            Came::Reliable(message) | Came::Datagram(message) | Came::Large(message) => {
                Arrived::Message(message.into())
            }
            Came::Closed { code, reason } => Arrived::Closed { code: code as u16, reason },
            Came::Lost(why) => Arrived::Ended(why),
        })
    }
    fn finish(&mut self) {
        self.session.close(0, b"");
    }
    fn lose(&mut self) {
        // Noticed earlier than silence, and no more of a leave.
        self.session.close(0, b"");
    }
}

impl Player<Link> {
    /// Joins a room and waits for the welcome.
    #[track_caller]
    pub fn join_over(kind: Kind, address: SocketAddr, room: &str) -> Self {
        Self::join_over_as(kind, address, super::join(room))
    }

    /// Joins under a name and waits for the welcome.
    #[track_caller]
    pub fn named_over(kind: Kind, address: SocketAddr, room: &str, name: &str) -> Self {
        Self::join_over_as(kind, address, wire::Join { name: name.to_owned(), ..super::join(room) })
    }

    #[track_caller]
    pub fn join_over_as(kind: Kind, address: SocketAddr, join: wire::Join) -> Self {
        let mut player = Self::on(Link::connect(kind, address), address, join);
        player.welcomed();
        player
    }
}

/// Accepts any certificate: the tests of certificates have verifiers of their own.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has TLS 1.3".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
