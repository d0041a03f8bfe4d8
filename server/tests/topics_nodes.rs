//! Topics of several servers, through a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Options, TransportKind};
use driftless_server::config::Config;
use serde_json::json;
use std::time::{Duration, Instant};
use util::{
    TestServer, config, eventually, http,
    process::Process,
    quic::wait,
    redis::Redis,
    sse::Sse,
    tokens::{self, token_with},
    until,
};

fn node_of(redis: &Redis) -> Config {
    let topics_open = vec!["open*".parse().unwrap()];
    // Long, because rooms are not what is tested.
    Config { redis: redis.url().parse().ok(), lease: Duration::from_secs(30), topics_open, ..config() }
}

fn publish(server: &TestServer, path: &str, text: &str) -> String {
    let said = server.post(path, text);
    assert_eq!(said.status, 200, "{}", said.body);
    said.json()["id"].as_str().unwrap().to_owned()
}

/// A reader that has begun.
fn read(server: &TestServer, path: &str, headers: &str) -> Sse {
    let mut reader = Sse::open(server.address(), path, headers);
    assert!(reader.next().unwrap().id.is_some());
    reader
}

#[test]
fn what_is_published_at_one_node_is_read_at_all() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let mut readers = [read(&a, "/v1/topics/open", ""), read(&b, "/v1/topics/open", "")];
    let ids = [
        publish(&a, "/v1/topics/open", "1"),
        publish(&b, "/v1/topics/open?event=price", "2"),
        publish(&a, "/v1/topics/open-2", "elsewhere"),
        publish(&a, "/v1/topics/open", "3\n4"),
    ];
    for reader in &mut readers {
        let events = [reader.event(), reader.event(), reader.event()];
        assert_eq!(events.each_ref().map(|event| event.data.as_deref().unwrap()), ["1", "2", "3\n4"]);
        assert_eq!(events.each_ref().map(|event| event.id.as_ref().unwrap()), [&ids[0], &ids[1], &ids[3]]);
        assert_eq!(events[1].name.as_deref(), Some("price"));
    }
    // Also a node that nobody has read at before knows what was.
    let mut back = read(&b, "/v1/topics/open-2?after=0", "");
    assert_eq!(back.data(), "elsewhere");
    let c = TestServer::start(node_of(&redis));
    let mut back = read(&c, "/v1/topics/open", &format!("last-event-id: {}\r\n", ids[0]));
    assert_eq!([back.data(), back.data()], ["2", "3\n4"]);
    publish(&a, "/v1/topics/open?latest=true", "5");
    publish(&b, "/v1/topics/open?latest=true", "6");
    until("the newest has come", || back.data() == "6");
    assert_eq!(read(&c, "/v1/topics/open", "").data(), "6");
}

// "Each event once, in order, with an id": a node is always a little behind, and a reader comes from another.
#[test]
fn whoever_comes_from_a_node_that_has_read_more_gets_nothing_again_and_no_gap() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let _first = read(&server, "/v1/topics/open", "");
    publish(&server, "/v1/topics/open", "before");
    let time = || redis::cmd("TIME").query::<(u64, u64)>(&mut redis.client()).unwrap();
    let (seconds, _) = time();
    until("that second is over", || time().0 > seconds);
    for topic in ["/v1/topics/open", "/v1/topics/open-silent"] {
        let _reads = read(&server, topic, "");
        let now = time();
        let ahead = format!("last-event-id: {}-0\r\n", now.0 * 1_000 + now.1 / 1_000);
        let mut reader = read(&server, topic, &ahead);
        publish(&server, topic, "after");
        let event = reader.event();
        assert_eq!((event.name, event.data.as_deref()), (None, Some("after")), "{topic}");
        let mut foreign = read(&server, topic, "last-event-id: 99999999999999-0\r\n");
        assert_eq!(foreign.event().name.as_deref(), Some("gap"), "Redis gives no such id yet");
    }
}

#[test]
fn who_has_published_something_is_known_at_all_nodes() {
    let redis = Redis::start();
    let node = || Config { token_secret: tokens::config().token_secret, ..node_of(&redis) };
    let (a, b) = (TestServer::start(node()), TestServer::start(node()));
    let token = token_with("ann|7", json!({ "name": "Ann", "topics": { "write": "open" } }));
    let mut reader = read(&b, "/v1/topics/open", "");
    let shown = format!("authorization: Bearer {token}\r\n");
    let said = http::send(a.address(), "POST", "/v1/topics/open", &shown, "hi");
    assert_eq!(said.status, 200, "{said:?}");
    let event = reader.event();
    assert_eq!(event.data.as_deref(), Some("hi"));
    assert_eq!(event.author, (Some("ann|7".into()), Some("Ann".into())));
}

