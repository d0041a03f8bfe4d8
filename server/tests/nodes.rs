//! Several servers that are one, through a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Disconnect, Error, Event, Options, TransportKind};
use driftless_proto::code::CloseCode;
use driftless_server::config::Config;
use serde_json::Value;
use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};
use util::{Player, TestServer, config, eventually, http, process::Process, quic::wait, redis::Redis, until};

const ALL: [TransportKind; 3] = [TransportKind::Quic, TransportKind::WebTransport, TransportKind::WebSocket];
/// Short, so that tests are.
const LEASE: Duration = Duration::from_millis(1_000);

fn node_of(redis: &Redis) -> Config {
    Config { redis: redis.url().parse().ok(), lease: LEASE, ..config() }
}

fn options(at: SocketAddr, room: &str) -> Options {
    Options::new(format!("ws://{at}"), room).transports([TransportKind::WebSocket])
}

/// Joins as soon as rooms can be found.
fn join(options: &Options) -> Client {
    eventually("a client gets in", || match wait(Client::connect(options.clone())) {
        Ok(client) => Some(client),
        Err(Error::Ended(Disconnect::Goodbye { code: 4016, .. })) => None,
        Err(other) => panic!("{other}"),
    })
}

/// The code with which a join is refused.
fn refused(at: SocketAddr, room: &str) -> (u16, Duration) {
    match wait(Client::connect(options(at, room))).expect_err("it is refused") {
        Error::Ended(Disconnect::Goodbye { code, reconnect_after, .. }) => (code, reconnect_after),
        other => panic!("{other}"),
    }
}

/// Two nodes of which the first has a room "lobby". It goes to the one that has less to do.
fn with_a_lobby(one: Process, other: Process) -> (Process, Process) {
    drop(join(&options(one.address(), "lobby")));
    if has_lobby(&one) { (one, other) } else { (other, one) }
}

fn has_lobby(server: &Process) -> bool {
    json(&http::get(server.address(), "/v1/rooms"))["rooms"][0]["name"] == "lobby"
}

fn json(response: &http::Response) -> Value {
    serde_json::from_str(&response.body).expect("JSON")
}

// "`/readyz`: red when [...] a part is not well without which nobody can come".
#[test]
fn a_node_that_has_had_no_lease_yet_is_not_ready() {
    // The kernel takes connections; nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let redis = format!("redis://{}", silent.local_addr().unwrap());
    let server = TestServer::start(Config { redis: redis.parse().ok(), lease: LEASE, ..config() });
    let ready = server.get("/readyz");
    assert_eq!((ready.status, &json(&ready)["failing"]), (503, &serde_json::json!(["lease"])));
}

// Leases and rooms are such keys.
#[test]
fn a_redis_that_removes_keys_when_it_is_full_is_not_well() {
    let redis = Redis::start();
    let server = TestServer::start(node_of(&redis));
    let follows = |rule: &str| {
        let said = redis.says(&format!("CONFIG SET maxmemory-policy {rule}"));
        assert_eq!(said.as_deref(), Some("+OK\r\n"));
    };
    until("it has settled", || server.get("/healthz").status == 200);
    redis.memory(1 << 30);
    follows("volatile-lru");
    until("it is said", || json(&server.get("/healthz"))["failing"] == serde_json::json!(["redis"]));
    follows("noeviction");
    until("it keeps them all", || server.get("/healthz").status == 200);
}

// Promise 10
#[test]
fn a_client_that_knocks_anywhere_gets_to_the_room() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let first = join(&options(a.address(), "lobby"));
    for transport in ALL {
        let options = Options::new(format!("ws://{}", b.address()), "lobby").transports([transport]);
        let client = wait(Client::connect(options)).unwrap();
        assert_eq!(client.transport(), transport);
        assert_eq!(client.welcome().unwrap().room, "lobby");
        assert_ne!(client.welcome().unwrap().player, first.welcome().unwrap().player);
        assert!(b.running().registry().is_empty(), "the room is at a");
        wait(client.leave()).unwrap();
    }
    assert_eq!(a.running().registry().len(), 1);
    assert_eq!(b.running().metrics().nodes.moved.get(), 3);
    // Spectators, too; but they make none.
    let watching = wait(Client::connect(options(b.address(), "lobby").spectate())).unwrap();
    assert!(watching.welcome().unwrap().spectating);
    let none = wait(Client::connect(options(b.address(), "attic").spectate())).expect_err("there is none");
    assert!(
        matches!(&none, Error::Ended(cause) if cause.close_code() == Some(CloseCode::NoSuchRoom)),
        "{none}"
    );
    wait(first.leave()).unwrap();
}

