//! Topics, over real sockets: who may read and publish, what a reader gets, and what becomes of a slow one.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Event, Options, SendError, TransportKind};
use driftless_proto::{
    limits::Limits,
    wire::{Publish, TopicMessage, topic_message::Kind},
};
use driftless_server::config::Config;
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};
use util::{
    TestServer, config, http,
    quic::wait,
    sse::{Sse, SseEvent},
    tokens::{self, token_with},
    until,
};

/// Everybody may read topics that begin with "open".
fn open() -> Config {
    Config { topics_open: vec!["open*".parse().unwrap()], ..config() }
}

/// The kernel ends the connection of whoever does not read for a timeout: one that no busy machine needs to
/// publish.
fn patient(config: Config) -> Config {
    let limits = Limits { timeout: Duration::from_secs(3_600), ..config.limits };
    Config { limits, ..config }
}

/// The same where users have tokens.
fn with_tokens() -> Config {
    Config { topics_open: vec!["open*".parse().unwrap()], ..tokens::config() }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Publishes as an operator. Returns the event's id.
#[track_caller]
fn publish(server: &TestServer, path: &str, text: &str) -> String {
    let said = server.post(path, text);
    assert_eq!(said.status, 200, "{}", said.body);
    said.json()["id"].as_str().unwrap().to_owned()
}

/// A reader that has begun.
#[track_caller]
fn read(server: &TestServer, path: &str, headers: &str) -> Sse {
    let mut reader = Sse::open(server.address(), path, headers);
    let first = reader.next().unwrap();
    assert!(first.id.is_some() && first.retry.is_some() && first.data.is_none(), "{first:?}");
    reader
}

fn event(id: &str, data: &str) -> SseEvent {
    SseEvent { id: Some(id.to_owned()), data: Some(data.to_owned()), ..SseEvent::default() }
}

#[test]
fn what_is_published_reaches_all_who_read() {
    let server = TestServer::start(open());
    let mut readers: Vec<_> = (0..3).map(|_| read(&server, "/v1/topics/open", "")).collect();
    for header in ["text/event-stream", "x-accel-buffering: no", "cache-control: no-store"] {
        assert!(readers[0].head().contains(header), "{}", readers[0].head());
    }
    let first = publish(&server, "/v1/topics/open", "hello");
    let second = publish(&server, "/v1/topics/open?event=price", "a\nb");
    for reader in &mut readers {
        assert_eq!(reader.next(), Some(event(&first, "hello")));
        let named = SseEvent { name: Some("price".into()), ..event(&second, "a\nb") };
        assert_eq!(reader.next(), Some(named));
    }
    assert_eq!(server.running().metrics().topics.readers.get(), 3);
    drop(readers);
    until("their places are given back", || server.running().metrics().topics.readers.get() == 0);
}

#[test]
fn a_reader_that_comes_back_gets_what_it_missed() {
    let server = TestServer::start(open());
    let mut reader = Sse::open(server.address(), "/v1/topics/open", "");
    let begun = reader.next().unwrap().id.unwrap();
    drop(reader);
    let ids = ["a", "b", "c"].map(|text| publish(&server, "/v1/topics/open", text));
    // Also one that had no event yet.
    for (after, events) in [(&begun, &["a", "b", "c"][..]), (&ids[0], &["b", "c"][..]), (&ids[2], &[][..])] {
        let mut back = read(&server, "/v1/topics/open", &format!("last-event-id: {after}\r\n"));
        let mut by_query = read(&server, &format!("/v1/topics/open?after={after}"), "");
        for text in events {
            assert_eq!((&*back.data(), &*by_query.data()), (*text, *text));
        }
        publish(&server, "/v1/topics/open-2", "elsewhere");
    }
    let mut all = read(&server, "/v1/topics/open?after=0", "");
    assert_eq!([all.data(), all.data(), all.data()], ["a", "b", "c"]);
}

#[test]
fn a_reader_whose_id_is_gone_is_told_of_the_gap() {
    let server = TestServer::start(Config { topic_history: 2, ..open() });
    let first = publish(&server, "/v1/topics/open", "1");
    (2..=4).for_each(|n| drop(publish(&server, "/v1/topics/open", &n.to_string())));
    let mut back = read(&server, "/v1/topics/open", &format!("last-event-id: {first}\r\n"));
    let gap = back.next().unwrap();
    assert_eq!((gap.name.as_deref(), gap.data), (Some("gap"), Some(json!({ "after": first }).to_string())));
    assert_eq!([back.data(), back.data()], ["3", "4"]);
    // What was before the server was started, it does not know either.
    assert_eq!(read(&server, "/v1/topics/open?after=1000-0", "").event().name.as_deref(), Some("gap"));
}

// nginx asks like this unless it is told otherwise. (RFC 9112, section 7: "A server MUST NOT send a response
// containing Transfer-Encoding unless the corresponding request indicates HTTP/1.1".)
#[test]
fn one_who_speaks_http_1_0_gets_events_as_they_are_until_the_connection_ends() {
    let server = TestServer::start(open());
    publish(&server, "/v1/topics/open?latest=true", "7");
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(util::PATIENCE)).unwrap();
        let (at, who) = (server.address(), server.authorization());
        let request = format!("GET {path} HTTP/1.0\r\nhost: {at}\r\nconnection: keep-alive\r\n{who}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        (head.join("\n").to_lowercase(), lines)
    };
    for path in ["/v1/topics/open", "/v1/stream"] {
        let (head, mut lines) = ask(path);
        assert!(head.starts_with("http/1.0 200") && head.contains("text/event-stream"), "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
        assert!(lines.next().unwrap().starts_with("retry: "), "no chunk");
        assert!(lines.any(|line| line.starts_with("data: ")));
    }
    let (head, _) = ask("/livez");
    assert!(head.contains("connection: keep-alive"), "what has a length keeps the connection: {head}");
}

// A page's `EventSource` gives up for ever when it gets a 400.
#[test]
fn a_reader_whose_id_is_of_another_server_is_told_of_a_gap_and_goes_on_from_now() {
    let server = TestServer::start(open());
    publish(&server, "/v1/topics/open", "before");
    for foreign in ["1f-17", "now", "\"", "7-", "99999999999999999999-0", "ä"] {
        let mut reader = read(&server, "/v1/topics/open", &format!("last-event-id: {foreign}\r\n"));
        let gap = reader.event();
        assert_eq!(gap.name.as_deref(), Some("gap"), "{foreign}");
        assert_eq!(gap.data, Some(json!({ "after": foreign }).to_string()));
        publish(&server, "/v1/topics/open", "next");
        assert_eq!(reader.data(), "next", "{foreign}");
    }
    let mut reader = read(&server, "/v1/topics/open?after=1f-17", "");
    assert_eq!(reader.event().name.as_deref(), Some("gap"));
}

// Promise 2: "State it misses is superseded, never replayed late."
#[test]
fn of_events_that_replace_each_other_a_reader_gets_the_newest() {
    let server = TestServer::start(open());
    (1..=3).for_each(|n| drop(publish(&server, "/v1/topics/open?latest=true", &n.to_string())));
    let mut reader = read(&server, "/v1/topics/open", "");
    assert_eq!(reader.data(), "3", "a new one does not wait for the next");
    (4..=6).for_each(|n| drop(publish(&server, "/v1/topics/open?latest=true", &n.to_string())));
    until("it has the newest", || reader.data() == "6");
    let mut back = read(&server, "/v1/topics/open?after=0", "");
    assert_eq!(back.data(), "6");
}

// Promise 4: "One client, however slow or hostile, does not [...] grow memory without bound."
#[test]
fn a_slow_reader_is_closed_and_catches_up_by_its_last_id() {
    let bounds = Config { topic_history: 20, topic_history_bytes: 1 << 20, ..open() };
    let server = TestServer::start(patient(bounds));
    let mut slow = read(&server, "/v1/topics/open", "");
    let mut quick = read(&server, "/v1/topics/open", "");
    let large = "x".repeat(16_000);
    // More than sockets and buffers hold.
    let closed = || server.running().metrics().topics.readers_closed.get("slow_consumer");
    for n in 0..1_000 {
        publish(&server, "/v1/topics/open", &format!("{n} {large}"));
        assert!(quick.data().starts_with(&format!("{n} ")), "nobody else is delayed");
    }
    let mut last = None;
    let goodbye = loop {
        let event = slow.next().expect("it is told why");
        if event.name.as_deref() == Some("goodbye") {
            break event;
        }
        last = event.id.or(last);
    };
    assert!(goodbye.data.unwrap().contains("slow_consumer"));
    assert_eq!((slow.next(), closed()), (None, 1));
    let mut back = read(&server, "/v1/topics/open", &format!("last-event-id: {}\r\n", last.unwrap()));
    assert_eq!(back.event().name.as_deref(), Some("gap"));
    let caught_up: Vec<_> = (0..20).map(|_| back.data()).collect();
    assert!(caught_up[0].starts_with("980 ") && caught_up[19].starts_with("999 "));
}

#[test]
fn a_slow_reader_of_events_that_replace_each_other_gets_the_newest_and_stays() {
    let server = TestServer::start(patient(open()));
    let mut slow = read(&server, "/v1/topics/open", "");
    let large = "x".repeat(16_000);
    for n in 1..=1_000 {
        publish(&server, "/v1/topics/open?latest=true", &format!("{n} {large}"));
    }
    let mut got = Vec::new();
    while got.last() != Some(&1_000) {
        got.push(slow.data().split_once(' ').unwrap().0.parse::<u32>().unwrap());
    }
    assert!(got.is_sorted() && got.len() < 999, "{} of them", got.len());
    publish(&server, "/v1/topics/open?latest=true", "more");
    assert_eq!(slow.data(), "more");
}

#[test]
fn only_those_read_and_publish_whose_token_says_so() {
    let server = TestServer::start(with_tokens());
    let at = server.address();
    let token = |topics| bearer(&token_with("ann", json!({ "topics": topics })));
    let reads = token(json!({ "read": ["news", "chat-*"] }));
    let writes = token(json!({ "write": "chat-*" }));
    let status = |path: &str, headers: &str| match Sse::ask(at, path, headers) {
        Ok(_) => (200, String::new()),
        Err(refused) => (refused.status, refused.error_code()),
    };
    let said = |status: u16, code: &str| (status, code.to_owned());
    for path in ["/v1/topics/news", "/v1/topics/chat-7", "/v1/topics/open"] {
        assert_eq!(status(path, &reads), said(200, ""), "{path}");
    }
    assert_eq!(status("/v1/topics/open", ""), said(200, ""), "also without a token");
    assert_eq!(status("/v1/topics/news", ""), said(401, "no_token"));
    assert_eq!(status("/v1/topics/secret", &reads), said(403, "forbidden"));
    assert_eq!(status("/v1/topics/chat-7", &writes), said(403, "forbidden"), "who writes need not read");
    assert_eq!(status("/v1/topics/news", &bearer("x.y.z")).0, 401);
    assert_eq!(status("/v1/topics/.news", &reads), said(404, "no_such_topic"));
    let in_query = token_with("ann", json!({ "topics": { "read": "news" } }));
    assert_eq!(status(&format!("/v1/topics/news?token={in_query}"), ""), said(200, ""), "as pages have to");

    let publish = |path: &str, headers: &str, text: &str| {
        let answer = http::send(at, "POST", path, headers, text);
        let code = if answer.status == 200 { String::new() } else { answer.error_code() };
        (answer.status, code)
    };
    assert_eq!(publish("/v1/topics/chat-7", &writes, "hi"), said(200, ""));
    assert_eq!(publish("/v1/topics/news", &writes, "hi"), said(403, "forbidden"));
    assert_eq!(publish("/v1/topics/chat-7", &reads, "hi"), said(403, "forbidden"));
    assert_eq!(publish("/v1/topics/open", "", "hi"), said(401, "no_token"));
    assert_eq!(publish("/v1/topics/chat-7?event=gap", &writes, "hi"), said(400, "bad_event"));
    assert_eq!(publish("/v1/topics/chat-7", &writes, &"x".repeat(16 * 1024)), said(200, ""));
    assert_eq!(
        publish("/v1/topics/chat-7", &writes, &"x".repeat(16 * 1024 + 1)),
        said(413, "body_too_large")
    );
}

#[test]
fn where_there_are_no_tokens_only_operators_publish_and_guests_read_what_is_open() {
    let server = TestServer::start(open());
    let refused = Sse::ask(server.address(), "/v1/topics/secret", "").err().unwrap();
    assert_eq!((refused.status, &*refused.error_code()), (401, "unauthenticated"));
    assert_eq!(http::send(server.address(), "POST", "/v1/topics/open", "", "hi").status, 401);
    drop(read(&server, "/v1/topics/secret", &server.authorization()));
}

#[test]
fn a_reader_goes_when_its_token_expires_or_its_user_is_revoked() {
    let server = TestServer::start(Config { token_leeway: Duration::ZERO, ..with_tokens() });
    let headers = |user: &str, seconds: u64| {
        let claims = json!({ "topics": { "read": "news" }, "exp": tokens::now() + seconds });
        bearer(&token_with(user, claims))
    };
    let goodbye = |reader: &mut Sse| {
        let event = reader.event();
        assert_eq!((event.name.as_deref(), reader.next()), (Some("goodbye"), None));
        event.data.unwrap()
    };
    let start = Instant::now();
    let mut short = read(&server, "/v1/topics/news", &headers("ann", 2));
    let mut bob = read(&server, "/v1/topics/news", &headers("bob", 60));
    let mut cid = read(&server, "/v1/topics/news", &headers("cid", 60));
    assert!(goodbye(&mut short).contains("token_expired"));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(server.post("/v1/users/bob/revoke", "").status, 200);
    assert!(goodbye(&mut bob).contains("revoked"));
    publish(&server, "/v1/topics/news", "still here");
    assert_eq!(cid.data(), "still here");
}

#[test]
fn a_server_that_stops_tells_readers_when_to_come_back() {
    let server = TestServer::start(Config { drain_spread: Duration::from_secs(60), ..open() });
    let mut readers: Vec<_> = (0..20).map(|_| read(&server, "/v1/topics/open", "")).collect();
    drop(server);
    let mut waits = Vec::new();
    for reader in &mut readers {
        let goodbye = reader.next().unwrap();
        assert_eq!(goodbye.name.as_deref(), Some("goodbye"));
        assert!(goodbye.data.unwrap().contains("draining"));
        waits.push(goodbye.retry.unwrap());
    }
    assert!(waits.iter().all(|wait| (500..=60_500).contains(wait)), "{waits:?}");
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 10_000, "{waits:?}");
}

