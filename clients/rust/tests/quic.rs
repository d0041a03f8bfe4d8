//! The client over QUIC and WebTransport on loopback, against a server with a real server session.
#![allow(clippy::unwrap_used)]

mod support;

use driftless_client::{
    Client, Connection, Disconnect, Error, Event, Options, Phase, Step, Transport, TransportKind, Trust,
    proto::{code::CloseCode, limits::PROTOCOL, wire},
    transport::DialError,
};
use prost::Message;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::{
    BINARY, Peer, listen,
    log::Log,
    quic::{QuicServer, Served, pem_of},
    room::{Room, snapshot},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::{JoinHandle, LocalSet, spawn_local},
};

const BOTH: [TransportKind; 2] = [TransportKind::Quic, TransportKind::WebTransport];

/// A state of this many things, and an event.
fn play(things: u32) -> impl FnMut(u32, &mut Room) {
    move |tick, room| {
        room.event(tick);
        let state: Vec<_> = (1..=things).map(|id| (id, [place(tick, id), -(tick as i32), 1])).collect();
        room.publish(&snapshot(tick, &state));
    }
}

/// A place that no predictor expects.
fn place(tick: u32, id: u32) -> i32 {
    tick.wrapping_mul(tick).wrapping_mul(id).wrapping_mul(2_654_435_761) as i32
}

/// Serves one client until it has gone.
fn serve(server: QuicServer, things: u32) -> JoinHandle<Served> {
    spawn_local(async move {
        let mut served = Served::new(server.accept().await, Room::new(Instant::now()), 0).await;
        served.serve(u32::MAX, play(things)).await;
        served
    })
}

/// Receives `states` states and sends an input after each. Returns the ticks of the states and the numbers of
/// the events.
async fn take_states(client: &mut Client, states: usize) -> (Vec<u32>, Vec<u64>) {
    let (mut ticks, mut events) = (Vec::new(), Vec::new());
    while ticks.len() < states {
        match client.next().await.unwrap() {
            Event::State { tick, .. } => {
                ticks.push(tick);
                client.send_input(&wire::Leave {}).unwrap();
            }
            Event::Game(event) => events.push(u64::from_be_bytes(event.payload[..].try_into().unwrap())),
            Event::Disconnected { cause, .. } => panic!("{cause}"),
            _ => {}
        }
    }
    (ticks, events)
}