#[test]
fn operators_see_all_nodes_and_make_rooms_that_are_nowhere_else() {
    let redis = Redis::start();
    let named = |name: &str| Config { node: Some(name.into()), ..node_of(&redis) };
    let (a, b) = (TestServer::start(named("left")), TestServer::start(named("right")));
    let names = |server: &TestServer| {
        let said = json(&server.get_as_operator("/v1/nodes"));
        let nodes = said["nodes"].as_array().unwrap().clone();
        let this = nodes.iter().find(|node| node["this"] == true).map(|node| node["name"].clone());
        (nodes.len(), this)
    };
    until("both are seen", || {
        names(&a) == (2, Some("left".into())) && names(&b) == (2, Some("right".into()))
    });
    assert_eq!(a.get("/v1/nodes").status, 401);
    let make = |server: &TestServer| server.post("/v1/rooms", r#"{"name":"hall"}"#);
    let made = eventually("Redis has settled", || Some(make(&a)).filter(|made| made.status != 503));
    assert_eq!(made.status, 201, "{}", made.body);
    let again = make(&b);
    assert_eq!((again.status, json(&again)["code"].as_str().unwrap()), (409, "room_elsewhere"));
    for (method, path) in [("GET", ""), ("DELETE", ""), ("GET", "/state"), ("DELETE", "/players/1")] {
        let refused = b.operate(method, &format!("/v1/rooms/hall{path}"), "");
        let code = (refused.status, refused.error_code());
        assert_eq!(code, (409, "room_elsewhere".to_owned()), "{method} {path}");
        let nowhere = b.operate(method, &format!("/v1/rooms/attic{path}"), "");
        assert_eq!((nowhere.status, nowhere.error_code()), (404, "no_such_room".to_owned()));
    }
    // What has ended here can be made there.
    assert_eq!(a.operate("DELETE", "/v1/rooms/hall", "").status, 204);
    until("it is free", || make(&b).status == 201);
}

#[test]
fn a_seat_is_found_by_the_node_that_has_it() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    drop(join(&options(a.address(), "lobby")));
    let mut player = Player::join(a.address(), "lobby");
    player.lose_connection();
    player.reconnect_at(b.address());
    let goodbye = player.goodbye();
    let moved = goodbye.moved.expect("it says where the room is");
    assert_eq!((goodbye.code, moved.url), (4014, format!("ws://{}", a.address())));
    player.reconnect_at(a.address());
    assert!(player.welcomed().resumed);
}

#[test]
fn a_room_of_a_dead_node_is_had_elsewhere_once_its_lease_is_over() {
    let redis = Redis::start();
    let args = ["--redis", &redis.url(), "--lease", "1s"];
    let (a, b) = with_a_lobby(Process::start(&args), Process::start(&args));
    drop(join(&options(b.address(), "lobby"))); // moved
    assert!(has_lobby(&a) && !has_lobby(&b));
    a.kill();
    let killed = Instant::now();
    let client = eventually("b has the room", || wait(Client::connect(options(b.address(), "lobby"))).ok());
    let took = killed.elapsed();
    assert!(has_lobby(&b) && took < 3 * LEASE, "{took:?}");
    drop(client);
}

#[test]
fn a_node_that_dies_is_missed_and_one_that_says_goodbye_is_not() {
    let redis = Redis::start();
    // Nodes look at each other each second: shorter leases may be over unseen.
    let start = || {
        let args = ["--listen", "127.0.0.1:0", "--log", "warn", "--redis", &redis.url(), "--lease", "2s"];
        Process::of(util::process::command(&args))
    };
    let (a, mut b, c) = (start(), start(), start());
    let a_sees = |nodes: f64| {
        until("it is seen how many there are", || {
            http::get(a.address(), "/metrics").metric("driftless_nodes") == nodes
        });
    };
    a_sees(3.0);
    b.signal(libc::SIGTERM);
    assert!(b.wait().0.success());
    a_sees(2.0);
    c.kill();
    a_sees(1.0);
    let said = a.kill();
    assert_eq!(said.matches("gone without having said goodbye").count(), 1, "{said}");
}

