//! What strangers may do over HTTP: read what is public, a page at a time, within time limits; and what pages
//! of other sites may do.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::config::Config;
use serde_json::{Value, json};
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};
use util::{PATIENCE, Player, TestServer, config, http, socket::narrow, until};

fn get(server: &TestServer, path: &str, headers: &str) -> http::Response {
    http::send(server.address(), "GET", path, headers, "")
}

fn names(page: &Value) -> Vec<&str> {
    page["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap()).collect()
}

#[test]
fn rooms_are_listed_by_name_a_page_at_a_time() {
    let server = TestServer::start(config());
    for n in (0..250).rev() {
        assert_eq!(server.post("/v1/rooms", &format!(r#"{{"name":"r{n:03}","tick_rate":1}}"#)).status, 201);
    }
    let first = server.get("/v1/rooms").json();
    assert_eq!((names(&first).len(), &first["next"]), (100, &json!("r099")));
    let second = server.get("/v1/rooms?after=r099&limit=150").json();
    let names_of_all: Vec<_> = names(&first).into_iter().chain(names(&second)).map(str::to_owned).collect();
    assert_eq!(names_of_all, (0..250).map(|n| format!("r{n:03}")).collect::<Vec<_>>());
    assert_eq!(second["next"], Value::Null, "there are no more");
    // Names of rooms that do not exist are valid positions in the order.
    assert_eq!(names(&server.get("/v1/rooms?after=r100x&limit=1").json()), ["r101"]);
    assert_eq!(names(&server.get("/v1/rooms?after=zzz").json()), [""; 0]);
    assert_eq!(names(&server.get("/v1/rooms?limit=1000").json()).len(), 250, "as many as there may be");
    for limit in ["0", "1001"] {
        for path in ["/v1/rooms", "/v1/presence"] {
            let refused = server.get(&format!("{path}?limit={limit}"));
            assert_eq!((refused.status, refused.error_code().as_str()), (400, "bad_query"));
            assert!(refused.body.contains(&format!("limit is {limit}, outside 1..=1000")), "{refused:?}");
        }
    }
    server.operate("DELETE", "/v1/rooms/r000", "");
    until("the closed room is gone", || names(&server.get("/v1/rooms?limit=1").json()) == ["r001"]);
    assert_eq!(server.post("/v1/rooms", r#"{"name":"r000"}"#).status, 201);
    assert_eq!(names(&server.get("/v1/rooms?limit=1").json()), ["r000"]);
    assert_eq!(server.get("/v1/rooms?limit=x").error_code(), "bad_query");
}

/// What the server does with a connection on which it gets only these bytes: its answer, and how long until
/// it closed.
fn left_alone(server: &TestServer, bytes: &[u8]) -> (String, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let still_open = |e: &io::Error| matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    assert!(!ended.as_ref().is_err_and(still_open), "held for ever: {:?}", String::from_utf8_lossy(bytes));
    (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
}

fn hasty() -> Config {
    let (request_timeout, answer_timeout) = (Duration::from_millis(300), Duration::from_millis(600));
    Config { request_timeout, answer_timeout, keep_alive: answer_timeout, open_rooms: true, ..config() }
}

#[test]
fn a_connection_waits_for_its_next_request_for_as_long_as_it_is_allowed_to() {
    let (answer_timeout, keep_alive) = (Duration::from_millis(50), PATIENCE);
    let server = TestServer::start(Config { answer_timeout, keep_alive, ..config() });
    let mut idle = TcpStream::connect(server.address()).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut status = [0; 12];
        idle.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        // What is left of the answer; and longer than it may take.
        std::thread::sleep(5 * answer_timeout);
        let _ = idle.read(&mut [0; 4096]).unwrap();
    }
}

#[test]
fn a_request_that_does_not_come_to_its_end_is_cut_off() {
    let server = TestServer::start(hasty());
    let json = "host: x\r\ncontent-type: application/json\r\n";
    let waits_for_body = format!("POST /v1/rooms HTTP/1.1\r\n{json}content-length: 2\r\n\r\n{{");
    let (answer, _) = left_alone(&server, waits_for_body.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    let chunks = format!("POST /v1/rooms HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n");
    let (answer, _) = left_alone(&server, chunks.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    // An unread body, an incomplete second head, no head at all: these only have to end.
    for begun in [
        format!("POST /v1/drain HTTP/1.1\r\n{json}content-length: 9\r\n\r\n{{"),
        format!("POST /v1/drain HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\n"),
        "GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhos".to_owned(),
        "GET /livez HTTP/1.1\r\nhos".to_owned(),
        String::new(),
    ] {
        let (answer, took) = left_alone(&server, begun.as_bytes());
        assert!(took < Duration::from_secs(10), "{begun:?} took {took:?}: {answer}");
    }
    let sent = http::send(server.address(), "POST", "/v1/rooms", "", r#"{"name":"hall"}"#);
    assert_eq!(sent.status, 201, "who sends all of it is answered");
}

/// An endless chunked body, which actix-http would read for as long as it comes.
#[test]
fn a_body_that_nobody_wants_is_not_read_for_ever() {
    let server = TestServer::start(config());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /v1/drain HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 1 << 16], b"\r\n".to_vec()].concat();
    let start = Instant::now();
    while stream.write_all(&chunk).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(8), "it reads on");
    }
}

#[test]
fn an_answer_that_is_taken_byte_by_byte_is_cut_off() {
    let server = TestServer::start(hasty());
    let mut slow = narrow(server.address(), 2048);
    // More than the sockets in between hold.
    slow.write_all("GET /assets/arena.js HTTP/1.1\r\nhost: x\r\n\r\n".repeat(16).as_bytes()).unwrap();
    let start = Instant::now();
    until("it is cut off", || {
        let _ = slow.read(&mut [0]);
        // Bytes sent to a closed socket are answered with a reset.
        slow.write_all(b"\r\n").is_err()
    });
    // The kernel would notice a peer that takes nothing only after 10 s.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn every_answer_says_what_a_browser_may_do_with_it() {
    let server = TestServer::start(config());
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/assets/arena.js"),
        ("GET", "/about"),
        ("GET", "/livez"),
        ("GET", "/metrics"),
        ("GET", "/v1/rooms"),
        ("GET", "/v1/rooms/nowhere"),
        ("GET", "/v1/connect"),
        ("GET", "/v1/certificate"),
        ("GET", "/nowhere"),
        ("POST", "/v1/drain"),
        ("BREW", "/"),
    ] {
        let answer = http::send(server.address(), method, path, "", "");
        let header =
            |name: &str| answer.header(name).unwrap_or_else(|| panic!("{method} {path} has no {name}"));
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        let page = path == "/" && method == "GET" || path.starts_with("/assets/");
        assert_eq!(header("cache-control") != "no-store", page, "{method} {path}");
        assert_eq!(answer.header("strict-transport-security"), None, "there is no TLS");
        assert_eq!(answer.head.matches("x-content-type-options").count(), 1, "{}", answer.head);
    }
}

#[test]
fn pages_from_elsewhere_read_if_they_are_let_in_and_never_write() {
    let allow_origin = vec!["https://*.example.com".parse().unwrap()];
    let server = TestServer::start(Config { allow_origin, open_rooms: true, ..config() });
    for (origin, allowed) in [
        ("http://localhost:5173", true),
        ("https://play.example.com", true),
        ("https://example.com", false),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let headers = format!("origin: {origin}\r\n");
        let read = get(&server, "/v1/rooms", &headers);
        assert_eq!(read.status, if allowed { 200 } else { 403 }, "{origin}");
        assert_eq!(read.header("access-control-allow-origin"), allowed.then_some(origin), "{origin}");
        assert_eq!(read.header("vary").is_some(), allowed, "{origin}");
        let ask = format!(
            "{headers}access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n"
        );
        let preflight = http::send(server.address(), "OPTIONS", "/v1/rooms", &ask, "");
        assert_eq!(preflight.status, if allowed { 204 } else { 403 }, "{origin}");
        let methods = preflight.header("access-control-allow-methods");
        assert_eq!(methods, allowed.then_some("get, head"), "a browser sends no POST then");
    }
    let own = get(&server, "/v1/rooms", &format!("origin: http://{}\r\n", server.address()));
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, None));
    // A player's affairs are the same, however their path is written; and when to ask again may be read.
    for path in ["/v1/match", "/%76%31/match"] {
        let ask = "origin: https://play.example.com\r\naccess-control-request-method: POST\r\n";
        let preflight = http::send(server.address(), "OPTIONS", path, ask, "");
        assert_eq!(
            preflight.header("access-control-allow-methods"),
            Some("get, head, post, delete"),
            "{path}"
        );
        assert_eq!(preflight.header("access-control-expose-headers"), Some("location, retry-after"));
    }
}

#[test]
fn a_name_that_was_made_to_mean_this_machine_reads_nothing() {
    let server = TestServer::start(config());
    for path in ["/", "/v1/rooms", "/v1/presence", "/%6detrics", "/v1/rooms/lobby/state"] {
        let text = format!("GET {path} HTTP/1.1\r\nhost: evil.example:7777\r\nconnection: close\r\n\r\n");
        let rebound = http::request(server.address(), &text);
        assert_eq!((rebound.status, &*rebound.error_code()), (421, "foreign_host"), "{path}");
    }
    let alive = "GET /livez HTTP/1.1\r\nhost: node-7.example:7777\r\nconnection: close\r\n\r\n";
    for alive in [alive, &alive.replace("/livez", "/%6c%69vez")] {
        assert_eq!(http::request(server.address(), alive).status, 200, "a probe may call it anything");
    }
    assert_eq!(
        get(&server, "/%67uide", "").status,
        200,
        "a page has the same file by any way to write its path"
    );
}

/// An address of this machine other than loopback, if it has one. (Nothing is sent.)
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn an_address_that_asks_for_what_is_costly_too_often_has_to_wait() {
    let Some(ip) = address_of_this_machine() else {
        return eprintln!("NOT TESTED: this machine has no address but loopback");
    };
    let server = TestServer::start(Config { listen: "0.0.0.0:0".parse().unwrap(), ..config() });
    let (port, authorization) = (server.address().port(), server.authorization());
    let ask = |ip: IpAddr, path: &str, headers: &str| {
        http::send(SocketAddr::new(ip, port), "GET", path, headers, "")
    };
    let mut refused = None;
    for n in 0..1000 {
        let answer = ask(ip, ["/v1/rooms", "/metrics", "/v1/presence", "/v1/rooms/a"][n % 4], "");
        if answer.status == 429 {
            assert!(n >= 30, "{n} at once are few");
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a thousand are too many");
    assert_eq!((refused.error_code().as_str(), refused.header("retry-after")), ("too_often", Some("1")));
    for path in ["/%76%31/rooms", "/%6detrics", "/v1/%6c%6f%62%62%79"] {
        until("it is refused, however it is written", || ask(ip, path, "").status == 429);
    }
    assert_eq!(ask(ip, "/livez", "").status, 200, "not that");
    assert_eq!(ask(ip, "/", "").status, 200);
    assert_eq!(ask(ip, "/metrics", &authorization).status, 200, "nor operators, who may share the address");
    let guess = "authorization: Bearer wrong-wrong-wrong\r\n";
    until("a guess is refused", || ask(ip, "/metrics", guess).status == 401);
    let wrong = server.running().metrics().requests_refused.get("wrong_token");
    assert!(wrong > 0, "who guesses here is counted, and slowed down, as elsewhere");
    assert_eq!(ask(Ipv4Addr::LOCALHOST.into(), "/metrics", "").status, 200, "nor others");
    until("it has waited", || ask(ip, "/v1/rooms", "").status == 200);
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn after_a_frame_that_is_too_large_a_bounded_number_of_bytes_is_read() {
    let server = TestServer::start(config());
    let mut socket = Player::join(server.address(), "lobby").socket;
    socket.send_raw(&util::socket::header(util::socket::FIN | util::socket::BINARY, 1 << 40)).unwrap();
    let (chunk, mut sent) = (vec![0; 64 * 1024], 0usize);
    let start = Instant::now();
    while socket.send_raw(&chunk).is_ok() {
        sent += chunk.len();
        assert!(start.elapsed() < PATIENCE, "it reads on");
    }
    // What the kernels between hold comes on top.
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    until("the connection is gone", || server.connections() == 0);
}

/// Thousands of requests in one buffer would take as many request objects, megabytes for each socket.
#[test]
fn who_sends_more_than_one_request_at_a_time_is_answered_what_came_and_closed() {
    let server = TestServer::start(config());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let _ = stream.write_all(request.repeat(3000).as_bytes());
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let answered = String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count();
    assert!((1..100).contains(&answered), "{answered} of 3000");
}

#[test]
fn one_connection_serves_one_request_after_another() {
    let server = TestServer::start(config());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for n in 0..20 {
        // In two pieces, so that a head does not come with one read.
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: loc").unwrap();
        stream.write_all(b"alhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed after {n} answers: {answer:?}");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}
