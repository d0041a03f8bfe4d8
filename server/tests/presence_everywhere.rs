//! Where users are: asked for and watched at any node, through a real Redis, and without other nodes.
//!
//! Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts after the
//! timeout."

#![allow(unsafe_code, reason = "signals for a child")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Disconnect, Error, Event, Options, TransportKind};
use driftless_proto::wire::topic_message::Kind;
use driftless_server::config::{AdminToken, Config};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use util::{
    TestServer, eventually, http,
    process::{Process, command},
    quic::wait,
    redis::Redis,
    sse::Sse,
    tokens::{self, SECRET, token_with},
    until,
};

const LEASE: Duration = Duration::from_secs(2);
const ADMIN: &str = "the-admin-token-of-a-test";

fn alone() -> Config {
    let admin_token = AdminToken::new(ADMIN);
    Config { resume_window: Duration::from_secs(2), admin_token, ..tokens::config() }
}

fn node_of(redis: &Redis, name: &str) -> Config {
    Config { redis: redis.url().parse().ok(), lease: LEASE, node: Some(name.to_owned()), ..alone() }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Somebody who plays until this is dropped.
struct Playing {
    stop: Option<oneshot::Sender<End>>,
    thread: Option<thread::JoinHandle<()>>,
}

enum End {
    Leaves,
    IsLost,
}

impl Playing {
    /// Joins as soon as rooms can be found, wherever they are.
    fn join(address: SocketAddr, room: &str, user: &str) -> Self {
        let options = Options::new(format!("ws://{address}"), room)
            .transports([TransportKind::WebSocket])
            .token(token_with(user, json!({})));
        let (stop, mut stopped) = oneshot::channel();
        let (joined, is_there) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut client = loop {
                    match Client::connect(options.clone()).await {
                        Ok(client) => break client,
                        Err(Error::Ended(Disconnect::Goodbye { code: 4016 | 4006, .. })) => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        Err(other) => panic!("{other}"),
                    }
                };
                joined.send(()).unwrap();
                loop {
                    tokio::select! {
                        event = client.next() => if event.is_err() { return },
                        end = &mut stopped => match end {
                            Ok(End::Leaves) => return drop(client.leave().await),
                            Ok(End::IsLost) | Err(_) => return,
                        },
                    }
                }
            });
        });
        is_there.recv().expect("it joins");
        Self { stop: Some(stop), thread: Some(thread) }
    }

    fn end(&mut self, how: End) {
        let _ = self.stop.take().map(|stop| stop.send(how));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }

    fn leaves(mut self) {
        self.end(End::Leaves);
    }

    fn vanishes(mut self) {
        self.end(End::IsLost);
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.end(End::Leaves);
    }
}

/// Where a user is, as a node says to an operator.
fn find(address: SocketAddr, user: &str) -> Value {
    let said = http::send(address, "GET", &format!("/v1/presence/{user}"), &bearer(ADMIN), "");
    if said.status == 200 { said.json() } else { json!({ "state": said.error_code() }) }
}

