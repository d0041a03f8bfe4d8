//! QUIC and WebTransport clients that break rules: each gets its documented code, or nothing, and nobody else
//! notices.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    framing::put_message,
    session::client::ClientEvent,
    wire::{self, client_message::Body, server_message},
};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use quinn::VarInt;
use std::time::Duration;
use util::{
    Player, TestServer, client, config,
    games::{Ask, Obedient},
    join,
    process::Process,
    quic::{self, BOTH, Came, Kind, Link, wait, within},
    until,
};

/// Somebody plays while others commit this fault, on both transports; afterwards the player's ticks continue,
/// and no permit is left taken.
#[track_caller]
fn beside_a_player(config: Config, fault: impl Fn(Kind, &TestServer)) {
    let server = TestServer::start(config);
    for kind in BOTH {
        let other = Player::named_over(kind, server.quic(), "lobby", "other").in_background();
        fault(kind, &server);
        other.wait_ticks(5);
        until("the places are given back", || {
            server.running().metrics().rooms.players.get() >= 1 && open(&server) == 1
        });
        other.stop().leave();
        until("the last place is given back", || open(&server) == 0);
    }
}

fn open(server: &TestServer) -> i64 {
    use driftless_server::ground::transport_kind::TransportKind;
    TransportKind::ALL.iter().map(|transport| server.connections_of(*transport)).sum()
}

/// A link whose player is in the room.
#[track_caller]
fn joined(kind: Kind, server: &TestServer) -> Link {
    let mut link = Link::connect(kind, server.quic());
    link.send_reliable(&client(Body::Join(join("lobby")))).unwrap();
    util::eventually("the welcome", || matches!(link.recv(), Came::Reliable(_)).then_some(()));
    link
}

#[track_caller]
fn closes_with(mut link: Link, expected: CloseCode) -> String {
    let (code, reason) = link.close_code();
    assert_eq!(CloseCode::from_number(code as u16), Some(expected), "{code}: {reason}");
    reason
}

#[test]
fn a_datagram_that_is_no_message_is_malformed() {
    beside_a_player(config(), |kind, server| {
        for garbage in [&[0xFF; 40][..], &[0x0A, 0x7F], &[0x0A, 0x02, 0x08], &[7]] {
            let link = joined(kind, server);
            link.send_datagram(garbage).unwrap();
            closes_with(link, CloseCode::Malformed);
        }
    });
}

#[test]
fn an_empty_or_unknown_datagram_is_ignored() {
    beside_a_player(config(), |kind, server| {
        let mut link = joined(kind, server);
        for nothing in [&[][..], &[0xFA, 0x07, 0x01, 0x00]] {
            link.send_datagram(nothing).unwrap();
        }
        link.send_datagram(&client(Body::Ping(wire::Ping { time_us: 3 }))).unwrap();
        util::eventually("a pong", || match link.recv() {
            Came::Datagram(message) => {
                matches!(util::server(&message), server_message::Body::Pong(_)).then_some(())
            }
            Came::Closed { code, reason } => panic!("{code} {reason}"),
            _ => None,
        });
    });
}

#[test]
fn a_datagram_before_the_join_is_unexpected() {
    beside_a_player(config(), |kind, server| {
        let link = Link::connect(kind, server.quic());
        link.send_datagram(&client(Body::Ping(wire::Ping { time_us: 3 }))).unwrap();
        closes_with(link, CloseCode::Unexpected);
    });
}

#[test]
fn a_datagram_of_another_session_is_malformed() {
    let server = TestServer::start(config());
    let link = joined(Kind::WebTransport, &server);
    // Bypasses the session, which would write its own number at the start.
    let connection: &quinn::Connection = &link.session;
    connection.send_datagram(Bytes::from_static(&[0x04, 0x0A, 0x00])).unwrap();
    closes_with(link, CloseCode::Malformed);
}

#[test]
fn too_many_datagrams_are_too_many_messages() {
    beside_a_player(config(), |kind, server| {
        let link = joined(kind, server);
        let ping = client(Body::Ping(wire::Ping { time_us: 3 }));
        // More than the allowed burst of twice 300, some of which the client's own buffer drops.
        until("the server has had enough", || (0..100).any(|_| link.send_datagram(&ping).is_err()));
        closes_with(link, CloseCode::RateLimited);
    });
}

// Promise 4: "One client, however slow or hostile, does not … grow memory without bound."
#[test]
fn a_length_that_is_too_large_is_refused_before_the_message() {
    beside_a_player(config(), |kind, server| {
        let mut link = joined(kind, server);
        link.send_raw(&[0x81, 0x80, 0x01]).unwrap(); // 16385
        let reason = closes_with(link, CloseCode::TooLarge);
        assert_eq!(reason, "a message of 16385 bytes; at most 16384 are allowed");
        let mut link = joined(kind, server);
        link.send_raw(&[0x80; 5]).unwrap();
        closes_with(link, CloseCode::Malformed);
    });
}

