//! The WebSocket transport against peers that break its rules (RFC 6455), by accident or not.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::wire::client_message::Body;
use std::net::TcpStream;
use util::{
    Frame, Player, Socket, TestServer, client, config, join,
    process::Process,
    socket::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT},
    until,
};

/// RFC 6455, section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;

/// A connection that has joined, without anybody to drive it.
fn joined(server: &TestServer) -> Socket {
    Player::join(server.address(), "lobby").socket
}

/// What the server does with these bytes, before a join and after it; and that its books are right then.
#[track_caller]
fn refused(bytes: &[u8], code: u16, reason: &'static str) {
    let server = TestServer::start(config());
    for mut socket in [Socket::connect(server.address()), joined(&server)] {
        socket.send_raw(bytes).unwrap();
        assert_eq!(socket.close_code(), Some(code));
    }
    until("no connection is left", || server.connections() == 0);
    until("no seat is left", || server.players() == 0);
    assert_eq!(server.disconnects(reason), 2);
}

#[track_caller]
fn not_upgraded(server: &TestServer, headers: &str) -> util::http::Response {
    let stream = TcpStream::connect(server.address()).unwrap();
    match Socket::upgrade(stream, headers) {
        Ok(_) => panic!("upgraded with {headers:?}"),
        Err(response) => response,
    }
}

// Promise 6: "Bad input gets a named error and a documented close code."
#[test]
fn unknown_subprotocols_are_refused_by_name() {
    let server = TestServer::start(config());
    let other = not_upgraded(&server, "sec-websocket-protocol: chat, driftless.v2\r\n");
    assert_eq!((other.status, &*other.error_code()), (400, "unknown_subprotocol"));
    assert!(other.body.contains("driftless.v2") && other.body.contains("driftless.v1"), "{}", other.body);

    let none = not_upgraded(&server, "");
    assert_eq!((none.status, &*none.error_code()), (400, "unknown_subprotocol"));
    assert!(none.body.contains("driftless.v1"), "{}", none.body);
    assert_eq!(server.running().metrics().refused.get("subprotocol"), 2);
}

#[test]
fn ours_is_chosen_among_several_subprotocols() {
    let server = TestServer::start(config());
    for offer in ["chat, driftless.v1", "driftless.v1, chat", "chat\r\nsec-websocket-protocol: driftless.v1"]
    {
        let stream = TcpStream::connect(server.address()).unwrap();
        let upgraded = Socket::upgrade(stream, &format!("sec-websocket-protocol: {offer}\r\n"));
        assert!(upgraded.is_ok(), "{offer:?}");
    }
}

#[test]
fn what_is_no_upgrade_is_refused() {
    let server = TestServer::start(config());
    let plain = util::http::request(
        server.address(),
        "GET /v1/connect HTTP/1.1\r\nhost: x\r\nsec-websocket-protocol: driftless.v1\r\nconnection: close\r\n\r\n",
    );
    assert_eq!((plain.status, &*plain.error_code()), (426, "upgrade_required"));
}

#[test]
fn a_text_frame_is_refused() {
    refused(&socket::frame(FIN | TEXT, b"{\"hello\":1}"), UNSUPPORTED, "not_binary");
}

#[test]
fn text_in_fragments_is_refused() {
    refused(&socket::frame(TEXT, b"{\"hello\""), UNSUPPORTED, "not_binary");
}

#[test]
fn an_unmasked_frame_is_refused() {
    refused(&[FIN | BINARY, 2, 1, 2], PROTOCOL_ERROR, "malformed");
}

#[test]
fn reserved_bits_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        refused(&socket::frame(FIN | bit | BINARY, b"x"), PROTOCOL_ERROR, "malformed");
    }
}

#[test]
fn a_reserved_opcode_is_refused() {
    refused(&socket::frame(FIN | 0x3, b"x"), PROTOCOL_ERROR, "malformed");
    refused(&socket::frame(FIN | 0xB, b"x"), PROTOCOL_ERROR, "malformed");
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    refused(&socket::frame(FIN | CONTINUATION, b"x"), PROTOCOL_ERROR, "malformed");
}

#[test]
fn a_message_within_a_message_is_refused() {
    let nested = [socket::frame(BINARY, b"x"), socket::frame(FIN | BINARY, b"y")].concat();
    refused(&nested, PROTOCOL_ERROR, "malformed");
}

