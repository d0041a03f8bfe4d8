//! The HTTP API over a real socket: what it answers, and how it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use driftless_server::{
    config::Config,
    server::{Running, Server},
};
use driftless_sim::games;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::{collections::HashSet, io::Read as _, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A server on a port of the kernel's choice.
fn start() -> Running {
    start_with(Config::default())
}

fn start_with(config: Config) -> Running {
    let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), workers: 1, threads: 1, ..config };
    let (running, serving) = Server::new(&games::kinds()).start(config).unwrap();
    actix_rt::spawn(serving);
    running
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        let found = self.head.lines().find_map(|line| line.strip_prefix(&prefix));
        found.unwrap_or_else(|| panic!("no {name}: {}", self.head))
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this is an error in the API's format.
    fn assert_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.json()["code"]), (status, &json!(code)), "{self:?}");
        let problem = self.json();
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        assert_eq!((&problem["type"], &problem["status"]), (&json!("about:blank"), &json!(status)));
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
    }
}

/// Sends a raw request and reads until the server closes. Decompresses the body.
async fn raw(server: &Running, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A reset after a refused body does not invalidate the answer before it.
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, rest) = answer.split_at(end.unwrap_or_else(|| panic!("no answer: {answer:?}")));
    let head = std::str::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let mut body = String::new();
    if head.contains("content-encoding: gzip") {
        GzDecoder::new(&rest[4..]).read_to_string(&mut body).unwrap();
    } else {
        body.push_str(&String::from_utf8_lossy(&rest[4..]));
    }
    Answer { status, head, body }
}

async fn get(server: &Running, path: &str) -> Answer {
    raw(server, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await
}

async fn post(server: &Running, path: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}"
    );
    let token = server.made_token().unwrap();
    raw(server, format!("{head}\r\nauthorization: Bearer {token}\r\n\r\n{body}").as_bytes()).await
}

#[actix_web::test]
async fn health_is_told() {
    let server = start();
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(&server, path).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn a_draining_server_is_alive_but_not_ready() {
    let server = start();
    server.registry().drain();
    assert_eq!(get(&server, "/livez").await.status, 200);
    let ready = get(&server, "/readyz").await;
    assert_eq!((ready.status, ready.json()), (503, json!({ "status": "draining" })));
    post(&server, "/v1/rooms", "{}").await.assert_error(503, "draining");
}

/// Two readers of one text must not read two things.
#[actix_web::test]
async fn a_body_that_says_a_thing_twice_is_refused() {
    let server = start();
    for body in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"kind":"arena","options":{"bots":1,"bots":2}}"#,
        r#"{"kind":"arena","options":{"bots":1},"options":{"bots":2}}"#,
    ] {
        let refused = post(&server, "/v1/rooms", body).await;
        refused.assert_error(400, "malformed_json");
        assert!(refused.json()["detail"].as_str().unwrap().contains("duplicate"), "{refused:?}");
    }
    assert_eq!(server.registry().len(), 0);
}

#[actix_web::test]
async fn the_api_describes_itself() {
    let server = start();
    let answer = get(&server, "/v1/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document = answer.json();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"), "{document}");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let problem = &document["components"]["schemas"]["Problem"]["properties"];
    let sent = get(&server, "/v1/rooms/nowhere").await.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(problem), keys(&sent), "an error is what the document says");
    let kinds = &document["components"]["schemas"]["RoomSpec"]["properties"]["kind"]["enum"];
    assert!(kinds.as_array().is_some_and(|kinds| kinds.contains(&json!("arena"))), "{kinds}");
    for kind in kinds.as_array().unwrap() {
        assert_eq!(post(&server, "/v1/rooms", &json!({ "kind": kind }).to_string()).await.status, 201);
    }
}

#[actix_web::test]
async fn a_room_is_made_listed_and_shown() {
    let server = start();
    assert_eq!(get(&server, "/v1/rooms").await.json(), json!({ "rooms": [], "next": null }));
    let spec = r#"{"name":"lobby","kind":"cursors","tick_rate":10.0,"max_players":4,"seed":7}"#;
    let made = post(&server, "/v1/rooms", spec).await;
    assert_eq!(made.status, 201);
    assert!(made.head.contains("location: /v1/rooms/lobby"), "{made:?}");
    let list = get(&server, "/v1/rooms").await.json();
    let shown = get(&server, "/v1/rooms/lobby").await.json();
    for room in [&made.json(), &list["rooms"][0], &shown] {
        let told = ["name", "kind", "tick_rate", "max_players", "players"].map(|key| room[key].clone());
        assert_eq!(told, [json!("lobby"), json!("cursors"), json!(10), json!(4), json!(0)]);
    }
}