#[test]
fn a_message_may_come_byte_by_byte() {
    beside_a_player(config(), |kind, server| {
        let mut link = Link::connect(kind, server.quic());
        let mut framed = BytesMut::new();
        put_message(&client(Body::Join(join("lobby"))), &mut framed);
        for byte in framed {
            link.send_raw(&[byte]).unwrap();
        }
        util::eventually("the welcome", || matches!(link.recv(), Came::Reliable(_)).then_some(()));
    });
}

// A player who goes without a leave may come back; the wire shows only that the stream has ended.
#[test]
fn the_end_of_the_stream_is_a_lost_connection() {
    beside_a_player(config(), |kind, server| {
        let (lost, seats) = (server.disconnects("lost"), server.players());
        let mut cut = joined(kind, server);
        cut.send_raw(&[100, 1, 2, 3]).unwrap();
        cut.finish_stream();
        closes_with(cut, CloseCode::Malformed);
        let mut ended = joined(kind, server);
        ended.finish_stream();
        closes_with(ended, CloseCode::Unexpected);
        let mut reset = joined(kind, server);
        reset.reset_stream();
        closes_with(reset, CloseCode::Unexpected);
        until("all count as lost", || server.disconnects("lost") == lost + 3);
        assert_eq!(server.players(), seats + 3, "their seats are kept");
    });
}

#[test]
fn acknowledging_what_was_not_sent_is_unexpected() {
    beside_a_player(config(), |kind, server| {
        for (state_ack, reliable_ack) in [(1 << 30, 0), (0, 1 << 40)] {
            for input in [false, true] {
                let link = joined(kind, server);
                let message = match input {
                    true => Body::Input(wire::Input {
                        sequence: 1,
                        state_ack,
                        reliable_ack,
                        ..Default::default()
                    }),
                    false => Body::Ack(wire::Ack { state_ack, reliable_ack, ..wire::Ack::default() }),
                };
                link.send_datagram(&client(message)).unwrap();
                closes_with(link, CloseCode::Unexpected);
            }
        }
    });
}

#[test]
fn a_stopped_stream_is_unexpected() {
    beside_a_player(config(), |kind, server| {
        let (_endpoint, session) = wait(quic::open(kind, server.quic(), quic::config(kind))).unwrap();
        let (mut send, mut receive) = wait(session.open_bi()).unwrap();
        let mut framed = BytesMut::new();
        put_message(&client(Body::Join(join("lobby"))), &mut framed);
        wait(send.write_all(&framed)).unwrap();
        receive.stop(9).unwrap();
        // The welcome, or what follows it, cannot be delivered.
        let _somebody = Player::join(server.address(), "lobby");
        let Came::Closed { code, .. } = quic::closed(wait(session.closed())) else { panic!("no close") };
        assert_eq!(CloseCode::from_number(code as u16), Some(CloseCode::Unexpected));
    });
}

// Opening more than one stream is not an error, and has no effect: nobody reads the others.
#[test]
fn streams_that_are_not_asked_for_are_not_read() {
    beside_a_player(config(), |kind, server| {
        let mut link = joined(kind, server);
        let connection: &quinn::Connection = &link.session;
        let mut streams = Vec::new();
        // The windows fill up; then the client's own transport holds the rest back.
        while let Ok(Ok(mut stream)) = within(100, connection.open_uni()) {
            let written = within(100, stream.write_all(&[0x21; 100_000]));
            assert!(written.is_err(), "the server takes no more than its windows: {written:?}");
            streams.push(stream);
            assert!(streams.len() < 10, "there is a limit");
        }
        // Datagrams do not count against those windows, so they still flow.
        link.send_datagram(&client(Body::Ping(wire::Ping { time_us: 3 }))).unwrap();
        util::eventually("a pong", || match link.recv() {
            Came::Datagram(message) => {
                matches!(util::server(&message), server_message::Body::Pong(_)).then_some(())
            }
            Came::Closed { code, reason } => panic!("{code} {reason}"),
            _ => None,
        });
    });
}

// Promise 4, again: what waits for a player who reads nothing is bounded, and then the player is removed.
#[test]
fn who_never_reads_is_a_slow_consumer() {
    let resume_window = Duration::from_millis(100);
    let mut config = Config { default_kind: Some("obedient".to_owned()), resume_window, ..config() };
    config.limits.reliable_bytes = 64 * 1024;
    let server = TestServer::with(config, GameKind::of::<Obedient>());
    for kind in BOTH {
        let mut other = Player::named_over(kind, server.quic(), "lobby", "other");
        let mut settings = quic::config(kind);
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(4096));
        settings.transport_config(transport.into());
        let (_endpoint, session) = wait(quic::open(kind, server.quic(), settings)).unwrap();
        let (mut send, receive) = wait(session.open_bi()).unwrap();
        let mut framed = BytesMut::new();
        put_message(&client(Body::Join(join("lobby"))), &mut framed);
        wait(send.write_all(&framed)).unwrap();
        until("the slow one is in", || server.players() == 2);
        let slow = server.disconnects("slow_consumer");
        // The other player reads, and acknowledges by playing.
        other.command(&Ask { tell: 5, bytes: 1000, every_step: true, ..Ask::default() });
        until("the slow one is closed", || {
            other.wait("an event", |event| matches!(event, ClientEvent::Event(_)).then_some(()));
            server.disconnects("slow_consumer") > slow
        });
        other.command(&Ask::default());
        other.next_tick();
        let Came::Closed { code, .. } = quic::closed(wait(session.closed())) else { panic!("no close") };
        assert_eq!(CloseCode::from_number(code as u16), Some(CloseCode::SlowConsumer), "{kind:?}");
        drop(receive);
        other.next_tick();
        other.leave();
        until("the room is empty", || server.players() == 0);
    }
}