#[test]
fn a_long_or_fragmented_ping_is_refused() {
    refused(&socket::frame(FIN | PING, &[0; 126]), PROTOCOL_ERROR, "malformed");
    refused(&socket::frame(PING, b"x"), PROTOCOL_ERROR, "malformed");
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_header() {
    // Not one byte of the payload is sent.
    refused(&socket::header(FIN | BINARY, 16 * 1024 + 1), TOO_BIG, "too_large");
    refused(&socket::header(FIN | BINARY, 1 << 31), TOO_BIG, "too_large");
    refused(&socket::header(FIN | BINARY, u64::MAX), TOO_BIG, "too_large");
}

#[test]
fn fragments_that_are_too_long_together_are_refused() {
    let part = [0; 8 * 1024];
    let parts = [socket::frame(BINARY, &part), socket::frame(CONTINUATION, &part)].concat();
    refused(&[parts, socket::frame(CONTINUATION, b"x")].concat(), TOO_BIG, "too_large");
}

#[test]
fn frames_without_end_that_bring_no_message_are_refused() {
    let fragments = [socket::frame(BINARY, b"x"), socket::frame(CONTINUATION, b"").repeat(1000)].concat();
    refused(&fragments, POLICY, "rate_limited");
    refused(&socket::frame(FIN | PING, b"x").repeat(1000), POLICY, "rate_limited");
    refused(&socket::frame(FIN | PONG, b"x").repeat(1000), POLICY, "rate_limited");
}

// Promise 4: "One client, however slow or hostile, does not […] grow memory without bound."
#[test]
fn an_announced_2_gib_message_is_cut_off_and_costs_no_memory() {
    const GROWTH: u64 = 8 * 1024 * 1024;
    let server = Process::start(&["--workers", "1"]);
    // What a connection costs once (threads, first pages) is not the message's.
    assert_eq!(util::http::get(server.address(), "/metrics").status, 200);
    Player::join(server.address(), "lobby").leave();
    let before = server.rss();

    let mut socket = Player::join(server.address(), "lobby").socket;
    socket.send_raw(&socket::header(FIN | BINARY, 1 << 31)).unwrap();
    let chunk = vec![0; 1 << 20];
    // The server reads on for a while without keeping anything, so that the close frame is not lost; then it
    // cuts off.
    let mut highest = 0;
    until("cut off", || {
        highest = highest.max(server.rss());
        socket.send_raw(&chunk).is_err()
    });
    highest = highest.max(server.rss());
    assert!(highest < before + GROWTH, "grew by {} bytes", highest - before);
    until("it is counted", || {
        let metrics = util::http::get(server.address(), "/metrics");
        metrics.metric("driftless_disconnects_total{reason=\"too_large\"}") == 1.0
            && metrics.metric("driftless_connections{transport=\"websocket\"}") == 0.0
    });
}

#[test]
fn a_message_in_fragments_is_one_message() {
    let server = TestServer::start(config());
    let mut socket = Socket::connect(server.address());
    let join = client(Body::Join(join("lobby")));
    let (first, rest) = join.split_at(3);
    let (second, third) = rest.split_at(2);
    socket.send_frame(BINARY, first).unwrap();
    socket.send_frame(CONTINUATION, second).unwrap();
    socket.send_frame(FIN | PING, b"between").unwrap();
    assert_eq!(socket.recv(), Frame::Pong(b"between".to_vec()), "control frames may come between fragments");
    socket.send_frame(FIN | CONTINUATION, third).unwrap();
    let Frame::Binary(message) = socket.recv() else { panic!("no message") };
    assert!(matches!(util::server(&message), driftless_proto::wire::server_message::Body::Welcome(_)));
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_one_frame() {
    let server = TestServer::start(config());
    let mut socket = Socket::connect(server.address());
    for byte in socket::frame(FIN | BINARY, &client(Body::Join(join("lobby")))) {
        socket.send_raw(&[byte]).unwrap();
    }
    assert!(matches!(socket.recv(), Frame::Binary(_)));
}

#[test]
fn what_comes_with_the_handshake_is_not_lost() {
    let server = TestServer::start(config());
    let join = socket::frame(FIN | BINARY, &client(Body::Join(join("lobby"))));
    let mut socket = Socket::connect_saying(server.address(), &join);
    assert!(matches!(socket.recv(), Frame::Binary(_)));
}

#[test]
fn the_newest_ping_is_answered() {
    let server = TestServer::start(config());
    let mut socket = Socket::connect(server.address());
    socket.send_frame(FIN | PING, b"").unwrap();
    assert_eq!(socket.recv(), Frame::Pong(vec![]));
    socket.send_frame(FIN | PING, &[9; 125]).unwrap();
    assert_eq!(socket.recv(), Frame::Pong(vec![9; 125]));
}

#[test]
fn a_close_frame_is_answered_and_the_seat_is_kept() {
    let server = TestServer::start(config());
    let mut socket = joined(&server);
    socket.send_frame(FIN | CLOSE, &1000u16.to_be_bytes()).unwrap();
    assert!(socket.close_code().is_some(), "answered");
    socket.wait_end();
    drop(socket);
    until("the connection is gone", || server.connections() == 0);
    assert_eq!(server.players(), 1, "a close is no leave: the player may come back");
    assert_eq!(server.disconnects("lost"), 1);
}

#[test]
fn who_does_not_answer_the_close_is_left_all_the_same() {
    let server = TestServer::start(config());
    let mut socket = joined(&server);
    socket.send_raw(&socket::frame(FIN | TEXT, b"x")).unwrap();
    assert_eq!(socket.close_code(), Some(UNSUPPORTED));
    until("the connection is gone", || server.connections() == 0);
    socket.wait_end();
}

// A proxy that sees the server end its half closes both sides, and resets the client if that was just
// sending: it would never read why. (RFC 6455, section 7.1.1: the server ends the connection after the
// handshake.)
#[test]
fn a_connection_ends_only_after_the_close_is_answered() {
    let server = TestServer::start(config());
    let mut socket = joined(&server);
    socket.send(&client(Body::Leave(Default::default()))).unwrap();
    assert_eq!(socket.close_code(), Some(driftless_proto::code::CloseCode::Left.number()));
    let stream = socket.stream().try_clone().unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let more = stream.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(more, Err(std::io::ErrorKind::WouldBlock), "it has not ended yet");
    assert_eq!(server.connections(), 1);
    // What was under way is no answer.
    socket.send_frame(FIN | PING, b"late").unwrap();
    socket.send_frame(FIN | CLOSE, &1000u16.to_be_bytes()).unwrap();
    socket.wait_end();
    drop(socket);
    until("no connection is left", || server.connections() == 0);
}

// Promise 6: "Bad input gets a named error and a documented close code." So does a leave, whatever the peer
// does with its half.
#[test]
fn who_leaves_and_ends_its_half_is_told_goodbye() {
    let server = TestServer::start(config());
    let mut socket = joined(&server);
    socket.send(&client(Body::Leave(Default::default()))).unwrap();
    socket.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(socket.close_code(), Some(driftless_proto::code::CloseCode::Left.number()));
    until("no connection is left", || server.connections() == 0);
}