#[test]
fn while_redis_is_away_nothing_is_published_and_readers_stay() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let mut reader = read(&b, "/v1/topics/open", "");
    publish(&a, "/v1/topics/open", "before");
    assert_eq!(reader.data(), "before");
    redis.signal(libc::SIGSTOP);
    let refused = a.post("/v1/topics/open", "meanwhile");
    assert_eq!((refused.status, &*refused.error_code()), (503, "unavailable"));
    assert!(refused.header("retry-after").is_some());
    redis.signal(libc::SIGCONT);
    until("it is published again", || a.post("/v1/topics/open", "after").status == 200);
    until("and read", || reader.data() == "after");
}

#[test]
fn a_connection_to_redis_that_is_lost_loses_no_event() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let mut reader = read(&server, "/v1/topics/open", "");
    publish(&server, "/v1/topics/open", "0");
    assert_eq!(reader.data(), "0");
    for n in 1..=20 {
        if n % 5 == 0 {
            redis.says("CLIENT KILL TYPE normal SKIPME yes").unwrap();
        }
        until("it is published", || server.post("/v1/topics/open", &n.to_string()).status == 200);
        assert_eq!(reader.data(), n.to_string(), "each once, in order, and no gap");
    }
}

#[test]
fn a_redis_that_has_forgotten_everything_is_a_gap_to_those_who_read() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let mut reader = read(&server, "/v1/topics/open", "");
    let first = publish(&server, "/v1/topics/open", "1");
    assert_eq!(reader.data(), "1");
    redis.says("FLUSHALL").unwrap();
    redis.says("CLIENT KILL TYPE normal SKIPME yes").unwrap();
    let gap = reader.event();
    assert_eq!((gap.name.as_deref(), gap.data.unwrap().contains(&first)), (Some("gap"), true));
    until("it is published", || server.post("/v1/topics/open", "2").status == 200);
    assert_eq!(reader.data(), "2", "it goes on");
}

#[test]
fn a_reader_may_come_while_redis_is_away() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let first = publish(&server, "/v1/topics/open", "1");
    publish(&server, "/v1/topics/open", "2");
    redis.signal(libc::SIGSTOP);
    let mut reader = Sse::open(server.address(), "/v1/topics/open", &format!("last-event-id: {first}\r\n"));
    redis.signal(libc::SIGCONT);
    assert_eq!(reader.data(), "2");
}

/// Whether a part of the server fails.
fn fails(server: &TestServer, part: &str) -> bool {
    server.get("/metrics").body.contains(&format!("driftless_failing{{part=\"{part}\"}} 1"))
}

#[test]
fn what_a_full_redis_has_is_read_and_nothing_more_is_published() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    publish(&server, "/v1/topics/open", "1");
    redis.memory(1);
    let refused = server.post("/v1/topics/open", "2");
    assert_eq!((refused.status, &*refused.error_code()), (503, "unavailable"));
    until("it is said", || fails(&server, "topics_publish"));
    assert_eq!(read(&server, "/v1/topics/open?after=0", "").data(), "1");
    // Whatever reads there need not wait until Redis answers by itself.
    let woken =
        || redis::Commands::keys::<_, Vec<String>>(&mut redis.client(), "{driftless}:topic:-?????*").unwrap();
    until("it is told to look", || woken().len() == 1);
    read(&server, "/v1/topics/open-2", "");
    redis.memory(0);
    until("it is published again", || server.post("/v1/topics/open", "2").status == 200);
    until("all is well", || !fails(&server, "topics_publish"));
}

#[test]
fn what_somebody_else_has_written_stops_no_topic_but_its_own() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let mut reader = read(&server, "/v1/topics/open", "");
    let mut client = redis.client();
    let mut write = |command: &str, arguments: &[&[u8]]| {
        redis::cmd(command).arg(arguments).exec(&mut client).unwrap();
    };
    publish(&server, "/v1/topics/open", "0");
    assert_eq!(reader.data(), "0");
    // No text, and no stream.
    write("XADD", &[b"{driftless}:topic:open", b"*", b"\xff", b"x"]);
    write("XADD", &[b"{driftless}:topic:open", b"*", b"kind", b"\xff"]);
    write("SET", &[b"{driftless}:topic:open-bad", b"x"]);
    let mut waits = Sse::open(server.address(), "/v1/topics/open-bad?after=0", "");
    publish(&server, "/v1/topics/open", "1");
    assert_eq!(reader.data(), "1");
    assert_eq!(server.post("/v1/topics/open-bad", "2").status, 503);
    let mut late = read(&server, "/v1/topics/open-late", "");
    publish(&server, "/v1/topics/open-late", "3");
    assert_eq!(late.data(), "3");
    assert!(!fails(&server, "topics_read") && !fails(&server, "topics_publish"), "Redis does its part");
    write("DEL", &[b"{driftless}:topic:open-bad"]);
    publish(&server, "/v1/topics/open-bad", "4");
    assert_eq!(waits.data(), "4", "in a while");
}