#[test]
fn a_request_for_something_else_is_refused() {
    let server = TestServer::start(config());
    let endpoint = quic::endpoint();
    let ask = |path: &str, protocols: &[&str]| {
        wait(async {
            let connection = quic::dial(&endpoint, server.quic(), quic::config(Kind::WebTransport)).await?;
            quic::request(connection, path, protocols).await.map(drop)
        })
    };
    assert_eq!(ask("/v1/connect", &["other", "driftless.v1"]), Ok(()));
    for (path, protocols, status) in [
        ("/v1/connect", &["driftless.v2"][..], "400"),
        ("/", &["driftless.v1"], "404"),
        ("/v1/connect/more", &["driftless.v1"], "404"),
    ] {
        let refused = ask(path, protocols).unwrap_err();
        assert!(refused.contains(status), "{path} {protocols:?}: {refused}");
    }
    let refused = &server.running().metrics().refused;
    assert_eq!((refused.get("subprotocol"), refused.get("not_found")), (1, 2));
}

/// Like Firefox, and Chromium before it supported subprotocols.
#[test]
fn a_webtransport_client_that_offers_no_subprotocol_is_taken() {
    let server = TestServer::start(config());
    let endpoint = quic::endpoint();
    let session = wait(async {
        let connection = quic::dial(&endpoint, server.quic(), quic::config(Kind::WebTransport)).await?;
        quic::request(connection, "/v1/connect", &[]).await
    })
    .expect("a session");
    let (mut stream, _receive) = wait(session.open_bi()).expect("a stream");
    let mut hello = BytesMut::new();
    put_message(&client(Body::Join(join("lobby"))), &mut hello);
    wait(stream.write_all(&hello)).expect("the join is sent");
    until("it has joined", || server.players() == 1);
}

#[test]
fn a_foreign_page_gets_no_session() {
    let server = TestServer::start(config());
    let endpoint = quic::endpoint();
    let ask = |origin: &str| {
        wait(async {
            let connection = quic::dial(&endpoint, server.quic(), quic::config(Kind::WebTransport)).await?;
            quic::request_from(connection, origin).await.map(drop)
        })
    };
    for origin in ["http://localhost:5173", "http://localhost:7777", "https://localhost"] {
        assert_eq!(ask(origin), Ok(()), "{origin}");
    }
    for origin in ["https://evil.example", "null"] {
        let refused = ask(origin).unwrap_err();
        assert!(refused.contains("403"), "{origin}: {refused}");
    }
    assert_eq!(server.running().metrics().refused.get("foreign_origin"), 2);
}

#[test]
fn a_connection_that_asks_for_no_session_is_closed() {
    let mut config = config();
    config.limits.handshake = Duration::from_millis(300);
    let server = TestServer::start(config);
    let endpoint = quic::endpoint();
    let connection = wait(quic::dial(&endpoint, server.quic(), quic::config(Kind::WebTransport))).unwrap();
    let quinn::ConnectionError::ApplicationClosed(close) = wait(connection.closed()) else {
        panic!("the server closes")
    };
    let code = web_transport_quinn::proto::error_from_http3(close.error_code.into_inner());
    assert_eq!(code, Some(CloseCode::HandshakeTimeout.number().into()));
    until("no place is taken", || open(&server) == 0);
}

// Promise 4: "… grow memory without bound."
#[test]
fn hostile_connections_hold_little_memory() {
    const CONNECTIONS: usize = 40;
    /// Includes the connection's own keys, buffers and timers.
    const EACH: u64 = 256 * 1024;
    let server = Process::start(&["--workers=1", "--threads=1"]);
    Player::join_over(Kind::Quic, server.address(), "lobby").leave();
    let before = server.rss();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let (endpoint, session) =
            wait(quic::open(Kind::Quic, server.address(), quic::config(Kind::Quic))).unwrap();
        let connection: &quinn::Connection = &session;
        // A message that is announced and never completed...
        let (mut first, _reads) = wait(connection.open_bi()).unwrap();
        wait(first.write_all(&[&[0x80, 0x80, 0x01][..], &[7; 16_383]].concat())).unwrap();
        // ...and more than any window, on a stream that nobody reads.
        let (mut second, _) = wait(connection.open_bi()).unwrap();
        let written = within(20, second.write_all(&[7; 200_000]));
        assert!(written.is_err(), "{written:?}");
        held.push((endpoint, session, first, second));
    }
    let grown = server.rss().saturating_sub(before);
    assert!(grown < CONNECTIONS as u64 * EACH, "{} KiB each", grown / 1024 / CONNECTIONS as u64);
    Player::join_over(Kind::Quic, server.address(), "lobby").leave();
}