#[actix_web::test]
async fn a_room_without_wishes_has_the_defaults() {
    let server = start_with(Config { tick_rate: 33, max_players: 9, ..Config::default() });
    let made = post(&server, "/v1/rooms", "{}").await.json();
    assert_eq!(
        (&made["kind"], &made["tick_rate"], &made["max_players"]),
        (&json!("arena"), &json!(33), &json!(9))
    );
    assert!(!made["name"].as_str().unwrap().is_empty());
}

#[actix_web::test]
async fn a_room_without_a_name_gets_one_that_nobody_can_guess() {
    let (server, mut drawn) = (start(), HashSet::new());
    for n in 1..=9 {
        let made = post(&server, "/v1/rooms", "{}").await;
        let name = made.json()["name"].as_str().unwrap().to_owned();
        let random = name.strip_prefix(&format!("room-{n}-")).unwrap();
        assert!(made.status == 201 && random.len() == 16 && drawn.insert(random.to_owned()), "{name}");
    }
}

#[actix_web::test]
async fn a_room_that_cannot_be_is_refused_by_name() {
    let server = start_with(Config { max_rooms: 2, ..Config::default() });
    assert_eq!(post(&server, "/v1/rooms", r#"{"name":"a"}"#).await.status, 201);
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(65));
    let large_info = format!(r#"{{"info":{{"mode":"{}"}}}}"#, "x".repeat(129));
    for (spec, status, code) in [
        (r#"{"name":"a"}"#, 409, "room_exists"),
        (r#"{"kind":"chess"}"#, 400, "unknown_kind"),
        (r#"{"name":"a b"}"#, 400, "bad_name"),
        (r#"{"name":""}"#, 400, "bad_name"),
        (r#"{"name":"../../etc"}"#, 400, "bad_name"),
        (r#"{"name":".."}"#, 400, "bad_name"),
        (r#"{"name":"-a"}"#, 400, "bad_name"),
        (&long, 400, "bad_name"),
        (r#"{"tick_rate":0}"#, 400, "out_of_range"),
        (r#"{"tick_rate":129}"#, 400, "out_of_range"),
        (r#"{"max_players":0}"#, 400, "out_of_range"),
        // As the description allows, and not here.
        (r#"{"options":{"respwan_s":1}}"#, 422, "bad_options"),
        (r#"{"durability":"journal"}"#, 422, "no_store"),
        (&large_info, 422, "bad_info"),
    ] {
        post(&server, "/v1/rooms", spec).await.assert_error(status, code);
    }
    assert_eq!(post(&server, "/v1/rooms", r#"{"name":"b"}"#).await.status, 201);
    post(&server, "/v1/rooms", r#"{"name":"c"}"#).await.assert_error(503, "too_many_rooms");
}

/// Promise 6: "Nothing a peer sends panics the server. Bad input gets a named error [...]"
#[actix_web::test]
async fn a_malformed_body_is_refused() {
    let server = start();
    let deep = "[".repeat(10_000);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        "{\"tick_rate\":\"20\"}",
        "{\"tick_rate\":-1}",
        "{\"colour\":1}",
        "\u{0}",
        &deep,
    ] {
        post(&server, "/v1/rooms", body).await.assert_error(400, "malformed_json");
    }
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(20_000));
    post(&server, "/v1/rooms", &large).await.assert_error(413, "body_too_large");
    let token = server.made_token().unwrap();
    let plain = format!(
        "POST /v1/rooms HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\
         authorization: Bearer {token}\r\n\r\n{{}}"
    );
    assert_eq!(get(&server, "/v1/rooms").await.json(), json!({ "rooms": [], "next": null }));
    let unsaid = plain.replace("content-type: text/plain\r\n", "");
    for as_curl_sends_it in [plain, unsaid] {
        assert_eq!(raw(&server, as_curl_sends_it.as_bytes()).await.status, 201, "JSON is what it is");
    }
}

#[actix_web::test]
async fn unknown_paths_methods_and_queries_are_refused() {
    let server = start();
    for path in ["/nowhere", "/v1", "/v1/rooms/", "/v1/rooms/a/b", "/%2e%2e/", "/v1/room"] {
        get(&server, path).await.assert_error(404, "no_such_path");
    }
    get(&server, "/v1/rooms/nowhere").await.assert_error(404, "no_such_room");
    for (method, path, allow) in [
        ("DELETE", "/v1/rooms", "GET, HEAD, POST"),
        ("PUT", "/v1/rooms", "GET, HEAD, POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PATCH", "/v1/presence", "GET, HEAD"),
        ("BREW", "/", "GET, HEAD"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes()).await;
        answer.assert_error(405, "method_not_allowed");
        assert!(answer.head.contains(&format!("allow: {}", allow.to_ascii_lowercase())), "{answer:?}");
    }
    for query in ["limit=many", "limit=-1", "colour=red", "room=a&room=b"] {
        get(&server, &format!("/v1/presence?{query}")).await.assert_error(400, "bad_query");
    }
}

#[actix_web::test]
async fn an_empty_server_has_nobody_present() {
    let server = start();
    for path in ["/v1/presence", "/v1/presence?room=lobby&limit=5", "/v1/presence?after=lobby/ann"] {
        let view = get(&server, path).await.json();
        assert_eq!((&view["players"], &view["members"]), (&json!(0), &json!([])));
        assert_eq!(view["totals"]["joined"], json!(0));
        assert_eq!(view["next"], json!(null));
    }
}

#[actix_web::test]
async fn metrics_speak_the_format_that_is_asked_for() {
    let server = start();
    post(&server, "/v1/rooms", "{}").await;
    let plain = get(&server, "/metrics").await;
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{plain:?}");
    assert!(
        plain
            .body
            .contains("# TYPE driftless_rooms_created_total counter\ndriftless_rooms_created_total 1\n")
    );
    assert!(plain.body.contains("\ndriftless_rooms 1\n"));
    let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
    let open = raw(&server, request).await;
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open:?}");
    assert!(open.body.contains("# TYPE driftless_rooms_created counter\n") && open.body.ends_with("# EOF\n"));
}

#[actix_web::test]
async fn the_page_lists_what_there_is() {
    let server = start();
    let page = get(&server, "/about").await;
    assert_eq!(page.status, 200);
    for path in ["/v1/rooms", "/v1/presence", "/v1/connect", "/metrics", "/livez", "/readyz"] {
        assert!(page.body.contains(path), "{path}");
    }
}

#[actix_web::test]
async fn pages_load_what_they_name_and_nothing_foreign() {
    let server = start();
    for path in ["/", "/cursors", "/dashboard"] {
        let page = get(&server, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.head.contains("content-type: text/html"), "{page:?}");
        assert!(
            page.head.contains("content-security-policy: default-src 'none'; script-src 'self'"),
            "{page:?}"
        );
        let assets: Vec<_> = page.body.split('"').filter(|text| text.starts_with("/assets/")).collect();
        assert_eq!(assets.len(), 2, "a style and a script: {assets:?}");
        for asset in assets {
            let loaded = get(&server, asset).await;
            assert_eq!(loaded.status, 200, "{asset}");
            assert!(loaded.head.contains("cache-control: public, max-age=31536000, immutable"), "{asset}");
            assert!(!loaded.body.is_empty());
        }
    }
}

#[actix_web::test]
async fn the_arenas_script_names_a_module_that_is_there_and_may_run() {
    let server = start();
    let page = get(&server, "/").await;
    assert!(page.head.contains("'wasm-unsafe-eval'"), "{}", page.head);
    let named = |text: &str, ending: &str| {
        let mut parts = text.split('"').filter(|part| part.starts_with("/assets/") && part.contains(ending));
        parts.next().unwrap_or_else(|| panic!("no {ending} is named")).to_owned()
    };
    let script = get(&server, &named(&page.body, ".js?v=")).await;
    let module = get(&server, &named(&script.body, ".wasm?v=")).await;
    assert_eq!(module.status, 200);
    assert!(module.head.contains("content-type: application/wasm"), "{}", module.head);
    assert!(module.body.starts_with("\0asm"));
}

#[actix_web::test]
async fn a_page_is_packed_for_those_who_take_it_so() {
    let server = start();
    let request = |accepted: &str| {
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept-encoding: {accepted}\r\n\r\n")
    };
    let plain = raw(&server, request("identity").as_bytes()).await;
    for (accepted, packed) in [("gzip, br", true), ("identity", false), ("gzip;q=0", false), ("br", false)] {
        let page = raw(&server, request(accepted).as_bytes()).await;
        assert_eq!(page.status, 200, "{accepted}");
        assert_eq!(page.head.contains("content-encoding: gzip"), packed, "{accepted}: {}", page.head);
        assert!(page.head.contains("vary: accept-encoding"), "{}", page.head);
        assert_eq!(page.body, plain.body, "{accepted}");
        assert_eq!(page.header("etag") != plain.header("etag"), packed, "a tag names one sequence of bytes");
    }
}

#[actix_web::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let server = start();
    let page = get(&server, "/").await;
    assert!(page.head.contains("cache-control: no-cache"), "{page:?}");
    let tag = page.header("etag");
    let request = |tag: &str| {
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nif-none-match: \"other\", {tag}\r\n\r\n")
    };
    let again = raw(&server, request(tag).as_bytes()).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""), "{again:?}");
    assert_eq!(raw(&server, request("\"old\"").as_bytes()).await.status, 200);
}
