//! Upgrade requests at `/v1/connect`, byte by byte as they arrive: what becomes a WebSocket, and how the rest
//! is answered.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};
use util::{PATIENCE, Player, TestServer, config, http, until};

const LINE: &str = "GET /v1/connect HTTP/1.1";
const HEADERS: [&str; 6] = [
    "host: localhost",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-protocol: driftless.v1",
];

/// A valid request with this request line, these headers in place of those with the same name, and more at
/// the end.
fn request(line: &str, instead: &[&str], more: &[&str]) -> String {
    let name = |header: &str| header.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let kept = HEADERS.iter().filter(|header| !instead.iter().any(|other| name(other) == name(header)));
    // A name without a value removes the header.
    let put = instead.iter().filter(|header| header.contains(':'));
    let headers: String = kept.chain(put).chain(more).map(|header| format!("{header}\r\n")).collect();
    format!("{line}\r\n{headers}\r\n")
}

/// The status and head of the answer, and everything after it until the server closed.
fn answer(server: &TestServer, request: &[u8]) -> http::Response {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A request that is refused early may be closed before all of it is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101") {
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut answer);
    }
    http::parse(&answer)
}

#[test]
fn what_is_an_upgrade_becomes_a_websocket() {
    let server = TestServer::start(config());
    let long = format!("x-filler: {}", "x".repeat(8 * 1024));
    let good: &[(&str, String)] = &[
        ("as it should be", request(LINE, &[], &[])),
        ("names and words in any case", request(LINE, &["CONNECTION: uPGRADE", "UPGRADE: WebSocket"], &[])),
        ("connection is a list", request(LINE, &["connection: keep-alive, Upgrade"], &[])),
        (
            "connection is a list in two headers",
            request(LINE, &["connection: Upgrade"], &["connection: keep-alive"]),
        ),
        ("several subprotocols", request(LINE, &["sec-websocket-protocol: chat, driftless.v1"], &[])),
        ("an absolute URI", request("GET http://localhost/v1/connect HTTP/1.1", &[], &[])),
        ("a query", request("GET /v1/connect?room=a HTTP/1.1", &[], &[])),
        (
            "an extension that is not taken",
            request(LINE, &[], &["sec-websocket-extensions: permessage-deflate"]),
        ),
        ("a body of no bytes", request(LINE, &[], &["content-length: 0"])),
        (
            "spaces around values",
            request(LINE, &["upgrade:   websocket  ", "sec-websocket-version:  13 "], &[]),
        ),
        ("a head of 8 KiB", request(LINE, &[], &[&long])),
    ];
    for (what, request) in good {
        let answer = answer(&server, request.as_bytes());
        assert_eq!(answer.status, 101, "{what}: {answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pplmbitxaq9kygzzhzrbk+xoo="), "{what}");
        assert_eq!(answer.header("sec-websocket-protocol"), Some("driftless.v1"), "{what}");
        assert_eq!(answer.header("sec-websocket-extensions"), None, "{what}");
    }
    until("all are gone", || server.connections() == 0);
}