// Promise 4
#[test]
fn only_so_many_read_and_so_many_topics_are_kept() {
    let topic_history_age = Duration::from_secs(1);
    let server =
        TestServer::start(Config { max_topic_readers: 2, max_topics: 2, topic_history_age, ..open() });
    let readers = [read(&server, "/v1/topics/open", ""), read(&server, "/v1/topics/open", "")];
    let refused = Sse::ask(server.address(), "/v1/topics/open", "").err().unwrap();
    assert_eq!((refused.status, &*refused.error_code()), (503, "too_many_readers"));
    assert!(refused.header("retry-after").is_some());
    publish(&server, "/v1/topics/open-2", "x");
    publish(&server, "/v1/topics/open-3", "x");
    let refused = server.post("/v1/topics/open-4", "x");
    assert_eq!((refused.status, &*refused.error_code()), (503, "too_many_topics"));
    until("one whose history is over makes room", || server.post("/v1/topics/open-4", "x").status == 200);
    drop(readers);
}

// Promise 4: "One client, however slow or hostile, does not [...] grow memory without bound."
#[test]
fn those_who_read_what_nobody_publishes_take_no_topic_from_those_who_publish() {
    let server = TestServer::start(Config { max_topics: 1, ..open() });
    let mut client = client(&server, TransportKind::WebSocket);
    (0..16).for_each(|n| client.read_topic(&format!("open-{n}"), ""));
    (0..16).for_each(|_| assert_eq!(said(&mut client).kind(), Kind::Begun));
    let readers: Vec<_> = (0..4).map(|n| read(&server, &format!("/v1/topics/open-read-{n}"), "")).collect();
    publish(&server, "/v1/topics/open-new", "1");
    let refused = server.post("/v1/topics/open-0", "x");
    assert_eq!((refused.status, &*refused.error_code()), (503, "too_many_topics"), "one has a history");
    assert_eq!(read(&server, "/v1/topics/open-new?after=0", "").data(), "1", "and readers still come");
    publish(&server, "/v1/topics/open-new", "2");
    drop(readers);
}

