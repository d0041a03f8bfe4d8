//! What reaches the UDP port before there is a connection: garbage, half handshakes, replays, and addresses
//! that may be spoofed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::wire::client_message::Body;
use driftless_server::{config::Config, ground::transport_kind::TransportKind};
use quinn::{
    Endpoint,
    rustls::{
        self, RootCertStore,
        client::Resumption,
        crypto::ring,
        pki_types::{CertificateDer, UnixTime},
        time_provider::TimeProvider,
    },
};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use util::{
    PATIENCE, Player, TestServer, client, config, join,
    quic::{self, BOTH, Kind, wait},
    until,
};

/// How long a socket must be quiet before nothing more is expected. (If it were too short, a test would only
/// see less.)
const QUIET: Duration = Duration::from_millis(500);

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Everything that arrives until it is quiet.
fn answers(socket: &UdpSocket, quiet: Duration) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2048];
    let mut all = Vec::new();
    socket.set_read_timeout(Some(quiet)).unwrap();
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => all.push(buffer[..length].to_vec()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return all,
            Err(e) => panic!("{e}"),
        }
    }
}

/// The first packets of a client before any answer, including early data if it sends any.
fn first_flight(start: impl FnOnce(SocketAddr)) -> Vec<Vec<u8>> {
    let tap = udp();
    start(tap.local_addr().unwrap());
    let mut buffer = [0; 2048];
    let length = tap.recv(&mut buffer).unwrap();
    let first = buffer[..length].to_vec();
    let rest = answers(&tap, Duration::from_millis(100));
    std::iter::once(first).chain(rest).collect()
}

/// A client's first packet.
fn initial() -> Vec<u8> {
    let endpoint = quic::endpoint();
    first_flight(|tap| {
        let _guard = quic::RUNTIME.enter();
        let connecting = endpoint.connect_with(quic::config(Kind::Quic), tap, "localhost").unwrap();
        quic::RUNTIME.spawn(connecting);
    })
    .remove(0)
}

fn quic_config(handshakes: usize, retry_above: usize) -> Config {
    let mut config = Config { quic_handshakes: handshakes, quic_retry_above: retry_above, ..config() };
    config.limits.handshake = Duration::from_secs(1);
    config
}

#[test]
fn garbage_is_met_with_silence_or_less_than_it_was() {
    let server = TestServer::start(config());
    let other = Player::join_over(Kind::Quic, server.quic(), "lobby").in_background();
    let socket = udp();
    let mut sent = 0;
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    for n in 0..2000u64 {
        let length = (n * 7 % 1400) as usize;
        let mut packet: Vec<u8> = (0..length)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random as u8
            })
            .collect();
        if let Some(first) = packet.first_mut() {
            match n % 3 {
                0 => *first = 0x40 | (*first & 0x3F), // looks like a packet of a connection
                1 => *first = 0xC0 | (*first & 0x3F), // looks like a first packet
                _ => {}
            }
        }
        if n % 6 == 1 && length > 5 {
            packet[1..5].copy_from_slice(&[0, 0, 0, 1]); // of the right version
        }
        sent += length;
        socket.send_to(&packet, server.quic()).unwrap();
        if n % 100 == 0 {
            other.wait_ticks(1);
        }
    }
    let answered: usize = answers(&socket, QUIET).iter().map(Vec::len).sum();
    assert!(answered <= sent / 3, "{answered} bytes for {sent}: at most a word that the version is unknown");
    other.wait_ticks(5);
    assert_eq!(server.connections_of(TransportKind::Quic), 1);
    other.stop().leave();
}

// RFC 9000, section 8.1: before it has validated the address, a server sends at most three times what it
// received. quinn lets the datagram pass that crosses the limit (quinn-rs/quinn#1082), so it is less than
// three times and one datagram.
#[test]
fn a_false_address_is_not_flooded() {
    let server = TestServer::start(quic_config(1000, 1000));
    for _ in 0..2 {
        let (socket, packet) = (udp(), initial());
        assert!(packet.len() >= 1200, "a client pads its first packet: {}", packet.len());
        socket.send_to(&packet, server.quic()).unwrap();
        // Longer than the handshake may take, including retransmissions.
        let answers = answers(&socket, Duration::from_millis(1500));
        let bytes: usize = answers.iter().map(Vec::len).sum();
        let lengths: Vec<_> = answers.iter().map(Vec::len).collect();
        assert!(bytes > 0 && bytes < 3 * packet.len() + 1200, "{lengths:?} bytes for {}", packet.len());
    }
    assert_eq!(server.connections_of(TransportKind::Quic), 0);
}

