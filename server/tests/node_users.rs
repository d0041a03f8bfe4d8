//! What all nodes know of users, through a real Redis: tokens that were used, and whose access was revoked.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Disconnect, Error, Options, TransportKind};
use driftless_proto::{code::CloseCode, limits::SUBPROTOCOL};
use driftless_server::config::Config;
use serde_json::json;
use socket2::SockRef;
use std::{io::Write as _, net::TcpStream, time::Duration};
use util::{
    Socket, TestServer, eventually, http,
    quic::wait,
    redis::Redis,
    tokens::{self, token_with},
    until,
};

fn node_config(redis: &Redis) -> Config {
    let redis = redis.url().parse().ok();
    Config { redis, lease: Duration::from_secs(1), token_once: true, ..tokens::config() }
}

fn node_of(redis: &Redis) -> TestServer {
    TestServer::start(node_config(redis))
}

/// Joins as soon as rooms can be found, wherever they are.
fn join(server: &TestServer, room: &str, jti: &str) -> Result<Client, u16> {
    let options = Options::new(format!("ws://{}", server.address()), room)
        .transports([TransportKind::WebSocket])
        .token(token_with("ann", json!({ "jti": jti })));
    eventually("an answer", || match wait(Client::connect(options.clone())) {
        Ok(client) => Some(Ok(client)),
        Err(Error::Ended(Disconnect::Goodbye { code: 4016 | 4006, .. })) => None,
        Err(Error::Ended(cause)) => Some(Err(cause.close_code().expect("a code").number())),
        Err(other) => panic!("{other}"),
    })
}

#[test]
fn a_token_that_was_used_at_one_node_is_used_at_all() {
    let redis = Redis::start();
    let (a, b) = (node_of(&redis), node_of(&redis));
    // Some of these rooms are at one node and some at the other: a token is none that was used because its
    // player was sent on.
    for n in 0..6 {
        let (room, jti) = (format!("room-{n}"), n.to_string());
        let client = join([&a, &b][n % 2], &room, &jti).unwrap_or_else(|code| panic!("{n}: {code}"));
        for server in [&a, &b] {
            let again = join(server, &format!("other-{n}"), &jti).map(drop);
            assert_eq!(again, Err(CloseCode::Unauthenticated.number()), "{n}");
        }
        drop(client);
    }
    drop(a);
    let c = node_of(&redis);
    assert_eq!(join(&c, "other", "0").map(drop), Err(CloseCode::Unauthenticated.number()), "later, too");
}

// What Redis takes late, when nobody waits for it any more, is no reservation that nobody can use.
#[test]
fn a_token_whose_join_redis_has_not_answered_in_time_is_good_afterwards() {
    let redis = Redis::start();
    let node = TestServer::start(Config { lease: Duration::from_secs(30), ..node_config(&redis) });
    drop(join(&node, "first", "0").unwrap());
    redis.signal(libc::SIGSTOP);
    let options = Options::new(format!("ws://{}", node.address()), "lobby")
        .transports([TransportKind::WebSocket])
        .token(token_with("ann", json!({ "jti": "1" })));
    let told = wait(Client::connect(options)).map(drop);
    let Err(Error::Ended(Disconnect::Goodbye { code: 4006, reconnect_after, .. })) = told else {
        panic!("{told:?}")
    };
    assert!(reconnect_after > Duration::ZERO, "it is told when to come again");
    redis.signal(libc::SIGCONT);
    drop(join(&node, "lobby", "1").unwrap_or_else(|code| panic!("{code}")));
    assert_eq!(join(&node, "lobby", "1").map(drop), Err(CloseCode::Unauthenticated.number()), "once");
}

