//! HTTP/2 over TLS: many requests and streams of events over one connection.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use bytes::Bytes;
use driftless_server::config::Config;
use h2::{
    Reason, RecvStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{Method, Request};
use rustls::pki_types::ServerName;
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use util::{
    PATIENCE, TestServer, config,
    tls::{Files, Issued, NAME, Trusting},
};

fn secure(config: Config) -> (TestServer, Files, Trusting) {
    let issued = Issued::at(SystemTime::now());
    let files = Files::of(&issued);
    let server = TestServer::start(files.served_by(config));
    (server, files, Trusting::of(&issued.der).with_protocols(&["h2", "http/1.1"]))
}

/// A connection, with this much room for what has not been read of a stream.
async fn connect(address: SocketAddr, trusting: &Trusting, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(trusting.config());
    let tls = connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut builder = Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 24);
    let (send, connection) = builder.handshake(tls).await.unwrap();
    tokio::task::spawn_local(connection);
    send.ready().await.unwrap()
}

fn ask(
    send: &mut SendRequest<Bytes>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> ResponseFuture {
    let mut request = Request::builder().method(method).uri(format!("https://{NAME}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (answer, mut stream) = send.send_request(request.body(()).unwrap(), body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }
    answer
}

/// The next part of a body, and room for another.
async fn part(body: &mut RecvStream) -> Option<String> {
    let part = timeout(PATIENCE, body.data()).await.expect("in time")?.ok()?;
    body.flow_control().release_capacity(part.len()).unwrap();
    Some(String::from_utf8(part.to_vec()).unwrap())
}

async fn whole(answer: ResponseFuture) -> (u16, String) {
    let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
    let (status, mut body, mut text) = (answer.status().as_u16(), answer.into_body(), String::new());
    while let Some(part) = part(&mut body).await {
        text.push_str(&part);
    }
    (status, text)
}

fn operator(server: &TestServer) -> String {
    format!("Bearer {}", server.running().made_token().unwrap())
}

fn local<T>(test: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(test)
}

#[test]
fn a_page_with_many_streams_needs_one_connection() {
    let topics_open = vec!["open*".parse().unwrap()];
    let (server, _files, trusting) = secure(Config { topics_open, ..config() });
    local(async {
        let mut send = connect(server.address(), &trusting, 1 << 16).await;
        let mut streams = Vec::new();
        for n in 0..20 {
            let answer = ask(&mut send, Method::GET, &format!("/v1/topics/open-{n}"), &[], "");
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            let mut body = answer.into_body();
            assert!(part(&mut body).await.unwrap().starts_with("retry: "));
            streams.push(body);
        }
        let operator = operator(&server);
        for (n, body) in streams.iter_mut().enumerate() {
            let path = format!("/v1/topics/open-{n}");
            let said = ask(&mut send, Method::POST, &path, &[("authorization", &operator)], "hello");
            let (status, answer) = whole(said).await;
            assert_eq!(status, 200, "{answer}");
            assert!(part(body).await.unwrap().ends_with("data: hello\n\n"));
        }
        assert_eq!(whole(ask(&mut send, Method::GET, "/livez", &[], "")).await.0, 200);
        let (status, problem) = whole(ask(&mut send, Method::GET, "/nowhere", &[], "")).await;
        assert_eq!((status, problem.contains("no_such_path")), (404, true));
        assert_eq!(whole(ask(&mut send, Method::HEAD, "/livez", &[], "")).await, (200, String::new()));
        assert_eq!(
            whole(ask(&mut send, Method::GET, "/v1/connect", &[], "")).await.0,
            426,
            "not over HTTP/2"
        );
        let page = whole(ask(&mut send, Method::GET, "/guide", &[], "")).await;
        assert!(page.0 == 200 && page.1.len() > 2_000, "{}", page.1.len());
    });
}

#[test]
fn whoever_asks_over_http2_is_told_the_address_that_he_has_named() {
    let (server, _files, trusting) = secure(config());
    local(async {
        let mut send = connect(server.address(), &trusting, 1 << 16).await;
        // (This is what comes after the host's name.)
        let (status, told) = whole(ask(&mut send, Method::GET, ":444/v1/certificate", &[], "")).await;
        assert_eq!(status, 200, "{told}");
        assert!(told.contains(&format!("\"wss://{NAME}:444/v1/connect\"")), "{told}");
        assert!(!told.contains("localhost:444") && !told.contains("//localhost/"), "{told}");
    });
}

// Promise 4: "One client, however slow or hostile, does not [...] grow memory without bound."
#[test]
fn a_stream_that_is_not_read_delays_no_other_and_ends_alone() {
    let topics_open = vec!["open*".parse().unwrap()];
    let (server, _files, trusting) = secure(Config { topics_open, topic_history: 4, ..config() });
    local(async {
        let mut send = connect(server.address(), &trusting, 20_000).await;
        let mut open = async |topic: &str| {
            let answer = ask(&mut send, Method::GET, &format!("/v1/topics/{topic}"), &[], "");
            let mut body = timeout(PATIENCE, answer).await.unwrap().unwrap().into_body();
            part(&mut body).await.unwrap();
            body
        };
        let (mut slow, mut quick) = (open("open").await, open("open-2").await);
        let large = "x".repeat(16_000);
        for n in 0..20 {
            let text = format!("{n} {large}");
            let address = server.address();
            let headers = [("authorization", operator(&server))];
            let mut other = connect(address, &trusting, 1 << 16).await;
            for topic in ["open", "open-2"] {
                let headers = [(headers[0].0, headers[0].1.as_str())];
                let said = ask(&mut other, Method::POST, &format!("/v1/topics/{topic}"), &headers, &text);
                assert_eq!(whole(said).await.0, 200);
            }
            let mut got = String::new();
            while !got.ends_with("\n\n") {
                got.push_str(&part(&mut quick).await.unwrap());
            }
            assert!(got.contains(&format!("data: {n} ")), "nobody else is delayed");
        }
        let mut got = String::new();
        while let Some(part) = part(&mut slow).await {
            got.push_str(&part);
        }
        assert!(got.contains("slow_consumer"), "{}", got.len());
    });
}

#[test]
fn a_connection_may_have_only_so_many_requests_at_a_time() {
    let topics_open = vec!["open*".parse().unwrap()];
    let (server, _files, trusting) = secure(Config { topics_open, ..config() });
    local(async {
        let mut send = connect(server.address(), &trusting, 1 << 16).await;
        let answers: Vec<_> =
            (0..100).map(|_| ask(&mut send, Method::GET, "/v1/topics/open", &[], "")).collect();
        let mut bodies = Vec::new();
        for answer in answers {
            bodies.push(timeout(PATIENCE, answer).await.unwrap().unwrap().into_body());
        }
        // One more is refused, or waits, until one of them has ended.
        let one_more = ask(&mut send, Method::GET, "/livez", &[], "");
        if let Ok(answer) = timeout(Duration::from_millis(300), one_more).await {
            let refused = answer.expect_err("it has no place");
            assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
        }
        drop(bodies.pop());
        tokio::time::sleep(Duration::from_millis(50)).await; // for the server to hear of it
        assert_eq!(whole(ask(&mut send, Method::GET, "/livez", &[], "")).await.0, 200);
    });
}

// Promise 4
#[test]
fn an_address_has_only_so_many_requests_open_however_many_connections_it_has() {
    let trusted_proxy = "127.0.0.0/8".parse().unwrap();
    let (server, _files, trusting) =
        secure(Config { max_connections_per_address: 1, trusted_proxy, ..config() });
    // Three for its player, and a connection full.
    const MOST: usize = 103;
    let eve = [("x-forwarded-for", "192.0.2.1")];
    local(async {
        let mut open = Vec::new();
        let mut connections = Vec::new();
        for n in 0..MOST {
            if n % 100 == 0 {
                connections.push(connect(server.address(), &trusting, 0).await);
            }
            let answer = ask(connections.last_mut().unwrap(), Method::GET, "/guide", &eve, "");
            let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            open.push(answer.into_body());
        }
        let mut reads = connect(server.address(), &trusting, 1 << 16).await;
        let refused = timeout(PATIENCE, ask(&mut reads, Method::GET, "/guide", &eve, "")).await;
        let refused = refused.expect("in time").unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (429, &"2".parse().unwrap())
        );
        let problem = part(&mut refused.into_body()).await.unwrap();
        assert!(
            problem.contains("address_full") && problem.contains("192.0.2.1 has 103 requests"),
            "{problem}"
        );
        let unread = ask(connections.last_mut().unwrap(), Method::GET, "/guide", &eve, "");
        let reset = match timeout(PATIENCE, unread).await.expect("in time") {
            Ok(answer) => {
                timeout(PATIENCE, answer.into_body().data()).await.expect("in time").unwrap().unwrap_err()
            }
            Err(reset) => reset,
        };
        assert_eq!(reset.reason(), Some(Reason::REFUSED_STREAM));
        let bob = [("x-forwarded-for", "192.0.2.2")];
        assert_eq!(whole(ask(&mut reads, Method::GET, "/livez", &bob, "")).await.0, 200, "others are let in");
        assert_eq!(server.running().metrics().requests_refused.get("address_full"), 2);
        drop(open.pop());
        let until = std::time::Instant::now() + PATIENCE;
        while whole(ask(&mut reads, Method::GET, "/livez", &eve, "")).await.0 != 200 {
            assert!(std::time::Instant::now() < until, "what has ended is given back");
        }
    });
}
