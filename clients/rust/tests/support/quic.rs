//! A QUIC and WebTransport server for tests, with a room for one player.

use super::room::Room;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use driftless_client::{
    Options, TransportKind, Trust,
    proto::{
        framing::{Framing, put_message},
        limits::{ALPN, SUBPROTOCOL},
        session::Delivery,
    },
};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use ring::digest::{SHA256, digest};
use rustls::pki_types::PrivateKeyDer;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use web_transport_quinn::{ReadError, RecvStream, SendStream, Session, proto::ConnectResponse};

/// First byte of a `ServerMessage` with a state.
const STATE: u8 = 0x0a;

/// A certificate as text.
pub fn pem_of(certificate: &rcgen::Certificate) -> String {
    let text = STANDARD.encode(certificate.der());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

pub struct QuicServer {
    endpoint: quinn::Endpoint,
    config: quinn::ServerConfig,
    pub certificate: rcgen::Certificate,
}

impl QuicServer {
    /// On a free port of loopback, with a certificate that became valid `from_days` ago and is valid for
    /// `days`.
    pub fn with_validity(from_days: i64, days: i64) -> Self {
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(from_days);
        params.not_after = params.not_before + time::Duration::days(days);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let CertifiedKey { cert: certificate, signing_key } =
            CertifiedKey { cert: certificate, signing_key: key };

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let mut tls =
            builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        tls.alpn_protocols = vec![ALPN.into(), web_transport_quinn::ALPN.into()];
        let tls = QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let endpoint = quinn::Endpoint::server(config.clone(), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { endpoint, config, certificate }
    }

    /// From now on a client may have this many bidirectional streams open.
    pub fn allow_streams(&self, streams: u32) {
        let mut transport = quinn::TransportConfig::default();
        transport.max_concurrent_bidi_streams(streams.into());
        let mut config = self.config.clone();
        config.transport_config(Arc::new(transport));
        self.endpoint.set_server_config(Some(config));
    }

    pub fn start() -> Self {
        Self::with_validity(1, 13)
    }

    pub fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    pub fn hash(&self) -> [u8; 32] {
        digest(&SHA256, self.certificate.der()).as_ref().try_into().unwrap()
    }

    /// The certificate as text.
    pub fn pem(&self) -> String {
        pem_of(&self.certificate)
    }

    /// Options that trust this server and use this transport.
    pub fn options(&self, kind: TransportKind) -> Options {
        Options {
            trust: Trust::Sha256(vec![[7; 32], self.hash()]),
            ..Options::new(format!("ws://{}", self.address()), "test").kind("test").transports([kind])
        }
    }

    /// The next connection, of either kind.
    pub async fn accept(&self) -> Session {
        let connection = self.endpoint.accept().await.unwrap().await.unwrap();
        let data = connection.handshake_data().unwrap().downcast::<HandshakeData>().unwrap();
        if data.protocol.as_deref() == Some(ALPN.as_bytes()) {
            return Session::raw(connection);
        }
        let request = web_transport_quinn::Request::accept(connection).await.unwrap();
        assert_eq!(request.url.path(), "/v1/connect");
        request.respond(ConnectResponse::OK.with_protocol(SUBPROTOCOL)).await.unwrap()
    }

    /// Accepts the next handshake, which the client is expected to abandon.
    pub async fn ignore(&self) {
        let _ = self.endpoint.accept().await.unwrap().await;
    }
}

/// One player's connection, and the room behind it.
pub struct Served {
    pub session: Session,
    pub room: Room,
    pub tick: u32,
    /// States sent as datagrams, and on streams of their own.
    pub datagrams: u32,
    pub streams: u32,
    up: RecvStream,
    down: SendStream,
    framing: Framing,
}

impl Served {
    /// Takes over a session whose client has opened its reliable stream.
    pub async fn new(session: Session, mut room: Room, tick: u32) -> Self {
        let (down, up) = session.accept_bi().await.unwrap();
        room.delivery = Delivery::Datagram;
        room.connect(Instant::now());
        let framing = Framing::new(1 << 16);
        Self { session, room, tick, datagrams: 0, streams: 0, up, down, framing }
    }

    /// Serves for this many ticks of 2 ms, with a state that `state` makes, or until the client has gone.
    /// True: it is still there.
    pub async fn serve(&mut self, ticks: u32, mut state: impl FnMut(u32, &mut Room)) -> bool {
        let mut clock = tokio::time::interval(Duration::from_millis(2));
        let last = self.tick + ticks;
        let mut buffer = [0; 2000];
        while self.tick < last {
            tokio::select! {
                read = self.up.read(&mut buffer) => match read {
                    Ok(Some(read)) => {
                        let mut chunk = Bytes::copy_from_slice(&buffer[..read]);
                        while let Some(message) = self.framing.next_message(&mut chunk).unwrap() {
                            self.room.receive(Instant::now(), message);
                        }
                    }
                    Ok(None) | Err(ReadError::SessionError(_)) => return false,
                    Err(error) => panic!("{error}"),
                },
                datagram = self.session.read_datagram() => match datagram {
                    Ok(message) => self.room.receive(Instant::now(), message),
                    Err(_) => return false,
                },
                _ = clock.tick() => {
                    self.room.handle_timeout(Instant::now());
                    if self.room.is_active() {
                        self.tick += 1;
                        state(self.tick, &mut self.room);
                    }
                }
            }
            self.send().await;
            if let Some(code) = self.room.closing() {
                self.down.finish().unwrap();
                let _ = self.down.stopped().await; // the client has the goodbye
                self.session.close(code.number().into(), b"as the test wants");
                self.session.closed().await;
                return false;
            }
        }
        true
    }

    async fn send(&mut self) {
        while let Some(message) = self.room.poll(Instant::now()) {
            if message[0] != STATE {
                let mut framed = BytesMut::new();
                put_message(&message, &mut framed);
                let _ = self.down.write_all(&framed).await;
            } else if message.len() <= self.session.max_datagram_size() {
                self.datagrams += 1;
                let _ = self.session.send_datagram(message);
            } else if let Ok(mut stream) = self.session.open_uni().await {
                self.streams += 1;
                let _ = stream.write_all(&message).await;
                let _ = stream.finish();
            }
        }
    }
}