#[test]
fn a_node_that_stood_still_publishes_nothing_of_what_may_be_anothers() {
    let redis = Redis::start();
    let args = ["--redis", &redis.url(), "--lease", "1s"];
    let (a, b) = with_a_lobby(Process::start(&args), Process::start(&args));
    let mut player = Player::join(a.address(), "lobby");
    player.next_tick();
    a.signal(libc::SIGSTOP);
    // Until the lease is over, b sends to a node that does not answer.
    let mut impatient = options(b.address(), "lobby");
    impatient.connect_timeout = Duration::from_millis(300);
    let client = eventually("b has the room", || wait(Client::connect(impatient.clone())).ok());
    // What came before that is read; whatever else comes is of after it.
    let newest = |player: &Player| player.session.snapshot().map(|state| state.tick());
    let mut last = None;
    loop {
        player.pump(Instant::now() + Duration::from_millis(300));
        if newest(&player) == last {
            break;
        }
        last = newest(&player);
    }
    a.signal(libc::SIGCONT);
    assert_eq!(player.ended(), CloseCode::NodeLost);
    // One that was published before may have been on its way.
    assert!(newest(&player) <= last.map(|tick| tick + 1), "{last:?} {:?}", newest(&player));
    // And it is a node again, which sends to the other.
    let moved = join(&options(a.address(), "lobby"));
    assert_eq!(moved.welcome().unwrap().room, "lobby");
    assert!(json(&http::get(a.address(), "/v1/rooms"))["rooms"].as_array().unwrap().is_empty());
    drop((client, moved));
}

#[test]
fn rooms_play_on_without_redis_as_long_as_the_lease_and_others_cannot_be_found() {
    let redis = Redis::start();
    let server = TestServer::start(Config { lease: 4 * LEASE, ..node_of(&redis) });
    let mut client = join(&options(server.address(), "lobby"));
    let ready = || server.get("/readyz").status == 200;
    let healthy = || server.get("/healthz").status == 200;
    until("all is well", || ready() && healthy());
    redis.signal(libc::SIGSTOP);
    let (code, wait_for) = refused(server.address(), "attic");
    assert_eq!(code, 4016);
    assert!(wait_for >= Duration::from_secs(1), "{wait_for:?}");
    assert!(ready(), "there is a lease");
    let mut states = 0;
    wait(async {
        while states < 10 {
            match client.next().await.unwrap() {
                Event::State { .. } => states += 1,
                Event::Disconnected { cause, .. } => panic!("{cause}"),
                _ => {}
            }
        }
    });
    drop(join(&options(server.address(), "lobby"))); // it is here
    until("it is known that Redis is away", || !healthy());
    // Until the lease is over.
    let cause = wait(async {
        loop {
            if let Event::Disconnected { cause, .. } = client.next().await.unwrap() {
                return cause;
            }
        }
    });
    assert_eq!(cause.close_code(), Some(CloseCode::NodeLost), "{cause}");
    until("nobody should come", || !ready());
    redis.signal(libc::SIGCONT);
    let start = Instant::now();
    let welcome = wait(async {
        loop {
            if let Event::Welcome(welcome) = client.next().await.unwrap() {
                return welcome;
            }
        }
    });
    assert!(!welcome.resumed, "it is another room");
    until("all is well again", || ready() && healthy());
    eprintln!("back after {:?}", start.elapsed());
    wait(client.leave()).unwrap();
}

#[test]
fn a_redis_that_has_forgotten_everything_is_told_again() {
    let redis = Redis::start();
    let (a, b) = (TestServer::start(node_of(&redis)), TestServer::start(node_of(&redis)));
    let mut client = join(&options(a.address(), "lobby"));
    assert!(redis.says("FLUSHALL").unwrap().starts_with("+OK"));
    let moved = join(&options(b.address(), "lobby"));
    assert_eq!((a.running().registry().len(), b.running().registry().len()), (1, 0));
    assert_eq!(a.running().metrics().nodes.leases_lost.get(), 0);
    wait(async {
        for _ in 0..20 {
            assert!(!matches!(client.next().await.unwrap(), Event::Disconnected { .. }));
        }
    });
    drop(moved);
}