// A snapshot is older than what is said after it.
#[test]
fn what_was_said_last_of_a_user_outlives_a_redis_that_comes_back_older() {
    let redis = Redis::start();
    let a = node_of(&redis);
    let revoke = |user: &str, seconds: u32| {
        let told = a.post(&format!("/v1/users/{user}/revoke"), &format!(r#"{{"seconds":{seconds}}}"#)).json();
        assert_eq!(told["all_nodes"], true, "{told}");
    };
    drop(join(&a, "lobby", "0").unwrap());
    revoke("eve", 1);
    revoke("dan", 600);
    let mut client = redis.client();
    let mut keys =
        ["revoked", "revoked:eve", "revoked:dan"].map(|key| format!("{{driftless}}:{key}")).map(|key| {
            let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query(&mut client).unwrap();
            (key, dump)
        });
    revoke("eve", 600);
    assert_eq!(a.operate("DELETE", "/v1/users/dan/revoke", "").status, 204);
    assert_eq!(redis.says("FLUSHALL").as_deref(), Some("+OK\r\n"));
    for (key, dump) in &mut keys {
        redis::cmd("RESTORE").arg(&**key).arg(0).arg(&**dump).exec(&mut client).unwrap();
    }
    let b = node_of(&redis);
    until("b knows what was said last", || (status(&b, "eve"), status(&b, "dan")) == (403, 101));
}

// A page that is closed, for example, waits for no answer.
#[test]
fn an_operator_who_goes_away_meanwhile_has_let_nobody_in_at_one_node_only() {
    let redis = Redis::start();
    let node = TestServer::start(Config { lease: Duration::from_secs(30), ..node_config(&redis) });
    let path = "/v1/users/ann/revoke";
    until("she is revoked", || node.post(path, "").json()["all_nodes"] == true);
    let revoked = || node.get_as_operator("/v1/revoked").json()["users"].as_array().unwrap().len();
    redis.signal(libc::SIGSTOP);
    let mut stream = TcpStream::connect(node.address()).unwrap();
    let (host, operator) = (node.address(), node.authorization());
    // (While a request without a body is answered, nothing is read, and nobody learns of a reset.)
    write!(stream, "DELETE {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\n{operator}\r\n{{}}")
        .unwrap();
    until("it has begun", || revoked() == 0);
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    until("nothing has changed, because others cannot be told", || revoked() == 1);
}

/// The status of a request to connect.
fn status(server: &TestServer, user: &str) -> u16 {
    let token = token_with(user, json!({ "jti": user }));
    let headers = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {token}\r\n");
    match Socket::upgrade(TcpStream::connect(server.address()).unwrap(), &headers) {
        Ok(_) => 101,
        Err(http::Response { status, .. }) => status,
    }
}

#[test]
fn who_is_revoked_at_one_node_is_revoked_at_all_and_later_ones() {
    let redis = Redis::start();
    let (a, b) = (node_of(&redis), node_of(&redis));
    let mut playing = join(&b, "lobby", "1").unwrap();
    let told = a.post("/v1/users/ann/revoke", "").json();
    assert_eq!((&told["all_nodes"], &told["survives_restart"]), (&true.into(), &true.into()), "{told}");
    let ended = wait(async {
        loop {
            if let Err(Error::Ended(cause)) = playing.next().await {
                return cause.close_code();
            }
        }
    });
    assert_eq!(ended, Some(CloseCode::Revoked));
    until("b knows", || status(&b, "ann") == 403);
    assert_eq!((status(&a, "ann"), status(&b, "bob")), (403, 101));
    assert_eq!(b.post("/v1/users/cid/revoke", r#"{"seconds":1}"#).json()["all_nodes"], true);
    drop(a);
    let c = node_of(&redis);
    until("a node that comes later knows", || status(&c, "ann") == 403);
    until("that is over", || status(&c, "cid") == 101);
    // Let in again, by any of them.
    assert_eq!(c.operate("DELETE", "/v1/users/ann/revoke", "").status, 204);
    until("b knows that, too", || status(&b, "ann") == 101);
}

// "What Redis has, a node learns when it starts", also from a Redis that was emptied meanwhile.
#[test]
fn what_nodes_know_of_users_outlives_what_redis_remembers() {
    let redis = Redis::start();
    let (a, b) = (node_of(&redis), node_of(&redis));
    let client = join(&a, "lobby", "0").unwrap_or_else(|code| panic!("{code}"));
    let told = b.post("/v1/users/eve/revoke", "").json();
    assert_eq!((&told["all_nodes"], &told["survives_restart"]), (&true.into(), &true.into()), "{told}");
    until("a knows", || status(&a, "eve") == 403);
    assert_eq!(redis.says("FLUSHALL").as_deref(), Some("+OK\r\n"));
    let c = node_of(&redis);
    assert_eq!(join(&c, "other", "0").map(drop), Err(CloseCode::Unauthenticated.number()));
    until("a node that comes later knows", || status(&c, "eve") == 403);
    assert_eq!(c.operate("DELETE", "/v1/users/eve/revoke", "").status, 204);
    until("a knows that, too", || status(&a, "eve") == 101);
    drop((client, b));
}
