//! HTTPS and secure WebSockets: the same server within TLS, its certificate replaced while it runs, and peers
//! that speak something else.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::limits::Limits;
use driftless_server::config::Config;
use rustls::pki_types::CertificateDer;
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};
use util::{
    Player, TestServer, config, http, join,
    socket::narrow,
    tls::{DAY, Files, Issued, Trusting},
    until,
};

/// A server with this certificate.
struct Secure {
    server: TestServer,
    files: Files,
    trusting: Trusting,
}

impl Secure {
    fn start() -> Self {
        Self::with(config())
    }
    fn with(config: Config) -> Self {
        let issued = Issued::at(SystemTime::now());
        let files = Files::of(&issued);
        let server = TestServer::start(files.served_by(config));
        Self { server, files, trusting: Trusting::of(&issued.der) }
    }
    fn player(&self, name: &str) -> Player {
        let join = driftless_proto::wire::Join { name: name.to_owned(), ..join("lobby") };
        let address = self.server.address();
        let mut player = Player::on(self.trusting.socket(address), address, join);
        player.welcomed();
        player
    }
}

#[test]
fn a_request_within_tls_is_answered() {
    let secure = Secure::start();
    let answer = secure.trusting.get(secure.server.address(), "/livez").unwrap();
    assert_eq!(answer.status, 200);
    let error = secure.trusting.get(secure.server.address(), "/nowhere").unwrap();
    assert_eq!((error.status, error.error_code().as_str()), (404, "no_such_path"));
    assert_eq!(error.header("strict-transport-security"), Some("max-age=15768000"), "not without TLS again");
}

#[test]
fn a_game_is_played_within_tls() {
    let secure = Secure::start();
    let mut a = secure.player("a");
    let mut b = secure.player("b");
    let number = a.number();
    let start = b.wait_state("a is seen", |state| util::player::place(state, number));
    a.run(1000, 0);
    b.wait_state("a has moved", |state| util::player::place(state, number).filter(|now| *now != start));
    a.chat("hello");
    assert_eq!(b.next_chat(), (number, "hello".to_owned()));
    a.leave();
    b.wait_presence("a", driftless_proto::wire::member::Change::Left);
}

#[test]
fn a_resume_works_within_tls() {
    let secure = Secure::start();
    let mut player = secure.player("a");
    let number = player.number();
    player.lose_connection();
    player.reconnect_on(secure.trusting.socket(secure.server.address()));
    assert!(player.welcomed().resumed);
    assert_eq!(player.number(), number);
}

#[test]
fn plain_http_on_the_port_for_tls_is_told_so() {
    let secure = Secure::start();
    let answer = http::get(secure.server.address(), "/livez");
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "https_only"));
    assert!(answer.body.contains("https://") && answer.body.contains("wss://"), "{answer:?}");
    secure.trusting.get(secure.server.address(), "/livez").unwrap();
}