/// The state, and each room with its node.
fn shown(whereabouts: &Value) -> String {
    let rooms = whereabouts["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
    let room = |stay: &Value| {
        let at = stay["node"].as_str().map(|node| format!("@{node}")).unwrap_or_default();
        format!(" {}{at}:{}", stay["room"].as_str().unwrap(), stay["state"].as_str().unwrap())
    };
    format!("{}{}", whereabouts["state"].as_str().unwrap(), rooms.iter().map(room).collect::<String>())
}

fn found(address: SocketAddr, user: &str) -> String {
    shown(&find(address, user))
}

/// Somebody who watches these users.
fn watch(address: SocketAddr, path: &str, headers: &str) -> Sse {
    Sse::open(address, path, &format!("accept: text/event-stream\r\n{headers}"))
}

fn next(watcher: &mut Sse) -> String {
    shown(&serde_json::from_str(&watcher.data()).unwrap())
}

#[test]
fn without_other_nodes_a_user_is_found_and_watched_all_the_same() {
    let server = TestServer::start(alone());
    let at = server.address();
    let token = bearer(&token_with("ann", json!({ "presence": ["bob"] })));
    let mut watcher = watch(at, "/v1/presence/bob", &token);
    assert_eq!(next(&mut watcher), "offline");
    let bob = Playing::join(at, "lobby", "bob");
    assert_eq!(next(&mut watcher), "online lobby:online");
    let before = tokens::now() * 1_000;
    let since = find(at, "bob")["rooms"][0]["since_unix_ms"].as_u64().unwrap();
    assert!(since.abs_diff(before) < 60_000, "{since} {before}");
    let other = Playing::join(at, "other", "bob");
    assert_eq!(next(&mut watcher), "online lobby:online other:online");
    bob.vanishes();
    assert_eq!(next(&mut watcher), "online lobby:away other:online");
    assert_eq!(next(&mut watcher), "online other:online", "the resume window is over");
    other.leaves();
    assert_eq!(next(&mut watcher), "offline");
    // Whoever comes later begins with what is so.
    assert_eq!(next(&mut watch(at, "/v1/presence/bob", &bearer(ADMIN))), "offline");
    assert_eq!(server.get("/metrics").metric("driftless_presence_batches_total"), 0.0);
}

#[test]
fn who_may_ask_is_in_the_token() {
    let server = TestServer::start(alone());
    let token = bearer(&token_with("ann", json!({ "presence": ["auth0|bob", "clan-7-*"] })));
    let ask = |path: &str, headers: &str| {
        let said = http::send(server.address(), "GET", path, headers, "");
        (said.status, if said.status == 200 { String::new() } else { said.error_code() })
    };
    let said = |status, code: &str| (status, code.to_owned());
    assert_eq!(ask("/v1/presence/ann", ""), said(401, "no_token"));
    assert_eq!(ask("/v1/presence/ann", &bearer("x.y.z")), said(401, "token_malformed"));
    for user in ["ann", "auth0%7Cbob", "clan-7-x"] {
        assert_eq!(ask(&format!("/v1/presence/{user}"), &token), said(200, ""), "{user}");
    }
    assert_eq!(ask("/v1/presence/bob", &token), said(403, "forbidden"));
    assert_eq!(ask("/v1/presence/bob", &bearer(ADMIN)), said(200, ""));
    let refused = ask("/v1/presence/bob", &format!("accept: text/event-stream\r\n{token}"));
    assert_eq!(refused, said(403, "forbidden"), "nor watch");
    for bad in [json!({}), json!(7), json!(["a b"]), json!([""]), json!(null)] {
        let token = bearer(&token_with("ann", json!({ "presence": bad })));
        assert_eq!(ask("/v1/presence/ann", &token), said(401, "token_claims"), "{bad}");
    }
}

#[test]
fn a_question_that_makes_no_sense_gets_a_named_answer() {
    let server = TestServer::start(alone());
    let ask = |body: &str| {
        let headers = format!("content-type: application/json\r\n{}", bearer(ADMIN));
        let said = http::send(server.address(), "POST", "/v1/presence", &headers, body);
        (said.status, if said.status == 200 { said.body } else { said.error_code() })
    };
    let many = |count: usize| json!({ "users": vec!["ann"; count] }).to_string();
    assert_eq!(ask(&many(100)).0, 200);
    let said = |status, code: &str| (status, code.to_owned());
    assert_eq!(ask(&many(101)), said(400, "out_of_range"));
    assert_eq!(ask(&many(0)), said(400, "out_of_range"));
    assert_eq!(ask(r#"{"users":["a b"]}"#), said(400, "bad_user"));
    assert_eq!(ask(r#"{"users":[""]}"#), said(400, "bad_user"));
    let long = json!({ "users": ["x".repeat(256)] }).to_string();
    assert_eq!(ask(&long), said(400, "bad_user"));
    for body in ["", "{}", "[]", r#"{"users":"ann"}"#, r#"{"users":[],"more":1}"#] {
        assert_eq!(ask(body).0, 400, "{body:?}");
    }
    let bad = http::send(server.address(), "GET", "/v1/presence/a%20b", &bearer(ADMIN), "");
    assert_eq!((bad.status, &*bad.error_code()), (400, "bad_user"));
}

#[test]
fn a_user_in_rooms_of_two_nodes_is_found_at_both() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis, "a")), TestServer::start(node_of(&redis, "b")));
    until("they have met", || knows(a.address()) == 2 && knows(b.address()) == 2);
    let ann = Playing::join(a.address(), "first", "ann");
    let bob = Playing::join(b.address(), "second", "bob");
    let _too = Playing::join(b.address(), "third", "ann");
    for server in [&a, &b] {
        until("both are found", || {
            let found = found(server.address(), "ann");
            found.starts_with("online first@") && found.contains(" third@")
        });
        let body = json!({ "users": ["bob", "nobody", "ann"] }).to_string();
        let headers = format!("content-type: application/json\r\n{}", bearer(ADMIN));
        until("several at once", || {
            let said = http::send(server.address(), "POST", "/v1/presence", &headers, &body).json();
            let users = said["users"].as_array().unwrap().iter();
            let states: Vec<_> = users
                .map(|user| [&user["user"], &user["state"]].map(|text| text.as_str().unwrap()))
                .collect();
            states == [["bob", "online"], ["nobody", "offline"], ["ann", "online"]]
        });
    }
    // Watched at a node where they are not, or are.
    let headers = format!("content-type: application/json\r\naccept: text/event-stream\r\n{}", bearer(ADMIN));
    let mut watcher = Sse::post(a.address(), "/v1/presence", &headers, r#"{"users":["ann","bob"]}"#);
    let mut latest = [String::new(), String::new()];
    let mut look = |until: &dyn Fn(&[String; 2]) -> bool| {
        let start = Instant::now();
        while !until(&latest) {
            assert!(start.elapsed() < util::PATIENCE, "{latest:?}");
            let said: Value = serde_json::from_str(&watcher.data()).unwrap();
            latest[usize::from(said["user"] == "bob")] = shown(&said);
        }
    };
    look(&|[ann, bob]| ann.contains("first@") && bob.contains("second@"));
    bob.leaves();
    look(&|[_, bob]| bob == "offline");
    ann.leaves();
    look(&|[ann, _]| ann.starts_with("online third@"));
    assert!(a.get("/metrics").metric("driftless_presence_batches_total") > 0.0);
}

/// How many nodes a node knows.
fn knows(address: SocketAddr) -> usize {
    let said = http::send(address, "GET", "/v1/nodes", &bearer(ADMIN), "");
    if said.status == 200 { said.json()["nodes"].as_array().unwrap().len() } else { 0 }
}

/// A node in a process of its own.
fn process(redis: &Redis, name: &str) -> Process {
    let mut command = command(&["serve", "--listen", "127.0.0.1:0", "--log", "error", "--lease", "2s"]);
    command.args(["--redis", &redis.url(), "--node", name, "--threads", "2", "--admin-token", ADMIN]);
    command.env("DRIFTLESS_TOKEN_SECRET", SECRET);
    Process::of(command)
}

// Promise 5: "[...] no ghosts [...]"
#[test]
fn the_users_of_a_node_that_is_killed_are_gone_within_its_lease() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis, "a")), process(&redis, "b"));
    until("they have met", || knows(a.address()) == 2 && knows(b.address()) == 2);
    let bob = Playing::join(b.address(), "lobby", "bob");
    let mut watcher = watch(a.address(), "/v1/presence/bob", &bearer(ADMIN));
    until("he is seen", || next(&mut watcher) == "online lobby@b:online");
    let killed = Instant::now();
    b.kill();
    bob.vanishes();
    let gone =
        eventually("he is gone", || (found(a.address(), "bob") == "offline").then(|| killed.elapsed()));
    assert_eq!(next(&mut watcher), "offline", "and whoever watches is told");
    let told = killed.elapsed();
    assert!(gone < LEASE + Duration::from_millis(500), "{gone:?}");
    assert!(told < LEASE + Duration::from_millis(1_500), "{told:?}");
}