// Promise 10: "A room MUST have one owner."
#[test]
fn a_player_who_comes_back_elsewhere_after_redis_has_forgotten_everything_finds_the_one_room() {
    let redis = Redis::start();
    for durability in ["none", "journal"] {
        let config = Config { durability: durability.parse().unwrap(), ..node_of(&redis) };
        let (a, b) = (TestServer::start(config.clone()), TestServer::start(config));
        drop(join(&options(a.address(), "lobby")));
        let mut player = Player::join(a.address(), "lobby");
        player.next_tick();
        for _ in 0..2 {
            player.lose_connection();
            assert!(redis.says("FLUSHALL").unwrap().starts_with("+OK"));
            // Somebody else wants the room, too.
            let stranger = join(&options(b.address(), "lobby"));
            loop {
                player.reconnect_at(b.address());
                let goodbye = player.goodbye();
                let (here, there) = (a.running().registry().len(), b.running().registry().len());
                assert_eq!((here, there), (1, 0), "{durability}: nothing is owned twice");
                match goodbye.code {
                    4014 => {
                        assert_eq!(goodbye.moved.unwrap().url, format!("ws://{}", a.address()));
                        break;
                    }
                    4016 => assert!(goodbye.reconnect_after_ms > 0, "it says when to come again"),
                    other => panic!("{durability}: {other} {}", goodbye.reason),
                }
            }
            player.reconnect_at(a.address());
            assert!(player.welcomed().resumed, "{durability}");
            player.next_tick();
            drop(stranger);
        }
        assert_eq!(
            (a.running().metrics().nodes.leases_lost.get(), b.running().metrics().nodes.leases_lost.get()),
            (0, 0)
        );
    }
}

#[test]
fn a_seat_is_gone_with_its_node_if_redis_has_forgotten_what_was_kept_and_its_room_begins_once() {
    let redis = Redis::start();
    let args = ["--redis", &redis.url(), "--lease", "1s", "--durability", "journal"];
    let (a, b) = with_a_lobby(Process::start(&args), Process::start(&args));
    let mut player = Player::join(a.address(), "lobby");
    player.next_tick();
    player.lose_connection();
    a.kill();
    assert!(redis.says("FLUSHALL").unwrap().starts_with("+OK"));
    let code = eventually("it is known", || {
        player.reconnect_at(b.address());
        let goodbye = player.goodbye();
        (goodbye.code != 4016).then_some(goodbye.code)
    });
    assert_eq!(code, u32::from(CloseCode::UnknownSession.number()));
    assert!(!has_lobby(&b), "nobody makes a room by coming back");
    let c = Process::start(&args);
    let clients = [&b, &c].map(|at| join(&options(at.address(), "lobby")));
    assert!(has_lobby(&b) != has_lobby(&c), "one of them has it");
    drop(clients);
}

#[test]
fn a_node_with_another_lease_than_the_others_is_refused_and_told_both() {
    let redis = Redis::start();
    let a = TestServer::start(node_of(&redis));
    drop(join(&options(a.address(), "lobby")));
    let start = |lease: &str| {
        ["--listen", "127.0.0.1:0", "--redis", &redis.url(), "--lease", lease].map(str::to_owned)
    };
    let other = start("5s");
    let refused = util::process::run(&other.each_ref().map(String::as_str));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("--lease is 5s here and 1s on the nodes"), "{said}");
    drop(Process::start(&["--redis", &redis.url(), "--lease", "1s"]));
    drop(a);
    // When all have gone, another one counts.
    drop(Process::start(&["--redis", &redis.url(), "--lease", "5s"]));
}

#[test]
fn a_node_says_no_address_that_stands_for_all_of_a_machine() {
    let redis = Redis::start();
    let url = redis.url();
    for (args, named) in [
        (&["--listen", "0.0.0.0:0", "--insecure"][..], "public_url"),
        (&["--public-url", "http://0.0.0.0:7777"], "public_url"),
        (&["--public-url", "http://[::]"], "public_url"),
        (&["--public-quic", "0.0.0.0:7777"], "public_quic"),
    ] {
        let args = [&["--redis", &url], args].concat();
        let refused = util::process::run(&args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(named) && said.contains("must be"), "{said}");
    }
    let quic = "0.0.0.0:0".parse().unwrap();
    let a = TestServer::start(Config { quic, insecure: true, ..node_of(&redis) });
    until("it is seen", || a.get_as_operator("/v1/nodes").json()["nodes"][0]["quic"].is_string());
    let seen = a.get_as_operator("/v1/nodes").json();
    assert_eq!(seen["nodes"][0]["quic"], format!("127.0.0.1:{}", a.quic().port()));
}
