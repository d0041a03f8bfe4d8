//! Keys of tokens that come from an address, and change while the server runs; and the command that signs
//! tokens for development.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use driftless_proto::{limits::SUBPROTOCOL, session::client::ClientEvent};
use driftless_server::{
    Server,
    config::{Config, Guests},
};
use driftless_sim::games;
use parking_lot::Mutex;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};
use util::{
    Player, Socket, TestServer, eventually, http, process,
    tls::{Files, Issued},
    tokens, until,
};

/// An issuer of tokens, by a key that others can have.
struct Issuer {
    pair: Ed25519KeyPair,
    id: &'static str,
}

impl Issuer {
    fn new(id: &'static str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { pair: Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap(), id }
    }

    fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.id, "use": "sig" }] })
            .to_string()
    }

    fn token(&self) -> String {
        self.token_until(tokens::now() + 600)
    }

    fn token_until(&self, exp: u64) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({ "alg": "EdDSA", "kid": self.id });
        let claims = json!({ "sub": "ann", "exp": exp });
        let message = format!("{}.{}", part(&head), part(&claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes())))
    }
}

/// Serves a text at an address; None: answers with an error.
struct Address {
    url: String,
    text: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Address {
    /// Leads elsewhere.
    fn leading_to(url: &str) -> Self {
        Self::answering(format!("302 Found\r\nlocation: {url}"), String::new())
    }

    fn serve(text: String) -> Self {
        Self::answering("200 OK".to_owned(), text)
    }

    fn answering(well: String, text: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (text, asked) = (Arc::new(Mutex::new(Some(text))), Arc::new(AtomicUsize::new(0)));
        let (served, counted) = (text.clone(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                counted.fetch_add(1, Ordering::Relaxed);
                let (status, body) = match &*served.lock() {
                    Some(text) => (well.as_str(), text.clone()),
                    None => ("500 Internal Server Error", String::new()),
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
            }
        });
        Self { url, text, asked }
    }
}

/// The status with which an upgrade with this token is answered; 101: a connection.
fn status(address: SocketAddr, token: &str) -> u16 {
    let headers = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {token}\r\n");
    match Socket::upgrade(TcpStream::connect(address).unwrap(), &headers) {
        Ok(_) => 101,
        Err(http::Response { status, .. }) => status,
    }
}

#[test]
fn an_issuer_may_change_its_keys() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let jwks = Address::serve(old.jwks());
    let config = Config {
        token_keys: vec![jwks.url.parse().unwrap()],
        keys_refresh: Duration::from_secs(1),
        keys_stale: Duration::from_secs(3600),
        ..util::config()
    };
    let server = TestServer::start(config);
    assert_eq!(status(server.address(), &old.token()), 101, "the first waits for the keys");
    assert_eq!(status(server.address(), &new.token()), 401);
    *jwks.text.lock() = Some(new.jwks());
    until("the new key is known", || status(server.address(), &new.token()) == 101);
    assert_eq!(status(server.address(), &old.token()), 401, "and the old one is no more");

    // The issuer fails: its keys go on to be used.
    *jwks.text.lock() = None;
    let asked = jwks.asked.load(Ordering::Relaxed);
    until("it was asked again", || jwks.asked.load(Ordering::Relaxed) > asked + 1);
    assert_eq!(status(server.address(), &new.token()), 101);
}

#[test]
fn keys_that_cannot_be_had_let_nobody_in_and_are_not_asked_for_all_the_time() {
    let issuer = Issuer::new("a");
    let jwks = Address::serve(String::new());
    *jwks.text.lock() = None;
    let server = TestServer::start(Config { token_keys: vec![jwks.url.parse().unwrap()], ..util::config() });
    for _ in 0..5 {
        assert_eq!(status(server.address(), &issuer.token()), 503);
    }
    // At once for a few, then one in ten seconds.
    assert!(jwks.asked.load(Ordering::Relaxed) <= 6, "unknown keys are free to name");
}

// Promise 9
#[test]
fn whoever_names_unknown_keys_has_no_new_key_refused() {
    let (old, new, newer) = (Issuer::new("old"), Issuer::new("new"), Issuer::new("newer"));
    let junk = || Issuer::new("junk").token();
    let jwks = Address::serve(old.jwks());
    let server = TestServer::start(Config { token_keys: vec![jwks.url.parse().unwrap()], ..util::config() });
    assert_eq!(status(server.address(), &old.token()), 101);
    assert_eq!(status(server.address(), &junk()), 401);
    *jwks.text.lock() = Some(new.jwks());
    assert_eq!(status(server.address(), &new.token()), 101, "one who names another does no harm");
    // Many do: nobody is told that a key is none of the issuer's which nobody has asked for.
    until("it is asked for no more", || status(server.address(), &junk()) == 503);
    *jwks.text.lock() = Some(newer.jwks());
    let headers = format!("authorization: Bearer {}\r\n", newer.token());
    let refused = http::send(server.address(), "GET", "/v1/connect", &headers, "");
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "identity_unavailable"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    until("it is known in time", || match status(server.address(), &newer.token()) {
        101 => true,
        503 => false,
        other => panic!("{other}"),
    });
}