#[test]
fn a_user_whose_room_moves_is_online_all_the_time() {
    let redis = Redis::start();
    let nodes = ["a", "b"].map(|name| TestServer::start(node_of(&redis, name)));
    let [a, b] = &nodes;
    until("they have met", || knows(a.address()) == 2 && knows(b.address()) == 2);
    let _ann = Playing::join(a.address(), "lobby", "ann");
    let c = TestServer::start(node_of(&redis, "c"));
    let mut watcher = watch(c.address(), "/v1/presence/ann", &bearer(ADMIN));
    let mut at = String::new();
    until("she is seen", || {
        at = next(&mut watcher);
        at.starts_with("online")
    });
    let since = || find(c.address(), "ann")["rooms"][0]["since_unix_ms"].as_u64().unwrap();
    let begun = since();
    for _ in 0..4 {
        let (from, to) = if at.contains("@a") { (a, "b") } else { (b, "a") };
        let body = json!({ "node": to }).to_string();
        until("it moves", || {
            http::send(from.address(), "POST", "/v1/rooms/lobby/move", &bearer(ADMIN), &body).status == 200
        });
        let wanted = format!("online lobby@{to}:online");
        until("she is there", || {
            at = next(&mut watcher);
            assert!(at.starts_with("online lobby@"), "{at}");
            at == wanted
        });
        assert_eq!(since(), begun, "she has been there all the time");
    }
}

