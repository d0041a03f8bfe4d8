//! Finding a match on several servers that are one, through a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Options, TransportKind};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use serde_json::{Value, json};
use socket2::SockRef;
use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use util::{TestServer, config, eventually, games::SlowToMake, http, quic::wait, redis::Redis, until};

fn node_of(redis: &Redis) -> Config {
    let lease = Duration::from_millis(1_000);
    let queue = "arena=2x1".parse().unwrap();
    Config { redis: redis.url().parse().ok(), lease, queue, max_players: 2, ..config() }
}

fn post(server: &TestServer, path: &str, body: &Value) -> http::Response {
    http::send(server.address(), "POST", path, "", &body.to_string())
}

/// Asks as soon as rooms can be made.
#[track_caller]
fn matched(server: &TestServer, body: &Value) -> Value {
    eventually("a match", || {
        let answer = post(server, "/v1/match", body);
        if answer.status == 503 {
            return None;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        Some(answer.json())
    })
}

/// Takes a seat that is kept, knocking there.
#[track_caller]
fn seated(at: SocketAddr, room: &Value, reservation: &Value) -> Client {
    let options = Options::new(format!("ws://{at}"), room.as_str().unwrap())
        .kind("arena")
        .reservation(reservation.as_str().unwrap())
        .transports([TransportKind::WebSocket]);
    wait(Client::connect(options)).unwrap()
}

#[test]
fn a_room_of_another_server_is_found_and_its_seat_kept() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let wanted = json!({ "kind": "arena", "filter": "mode = \"ctf\"" });
    let made = matched(&a, &wanted);
    let name = made["room"]["name"].clone();
    assert_eq!((&made["made"], &made["url"]), (&json!(true), &json!(format!("ws://{}", a.address()))));
    let rooms = |server: &TestServer| server.get("/v1/lobby?filter=mode=%22ctf%22").json()["rooms"].clone();
    until("b knows of it", || rooms(&b)[0]["name"] == name);
    let found = matched(&b, &wanted);
    assert_eq!((&found["room"]["name"], &found["made"]), (&name, &json!(false)));
    assert_eq!((&found["url"], &found["room"]["free"]), (&made["url"], &json!(0)));

    // Both seats are kept: whoever comes gets in with a reservation only, wherever it knocks.
    let ann = seated(b.address(), &name, &found["reservations"][0]);
    let bob = seated(a.address(), &name, &made["reservations"][0]);
    assert_eq!((a.players(), b.players()), (2, 0));
    until("it is no longer open", || rooms(&b) == json!([]));
    wait(ann.leave()).unwrap();
    wait(bob.leave()).unwrap();
}

/// A server that others know, and that has a room, but does not read what they ask of it.
struct Frozen<'a> {
    redis: &'a Redis,
    mail: String,
}

impl<'a> Frozen<'a> {
    fn beside(redis: &'a Redis) -> Self {
        let server = TestServer::start(node_of(redis));
        matched(&server, &json!({ "kind": "arena" }));
        let mut client = redis.client();
        let (id, says) = eventually("it says which room it has", || {
            let [id] = redis::Commands::smembers::<_, Vec<String>>(&mut client, "{driftless}:lobby")
                .ok()?
                .try_into()
                .ok()?;
            let says: String = redis::Commands::get(&mut client, format!("{{driftless}}:lobby:{id}")).ok()?;
            says.contains("arena").then_some((id, says))
        });
        drop(server);
        let _: () = redis::Commands::set(&mut client, format!("{{driftless}}:lobby:{id}"), says).unwrap();
        let _: () = redis::Commands::sadd(&mut client, "{driftless}:lobby", &id).unwrap();
        Self { redis, mail: format!("{{driftless}}:mail:{id}") }
    }

    /// How many letters have come.
    fn letters(&self) -> usize {
        redis::Commands::llen(&mut self.redis.client(), &self.mail).unwrap()
    }
}