// Promise 9
#[test]
fn an_address_that_does_not_answer_delays_no_other() {
    let silent = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (one, another) = (silent(), silent());
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let jwks = Address::serve(old.jwks());
    let silent = [&one, &another].map(|at| format!("http://{}/jwks", at.local_addr().unwrap()));
    let token_keys = silent.iter().chain([&jwks.url]).map(|url| url.parse().unwrap()).collect();
    let server = TestServer::start(Config { token_keys, ..util::config() });
    assert_eq!(status(server.address(), &old.token()), 101);
    *jwks.text.lock() = Some(new.jwks());
    assert_eq!(status(server.address(), &new.token()), 101);
    // They may have it: nobody can know.
    assert_eq!(status(server.address(), &Issuer::new("junk").token()), 503);
}

// Who may sign tokens is what the operator has said, and not what an answer says.
#[test]
fn an_address_that_leads_elsewhere_is_not_followed() {
    let issuer = Issuer::new("a");
    let elsewhere = Address::serve(issuer.jwks());
    let jwks = Address::leading_to(&format!("{}?key=s3cret", elsewhere.url));
    let server = TestServer::start(Config { token_keys: vec![jwks.url.parse().unwrap()], ..util::config() });
    assert_eq!(status(server.address(), &issuer.token()), 503);
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
    let why = failing(&server, "token_keys").unwrap();
    assert!(why.contains(&elsewhere.url) && !why.contains("s3cret"), "{why}");
}

#[test]
fn keys_come_from_an_issuer_whose_authority_is_the_operators_own() {
    let (issuer, folder) = (Issuer::new("a"), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("jwks.json"), issuer.jwks()).unwrap();
    let files = Files::of(&Issued::at(SystemTime::now()));
    let pages = Server::new(&games::kinds()).pages(folder.path());
    let jwks = TestServer::of(pages, files.served_by(util::config()));
    let url = format!("https://{}/jwks.json", jwks.address());
    let certificate = &files.paths.certificate;
    fs::copy(certificate, folder.path().join("authority.pem")).unwrap();
    let started = |variable: &str, value: &Path| {
        let mut command = process::command(&["--listen", "127.0.0.1:0", "--token-keys", &url]);
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env(variable, value);
        process::Process::of(command)
    };
    for (variable, value) in [("SSL_CERT_FILE", certificate.as_path()), ("SSL_CERT_DIR", folder.path())] {
        let server = started(variable, value);
        assert_eq!(status(server.address(), &issuer.token()), 101, "{variable}");
    }
    let server = started("SSL_CERT_FILE", &folder.path().join("nowhere.pem"));
    assert_eq!(status(server.address(), &issuer.token()), 503, "nobody else is trusted instead");
    let told = server.stop();
    assert!(told.contains("nowhere.pem"), "{told}");

    let mut other = rcgen::CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    other.distinguished_name.push(rcgen::DnType::CommonName, "elsewhere");
    let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let file = folder.path().join("elsewhere.pem");
    fs::write(&file, util::tls::pem("CERTIFICATE", other.der())).unwrap();
    let server = started("SSL_CERT_FILE", &file);
    assert_eq!(status(server.address(), &issuer.token()), 503, "its authority is not known");
    let told = server.stop();
    assert!(told.contains("update-ca-certificates"), "{told}");
}

/// Why a part of the server is not well. None: it is, or there is no such part.
fn failing(server: &TestServer, part: &str) -> Option<String> {
    let told = server.get("/healthz?verbose").json();
    let parts = told["parts"].as_array().unwrap();
    let part = parts.iter().find(|known| known["name"] == part)?;
    part["why"].as_str().map(str::to_owned)
}

#[test]
fn keys_that_cannot_be_had_make_the_health_red_and_say_why() {
    let issuer = Issuer::new("a");
    let jwks = Address::serve(String::new());
    *jwks.text.lock() = None;
    let url = format!("{}?key=s3cret", jwks.url);
    let config = Config {
        token_keys: vec![url.parse().unwrap()],
        keys_refresh: Duration::from_secs(1),
        ..util::config()
    };
    let server = TestServer::start(config.clone());
    let why = eventually("it is red", || failing(&server, "token_keys"));
    assert!(why.contains(&jwks.url) && why.contains("500") && !why.contains("s3cret"), "{why}");
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (503, 503));

    // An answer without a key that could check a token is no better.
    *jwks.text.lock() = Some("{\"keys\":[]}".to_owned());
    until("it says so", || {
        failing(&server, "token_keys").is_some_and(|why| why.contains("none of its keys"))
    });

    *jwks.text.lock() = Some(issuer.jwks());
    until("all is well", || server.get("/healthz").status == 200);
    assert_eq!(server.get("/readyz").status, 200);

    // While there are older keys, players can come: operators only should know.
    *jwks.text.lock() = None;
    let why = eventually("it is red", || failing(&server, "token_sources"));
    assert!(why.contains("old keys are used"), "{why}");
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (503, 200));
    assert_eq!(status(server.address(), &issuer.token()), 101);

    // Keys that were withdrawn are none.
    *jwks.text.lock() = Some("{\"keys\":[]}".to_owned());
    until("nobody gets in", || status(server.address(), &issuer.token()) == 503);
    drop(server);

    // Nor does it keep guests away.
    let server = TestServer::start(Config { guests: Guests::Yes, ..config });
    eventually("it is red", || failing(&server, "token_keys"));
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (503, 200));
}