#[test]
fn what_is_no_upgrade_is_told_why() {
    let server = TestServer::start(config());
    let header = |name: &str, length: usize| format!("{name}: {}", "x".repeat(length));
    let (large, many) =
        (header("x-filler", 64 * 1024), (0..200).map(|n| format!("x-{n}: y")).collect::<Vec<_>>());
    let (many, half): (Vec<&str>, _) =
        (many.iter().map(String::as_str).collect(), header("x-filler", 17 * 1024));
    let large_protocol = header("sec-websocket-protocol", 32 * 1024);
    let key = |key: &str| request(LINE, &[&format!("sec-websocket-key: {key}")], &[]);
    let version = |version: &str| request(LINE, &[&format!("sec-websocket-version: {version}")], &[]);
    let protocol = |names: &str| request(LINE, &[&format!("sec-websocket-protocol: {names}")], &[]);
    let bad: Vec<(&str, u16, String)> = vec![
        // The request line.
        ("POST", 405, request("POST /v1/connect HTTP/1.1", &[], &[])),
        ("HEAD", 405, request("HEAD /v1/connect HTTP/1.1", &[], &[])),
        ("OPTIONS", 405, request("OPTIONS /v1/connect HTTP/1.1", &[], &[])),
        ("CONNECT", 400, request("CONNECT localhost:80 HTTP/1.1", &[], &[])),
        ("a method nobody knows", 405, request("BREW /v1/connect HTTP/1.1", &[], &[])),
        ("no method", 400, request("/v1/connect HTTP/1.1", &[], &[])),
        ("HTTP/1.0", 426, request("GET /v1/connect HTTP/1.0", &[], &[])),
        ("HTTP/2 as if it were 1", 400, request("GET /v1/connect HTTP/2.0", &[], &[])),
        ("no version", 400, request("GET /v1/connect", &[], &[])),
        ("another path", 400, request("GET /v1/stream HTTP/1.1", &[], &[])),
        ("a path that is not there", 400, request("GET /v1/connected HTTP/1.1", &[], &[])),
        ("a page", 400, request("GET / HTTP/1.1", &[], &[])),
        // Host.
        ("no host", 400, request(LINE, &["host"], &[])),
        ("two hosts", 400, request(LINE, &[], &["host: localhost"])),
        ("a host that may be anybody's", 421, request(LINE, &["host: evil.example"], &[])),
        ("an absolute URI of anybody", 421, request("GET http://evil.example/v1/connect HTTP/1.1", &[], &[])),
        // Connection and Upgrade.
        ("no connection", 426, request(LINE, &["connection"], &[])),
        ("connection: close", 426, request(LINE, &["connection: close"], &[])),
        ("connection: keep-alive", 426, request(LINE, &["connection: keep-alive"], &[])),
        ("a word that ends with upgrade", 426, request(LINE, &["connection: no-upgrade"], &[])),
        ("no upgrade", 426, request(LINE, &["upgrade"], &[])),
        ("another upgrade", 426, request(LINE, &["upgrade: h2c"], &[])),
        ("a word that begins with websocket", 426, request(LINE, &["upgrade: websockets"], &[])),
        ("one upgrade of two", 400, request(LINE, &["upgrade: h2c, websocket"], &[])),
        // The version.
        ("no version of WebSocket", 426, request(LINE, &["sec-websocket-version"], &[])),
        ("a version before the RFC", 426, version("8")),
        ("a version to come", 426, version("14")),
        ("a version that is no number", 426, version("x")),
        ("a version with a zero", 426, version("013")),
        ("versions in a list", 426, version("13, 8")),
        ("two versions", 426, request(LINE, &[], &["sec-websocket-version: 13"])),
        // The key.
        ("no key", 400, request(LINE, &["sec-websocket-key"], &[])),
        ("an empty key", 400, key("")),
        ("a key of 15 bytes", 400, key("dGhlIHNhbXBsZSBub25j")),
        ("a key of 17 bytes", 400, key("dGhlIHNhbXBsZSBub25jZWU=")),
        ("a key without padding", 400, key("dGhlIHNhbXBsZSBub25jZQ")),
        ("a key that is no base64", 400, key("dGhlIHNhbXBsZSBub25jZ!==")),
        ("a key in the alphabet of URLs", 400, key("-_hlIHNhbXBsZSBub25jZQ==")),
        ("a key of 8 KiB", 400, key(&"A".repeat(8 * 1024))),
        ("two keys", 400, request(LINE, &[], &["sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="])),
        // The subprotocol.
        ("no subprotocol", 400, request(LINE, &["sec-websocket-protocol"], &[])),
        ("another subprotocol", 400, protocol("driftless.v2")),
        ("a subprotocol in other letters", 400, protocol("Driftless.V1")),
        ("an empty subprotocol", 400, protocol("")),
        // A body.
        ("a body", 400, request(LINE, &[], &["content-length: 5"]) + "hello"),
        ("a body that does not come", 400, request(LINE, &[], &["content-length: 5"])),
        ("a body in chunks", 400, request(LINE, &[], &["transfer-encoding: chunked"]) + "0\r\n\r\n"),
        ("chunks that do not come", 400, request(LINE, &[], &["transfer-encoding: chunked"])),
        ("both lengths", 400, request(LINE, &[], &["transfer-encoding: chunked", "content-length: 5"])),
        ("two lengths", 400, request(LINE, &[], &["content-length: 0", "content-length: 0"])),
        ("a length that is no number", 400, request(LINE, &[], &["content-length: -1"])),
        // The origin.
        ("a foreign page", 403, request(LINE, &[], &["origin: https://evil.example"])),
        (
            "two origins",
            403,
            request(LINE, &["host: localhost"], &["origin: http://localhost", "origin: http://localhost"]),
        ),
        ("a page without an origin", 403, request(LINE, &[], &["origin: null"])),
        // The head.
        ("a folded header", 400, request(LINE, &[], &["x-folded: a\r\n b"])),
        ("a space before the colon", 400, request(LINE, &[], &["x-spaced : a"])),
        ("a header without a colon", 400, request(LINE, &[], &["x-no-colon"])),
        ("a header without a name", 400, request(LINE, &[], &[": a"])),
        ("a zero byte", 400, request(LINE, &[], &["x-zero: a\0b"])),
        ("a carriage return alone", 400, request(LINE, &[], &["x-return: a\rb"])),
        ("a head of 17 KiB", 431, request(LINE, &[], &[&half])),
        ("a head of 64 KiB", 431, request(LINE, &[], &[&large])),
        ("a subprotocol of 32 KiB", 431, request(LINE, &[&large_protocol], &[])),
        ("a head without end", 431, format!("{LINE}\r\nx-filler: {}", "x".repeat(200 * 1024))),
        ("200 headers", 431, request(LINE, &[], &many)),
        ("no HTTP at all", 400, "\u{16}\u{3}\u{1}\r\n\r\n".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (what, status, request) in &bad {
        let answer = answer(&server, request.as_bytes());
        if answer.status != *status {
            wrong.push(format!("{what}: {} instead of {status}", answer.status));
            continue;
        }
        if !answer.body.is_empty() {
            assert!(!answer.error_code().is_empty(), "{what}");
        }
        if what.contains("version of WebSocket") || answer.body.contains("unknown_version") {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{what}");
        }
        if *status == 426 {
            assert_eq!(answer.header("upgrade"), Some("websocket"), "{what}: {answer:?}");
        }
        if *status == 405 {
            assert_eq!(answer.header("allow"), Some("get"), "{what}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    until("no connection is left", || server.connections() == 0);
    Player::join(server.address(), "lobby").next_tick();
}

#[test]
fn a_page_of_a_development_server_plays_and_a_foreign_one_does_not() {
    let server = TestServer::start(config());
    let from = |origin: &str| answer(&server, request(LINE, &[], &[&format!("origin: {origin}")]).as_bytes());
    for origin in ["http://localhost:5173", "http://127.0.0.1:8080", "http://localhost", "https://[::1]:1"] {
        assert_eq!(from(origin).status, 101, "{origin}");
    }
    let refused = from("https://evil.example");
    assert_eq!((refused.status, &*refused.error_code()), (403, "foreign_origin"));
    assert!(refused.body.contains("--allow-origin https://evil.example"), "{}", refused.body);
    assert_eq!(server.running().metrics().requests_refused.get("foreign_origin"), 1);
}
