//! Liveness, readiness and health over a real socket: what is wrong is told to those whom it concerns, and to
//! nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::health::Matters;
use serde_json::{Value, json};
use util::{TestServer, config};

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
    let store = server.running().health().part("store", Matters::ToOperators);
    let gate = server.running().health().part("gate", Matters::ToNewcomers);
    store.fails("the disk is full: make room");
    assert_eq!(statuses(&server), [200, 200, 503], "matches go on");
    let told = part(&server, "store");
    assert_eq!((&told["well"], &told["why"]), (&json!(false), &json!("the disk is full: make room")));
    assert_eq!(server.get("/metrics").metric("driftless_failing{part=\"store\"}"), 1.0);
    gate.fails("shut");
    assert_eq!(statuses(&server), [200, 503, 503]);
    assert_eq!(server.get("/readyz").json()["failing"], json!(["gate"]));
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