#[test]
fn whoever_publishes_or_comes_too_fast_is_told_when_to_come_again() {
    let config = Config {
        topic_events_per_second_per_address: 1,
        joins_per_second_per_address: 1,
        trusted_proxy: "127.0.0.1/32".parse().unwrap(),
        ..with_tokens()
    };
    let server = TestServer::start(config);
    let token = bearer(&token_with("ann", json!({ "topics": { "write": "*" } })));
    let far = format!("{token}x-forwarded-for: 192.0.2.7\r\n");
    let publish = |headers: &str| http::send(server.address(), "POST", "/v1/topics/a", headers, "x");
    (0..5).for_each(|_| assert_eq!(publish(&far).status, 200));
    let refused = publish(&far);
    assert_eq!((refused.status, &*refused.error_code()), (429, "too_often"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(publish(&token).status, 200, "another address has its own");
    let operator = format!("{}x-forwarded-for: 192.0.2.7\r\n", server.authorization());
    assert_eq!(publish(&operator).status, 200, "an operator is not limited");
    let come = || Sse::ask(server.address(), "/v1/topics/open", "x-forwarded-for: 192.0.2.8\r\n");
    let readers: Vec<_> = (0..5).map(|_| come().ok().unwrap()).collect();
    assert_eq!(come().err().unwrap().status, 429);
    drop(readers);
}

#[test]
fn a_head_alone_can_be_asked_for_and_a_page_from_elsewhere_reads_only_if_it_may() {
    let origin = "https://game.example.org";
    let server = TestServer::start(Config { allow_origin: vec![origin.parse().unwrap()], ..open() });
    let head = http::send(server.address(), "HEAD", "/v1/topics/open", "", "");
    assert_eq!((head.status, head.header("content-type"), &*head.body), (200, Some("text/event-stream"), ""));
    assert_eq!(http::send(server.address(), "PATCH", "/v1/topics/open", "", "").status, 405);
    let page = |origin: &str| Sse::ask(server.address(), "/v1/topics/open", &format!("origin: {origin}\r\n"));
    assert!(page(origin).ok().unwrap().head().contains(&format!("access-control-allow-origin: {origin}")));
    assert_eq!(page("https://evil.example.org").err().unwrap().status, 403);
    let preflight = format!("origin: {origin}\r\naccess-control-request-method: GET\r\n");
    let preflight = http::send(server.address(), "OPTIONS", "/v1/topics/open", &preflight, "");
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("last-event-id"));
}

/// A client in a room.
fn client(server: &TestServer, transport: TransportKind) -> Client {
    let options = Options::new(format!("ws://{}", server.address()), "lobby").transports([transport]);
    wait(Client::connect(options)).unwrap()
}

/// What it is told next of a topic.
fn said(client: &mut Client) -> TopicMessage {
    loop {
        if let Event::Topic(message) = wait(client.next()).unwrap() {
            return message;
        }
    }
}

/// What it is told next of what it has published.
fn answered(client: &mut Client) -> (u64, TopicMessage) {
    loop {
        if let Event::Published { number, answer } = wait(client.next()).unwrap() {
            return (number, answer);
        }
    }
}

#[test]
fn the_client_of_a_game_reads_topics_over_its_connection() {
    let server = TestServer::start(open());
    for transport in [TransportKind::Quic, TransportKind::WebTransport, TransportKind::WebSocket] {
        let mut client = client(&server, transport);
        client.read_topic("open", "");
        let begun = said(&mut client);
        assert_eq!((begun.kind(), &*begun.topic), (Kind::Begun, "open"), "{transport:?}");
        let first = publish(&server, "/v1/topics/open?event=price", "1\n2");
        let event = said(&mut client);
        assert_eq!(
            (event.kind(), event.id, event.event, event.text),
            (Kind::Event, first.clone(), "price".into(), "1\n2".into())
        );
        publish(&server, "/v1/topics/open", "3");
        assert_eq!(said(&mut client).text, "3");
        client.stop_topic("open");
        client.read_topic("open-2", "1000-0");
        assert_eq!(
            (said(&mut client).kind(), publish(&server, "/v1/topics/open", "4").is_empty()),
            (Kind::Gap, false)
        );
        // Only what is asked for.
        client.read_topic("open", &first);
        let missed = [said(&mut client), said(&mut client), said(&mut client)];
        assert_eq!(missed.map(|message| message.text), ["", "3", "4"]);
        client.read_topic("secret", "");
        let over = said(&mut client);
        assert_eq!((over.kind(), &*over.event), (Kind::Over, "forbidden"));
        client.read_topic("open-3", "of another server");
        assert_eq!(said(&mut client).kind(), Kind::Gap);
        wait(client.leave()).unwrap();
    }
}

#[test]
fn what_a_token_says_of_topics_counts_for_the_connection_of_a_game_too() {
    let server = TestServer::start(with_tokens());
    let token = token_with("ann", json!({ "topics": { "read": "chat-*" } }));
    let options = Options::new(format!("ws://{}", server.address()), "lobby").token(token);
    let mut client = wait(Client::connect(options)).unwrap();
    for (topic, kind) in [("chat-7", Kind::Begun), ("news", Kind::Over), ("open", Kind::Begun)] {
        client.read_topic(topic, "");
        assert_eq!(said(&mut client).kind(), kind, "{topic}");
    }
}

#[test]
fn a_client_publishes_over_its_connection_what_its_token_allows_and_is_told_what_became_of_it() {
    let server = TestServer::start(Config { max_topics: 1, ..with_tokens() });
    let token = token_with("ann", json!({ "topics": { "read": "chat-*", "write": "chat-*" } }));
    let mut reader = read(&server, "/v1/topics/chat-7", &bearer(&token));
    let publish = |topic: &str, text: &str, event: &str| Publish {
        topic: topic.to_owned(),
        text: text.to_owned(),
        event: event.to_owned(),
        latest: false,
    };
    for transport in [TransportKind::Quic, TransportKind::WebTransport, TransportKind::WebSocket] {
        let options = Options::new(format!("ws://{}", server.address()), "lobby");
        let mut client = wait(Client::connect(options.token(token.clone()).transports([transport]))).unwrap();
        for (n, (topic, text, event, refused)) in [
            ("chat-7", "hi", "", ""),
            ("news", "x", "", "forbidden"),
            ("presence:ann", "x", "", "forbidden"),
            ("chat-7", "x", "gap", "bad_event"),
            ("chat-7", "7", "score", ""),
            ("chat-8", "x", "", "too_many_topics"),
        ]
        .into_iter()
        .enumerate()
        {
            let number = client.publish(publish(topic, text, event)).unwrap();
            assert_eq!(number, n as u64 + 1);
            let (answered, answer) = answered(&mut client);
            assert_eq!((answered, &*answer.event), (number, refused), "{transport:?} {topic} {event}");
            assert_eq!(answer.kind(), if refused.is_empty() { Kind::Published } else { Kind::Refused });
            if answer.kind() == Kind::Published {
                let read = reader.next().unwrap();
                assert_eq!((read.data.as_deref(), read.id.unwrap()), (Some(text), answer.id));
                assert_eq!(read.name.unwrap_or_default(), event);
            }
        }
        assert_eq!(
            client.publish(publish("chat-7", &"x".repeat(4_097), "")),
            Err(SendError::TooLarge(4_097))
        );
        wait(client.leave()).unwrap();
    }
}

// A text may say anything.
#[test]
fn who_has_published_something_is_said_by_the_server_to_all_who_read_it() {
    let server = TestServer::start(with_tokens());
    let topics = json!({ "topics": { "read": "chat", "write": "chat" } });
    let ann = token_with("ann|7", json!({ "name": "Ann", "topics": topics["topics"] }));
    let cid = token_with("cid", topics);
    let mut reader = read(&server, "/v1/topics/chat", &bearer(&cid));
    let options = Options::new(format!("ws://{}", server.address()), "lobby");
    let mut client = wait(Client::connect(options.token(ann.clone()))).unwrap();
    client.read_topic("chat", "");
    assert_eq!(said(&mut client).kind(), Kind::Begun);

    let text = || "Ann: I give up".to_owned();
    for (user, name) in [("ann|7", "Ann"), ("cid", ""), ("", "")] {
        let said_in_game = Publish { topic: "chat".to_owned(), text: text(), ..Publish::default() };
        match user {
            "ann|7" => {
                client.publish(said_in_game).unwrap();
            }
            "cid" => drop(http::send(server.address(), "POST", "/v1/topics/chat", &bearer(&cid), &text())),
            _ => {
                publish(&server, "/v1/topics/chat", &text());
            }
        }
        let message = said(&mut client);
        assert_eq!((&*message.text, &*message.user, &*message.name), ("Ann: I give up", user, name));
        let event = reader.event();
        let (told_user, told_name) = event.author;
        assert_eq!(
            (told_user.unwrap_or_default(), told_name.unwrap_or_default()),
            (user.into(), name.into())
        );
    }
}

// Promise 4
#[test]
fn a_client_that_publishes_too_often_is_told_so_of_each() {
    let server = TestServer::start(with_tokens());
    let token = token_with("ann", json!({ "topics": { "write": "*" } }));
    let options = Options::new(format!("ws://{}", server.address()), "lobby");
    let mut client = wait(Client::connect(options.token(token))).unwrap();
    let text = |n: usize| Publish { topic: "a".to_owned(), text: n.to_string(), ..Publish::default() };
    for n in 0..40 {
        client.publish(text(n)).unwrap();
    }
    let mut kinds = Vec::new();
    for n in 1..=40 {
        let (number, answer) = answered(&mut client);
        assert_eq!(number, n, "in order");
        kinds.push((answer.kind(), answer.event));
    }
    let published = kinds.iter().filter(|(kind, _)| *kind == Kind::Published).count();
    assert!((20..40).contains(&published), "{kinds:?}");
    assert!(kinds.contains(&(Kind::Refused, "too_often".to_owned())), "{kinds:?}");
}

#[test]
fn a_client_without_a_token_that_says_so_publishes_nothing() {
    let server = TestServer::start(open());
    let mut client = client(&server, TransportKind::WebSocket);
    client.publish(Publish { topic: "open".to_owned(), ..Publish::default() }).unwrap();
    let (_, answer) = answered(&mut client);
    assert_eq!((answer.kind(), &*answer.event), (Kind::Refused, "forbidden"));
}

// Promise 4
#[test]
fn a_client_reads_so_many_topics_and_gets_long_events_in_order_but_not_all_at_once() {
    let server = TestServer::start(open());
    let mut client = client(&server, TransportKind::WebSocket);
    (0..16).for_each(|n| client.read_topic(&format!("open-{n}"), ""));
    (0..16).for_each(|_| assert_eq!(said(&mut client).kind(), Kind::Begun));
    client.read_topic("open-16", "");
    assert_eq!(said(&mut client).event, "too_many_topics");
    let large = "x".repeat(16_000);
    let start = Instant::now();
    (0..10).for_each(|n| drop(publish(&server, "/v1/topics/open-3", &format!("{n} {large}"))));
    for n in 0..10 {
        assert!(said(&mut client).text.starts_with(&format!("{n} ")));
    }
    assert!(start.elapsed() > Duration::from_secs(1), "64 KiB a second: states have to pass, too");
}