#[test]
fn with_many_handshakes_in_progress_an_address_must_be_validated() {
    let server = TestServer::start(quic_config(10, 0));
    let socket = udp();
    let packet = initial();
    // Strangers who never answer take no permits, however many there are.
    for _ in 0..50 {
        socket.send_to(&packet, server.quic()).unwrap();
        let mut answer = [0; 2048];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[0] & 0xF0, 0xF0, "a Retry (RFC 9000, section 17.2.5)");
        assert!(length < packet.len() / 4, "{length}");
    }
    for kind in BOTH {
        Player::join_over(kind, server.quic(), "lobby").leave();
    }
    assert_eq!(server.running().metrics().refused.get("handshakes"), 0);
}

#[test]
fn with_too_many_handshakes_in_progress_more_are_refused() {
    let server = TestServer::start(quic_config(2, 1000));
    let player = Player::join(server.address(), "lobby").in_background();
    let half: Vec<_> = (0..2).map(|_| (udp(), initial())).collect();
    for (socket, packet) in &half {
        socket.send_to(packet, server.quic()).unwrap();
        socket.recv(&mut [0; 2048]).expect("the server's part of the handshake");
    }
    let endpoint = quic::endpoint();
    let refused = wait(quic::dial(&endpoint, server.quic(), quic::config(Kind::Quic))).unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    assert_eq!(server.running().metrics().refused.get("handshakes"), 1);
    player.wait_ticks(3);
    // Unfinished handshakes are given up.
    until("there is a place again", || {
        wait(quic::dial(&endpoint, server.quic(), quic::config(Kind::Quic))).is_ok()
    });
    player.stop().leave();
}

/// A server that accepts early data, unlike ours.
fn permissive() -> Endpoint {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], der.into())
        .unwrap();
    tls.alpn_protocols = vec![quic::alpn(Kind::Quic).as_bytes().to_vec()];
    tls.max_early_data_size = u32::MAX;
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let _guard = quic::RUNTIME.enter();
    Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(tls)), (Ipv4Addr::LOCALHOST, 0).into())
        .unwrap()
}

/// A client that keeps tickets, and sends early data where it may.
fn early_client() -> quinn::ClientConfig {
    let mut tls = quic::any_certificate();
    tls.enable_early_data = true;
    tls.resumption = Resumption::in_memory_sessions(8);
    tls.alpn_protocols = vec![quic::alpn(Kind::Quic).as_bytes().to_vec()];
    quic::with_tls(tls)
}

/// A connection that sends before the handshake, if the client has a ticket for it (which is then used up).
fn early(address: SocketAddr, config: &quinn::ClientConfig) -> Option<quinn::Connection> {
    let endpoint = quic::endpoint();
    let _guard = quic::RUNTIME.enter();
    let connecting = endpoint.connect_with(config.clone(), address, "localhost").unwrap();
    connecting.into_0rtt().ok().map(|(connection, _)| connection)
}

// 0-RTT is not accepted: anybody who saw early data can send it again.
#[test]
fn our_tickets_allow_no_early_data() {
    let server = TestServer::start(config());
    let config = early_client();
    let endpoint = quic::endpoint();
    let connection = wait(quic::dial(&endpoint, server.quic(), config.clone())).unwrap();
    let mut player = Player::on(
        quic::Link::on(Kind::Quic, endpoint, web_transport_quinn::Session::raw(connection)),
        server.quic(),
        join("lobby"),
    );
    player.welcomed();
    player.next_tick(); // tickets came long before
    assert!(early(server.quic(), &config).is_none());
    player.leave();
}