#[test]
fn nothing_is_wrong_with_reading_when_nobody_reads_and_publishing_is_tried_again() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let reader = read(&server, "/v1/topics/open", "");
    redis.signal(libc::SIGSTOP);
    assert_eq!(server.post("/v1/topics/open", "x").status, 503);
    assert!(fails(&server, "topics_publish"));
    until("the reader's connection is given up", || fails(&server, "topics_read"));
    drop(reader);
    until("there is nothing to read", || !fails(&server, "topics_read"));
    assert!(fails(&server, "topics_publish"), "that is another matter");
    redis.signal(libc::SIGCONT);
    until("it could be published", || !fails(&server, "topics_publish"));
}

#[test]
fn an_event_is_soon_read_at_another_node() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let mut reader = read(&b, "/v1/topics/open", "");
    let mut took: Vec<_> = (0..200)
        .map(|n| {
            let start = Instant::now();
            publish(&a, "/v1/topics/open", &n.to_string());
            assert_eq!(reader.data(), n.to_string());
            start.elapsed()
        })
        .collect();
    took.sort();
    // Half of them, because the machine may be busy.
    assert!(took[100] < Duration::from_millis(50), "{took:?}");
}

// "Of such events the topic keeps the newest only", with other nodes as without.
#[test]
fn events_that_replace_each_other_push_nothing_else_out_of_a_history() {
    let redis = Redis::start();
    let bounds = |config: Config| Config { topic_history: 4, ..config };
    let alone = Config { redis: None, ..node_of(&redis) };
    let (alone, a) = (TestServer::start(bounds(alone)), TestServer::start(bounds(node_of(&redis))));
    let b = TestServer::start(bounds(node_of(&redis)));
    for (at, elsewhere) in [(&alone, &alone), (&a, &b)] {
        let first = publish(at, "/v1/topics/open", "1");
        (0..10).for_each(|n| drop(publish(at, "/v1/topics/open?latest=true", &format!("was {n}"))));
        publish(at, "/v1/topics/open", "2");
        publish(at, "/v1/topics/open?latest=true", "is");
        publish(at, "/v1/topics/open", "3");
        // Also at a node at which nobody has read it before.
        for server in [at, elsewhere] {
            let mut all = read(server, "/v1/topics/open?after=0", "");
            assert_eq!([all.data(), all.data(), all.data(), all.data()], ["1", "2", "is", "3"]);
            let mut back = read(server, "/v1/topics/open", &format!("last-event-id: {first}\r\n"));
            assert_eq!([back.data(), back.data(), back.data()], ["2", "is", "3"], "and no gap");
            assert_eq!(read(server, "/v1/topics/open", "").data(), "is", "a new one begins with the newest");
        }
        publish(at, "/v1/topics/open", "4");
        until("it is there, too", || {
            let mut back = read(elsewhere, "/v1/topics/open?after=0", "");
            [back.data(), back.data(), back.data(), back.data()] == ["2", "is", "3", "4"]
        });
        let mut back = read(elsewhere, "/v1/topics/open", "last-event-id: 1000-0\r\n");
        assert_eq!(back.event().name.as_deref(), Some("gap"));
    }
}