// Promise 9: "Honest clients are not punished for what the server, a proxy or the network did"
#[test]
fn a_player_stays_whose_fresh_token_has_a_key_that_cannot_be_had_yet() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let jwks = Address::serve(old.jwks());
    let config = Config {
        token_keys: vec![jwks.url.parse().unwrap()],
        keys_refresh: Duration::from_secs(1),
        token_leeway: Duration::ZERO,
        ..util::config()
    };
    let server = TestServer::start(config);
    let long = old.token_until(tokens::now() + 20);
    let headers = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {long}\r\n");
    let socket = Socket::upgrade(TcpStream::connect(server.address()).unwrap(), &headers);
    let mut player =
        Player::on(socket.unwrap_or_else(|e| panic!("{e:?}")), server.address(), util::join("lobby"));
    player.welcomed();
    let asked = |player: &mut Player| {
        player.wait("being asked for a token", |event| match event {
            ClientEvent::TokenExpires(within) => Some(*within),
            ClientEvent::Goodbye(goodbye) => panic!("{goodbye:?}"),
            _ => None,
        })
    };
    // The issuer has a new key, and does not show it yet: the player is asked again, long before he would be
    // asked for the first time.
    player.session.renew(new.token());
    let left = asked(&mut player);
    assert!(left > Duration::from_secs(5), "for what the old one has left: {left:?}");
    *jwks.text.lock() = Some(new.jwks());
    // One for a shorter time tells by the next question that it has taken effect.
    loop {
        player.session.renew(new.token_until(tokens::now() + 6));
        if asked(&mut player) < Duration::from_secs(2) {
            break;
        }
    }
}

#[test]
fn a_file_with_a_wrong_key_does_not_start_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token.key");
    fs::write(&file, "too short").unwrap();
    for (keys, says) in [
        (format!("secret:{}", file.display()), "32 bytes"),
        (file.display().to_string(), "write secret:FILE"),
        (folder.path().join("none").display().to_string(), "No such file"),
    ] {
        let refused = process::run(&["serve", "--listen", "127.0.0.1:0", "--token-keys", &keys]);
        let line = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{line}");
        assert!(line.contains(&keys) && line.contains(says) && !line.contains("too short"), "{line}");
    }
}

/// Long before `keys_refresh`.
#[test]
fn sighup_has_a_changed_key_used_at_once_and_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("token.key");
    fs::write(&key, "another secret, of at least 32 bytes").unwrap();
    let server = process::Process::start(&["--token-keys", &format!("secret:{}", key.display())]);
    let token = tokens::token("ann");
    assert_eq!(status(server.address(), &token), 401);
    fs::write(&key, tokens::SECRET).unwrap();
    server.signal(libc::SIGHUP);
    until("the new key is used", || status(server.address(), &token) == 101);
}

#[test]
fn the_command_signs_what_the_server_takes() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("token.key");
    fs::write(&key, format!("{}\n", tokens::SECRET)).unwrap();
    let key = key.display().to_string();
    let token = |args: &[&str]| {
        let said = process::run(&[&["token", "--key", &key], args].concat());
        let (out, err) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
        assert!(!err.contains(tokens::SECRET), "a secret is never shown");
        if said.status.success() { Ok(out.trim().to_owned()) } else { Err(err) }
    };
    let server = TestServer::start(Config {
        token_keys: vec![format!("secret:{key}").parse().unwrap()],
        ..util::config()
    });
    let said = token(&["--user", "ann", "--room", "match-*", "--kind", "arena", "--expires", "5m"]).unwrap();
    assert_eq!(status(server.address(), &said), 101);
    let url = token(&["--user", "ann", "--url", "https://play.example.org/?room=a#x"]).unwrap();
    let (page, said) = url.split_once("#identity=").expect("an address with the token");
    assert_eq!((page, status(server.address(), said)), ("https://play.example.org/?room=a", 101));
    assert!(token(&["--user", "guest-1"]).unwrap_err().contains("\"sub\""));
    assert!(token(&["--user", "ann", "--role", "king"]).unwrap_err().contains("\"role\""));
    assert!(token(&["--user", "ann", "--room", "a/b"]).unwrap_err().contains("\"room\""));
    let without = process::run(&["token", "--user", "ann"]);
    assert!(String::from_utf8(without.stderr).unwrap().contains("--key FILE"));
}