#[test]
fn early_data_that_is_replayed_does_nothing() {
    let server = TestServer::start(config());
    let permissive = permissive();
    let config = early_client();
    // A ticket of a server that accepts early data, for the same name.
    let endpoint = quic::endpoint();
    let address = permissive.local_addr().unwrap();
    let taken = wait(async {
        let (server, client) = tokio::join!(
            async { permissive.accept().await.unwrap().await.unwrap() },
            quic::dial(&endpoint, address, config.clone()),
        );
        let client = client.unwrap();
        // The tickets come with the server's first bytes.
        let mut greeting = server.open_uni().await.unwrap();
        greeting.write_all(b"hello").await.unwrap();
        client.accept_uni().await.unwrap().read_exact(&mut [0; 5]).await.unwrap();
        (server, client)
    });

    let mut message = bytes::BytesMut::new();
    driftless_proto::framing::put_message(&client(Body::Join(join("lobby"))), &mut message);
    let flight = first_flight(|tap| {
        let connection = early(tap, &config).expect("the ticket allows early data");
        let message = message.clone();
        quic::RUNTIME.spawn(async move {
            let (mut send, _receive) = connection.open_bi().await.unwrap();
            send.write_all(&message).await.unwrap();
            connection.closed().await;
        });
    });
    drop(taken);

    for replay in 0..3 {
        let socket = udp();
        for packet in &flight {
            socket.send_to(packet, server.quic()).unwrap();
        }
        let answered = !answers(&socket, QUIET).is_empty();
        assert_eq!(answered, replay == 0, "the handshake itself is answered, once");
    }
    assert_eq!((server.players(), server.connections_of(TransportKind::Quic)), (0, 0));

    // The replay would have worked: a server that accepts early data reads the join from it.
    let socket = udp();
    for packet in &flight {
        socket.send_to(packet, address).unwrap();
    }
    let read = wait(async {
        let connecting = permissive.accept().await.unwrap().accept().unwrap();
        let (connection, _) = connecting.into_0rtt().expect("a server may always");
        let (_send, mut receive) = connection.accept_bi().await.unwrap();
        let mut read = vec![0; message.len()];
        receive.read_exact(&mut read).await.unwrap();
        read
    });
    assert_eq!(read, message);
}

/// A clock for a client's certificate check.
#[derive(Debug)]
struct InTheFuture(Duration);

impl TimeProvider for InTheFuture {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + self.0))
    }
}

#[test]
fn an_expired_certificate_is_refused_by_the_client_and_hurts_nobody() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let server = TestServer::start(config());
    let other = Player::join_over(Kind::Quic, server.quic(), "lobby").in_background();
    let certificate = CertificateDer::from(server.running().certificates().certificate());
    let dial = |age: Duration| {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_details(provider, Arc::new(InTheFuture(age)))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![quic::alpn(Kind::Quic).as_bytes().to_vec()];
        wait(quic::dial(&quic::endpoint(), server.quic(), quic::with_tls(tls))).map(drop)
    };
    assert_eq!(dial(Duration::ZERO), Ok(()));
    let refused = dial(14 * DAY).unwrap_err();
    assert!(refused.to_lowercase().contains("expired"), "{refused}");
    other.wait_ticks(5);
    until("only the other is there", || server.connections_of(TransportKind::Quic) == 1);
    other.stop().leave();
}

// The client's address changes in the middle, as when a phone changes networks.
#[test]
fn a_connection_goes_on_from_another_port() {
    let server = TestServer::start(Config { threads: 3, ..config() });
    for kind in BOTH {
        let mut player = Player::named_over(kind, server.quic(), "lobby", "ann");
        for n in 0..4 {
            let before = player.socket.endpoint.local_addr().unwrap();
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let _guard = quic::RUNTIME.enter();
            player.socket.endpoint.rebind(socket).unwrap();
            assert_ne!(player.socket.endpoint.local_addr().unwrap(), before);
            // A packet from the new address tells the server.
            let input = player.run(n, 0);
            util::eventually("a state with the input", || {
                player.next_tick();
                player.run(n, 0);
                (player.session.snapshot().is_some() && input > 0).then_some(())
            });
            for _ in 0..5 {
                player.next_tick();
            }
        }
        assert_eq!(server.disconnects("lost"), 0);
        player.chat("still here");
        assert_eq!(player.next_chat().1, "still here");
        player.leave();
        until("the place is given back", || server.running().metrics().rooms.players.get() == 0);
    }
    assert_eq!(server.running().metrics().rooms.resumes.get("resumed"), 0, "it was one connection all along");
}