// Promise 4
#[test]
fn topics_of_all_nodes_together_are_as_many_and_as_large_as_may_be() {
    let redis = Redis::start();
    let few = || Config {
        max_topics: 2,
        topic_history_bytes: 4_096,
        topic_history_age: Duration::from_secs(3),
        lease: Duration::from_secs(1),
        ..node_of(&redis)
    };
    let (a, b) = (TestServer::start(few()), TestServer::start(few()));
    // Who only reads takes none.
    let options = Options::new(format!("ws://{}", a.address()), "lobby");
    let mut client = eventually("rooms can be made", || {
        wait(Client::connect(options.clone().transports([TransportKind::WebSocket]))).ok()
    });
    (0..16).for_each(|n| client.read_topic(&format!("open-read-{n}"), ""));
    let mut waits = read(&b, "/v1/topics/open-1", "");
    for n in 0..20 {
        publish([&a, &b][n % 2], "/v1/topics/open-1", &format!("{n} {}", "x".repeat(1_000)));
        assert!(waits.data().starts_with(&format!("{n} ")), "one who has waited for a topic gets it all");
    }
    let length = redis.says("XLEN {driftless}:topic:open-1").unwrap();
    assert!([":3", ":4"].contains(&length.trim()), "{length}");
    publish(&b, "/v1/topics/open-2", "x");
    for server in [&a, &b] {
        let refused = server.post("/v1/topics/open-3", "x");
        assert_eq!((refused.status, &*refused.error_code()), (503, "too_many_topics"));
        publish(server, "/v1/topics/open-2", "those that are there go on");
    }
    assert_eq!(redis.says("EXISTS {driftless}:topic:open-3").unwrap().trim(), ":0");
    until("one that is too old makes room", || a.post("/v1/topics/open-3", "x").status == 200);
}

// Promise 4: of all topics, a source has its part, at however many nodes it publishes.
#[test]
fn nobody_takes_all_topics_of_all_nodes() {
    let redis = Redis::start();
    let node = || {
        let config =
            Config { max_topics: 64, trusted_proxy: "127.0.0.0/8".parse().unwrap(), ..node_of(&redis) };
        TestServer::start(Config { token_secret: tokens::config().token_secret, ..config })
    };
    let nodes = [node(), node()];
    let token = token_with("ann", json!({ "topics": { "write": "*" } }));
    let publish = |n: usize, address: &str| {
        let headers = format!("authorization: Bearer {token}\r\nx-forwarded-for: {address}\r\n");
        let said = http::send(nodes[n % 2].address(), "POST", &format!("/v1/topics/chat-{n}"), &headers, "x");
        (said.status, if said.status == 200 { String::new() } else { said.error_code() })
    };
    assert!((0..8).all(|n| publish(n, "192.0.2.1").0 == 200), "one in eight");
    for n in [8, 9] {
        assert_eq!(publish(n, "192.0.2.1"), (429, "too_many_topics_of_address".to_owned()));
        assert_eq!(publish(n - 8, "192.0.2.1").0, 200, "those that it has go on");
        assert_eq!(publish(n, "192.0.2.2").0, 200, "others have their own");
    }
    assert_eq!(redis.says("ZREM {driftless}:topics:of:192.0.2.1 chat-3").unwrap().trim(), ":1");
    assert_eq!(publish(8, "192.0.2.1").0, 200, "one that has been quiet for long counts no more");
    let lasts = redis::cmd("PTTL").arg("{driftless}:topics:of:192.0.2.1").query::<i64>(&mut redis.client());
    assert!(lasts.unwrap() > 0, "what is over takes no memory");
}

// Promise 2: what a reader has missed, it is told of.
#[test]
fn a_node_that_stood_still_while_its_readers_missed_events_tells_them() {
    let redis = Redis::start();
    let b = TestServer::start(Config { topic_history: 4, ..node_of(&redis) });
    let options = format!("--redis {} --topics-open open* --topic-history 4 --lease 30s", redis.url());
    let a = Process::start(&options.split(' ').collect::<Vec<_>>());
    let begin = |path: &str| {
        let mut reader = Sse::open(a.address(), path, "");
        assert!(reader.next().unwrap().id.is_some());
        reader
    };
    let mut reader = begin("/v1/topics/open");
    let mut silent = begin("/v1/topics/open-silent");
    let mut figure = begin("/v1/topics/open-figure");
    let first = publish(&b, "/v1/topics/open", "first");
    publish(&b, "/v1/topics/open-figure?latest=true", "0");
    assert_eq!((reader.data(), figure.data()), ("first".into(), "0".into()));
    a.signal(libc::SIGSTOP);
    for n in 1..=10 {
        publish(&b, "/v1/topics/open", &n.to_string());
        publish(&b, "/v1/topics/open-silent", &n.to_string());
        publish(&b, "/v1/topics/open-figure?latest=true", &n.to_string());
    }
    a.signal(libc::SIGCONT);
    for (reader, mut read_to) in [(&mut reader, Some(first)), (&mut silent, None)] {
        // Redis had somebody waiting for the first one.
        let mut event = reader.event();
        if event.data.as_deref() == Some("1") {
            read_to = event.id;
            event = reader.event();
        }
        assert_eq!(event.name.as_deref(), Some("gap"));
        let after = event.data.unwrap();
        assert!(read_to.is_none_or(|id| after.contains(&id)), "{after}");
        assert_eq!([(); 4].map(|()| reader.data()), ["7", "8", "9", "10"]);
    }
    until("it has the newest: what was replaced is not missed", || figure.data() == "10");
    publish(&b, "/v1/topics/open", "11");
    assert_eq!(reader.data(), "11", "it goes on");
}