// Promise 4: "One client, however slow or hostile, MUST NOT [...] grow memory without bound": nor have seats
// kept from others.
#[test]
fn whoever_resets_its_request_has_what_it_has_asked_for() {
    let redis = Redis::start();
    let frozen = Frozen::beside(&redis);
    let server = TestServer::start(Config {
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        max_connections_per_address: 1,
        ..node_of(&redis)
    });
    until("it knows of the room", || {
        server.get("/v1/lobby").json()["rooms"].as_array().is_some_and(|rooms| rooms.len() == 1)
    });
    let (headers, wanted) = ("x-forwarded-for: 192.0.2.1\r\n", r#"{"kind":"arena","create":false}"#);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let length = wanted.len();
    write!(
        stream,
        "POST /v1/match HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{wanted}",
        server.address()
    )
    .unwrap();
    until("the other server is asked", || frozen.letters() == 1);
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    for _ in 0..8 {
        // It may keep the seat yet; and afterwards, nobody knows whether it has.
        let refused = http::send(server.address(), "POST", "/v1/match", headers, wanted);
        assert_eq!((refused.status, refused.error_code()), (429, "too_many_reserved".into()), "{refused:?}");
    }
}

// It is known to be gone only when it has said nothing for seconds.
#[test]
fn a_server_that_does_not_answer_is_not_asked_again_for_each_who_wants_a_match() {
    let redis = Redis::start();
    let frozen = Frozen::beside(&redis);
    let server = TestServer::start(node_of(&redis));
    let knows = || !server.get("/v1/lobby").json()["rooms"].as_array().unwrap().is_empty();
    until("it knows of the room", knows);
    let wanted = json!({ "kind": "arena", "create": false });
    let ask = || assert_eq!(post(&server, "/v1/match", &wanted).error_code(), "no_match");
    ask();
    assert_eq!(frozen.letters(), 1);
    ask();
    assert_eq!(frozen.letters(), 1);
}

#[test]
fn rooms_of_other_servers_are_found_while_redis_is_full() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    matched(&a, &json!({ "kind": "arena" }));
    redis.memory(1);
    let name = a.post("/v1/rooms", r#"{"kind":"arena"}"#).json()["name"].clone();
    let known = || {
        b.get("/v1/lobby").json()["rooms"]
            .as_array()
            .is_some_and(|all| all.iter().any(|room| room["name"] == name))
    };
    until("b knows of it", known);
}

#[test]
fn those_who_wait_at_different_servers_get_one_match() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    // Rooms can be made from now on.
    matched(&a, &json!({ "kind": "cursors" }));
    matched(&b, &json!({ "kind": "cursors", "filter": "of = \"b\"" }));
    for round in 0..3 {
        let ticket = |server: &TestServer| {
            let answer = post(server, "/v1/queue", &json!({ "kind": "arena" }));
            assert_eq!(answer.status, 201, "{answer:?}");
            format!("/v1/queue/{}", answer.json()["id"].as_str().unwrap())
        };
        let (ann, bob) = (ticket(&a), ticket(&b));
        // Whoever is asked knows.
        let (ann, bob) = (b.get(&format!("{ann}?wait=20")).json(), a.get(&format!("{bob}?wait=20")).json());
        assert_eq!((&ann["state"], &ann["room"]), (&json!("matched"), &bob["room"]), "{round} {ann} {bob}");
        assert_ne!(ann["team"], bob["team"]);
        let ann = seated(a.address(), &ann["room"], &ann["reservations"][0]);
        let bob = seated(a.address(), &bob["room"], &bob["reservations"][0]);
        assert_eq!(ann.welcome().unwrap().room, bob.welcome().unwrap().room);
        wait(ann.leave()).unwrap();
        wait(bob.leave()).unwrap();
    }
}

#[test]
fn a_match_is_played_in_its_region_whoever_makes_it() {
    let redis = Redis::start();
    let start = |region: &str| TestServer::start(Config { region: Some(region.into()), ..node_of(&redis) });
    let (eu, us) = (start("eu"), start("us"));
    matched(&eu, &json!({ "kind": "cursors", "filter": "of = \"eu\"" }));
    matched(&us, &json!({ "kind": "cursors", "filter": "of = \"us\"" }));
    let knows = |server: &TestServer| server.get("/v1/lobby").json()["rooms"].as_array().unwrap().len() == 2;
    until("they know each other", || knows(&eu) && knows(&us));
    // Each makes matches in its turn.
    for round in 0..4 {
        let ticket = || {
            let wanted = json!({ "kind": "arena", "latencies": { "eu": 10, "us": 500 } });
            let answer = post(&us, "/v1/queue", &wanted);
            format!("/v1/queue/{}?wait=20", answer.json()["id"].as_str().unwrap())
        };
        let paths = [ticket(), ticket()];
        for told in paths.map(|path| us.get(&path).json()) {
            assert_eq!(told["url"], json!(format!("ws://{}", eu.address())), "{round}: {told}");
        }
    }
}