// Promise 6: "Nothing a peer sends panics the server."
#[test]
fn garbage_on_the_port_for_tls_is_cut_off() {
    let secure = Secure::start();
    let address = secure.server.address();
    let record = [22, 3, 1, 0, 5, 1, 2, 3, 4, 5];
    let endless = [22, 3, 1, 0xFF, 0xFF];
    for garbage in [&[0; 64][..], b"\x80\x01\x02", &record, &endless, b"SSH-2.0-OpenSSH_9\r\n", b"get / http"]
    {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(util::PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        // A TLS alert, an answer to a client that begins like HTTP, or nothing; then the end, with or without
        // a reset.
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(!matches!(ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{garbage:?}");
    }
    until("they are counted", || secure.server.running().metrics().refused.get("tls") >= 6);
    secure.trusting.get(address, "/livez").unwrap();
}

// Promise 4: "One client, however slow or hostile, does not [...] grow memory without bound."
#[test]
fn who_does_not_finish_the_handshake_is_cut_off() {
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
    let secure = Secure::with(Config { limits, ..config() });
    for said in [&b""[..], &[22], &[22, 3, 1, 2, 0, 1, 0]] {
        let mut stream = TcpStream::connect(secure.server.address()).unwrap();
        stream.set_read_timeout(Some(util::PATIENCE)).unwrap();
        stream.write_all(said).unwrap();
        let ended = stream.read(&mut [0; 64]);
        assert!(!matches!(ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{said:?}");
    }
    until("they are counted", || secure.server.running().metrics().refused.get("tls") >= 3);
}

#[test]
fn a_new_certificate_is_shown_without_dropping_a_connection() {
    let secure = Secure::start();
    let address = secure.server.address();
    let mut player = secure.player("a");
    let newer = Issued::at(SystemTime::now());
    let trusting_newer = Trusting::of(&newer.der);
    trusting_newer.shown(address).expect_err("it is not served yet");

    secure.files.write(&newer.certificate, "half a key");
    secure.server.running().certificates().refresh(SystemTime::now());
    assert_ne!(secure.trusting.shown(address).unwrap(), newer.der);

    secure.files.write(&newer.certificate, &newer.key);
    // Automatically: nobody tells the server.
    until("the new certificate is shown", || trusting_newer.shown(address).is_ok_and(|der| der == newer.der));
    secure.trusting.shown(address).expect_err("the old one is not shown any more");
    player.next_tick();
    player.chat("still here");
    assert_eq!(player.next_chat().1, "still here");
}

#[test]
fn a_newer_certificate_that_is_broken_makes_the_health_red_and_the_expiry_is_a_metric() {
    let secure = Secure::start();
    let (address, running) = (secure.server.address(), secure.server.running());
    let get = |path: &str| secure.trusting.get(address, path).unwrap();
    let expires = running.certificates().fingerprints()[0].valid_until;
    let expires = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as f64;
    assert_eq!(get("/metrics").metric("driftless_certificate_expires_seconds{source=\"files\"}"), expires);
    assert_eq!(get("/healthz").status, 200);
    secure.files.write("no certificate", "no key");
    running.certificates().refresh(SystemTime::now());
    until("the health is red", || get("/healthz").status == 503);
    let told = get("/healthz?verbose").body;
    assert!(told.contains("\"certificate\"") && told.contains("the old certificate is served"), "{told}");
    let newer = Issued::at(SystemTime::now());
    secure.files.write(&newer.certificate, &newer.key);
    running.certificates().refresh(SystemTime::now());
    let trusting_newer = Trusting::of(&newer.der);
    until("all is well", || trusting_newer.get(address, "/healthz").is_ok_and(|told| told.status == 200));
}

#[test]
fn a_client_refuses_who_it_does_not_trust_and_what_has_expired() {
    let issued = Issued::at(SystemTime::now());
    let files = Files::of(&issued);
    let server = TestServer::start(files.served_by(config()));
    let said = |trusting: Trusting| trusting.shown(server.address()).unwrap_err().to_string();
    let unknown = said(Trusting::nobody());
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    let late = said(Trusting::at(&issued.der, SystemTime::now() + 90 * DAY));
    assert!(late.contains("expired"), "{late}");
    Trusting::of(&issued.der).shown(server.address()).unwrap();
}

// Promise 2: "State it misses is superseded, never replayed late." TLS has buffers of its own.
#[test]
fn a_reader_who_stalls_within_tls_gets_the_newest_state_next() {
    let secure = Secure::start();
    let other = secure.player("other").in_background();
    let address = secure.server.address();
    let mut slow = Player::on(secure.trusting.socket_on(narrow(address, 2048)), address, join("lobby"));
    slow.welcomed();
    for n in 0..30 {
        slow.next_tick();
        slow.run(n, 0);
    }
    other.wait_ticks(40);
    let newest = secure.server.running().registry().get("lobby").unwrap().shared.tick.load(Relaxed);
    let mut ticks = Vec::new();
    while ticks.last().is_none_or(|tick| *tick < newest) {
        ticks.push(slow.next_tick());
        slow.run(1, 0);
    }
    assert!(ticks.len() <= 5, "stale states: {ticks:?}, newest was {newest}");
    until("stale ones are counted", || {
        secure.server.running().metrics().rooms.stale_states_dropped.get() >= 20
    });
    other.stop();
}

#[test]
fn the_hashes_to_trust_are_told_to_any_page() {
    let server = TestServer::start(config());
    let answer = server.get("/v1/certificate");
    assert!(answer.head.contains("access-control-allow-origin: *"), "{answer:?}");
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
    let told = answer.json();
    assert_eq!(told["hashes_needed"], true);
    let certificates = server.running().certificates();
    let der = CertificateDer::from(certificates.certificate());
    let hash = ring::digest::digest(&ring::digest::SHA256, &der);
    use base64::{Engine, engine::general_purpose::STANDARD};
    assert_eq!(told["certificates"][0]["sha256"], STANDARD.encode(hash.as_ref()));
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told["certificates"][0]["sha256_hex"], hex);
    let until = humantime::parse_rfc3339(told["certificates"][0]["valid_until"].as_str().unwrap()).unwrap();
    let left = until.duration_since(SystemTime::now()).unwrap();
    assert!(left > 12 * DAY && left < 14 * DAY, "{left:?}");
}

#[test]
fn a_certificate_of_an_authority_needs_no_hash() {
    let secure = Secure::start();
    let answer = secure.trusting.get(secure.server.address(), "/v1/certificate").unwrap();
    assert_eq!(answer.json()["hashes_needed"], false);
}