// Promise 2: "A client never applies a state older than one it has applied." Promise 3: "Reliable events
// arrive exactly once, in order, across a resume within the window."
#[tokio::test]
async fn player_joins_plays_and_leaves() {
    for kind in BOTH {
        LocalSet::new()
            .run_until(async {
                let server = QuicServer::start();
                let options = server.options(kind);
                let serving = serve(server, 3);
                let mut client = Client::connect(options).await.unwrap();
                assert_eq!(client.transport(), kind);
                let (ticks, events) = take_states(&mut client, 50).await;
                assert!(ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
                assert_eq!(events, (1..=events.len() as u64).collect::<Vec<_>>());
                client.leave().await.unwrap();
                let served = serving.await.unwrap();
                assert!(served.datagrams > 0 && served.streams == 0, "states are datagrams");
                let inputs: Vec<_> = served.room.inputs.iter().map(|input| input.sequence).collect();
                assert!(inputs.len() > 40 && inputs.is_sorted_by(|a, b| a < b), "{inputs:?}");
                assert_eq!(served.room.closing(), Some(CloseCode::Left));
            })
            .await;
    }
}

#[tokio::test]
async fn states_that_fit_no_datagram_come_on_streams() {
    for kind in BOTH {
        LocalSet::new()
            .run_until(async {
                let server = QuicServer::start();
                let options = server.options(kind);
                let serving = serve(server, 2000);
                let mut client = Client::connect(options).await.unwrap();
                let (ticks, _) = take_states(&mut client, 20).await;
                assert!(ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
                assert_eq!(client.snapshot().unwrap().tables()[0].len(), 2000);
                drop(client);
                assert!(serving.await.unwrap().streams >= 20);
            })
            .await;
    }
}

#[tokio::test]
async fn connection_goes_on_from_another_port() {
    for kind in BOTH {
        LocalSet::new()
            .run_until(async {
                let server = QuicServer::start();
                let options = server.options(kind);
                let serving = serve(server, 3);
                let mut client = Client::connect(options).await.unwrap();
                take_states(&mut client, 10).await;
                let endpoint = client.connection().endpoint().unwrap();
                let before = endpoint.local_addr().unwrap();
                endpoint.rebind().unwrap();
                assert_ne!(endpoint.local_addr().unwrap().port(), before.port());
                take_states(&mut client, 50).await;
                assert_eq!((client.stats().reconnects, client.transport()), (0, kind));
                client.leave().await.unwrap();
                let served = serving.await.unwrap();
                assert_eq!((served.room.joins, served.room.resumes), (1, 0), "nobody joined again");
                assert_ne!(
                    served.session.remote_address().port(),
                    before.port(),
                    "the server has seen it move"
                );
            })
            .await;
    }
}

#[tokio::test]
async fn goodbye_and_close_have_one_code() {
    for kind in BOTH {
        LocalSet::new()
            .run_until(async {
                let server = QuicServer::start();
                let options = server.options(kind);
                let serving = spawn_local(async move {
                    let mut served = Served::new(server.accept().await, Room::new(Instant::now()), 0).await;
                    served.serve(5, play(1)).await;
                    served.room.close(CloseCode::Kicked, Duration::ZERO);
                    served.serve(5, play(1)).await;
                });
                let mut client = Client::connect(options).await.unwrap();
                let ended = loop {
                    if let Err(error) = client.next().await {
                        break error;
                    }
                };
                let Error::Ended(Disconnect::Goodbye { code, reason, .. }) = ended else {
                    panic!("{ended:?}")
                };
                assert_eq!((code, reason.as_str()), (CloseCode::Kicked.number(), "as the test wants"));
                serving.await.unwrap();
            })
            .await;
    }
}

#[tokio::test]
async fn close_without_a_goodbye_is_told_with_its_code() {
    for kind in BOTH {
        LocalSet::new()
            .run_until(async {
                let server = QuicServer::start();
                let options = server.options(kind);
                let serving = spawn_local(async move {
                    let served = Served::new(server.accept().await, Room::new(Instant::now()), 0).await;
                    served.session.close(CloseCode::TooLarge.number().into(), b"too large");
                    served.session.closed().await;
                });
                let ended = Client::connect(options).await.unwrap_err();
                let Error::Ended(cause) = ended else { panic!("{ended:?}") };
                assert_eq!(cause.close_code(), Some(CloseCode::TooLarge), "{cause}");
                serving.await.unwrap();
            })
            .await;
    }
}

/// The result of dialing this server.
async fn dial(server: &QuicServer, options: &Options) -> Result<(), DialError> {
    tokio::select! {
        opened = Connection::open(options) => opened.map(drop),
        () = async { loop { server.ignore().await } } => unreachable!(),
    }
}

#[tokio::test]
async fn certificates_that_are_not_trusted_are_refused() {
    // Valid now; expired yesterday; valid from tomorrow.
    for (from_days, valid_now) in [(1, true), (14, false), (-1, false)] {
        let server = QuicServer::with_validity(from_days, 13);
        let pinned = server.options(TransportKind::Quic);
        let wrong = Options { trust: Trust::Sha256(vec![[1; 32]]), ..pinned.clone() };
        let refused = dial(&server, &wrong).await.unwrap_err();
        assert!(matches!(refused, DialError::Untrusted { .. }), "{refused:?}");
        match dial(&server, &pinned).await {
            Ok(()) => assert!(valid_now),
            Err(error) => assert!(!valid_now && matches!(error, DialError::Untrusted { .. }), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn authorities_sign_for_a_name() {
    let server = QuicServer::start();
    let by = |pem: String| Options {
        trust: Trust::Authorities(pem.into_bytes()),
        ..server.options(TransportKind::Quic)
    };
    dial(&server, &by(server.pem())).await.unwrap();
    let other = QuicServer::start().pem();
    for pem in [other, String::new(), "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n".into()] {
        let refused = dial(&server, &by(pem)).await.unwrap_err();
        assert!(matches!(refused, DialError::Untrusted { .. }), "{refused:?}");
    }
    let system = Options { trust: Trust::System, ..server.options(TransportKind::Quic) };
    let refused = dial(&server, &system).await.unwrap_err();
    assert!(matches!(refused, DialError::Untrusted { .. }), "{refused:?}");
}

/// Answers requests over TLS, with a certificate of its own (which this returns, in PEM), that this QUIC is
/// the server's and has a certificate that nobody has signed.
async fn proxy_of(server: &QuicServer) -> (u16, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider);
    // As some proxies are set.
    let tls = tls.with_protocol_versions(&[&rustls::version::TLS12]).unwrap().with_no_client_auth();
    let key = key.serialize_der().try_into().unwrap();
    let tls = tls.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let hash: String = server.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    let body = format!(
        r#"{{"hashes_needed":true,"certificates":[{{"sha256_hex":"{hash}"}}],"quic":{{"host":"127.0.0.1","port":{}}}}}"#,
        server.address().port()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /v1/certificate "), "nothing else is asked of it");
            stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (port, pem_of(&certificate))
}

// Behind a proxy with TLS, each node makes itself a certificate for QUIC. Who is sent from one to another
// asks that one for its hash.
#[tokio::test]
async fn a_node_with_tls_is_asked_for_the_certificate_that_it_has_made_itself() {
    let (first, second) = (QuicServer::start(), QuicServer::start());
    for server in [&first, &second] {
        let (port, authority) = proxy_of(server).await;
        let moved = wire::Moved { url: format!("wss://localhost:{port}"), ..wire::Moved::default() };
        let options = |url: &str| Options {
            trust: Trust::FetchWith(authority.clone().into_bytes()),
            ..Options::new(url, "test").transports([TransportKind::Quic])
        };
        let there = options(&moved.url);
        dial(server, &there).await.unwrap();
        let elsewhere = options("wss://localhost:1");
        tokio::select! {
            opened = Transport::dial(&elsewhere, Some(&moved)) => drop(opened.unwrap()),
            () = async { loop { server.ignore().await } } => unreachable!(),
        }
        // The proxy itself must be trusted.
        let error = dial(server, &Options { trust: Trust::Fetch, ..there }).await.unwrap_err();
        assert!(matches!(error, DialError::Untrusted { .. }), "{error:?}");
    }
}

/// Gives a player a seat, and nothing more.
async fn welcome(peer: &mut Peer, connection: &mut Connection) {
    let welcome = wire::Welcome { protocol: PROTOCOL, tick_rate: 20, ..wire::Welcome::default() };
    let message = wire::ServerMessage { body: Some(wire::server_message::Body::Welcome(welcome)) };
    peer.frame(true, BINARY, &message.encode_to_vec()).await;
    assert!(matches!(connection.next(None).await, Step::Event(Event::Welcome(_))));
}

#[tokio::test]
async fn silent_udp_port_leads_to_a_websocket_which_is_told_once() {
    let log = Log::default();
    let _log = log.start();
    let (listener, url) = listen().await;
    // Nothing reads what arrives there, as behind a firewall that drops UDP.
    let _silent = std::net::UdpSocket::bind(listener.local_addr().unwrap()).unwrap();
    let options = Options {
        trust: Trust::Sha256(vec![[0; 32]]),
        head_start: Duration::from_millis(20),
        ..Options::new(url, "test").transports([TransportKind::Quic, TransportKind::WebSocket])
    };
    let (connection, mut peer) = tokio::join!(Connection::open(&options), Peer::accept(&listener));
    let mut connection = connection.unwrap();
    assert_eq!(connection.transport(), TransportKind::WebSocket);
    let told = log.text();
    assert!(told.contains("fell back to another transport wanted=quic got=websocket"), "{told}");
    assert!(told.contains("no connection within"), "{told}");
    // The transport that worked goes first the next time: otherwise the client would not be connected within
    // the minute.
    welcome(&mut peer, &mut connection).await;
    connection.abort();
    while connection.next(None).await != Step::Closed {}
    let patient = Options { head_start: Duration::from_secs(60), ..options };
    let redial = tokio::time::timeout(Duration::from_secs(30), connection.redial(&patient));
    let (redialled, _peer) = tokio::join!(redial, Peer::accept(&listener));
    redialled.unwrap();
    assert_eq!(connection.transport(), TransportKind::WebSocket);
    assert_eq!(log.text(), told);
}

#[tokio::test]
async fn redial_leaves_a_live_connection_alone() {
    let (listener, url) = listen().await;
    let options = Options::new(url, "test").transports([TransportKind::WebSocket]);
    let (connection, mut peer) = tokio::join!(Connection::open(&options), Peer::accept(&listener));
    let mut connection = connection.unwrap();
    welcome(&mut peer, &mut connection).await;
    // Otherwise this would end it for good.
    connection.redial(&Options::new("nowhere", "test")).await;
    assert_eq!(*connection.core().phase(), Phase::Online);
    assert!(connection.carrier().is_some());
}

#[tokio::test]
async fn dial_that_is_given_up_leaves_no_connection_behind() {
    for kind in BOTH {
        // The server opens no stream for the client, which waits for one when it is dropped.
        let server = QuicServer::start();
        server.allow_streams(if kind == TransportKind::Quic { 0 } else { 1 });
        let options = server.options(kind);
        let mut dialing = Box::pin(Connection::open(&options));
        let session = tokio::select! {
            session = server.accept() => session,
            _ = &mut dialing => unreachable!("there is no stream"),
        };
        let _ = tokio::time::timeout(Duration::from_millis(100), &mut dialing).await.unwrap_err();
        drop(dialing);
        let closed = tokio::time::timeout(Duration::from_secs(5), session.closed()).await;
        closed.expect("the server is told");
    }
}

#[tokio::test]
async fn all_transports_that_fail_are_named() {
    let (listener, url) = listen().await;
    drop(listener);
    let options = Options { connect_timeout: Duration::from_millis(300), ..Options::new(url, "test") };
    let error = Connection::open(&options).await.unwrap_err();
    let DialError::All(errors) = &error else { panic!("{error:?}") };
    let kinds: Vec<_> = errors.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [TransportKind::Quic, TransportKind::WebSocket], "{error}");
    assert!(error.may_retry());
}
