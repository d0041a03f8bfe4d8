//! Who is admitted, and what others are told. Clients of different addresses come through a trusted proxy.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::code::CloseCode;
use driftless_server::{config::Config, ground::transport_kind::TransportKind};
use std::{
    io::{Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    time::Duration,
};
use util::{
    Player, Socket, TestServer, config, join,
    process::{self, Process},
    until,
};

const ANN: &str = "192.0.2.1";
const BOB: &str = "198.51.100.7";

/// A server behind a proxy on this machine.
fn behind_proxy(config: Config) -> TestServer {
    TestServer::start(Config { trusted_proxy: "127.0.0.0/8".parse().unwrap(), ..config })
}

/// A player whom the proxy reports at this address.
fn from(server: &TestServer, address: &str, room: &str) -> Player {
    let stream = TcpStream::connect(server.address()).unwrap();
    over(stream, server.address(), &format!("x-forwarded-for: {address}\r\n"), room)
}

fn over(stream: TcpStream, address: SocketAddr, headers: &str, room: &str) -> Player {
    let headers = format!("sec-websocket-protocol: driftless.v1\r\n{headers}");
    let socket = Socket::upgrade(stream, &headers).unwrap_or_else(|refused| panic!("refused: {refused:?}"));
    Player::on(socket, address, join(room))
}

#[test]
fn an_address_with_all_its_connections_is_told_so_and_others_come_in() {
    let server = behind_proxy(Config { max_connections_per_address: 2, ..config() });
    let mut players = [from(&server, ANN, "lobby"), from(&server, ANN, "lobby")];
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    let goodbye = from(&server, ANN, "lobby").goodbye();
    assert_eq!(goodbye.code, u32::from(CloseCode::AddressLimit.number()));
    assert_eq!(goodbye.reason, "192.0.2.1 has reached the limit of 2 for one address");
    from(&server, BOB, "lobby").welcomed();
    // All addresses of a /64 are one source, and a mapped address is the IPv4 address that it maps.
    assert_eq!(from(&server, "::ffff:192.0.2.1", "lobby").ended(), CloseCode::AddressLimit);
    let _site = ["2001:db8::1", "2001:db8::2"].map(|address| from(&server, address, "lobby").welcomed());
}

#[test]
fn a_site_is_one_address_however_many_it_has() {
    let server = behind_proxy(Config { max_connections_per_address: 2, ..config() });
    let mut players = ["2001:db8::1", "2001:db8::2"].map(|address| from(&server, address, "lobby"));
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    assert_eq!(from(&server, "2001:db8::3", "lobby").ended(), CloseCode::AddressLimit);
    from(&server, "2001:db8:0:1::3", "lobby").welcomed();
}

#[test]
fn who_comes_too_fast_is_told_when_to_come_again() {
    let server = behind_proxy(Config { joins_per_second_per_address: 1, ..config() });
    let mut codes = Vec::new();
    let mut wait = None;
    for _ in 0..7 {
        let mut player = from(&server, ANN, "lobby");
        let goodbye = player.wait("an answer", |event| match event {
            driftless_proto::session::client::ClientEvent::Welcome(_) => Some(None),
            driftless_proto::session::client::ClientEvent::Goodbye(goodbye) => Some(Some(goodbye.clone())),
            _ => None,
        });
        codes.push(goodbye.as_ref().map_or(0, |goodbye| goodbye.code));
        wait = goodbye.map(|goodbye| goodbye.reconnect_after_ms);
    }
    let refused = codes.iter().filter(|code| **code == u32::from(CloseCode::AddressLimit.number())).count();
    assert!((1..=2).contains(&refused), "five at once, then one a second: {codes:?}");
    assert!(wait.is_some_and(|wait| wait > 0), "{wait:?}");
    from(&server, BOB, "lobby").welcomed();
}

/// Promise 9: "Honest clients are not punished for what the server, a proxy or the network did: [...] a seat
/// survives it."
#[test]
fn who_lost_the_connection_comes_back_though_every_place_and_every_turn_is_taken() {
    let config = Config {
        max_connections: 3,
        max_connections_per_address: 3,
        joins_per_second_per_address: 1,
        ..config()
    };
    let server = behind_proxy(config);
    let mut players: Vec<_> = (0..3).map(|_| from(&server, ANN, "lobby")).collect();
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    // Five joins in a row pass at once; then none is admitted any more.
    while from(&server, ANN, "lobby").ended() != CloseCode::AddressLimit {}
    let again = |server: &TestServer| {
        let stream = TcpStream::connect(server.address()).unwrap();
        let headers = format!("sec-websocket-protocol: driftless.v1\r\nx-forwarded-for: {ANN}\r\n");
        Socket::upgrade(stream, &headers).unwrap()
    };
    for player in &mut players {
        // The old connections stay, like those that a network has lost without notice.
        let token = player.token();
        player.reconnect_on(again(&server));
        assert!(player.welcomed().resumed);
        assert_eq!(player.token(), token);
    }
}

/// A proxy passes on headers that it does not write itself, and whatever its client has put before its own
/// entry. If any of that made the proxy's own address count, which is this machine's, a single header would
/// lift all limits.
#[test]
fn no_header_of_a_client_lifts_its_limits() {
    let server = behind_proxy(Config { max_connections_per_address: 1, ..config() });
    let mut first = from(&server, ANN, "lobby");
    first.welcomed();
    for invented in
        ["forwarded: for=203.0.113.6\r\n", "x-forwarded-for: 127.0.0.1\r\n", "x-forwarded-for: ?\r\n"]
    {
        let stream = TcpStream::connect(server.address()).unwrap();
        let headers = format!("{invented}x-forwarded-for: {ANN}\r\n");
        assert_eq!(
            over(stream, server.address(), &headers, "lobby").ended(),
            CloseCode::AddressLimit,
            "{invented}"
        );
    }
}

#[test]
fn what_a_stranger_says_of_his_address_counts_for_nothing() {
    let server = TestServer::start(Config { max_connections_per_address: 1, ..config() });
    // These come from loopback, which is not limited.
    let mut players: Vec<_> = (0..3).map(|_| from(&server, ANN, "lobby")).collect();
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    assert_eq!(server.connections_of(TransportKind::WebSocket), 3);
}

/// A PROXY protocol header, version 2, for a TCP connection from this address.
fn proxy_header(client: &str) -> Vec<u8> {
    let IpAddr::V4(client) = client.parse().unwrap() else { panic!("an IPv4 address") };
    let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    [signature, client.octets().to_vec(), vec![127, 0, 0, 1, 0x12, 0x34, 0, 80]].concat()
}

#[test]
fn a_trusted_proxy_may_say_the_client_before_the_first_byte() {
    let server = behind_proxy(Config { max_connections_per_address: 1, proxy_protocol: true, ..config() });
    let connect = |client: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&proxy_header(client)).unwrap();
        over(stream, server.address(), "", "lobby")
    };
    let mut first = connect(ANN);
    first.welcomed();
    assert_eq!(connect(ANN).ended(), CloseCode::AddressLimit);
    connect(BOB).welcomed();
    // A proxy that sends no header is not served: all its clients would share one address.
    let mut silent = TcpStream::connect(server.address()).unwrap();
    silent.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_proxy_that_does_not_begin_with_the_header_is_named_in_the_log() {
    let proxy = ["--trusted-proxy", "127.0.0.1", "--proxy-protocol", "--log", "warn"];
    let server = Process::of(process::command(&[&["--listen", "127.0.0.1:0"], &proxy[..]].concat()));
    for sent in [&b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n"[..], b""] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let told = server.stop();
    let lines: Vec<_> = told.lines().filter(|line| line.contains("not a PROXY protocol header")).collect();
    assert!(
        lines.len() == 1 && lines[0].contains("proxy=127.0.0.1"),
        "who says nothing says nothing wrong: {told}"
    );
}

#[test]
fn sockets_that_ask_for_nothing_count_too() {
    let server = behind_proxy(Config { max_connections_per_address: 1, proxy_protocol: true, ..config() });
    let open = |client: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&proxy_header(client)).unwrap();
        stream
    };
    // Three for each player (one connected, one lost, one who watches), and 32 more.
    let idle: Vec<_> = (0..41).map(|_| open(ANN)).collect();
    until("those beyond are dropped", || server.running().metrics().refused.get("sockets") >= 6);
    over(open(BOB), server.address(), "", "lobby").welcomed();
    drop(idle);
}

