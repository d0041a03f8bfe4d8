//! The certificate that QUIC presents: the one in `/v1/certificate`, and always the newest, without dropping
//! existing connections.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::config::{Config, QuicListen};
use rustls::pki_types::CertificateDer;
use std::{net::SocketAddr, time::SystemTime};
use util::{
    Player, TestServer, config,
    quic::{BOTH, Kind, dial, endpoint, wait},
    tls::{DAY, Files, Issued, Trusting},
};

/// SHA-256 of the certificate that a handshake presents now, hexadecimal.
fn shown(server: &TestServer, kind: Kind) -> String {
    let endpoint = endpoint();
    let connection = wait(dial(&endpoint, server.quic(), util::quic::config(kind))).expect("a connection");
    let identity = connection.peer_identity().expect("a server shows one");
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().expect("of rustls");
    let hash = ring::digest::digest(&ring::digest::SHA256, &chain[0]);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn told(server: &TestServer) -> Vec<String> {
    let told = server.get("/v1/certificate").json();
    assert_eq!(told["quic"]["port"], server.quic().port());
    let url = told["quic"]["webtransport"]["url"].as_str().unwrap();
    assert_eq!(url, format!("https://127.0.0.1:{}/v1/connect", server.quic().port()));
    let hash = |certificate: &serde_json::Value| certificate["sha256_hex"].as_str().unwrap().to_owned();
    told["certificates"].as_array().unwrap().iter().map(hash).collect()
}

#[test]
fn a_renewed_certificate_is_shown_without_dropping_a_connection() {
    let server = TestServer::start(config());
    let mut players = BOTH.map(|kind| Player::join_over(kind, server.quic(), "lobby"));
    let first = told(&server);
    assert_eq!(first.len(), 1);
    for kind in BOTH {
        assert_eq!(shown(&server, kind), first[0], "{kind:?}");
    }

    server.running().certificates().refresh(SystemTime::now() + 11 * DAY);
    let both = told(&server);
    assert_eq!((both.len(), &both[0]), (2, &first[0]), "the old one is trusted until it ends");
    for kind in BOTH {
        assert_eq!(shown(&server, kind), both[1], "{kind:?}");
    }
    for player in &mut players {
        player.next_tick();
        player.run(1, 0);
        player.chat("still here");
        assert_eq!(player.next_chat().1, "still here");
    }
}

#[test]
fn a_certificate_from_files_is_shown_over_quic_too() {
    let issued = Issued::at(SystemTime::now());
    let files = Files::of(&issued);
    let server = TestServer::start(files.served_by(config()));
    let served = server.running().certificates().fingerprints()[0];
    for kind in BOTH {
        assert_eq!(shown(&server, kind), served.hex(), "{kind:?}");
    }
    let newer = Issued::at(SystemTime::now());
    files.write(&newer.certificate, &newer.key);
    server.running().certificates().refresh(SystemTime::now());
    assert_ne!(shown(&server, Kind::Quic), served.hex());
}

// Where TLS ends at a proxy, which speaks HTTP to the server.
#[test]
fn quic_may_have_a_certificate_of_its_own_while_http_stays_plain() {
    let issued = Issued::at(SystemTime::now());
    let files = Files::of(&issued);
    let (certificate, key) = (files.paths.certificate.clone(), files.paths.key.clone());
    let own = Config { quic_certificate: Some(certificate), quic_key: Some(key), ..config() };
    let server = TestServer::start(own.clone());
    let served = server.running().certificates().fingerprints()[0];
    for kind in BOTH {
        assert_eq!(shown(&server, kind), served.hex(), "{kind:?}");
    }
    let told = server.get("/v1/certificate").json();
    assert_eq!(told["hashes_needed"], false, "everybody trusts it: {told}");
    assert!(told["websocket"]["url"].as_str().unwrap().starts_with("ws://"), "{told}");
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("driftless_certificate_expires_seconds{source=\"files\"}"), "{metrics}");
    Player::join(server.address(), "lobby").next_tick();
    let newer = Issued::at(SystemTime::now());
    files.write(&newer.certificate, &newer.key);
    server.running().certificates().refresh(SystemTime::now());
    assert_ne!(shown(&server, Kind::Quic), served.hex());
    drop(server);

    // Beside another one.
    let of_http = Issued::at(SystemTime::now());
    let others = Files::of(&of_http);
    let server = TestServer::start(others.served_by(own));
    let hash = |issued: &Issued| {
        let hash = ring::digest::digest(&ring::digest::SHA256, &issued.der);
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(shown(&server, Kind::Quic), hash(&newer));
    assert_eq!(Trusting::of(&of_http.der).shown(server.address()).unwrap(), of_http.der);
}

/// Where QUIC is, for a client that uses this name for the server: the port, and WebTransport's address.
fn quic_for(server: &TestServer, host: &str) -> (u64, String) {
    let request = format!("GET /v1/certificate HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let quic = util::http::request(server.address(), &request).json()["quic"].clone();
    (quic["port"].as_u64().unwrap(), quic["webtransport"]["url"].as_str().unwrap().to_owned())
}

#[test]
fn quic_behind_a_mapped_port_is_told_where_the_client_found_http() {
    let server = TestServer::start(config());
    assert_eq!(quic_for(&server, "10.1.2.3:8080"), (8080, "https://10.1.2.3:8080/v1/connect".to_owned()));
    let port = server.quic().port();
    assert_eq!(
        quic_for(&server, "play.example"),
        (port.into(), format!("https://play.example:{port}/v1/connect"))
    );
    let own_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = TestServer::start(Config { quic: QuicListen::At(own_port), ..config() });
    assert_eq!(quic_for(&server, "10.1.2.3:8080").0, u64::from(server.quic().port()));
}

#[test]
fn a_websocket_is_told_where_the_operator_says_that_it_is_or_where_the_client_found_http() {
    let told = |server: &TestServer| {
        let head = "GET /v1/certificate HTTP/1.1\r\nhost: 10.1.2.3:8080\r\nconnection: close\r\n\r\n";
        util::http::request(server.address(), head).json()["websocket"]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(&TestServer::start(config())), "ws://10.1.2.3:8080/v1/connect");
    let public = Config { public_url: "https://p.example:8443".parse().ok(), ..config() };
    assert_eq!(told(&TestServer::start(public)), "wss://p.example:8443/v1/connect");
}

#[test]
fn quic_is_told_where_the_operator_says_that_it_is() {
    let public = Config { public_quic: "q.example:9000".parse().ok(), ..config() };
    let server = TestServer::start(public);
    assert_eq!(quic_for(&server, "10.1.2.3:8080"), (9000, "https://q.example:9000/v1/connect".to_owned()));
    let public = Config { public_url: "http://localhost:8080".parse().ok(), ..config() };
    let server = TestServer::start(public);
    assert_eq!(quic_for(&server, "10.1.2.3"), (8080, "https://localhost:8080/v1/connect".to_owned()));
}

/// It listens on loopback, behind a proxy.
#[test]
fn a_quic_that_no_client_reaches_is_told_to_none() {
    let public = Config { public_url: "https://p.example".parse().ok(), ..config() };
    let told = TestServer::start(public).get("/v1/certificate").json();
    assert_eq!(told["quic"], serde_json::Value::Null, "{told}");
}