#[test]
fn while_redis_is_away_nobody_knows_and_says_so() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis, "a"));
    let at = server.address();
    let _ann = Playing::join(at, "lobby", "ann");
    until("she is found", || found(at, "ann") == "online lobby@a:online");
    redis.signal(libc::SIGSTOP);
    let refused = http::send(at, "GET", "/v1/presence/ann", &bearer(ADMIN), "");
    assert_eq!((refused.status, &*refused.error_code()), (503, "presence_unavailable"));
    assert!(refused.header("retry-after").is_some());
    redis.signal(libc::SIGCONT);
    until("it is known again", || !found(at, "ann").starts_with("presence_unavailable"));
}

// A Redis that has forgotten everything says that it does not know, and not that nobody is there.
#[test]
fn a_redis_that_has_forgotten_everything_is_told_again() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis, "a")), TestServer::start(node_of(&redis, "b")));
    let _ann = Playing::join(a.address(), "lobby", "ann");
    until("she is found", || found(b.address(), "ann").starts_with("online"));
    redis.says("FLUSHALL").unwrap();
    let start = Instant::now();
    let mut answers = Vec::new();
    while start.elapsed() < LEASE * 3 {
        answers.push(found(b.address(), "ann"));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(answers.iter().all(|said| said != "offline"), "{answers:?}");
    until("she is found again", || found(b.address(), "ann").starts_with("online"));
}

#[test]
fn the_client_of_a_game_watches_users_over_its_connection() {
    let server = TestServer::start(alone());
    let token = token_with("ann", json!({ "presence": "b*" }));
    let options = Options::new(format!("ws://{}", server.address()), "lobby");
    let mut client = wait(Client::connect(options.token(token))).unwrap();
    let said = |client: &mut Client| loop {
        if let Event::Topic(message) = wait(client.next()).unwrap()
            && message.kind() != Kind::Begun
        {
            return message;
        }
    };
    client.read_topic("presence:bob", "");
    let first = said(&mut client);
    assert_eq!(
        (&*first.topic, shown(&serde_json::from_str(&first.text).unwrap()).as_str()),
        ("presence:bob", "offline")
    );
    let bob = Playing::join(server.address(), "other", "bob");
    assert_eq!(shown(&serde_json::from_str(&said(&mut client).text).unwrap()), "online other:online");
    drop(bob);
    assert_eq!(shown(&serde_json::from_str(&said(&mut client).text).unwrap()), "offline");
    client.read_topic("presence:cat", "");
    assert_eq!((said(&mut client).kind(), &*said_of(&mut client)), (Kind::Over, "online lobby:online"));
    (0..100).for_each(|n| client.read_topic(&format!("presence:b{n}"), ""));
    let full = loop {
        let message = said(&mut client);
        if message.kind() == Kind::Over {
            break message;
        }
    };
    assert_eq!(&*full.event, "too_many_users");
}

/// She asks of herself.
fn said_of(client: &mut Client) -> String {
    client.read_topic("presence:ann", "");
    loop {
        if let Event::Topic(message) = wait(client.next()).unwrap()
            && message.kind() == Kind::Event
        {
            return shown(&serde_json::from_str(&message.text).unwrap());
        }
    }
}