#[test]
fn a_node_keeps_up_with_what_is_dropped_as_fast_as_it_comes_or_tells_its_readers() {
    let redis = Redis::start();
    let few = || Config { topic_history: 4, ..node_of(&redis) };
    let (a, b) = (TestServer::start(few()), TestServer::start(few()));
    let mut reader = read(&a, "/v1/topics/open", "");
    publish(&b, "/v1/topics/open", "0");
    assert_eq!(reader.data(), "0");
    // No command of another gets between these.
    let script = include_str!("../src/topics/topics.lua").trim_start_matches("#!lua");
    let mut all = redis::pipe();
    all.atomic();
    for n in 1..=10 {
        let arguments =
            ["{driftless}", "open", "9", "4", "100000", "60000", &n.to_string(), "", "", "", "", "", ""];
        all.cmd("EVAL").arg(script).arg(1).arg("{driftless}:topics").arg(&arguments);
    }
    let _: redis::Value = all.query(&mut redis.client()).unwrap();
    assert_eq!(reader.event().name.as_deref(), Some("gap"));
    assert_eq!([(); 4].map(|()| reader.data()), ["7", "8", "9", "10"]);
}

#[test]
fn what_a_node_with_a_shorter_history_has_dropped_is_a_gap_at_every_node() {
    let redis = Redis::start();
    let second = Duration::from_secs(1);
    let short = || Config { topic_history: 3, topic_history_age: second, ..node_of(&redis) };
    let (long, short) = (TestServer::start(node_of(&redis)), TestServer::start(short()));
    let ids: Vec<_> = (0..9).map(|n| publish(&long, "/v1/topics/open", &n.to_string())).collect();
    publish(&short, "/v1/topics/open", "9");
    let back = |server: &TestServer, id: &str| {
        let mut reader = read(server, "/v1/topics/open", &format!("last-event-id: {id}\r\n"));
        let first = reader.event();
        (first.name.is_some(), if first.name.is_some() { reader.data() } else { first.data.unwrap() })
    };
    let third = TestServer::start(node_of(&redis));
    for server in [&long, &short, &third] {
        assert_eq!(back(server, &ids[5]), (true, "7".into()));
        assert_eq!(back(server, &ids[6]), (false, "7".into()));
    }
    // Of what was kept for a second, nothing is left, not even that it was there.
    let last = publish(&short, "/v1/topics/open-2", "1");
    publish(&short, "/v1/topics/open-2", "2");
    until("it is over", || redis.says("EXISTS {driftless}:topic:open-2").unwrap().trim() == ":0");
    let gone = format!("last-event-id: {last}\r\n");
    for server in [&long, &short, &third] {
        let mut silent = read(server, "/v1/topics/open-2", &gone);
        assert_eq!(silent.event().name.as_deref(), Some("gap"));
    }
    publish(&long, "/v1/topics/open-2", "3");
    for server in [&long, &short, &TestServer::start(node_of(&redis))] {
        let mut back = read(server, "/v1/topics/open-2", &gone);
        assert_eq!(back.event().name.as_deref(), Some("gap"));
        assert_eq!(back.data(), "3");
    }
}

#[test]
fn a_history_of_many_pages_comes_whole() {
    let redis = Redis::start();
    let large = || Config { topic_history: 1_000, topic_history_bytes: 64 << 20, ..node_of(&redis) };
    let (a, b) = (TestServer::start(large()), TestServer::start(large()));
    let text = "x".repeat(16_000);
    let first = publish(&a, "/v1/topics/open", "0");
    (1..=300).for_each(|n| drop(publish(&a, "/v1/topics/open", &format!("{n} {text}"))));
    let mut back = read(&b, "/v1/topics/open", &format!("last-event-id: {first}\r\n"));
    for n in 1..=300 {
        assert!(back.data().starts_with(&format!("{n} ")));
    }
    publish(&a, "/v1/topics/open", "301");
    assert_eq!(back.data(), "301");
}
