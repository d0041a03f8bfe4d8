//! Liveness, readiness and health over a real socket: what is wrong is told to those whom it concerns, and to
//! nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{code::CloseCode, session::client::ClientEvent};
use driftless_server::health::{Matters, PartName};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};
use util::{
    PATIENCE, Player, Socket, TestServer, config, http, join,
    process::{Process, limited},
    until,
};

/// Statuses of `/livez`, `/readyz` and `/healthz`.
fn statuses(server: &TestServer) -> [u16; 3] {
    ["/livez", "/readyz", "/healthz"].map(|path| server.get(path).status)
}

fn part(server: &TestServer, name: &str) -> Value {
    let told = server.get("/healthz?verbose").json();
    let parts = told["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{told}")).clone()
}

#[test]
fn a_server_at_rest_is_well_and_says_what_it_judges() {
    let server = TestServer::start(config());
    assert_eq!(statuses(&server), [200; 3]);
    for name in ["ticks", "accept", "log"] {
        assert_eq!(part(&server, name)["well"], true);
    }
    assert_eq!(server.get("/healthz").json(), json!({ "status": "ok", "failing": [] }));
}

#[test]
fn a_part_that_fails_makes_the_health_red_and_only_if_newcomers_need_it_the_readiness() {
    let server = TestServer::start(config());
    let store = server.running().health().part(PartName::Store, Matters::ToOperators);
    let gate = server.running().health().part(PartName::Lease, Matters::ToNewcomers);
    store.fails("the disk is full: make room");
    assert_eq!(statuses(&server), [200, 200, 503], "matches go on");
    let told = part(&server, "store");
    assert_eq!((&told["well"], &told["why"]), (&json!(false), &json!("the disk is full: make room")));
    assert_eq!(server.get("/metrics").metric("driftless_failing{part=\"store\"}"), 1.0);
    gate.fails("shut");
    assert_eq!(statuses(&server), [200, 503, 503]);
    assert_eq!(server.get("/readyz").json()["failing"], json!(["lease"]));
    gate.is_well();
    store.is_well();
    assert_eq!(statuses(&server), [200; 3]);
    assert_eq!(server.get("/metrics").metric("driftless_failing{part=\"store\"}"), 0.0);
}

#[test]
fn a_server_that_drains_is_neither_ready_nor_healthy_but_alive() {
    let server = TestServer::start(config());
    server.running().registry().drain();
    assert_eq!(statuses(&server), [200, 503, 503]);
    assert_eq!(server.get("/healthz").json()["status"], "draining");
}

/// A connection that is open before there are no more.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Status and body.
    fn ask(&mut self, path: &str) -> (String, String) {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection is kept");
            let line = line.trim().to_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].to_owned();
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().unwrap();
            } else if line.is_empty() {
                let mut body = vec![0; length];
                self.0.read_exact(&mut body).unwrap();
                return (status, String::from_utf8(body).unwrap());
            }
        }
    }
}

/// A liveness probe that gets no answer would kill the matches of all.
#[test]
fn players_leave_files_for_those_who_ask_and_for_telling_others_that_the_server_is_full() {
    let server = Process::of(limited(
        100,
        &["--listen", "127.0.0.1:0", "--threads", "1", "--workers", "1", "--log", "off"],
    ));
    let mut players = Vec::new();
    let full = loop {
        assert!(players.len() < 60, "it has no files for so many");
        let mut player = Player::on(Socket::connect(server.address()), server.address(), join("lobby"));
        let refused = player.wait("an answer", |event| match event {
            ClientEvent::Welcome(_) => Some(None),
            ClientEvent::Goodbye(goodbye) => Some(Some(goodbye.clone())),
            _ => None,
        });
        match refused {
            None => players.push(player),
            Some(goodbye) => break goodbye,
        }
    };
    assert_eq!(full.code, u32::from(CloseCode::ServerFull.number()));
    assert!(players.len() > 5, "{}", players.len());
    for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
        assert_eq!(http::get(server.address(), path).status, 200, "{path}");
    }
}

#[test]
fn a_process_without_files_left_says_that_it_accepts_nobody_and_when_it_does_again() {
    let server = Process::of(limited(
        90,
        &["--listen", "127.0.0.1:0", "--threads", "1", "--workers", "1", "--log", "off"],
    ));
    let mut kept = Kept::open(server.address());
    assert_eq!(kept.ask("/readyz").0, "200");
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    until("it is not ready", || kept.ask("/readyz").0 == "503");
    let (status, why) = kept.ask("/healthz?verbose");
    assert!(status == "503" && why.contains("LimitNOFILE"), "{why}");
    assert_eq!(kept.ask("/livez").0, "200");
    drop(crowd);
    until("it is ready again", || kept.ask("/readyz").0 == "200");
}