#[test]
fn one_address_can_make_only_so_many_rooms() {
    let server = behind_proxy(Config { max_rooms_per_address: 2, ..config() });
    let mut players = [from(&server, ANN, "a"), from(&server, ANN, "b")];
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    assert_eq!(from(&server, ANN, "c").ended(), CloseCode::AddressLimit);
    from(&server, ANN, "a").welcomed();
    from(&server, BOB, "c").welcomed();
}

#[test]
fn rooms_cannot_ask_for_more_ticks_than_there_are() {
    let server = TestServer::start(Config { max_ticks_per_second: 60, ..config() });
    let _a = Player::join(server.address(), "a");
    let _b = Player::join(server.address(), "b");
    let goodbye = Player::on(Socket::connect(server.address()), server.address(), join("c")).goodbye();
    assert_eq!(goodbye.code, u32::from(CloseCode::ServerFull.number()));
    assert_eq!(goodbye.reason, "all 45 ticks per second are in use by other rooms");
}

#[test]
fn a_room_in_which_nobody_stayed_goes_soon() {
    let server = TestServer::start(Config { linger: Duration::from_secs(3600), ..config() });
    let mut player = Player::join(server.address(), "vanishing");
    player.leave();
    until("the room has ended", || server.running().registry().get("vanishing").is_none());
}
