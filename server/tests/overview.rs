//! What operators see of other nodes, and ask of them, through a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::config::Config;
use serde_json::{Value, json};
use std::time::Duration;
use util::{TestServer, config, redis::Redis, until};

fn node_of(redis: &Redis, name: &str) -> TestServer {
    let (redis, node) = (redis.url().parse().ok(), Some(name.to_owned()));
    TestServer::start(Config { redis, node, lease: Duration::from_secs(2), ..config() })
}

fn nodes(server: &TestServer) -> Vec<Value> {
    server.get_as_operator("/v1/nodes").json()["nodes"].as_array().unwrap().clone()
}

/// At which node a room is, as any node says.
fn at(server: &TestServer, room: &str) -> Option<String> {
    let all = server.get_as_operator("/v1/nodes/rooms").json();
    let of = all["nodes"]
        .as_array()?
        .iter()
        .find(|node| node["rooms"].as_array().unwrap().iter().any(|listed| listed["name"] == room));
    Some(of?["node"].as_str()?.to_owned())
}

/// Makes the room `lobby` there, as soon as that is possible.
fn make_room(server: &TestServer) {
    let body = r#"{"name":"lobby","kind":"arena"}"#;
    until("a room is made", || server.operate("POST", "/v1/rooms", body).status == 201);
}

#[test]
fn the_rooms_of_all_nodes_are_seen_and_moved_at_any() {
    let redis = Redis::start();
    let (a, b) = (node_of(&redis, "a"), node_of(&redis, "b"));
    until("they have met", || nodes(&a).len() == 2 && nodes(&b).len() == 2);
    let seen = nodes(&a);
    assert!(seen.iter().all(|node| node["lease_age_ms"].as_u64().unwrap() < 2_000), "{seen:?}");
    make_room(&a);
    until("both know where it is", || {
        [&a, &b].iter().all(|server| at(server, "lobby").as_deref() == Some("a"))
    });
    // b asks a to give it away.
    assert_eq!(b.post("/v1/nodes/a/move", r#"{"room":"lobby","to":"b"}"#).status, 202);
    until("it has gone", || at(&a, "lobby").as_deref() == Some("b"));
    assert_eq!(b.get("/v1/rooms/lobby").status, 200);
    assert_eq!(b.post("/v1/nodes/b/move", r#"{"room":"lobby"}"#).status, 202, "a node asks itself");
    until("it is back", || at(&b, "lobby").as_deref() == Some("a"));
}

#[test]
fn a_node_is_drained_at_another() {
    let redis = Redis::start();
    let (a, b) = (node_of(&redis, "a"), node_of(&redis, "b"));
    until("they have met", || nodes(&a).len() == 2 && nodes(&b).len() == 2);
    make_room(&b);
    assert_eq!(a.post("/v1/nodes/b/drain", "").status, 202);
    until("it goes", || nodes(&a).iter().all(|node| node["name"] != "b" || node["load"]["draining"] == true));
    until("it has gone", || nodes(&a).len() == 1);
    until("and its room has not", || at(&a, "lobby").as_deref() == Some("a"));
}

#[test]
fn what_cannot_be_asked_gets_a_named_answer() {
    let alone = TestServer::start(config());
    let said = |server: &TestServer, method: &str, path: &str, body: &str| {
        let said = server.operate(method, path, body);
        (said.status, said.error_code())
    };
    for (method, path) in
        [("GET", "/v1/nodes/rooms"), ("POST", "/v1/nodes/a/drain"), ("POST", "/v1/nodes/a/move")]
    {
        assert_eq!(said(&alone, method, path, r#"{"room":"x"}"#), (409, "single_node".into()), "{path}");
        assert_eq!(util::http::send(alone.address(), method, path, "", "").status, 401, "{path}");
    }
    let redis = Redis::start();
    let a = node_of(&redis, "a");
    until("it has joined", || nodes(&a).len() == 1);
    assert_eq!(said(&a, "POST", "/v1/nodes/b/drain", ""), (404, "no_such_node".into()));
    let body = json!({ "room": "x", "to": "b" }).to_string();
    assert_eq!(said(&a, "POST", "/v1/nodes/a/move", &body), (404, "no_such_node".into()));
    assert_eq!(said(&a, "POST", "/v1/nodes/a/move", r#"{"room":"a b"}"#), (404, "no_such_room".into()));
    for bad in ["x", "[]", r#"{"rooms":"x"}"#] {
        assert_eq!(said(&a, "POST", "/v1/nodes/a/move", bad), (400, "malformed_json".into()), "{bad}");
    }
}