// A game may take up to five seconds to start: longer than a lease of whoever makes matches, and than others
// may take to keep seats.
#[test]
fn a_match_of_a_game_that_is_slow_to_start_is_played_in_its_region() {
    let redis = Redis::start();
    let start = |region: &str| {
        let queue = "slow_to_make=2x1".parse().unwrap();
        let config = Config { region: Some(region.into()), queue, ..node_of(&redis) };
        TestServer::with(config, GameKind::of::<SlowToMake<3_300>>())
    };
    let (eu, us) = (start("eu"), start("us"));
    matched(&eu, &json!({ "kind": "cursors", "filter": "of = \"eu\"" }));
    matched(&us, &json!({ "kind": "cursors", "filter": "of = \"us\"" }));
    let knows = |server: &TestServer| server.get("/v1/lobby").json()["rooms"].as_array().unwrap().len() == 2;
    until("they know each other", || knows(&eu) && knows(&us));
    for round in 1..=2 {
        let ticket = || {
            let wanted = json!({ "kind": "slow_to_make", "latencies": { "eu": 10, "us": 500 } });
            let answer = post(&us, "/v1/queue", &wanted);
            format!("/v1/queue/{}?wait=25", answer.json()["id"].as_str().unwrap())
        };
        for told in [ticket(), ticket()].map(|path| us.get(&path).json()) {
            assert_eq!(told["url"], json!(format!("ws://{}", eu.address())), "{round}: {told}");
        }
        let rooms = [&eu, &us].map(|server| server.running().registry().len());
        assert_eq!(rooms, [1 + round, 1], "none was made for nothing");
    }
}

#[test]
fn a_running_room_gets_players_from_whoever_makes_the_match() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let room = r#"{"name":"match","kind":"arena","info":{"wanted":1,"private":true}}"#;
    until("rooms can be made", || a.post("/v1/rooms", room).status == 201);
    for (n, server) in [&a, &b].into_iter().enumerate() {
        let answer = post(server, "/v1/queue", &json!({ "kind": "arena" }));
        let path = format!("/v1/queue/{}?wait=20", answer.json()["id"].as_str().unwrap());
        let told = server.get(&path).json();
        // The first takes the seat; whoever comes then finds that one more is wanted when that is taken.
        assert_eq!((&told["state"], &told["room"]), (&json!("matched"), &json!("match")), "{n}: {told}");
        let client = seated(b.address(), &told["room"], &told["reservations"][0]);
        wait(client.leave()).unwrap();
        until("the seat is free", || a.players() == 0);
    }
    assert_eq!(b.get("/v1/queue/0123456789abcdef0123456789abcdef").status, 404);
}

// An empty list would say that there are no rooms.
#[test]
fn while_redis_does_not_answer_nobody_is_told_that_there_are_no_rooms_and_everybody_when_to_ask_again() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    until("the lobby is known", || server.get("/v1/lobby").status == 200);
    drop(redis);
    until("it is not known", || server.get("/v1/lobby").status == 503);
    let ticket = || post(&server, "/v1/queue", &json!({ "kind": "arena" }));
    until("no tickets are taken", || ticket().status == 503);
    until("no rooms are made", || post(&server, "/v1/match", &json!({ "kind": "arena" })).status == 503);
    let lobby = server.get("/v1/lobby");
    assert_eq!(lobby.error_code(), "lobby_unavailable");
    for answer in [lobby, ticket(), post(&server, "/v1/match", &json!({ "kind": "arena" }))] {
        let wait: u64 = answer.header("retry-after").expect("it says when").parse().unwrap();
        assert!((1..=5).contains(&wait), "{answer:?}");
    }
}
