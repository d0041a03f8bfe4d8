//! Who may enter: over each transport, whoever has no token that is good for what they want gets no
//! connection, or on QUIC no seat; and an identity lasts as long as its token says, or an operator lets it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    limits::SUBPROTOCOL,
    session::client::ClientEvent,
    wire::{self, topic_message::Kind as Said},
};
use driftless_server::{Denied, Identity, Knock, Role, Server, User, config::Config, config::Guests};
use driftless_sim::games;
use serde_json::json;
use std::{
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use util::{
    PATIENCE, Player, Socket, TestServer, Wire, eventually, http, join, process,
    quic::{self, Kind, Link, wait},
    tokens::{self, token, token_with},
    until,
};
use web_transport_quinn::{Session, proto::ConnectRequest};

/// An upgrade with this query and these headers, each with its line end.
fn upgrade(address: SocketAddr, query: &str, headers: &str) -> Result<Socket, http::Response> {
    Socket::upgrade_at(&format!("/v1/connect{query}"), TcpStream::connect(address).unwrap(), headers)
}

fn bearer(token: &str) -> String {
    format!("sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {token}\r\n")
}

/// The status and the error's code.
#[track_caller]
fn refused(answer: Result<Socket, http::Response>) -> (u16, String) {
    let answer = answer.err().expect("it is refused");
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    (answer.status, code)
}

/// Asks for a WebTransport session, with a token in a header or in the query.
fn web_transport(address: SocketAddr, query: &str, token: Option<&str>) -> Result<Link, String> {
    let endpoint = quic::endpoint();
    let connection = wait(quic::dial(&endpoint, address, quic::config(Kind::WebTransport)))?;
    let url = format!("https://localhost/v1/connect{query}").parse::<url::Url>().unwrap();
    let mut request = ConnectRequest::new(url).with_protocol(SUBPROTOCOL);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request = request.with_header(web_transport_quinn::http::header::AUTHORIZATION, value);
    }
    let session = wait(Session::connect(connection, request)).map_err(|error| error.to_string())?;
    Ok(Link::on(Kind::WebTransport, endpoint, session))
}

fn join_with(room: &str, token: &str) -> wire::Join {
    wire::Join { identity_token: token.to_owned(), ..join(room) }
}

/// A player on each transport, who has come with a token.
#[allow(clippy::large_enum_variant, reason = "there are three")]
enum Any {
    WebSocket(Player<Socket>),
    Link(Player<Link>),
}

impl Any {
    fn all(server: &TestServer, room: &str, token: &str) -> [Self; 3] {
        let join = wire::Join { name: "Impostor".into(), ..join(room) };
        let socket = upgrade(server.address(), "", &bearer(token)).unwrap_or_else(|e| panic!("{e:?}"));
        let session = web_transport(server.quic(), "", Some(token)).unwrap();
        let link = Link::connect(Kind::Quic, server.quic());
        let quic = wire::Join { identity_token: token.to_owned(), ..join.clone() };
        [
            Any::WebSocket(Player::on(socket, server.address(), join.clone())),
            Any::Link(Player::on(session, server.quic(), join)),
            Any::Link(Player::on(link, server.quic(), quic)),
        ]
    }

    fn welcomed(&mut self) -> wire::Welcome {
        match self {
            Any::WebSocket(player) => player.welcomed(),
            Any::Link(player) => player.welcomed(),
        }
    }

    /// Plays until the server says goodbye; the code.
    #[track_caller]
    fn goodbye(&mut self) -> u32 {
        match self {
            Any::WebSocket(player) => player.goodbye().code,
            Any::Link(player) => player.goodbye().code,
        }
    }
}

/// The code with which a player on QUIC is refused.
#[track_caller]
fn refused_on_quic(server: &TestServer, join: wire::Join) -> u32 {
    let link = Link::connect(Kind::Quic, server.quic());
    Any::Link(Player::on(link, server.quic(), join)).goodbye()
}

#[track_caller]
fn number(code: CloseCode) -> u32 {
    code.number().into()
}

#[test]
fn without_a_token_nobody_gets_a_connection_or_a_seat() {
    let server = TestServer::start(tokens::config());
    let ours = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n");
    assert_eq!(refused(upgrade(server.address(), "", &ours)), (401, "no_token".into()));
    let answer = upgrade(server.address(), "", &ours).err().unwrap();
    assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    assert!(web_transport(server.quic(), "", None).err().unwrap().contains("401"));
    assert_eq!(refused_on_quic(&server, join("lobby")), number(CloseCode::Unauthenticated));
    assert_eq!(server.running().metrics().refused.get("no_token"), 4);
    assert_eq!(server.players(), 0);
}

// Identity comes from the token and never from what a client says of itself.
#[test]
fn a_token_says_who_a_player_is_on_each_transport() {
    let server = TestServer::start(tokens::config());
    for mut player in Any::all(&server, "lobby", &token_with("ann|7", json!({ "name": "Ann" }))) {
        assert_eq!(player.welcomed().user, "ann|7");
    }
    let presence = || server.get_as_operator("/v1/presence");
    until("presence has it", || presence().json()["members"][0]["players"].is_array());
    let seen = presence().json();
    assert_eq!(server.get("/v1/presence").status, 401, "strangers are not told who plays");
    assert_eq!((&seen["members"][0]["user"], &seen["members"][0]["name"]), (&json!("ann|7"), &json!("Ann")));
}

#[test]
fn a_token_may_be_shown_wherever_a_client_can_put_it() {
    let server = TestServer::start(tokens::config());
    let token = token("ann");
    let (address, ours) = (server.address(), format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n"));
    let in_protocols = format!("sec-websocket-protocol: {SUBPROTOCOL}, driftless.token.{token}\r\n");
    for (query, headers) in
        [("", bearer(&token)), ("", in_protocols), (&*format!("?token={token}"), ours.clone())]
    {
        let socket = upgrade(address, query, &headers).unwrap_or_else(|e| panic!("{e:?}"));
        let mut player = Player::on(socket, address, join("lobby"));
        assert_eq!(player.welcomed().user, "ann");
    }
    let session = web_transport(server.quic(), &format!("?token={token}"), None).unwrap();
    assert_eq!(Player::on(session, server.quic(), join("lobby")).welcomed().user, "ann");
}

// Pages cannot set the headers of an `EventSource`.
#[test]
fn a_token_in_the_query_is_good_for_every_request_that_takes_one() {
    let server = TestServer::start(Config { queue: "arena=2x1".parse().unwrap(), ..tokens::config() });
    let token =
        token_with("ann", json!({ "topics": { "read": "news", "write": "news" }, "presence": "ann" }));
    let ask = |method: &str, path: &str, body: &str| {
        let without = http::send(server.address(), method, path, "", body).status;
        let with = http::send(server.address(), method, &format!("{path}?token={token}"), "", body).status;
        (path.to_owned(), without, with)
    };
    for (asked, done) in [
        (ask("GET", "/v1/lobby", ""), 200),
        (ask("GET", "/v1/rooms", ""), 200),
        (ask("GET", "/v1/presence/ann", ""), 200),
        (ask("POST", "/v1/presence", r#"{"users":["ann"]}"#), 200),
        (ask("POST", "/v1/queue", r#"{"kind":"arena"}"#), 201),
        (ask("POST", "/v1/match", r#"{"kind":"arena"}"#), 200),
        (ask("POST", "/v1/topics/news", "hello"), 200),
    ] {
        let (path, ..) = &asked;
        assert_eq!(asked, (path.clone(), 401, done));
    }
}

#[test]
fn a_token_that_is_not_valid_is_refused_with_its_fault() {
    let server = TestServer::start(tokens::config());
    let now = tokens::now();
    let (message, signature) = (token("ann"), token("bob"));
    let (message, signature) = (message.rsplit_once('.').unwrap().0, signature.rsplit_once('.').unwrap().1);
    for (bad, fault) in [
        ("x".to_owned(), "token_malformed"),
        (format!("{message}.{signature}"), "token_signature"),
        (token_with("ann", json!({ "exp": now - 60 })), "token_expired"),
        (token_with("ann", json!({ "exp": now + 2 * 24 * 3600 })), "token_long_lived"),
        (token_with("ann", json!({ "nbf": now + 60 })), "token_not_valid_yet"),
        (token_with("ann", json!({ "aud": "shop" })), "token_audience"),
        (token_with("guest-1", json!({})), "token_claims"),
    ] {
        assert_eq!(refused(upgrade(server.address(), "", &bearer(&bad))), (401, fault.into()));
        assert!(web_transport(server.quic(), "", Some(&bad)).err().unwrap().contains("401"), "{fault}");
        let code = refused_on_quic(&server, join_with("lobby", &bad));
        assert_eq!(code, number(CloseCode::Unauthenticated), "{fault}");
    }
}

#[test]
fn a_token_opens_only_the_rooms_that_it_names() {
    let server = TestServer::start(tokens::config());
    let (address, forbidden) = (server.address(), number(CloseCode::Forbidden));
    let token = token_with("ann", json!({ "room": "match-*", "kind": "cursors" }));
    let at = |query: &str| refused(upgrade(address, query, &bearer(&token)));
    assert_eq!(at("?room=attic"), (403, "room_forbidden".into()));
    assert_eq!(at("?room=match-1&kind=arena"), (403, "kind_forbidden".into()));
    assert!(web_transport(server.quic(), "?room=attic", Some(&token)).err().unwrap().contains("403"));
    // Whatever room was named with the request, the join counts.
    for asked in [join("attic"), wire::Join { kind: "arena".into(), ..join("match-1") }] {
        let socket = upgrade(address, "?room=match-1", &bearer(&token)).unwrap();
        assert_eq!(Any::WebSocket(Player::on(socket, address, asked.clone())).goodbye(), forbidden);
        let quic = wire::Join { identity_token: token.clone(), ..asked };
        assert_eq!(refused_on_quic(&server, quic), forbidden);
    }
    assert_eq!(server.get_as_operator("/v1/rooms").json()["rooms"], json!([]), "and no room was made");
    let socket = upgrade(address, "?room=match-1&kind=cursors", &bearer(&token)).unwrap();
    assert_eq!(Player::on(socket, address, join("match-1")).welcomed().kind, "cursors");
}

#[test]
fn whoever_may_only_watch_watches_whatever_the_join_says() {
    let server = TestServer::start(tokens::config());
    let [mut player, ..] = Any::all(&server, "lobby", &token("ann"));
    player.welcomed();
    for mut watcher in Any::all(&server, "lobby", &token_with("bob", json!({ "role": "spectator" }))) {
        assert!(watcher.welcomed().spectating);
    }
    assert_eq!(server.players(), 1);
}

// A page is not told why an upgrade failed, but may ask.
#[test]
fn the_same_request_without_an_upgrade_says_why() {
    let server = TestServer::start(tokens::config());
    let ask = |token: &str| {
        let authorization = format!("authorization: Bearer {token}\r\n");
        let answer = http::send(server.address(), "GET", "/v1/connect?room=a", &authorization, "");
        (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(ask("x"), (401, "token_malformed".into()));
    assert_eq!(ask(&token_with("ann", json!({ "room": "b" }))), (403, "room_forbidden".into()));
    assert_eq!(ask(&token("ann")), (426, "upgrade_required".into()), "the token is not what is wrong");
}

#[test]
fn guests_come_if_there_are_no_keys_or_the_operator_says_so() {
    for (config, come) in [
        (util::config(), true),
        (tokens::config(), false),
        (Config { guests: Guests::Yes, ..tokens::config() }, true),
    ] {
        let server = TestServer::start(config);
        let ours = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n");
        match upgrade(server.address(), "", &ours) {
            Ok(socket) if come => {
                let user = Player::on(socket, server.address(), join("lobby")).welcomed().user;
                assert!(user.starts_with("guest-"), "{user}");
            }
            answer => assert!(answer.is_err() && !come),
        }
    }
}

// A guest's connection may say who it is with its join.
#[test]
fn a_join_on_a_guests_connection_may_bring_a_token() {
    let server = TestServer::start(Config { guests: Guests::Yes, ..tokens::config() });
    let mut ann = Player::join_as(server.address(), join_with("lobby", &token("ann")));
    assert_eq!(ann.session.welcome().unwrap().user, "ann");
    ann.leave();
    let code = refused_on_quic(&server, join_with("lobby", "x"));
    assert_eq!(code, number(CloseCode::Unauthenticated), "a token that is not valid does not make a guest");
}

#[test]
fn only_the_user_of_a_seat_comes_back_to_it() {
    let server = TestServer::start(Config { guests: Guests::Yes, ..tokens::config() });
    let mut ann = Player::join_as(server.address(), join_with("lobby", &token("ann")));
    let welcome = ann.session.welcome().unwrap().clone();
    ann.socket.lose();
    let resume = |token: &str| {
        let mut socket = Socket::connect(server.address());
        let resume = wire::Resume {
            protocol: 1,
            room: "lobby".into(),
            token: welcome.resume_token.clone(),
            identity_token: token.to_owned(),
            ..wire::Resume::default()
        };
        socket.send(&util::client(wire::client_message::Body::Resume(resume))).unwrap();
        let util::Frame::Binary(message) = socket.recv() else { panic!("no message") };
        util::server(&message)
    };
    for thief in ["", &token("bob")] {
        match resume(thief) {
            wire::server_message::Body::Goodbye(goodbye) => {
                assert_eq!(goodbye.code, number(CloseCode::UnknownSession));
            }
            other => panic!("{other:?}"),
        }
    }
    // Whoever may only watch does not play on in a seat that a player's token has opened.
    for role in ["spectator", "admin"] {
        match resume(&token_with("ann", json!({ "role": role }))) {
            wire::server_message::Body::Goodbye(goodbye) => {
                assert_eq!(goodbye.code, number(CloseCode::Forbidden), "{role}");
            }
            other => panic!("{role}: {other:?}"),
        }
    }
    match resume(&token("ann")) {
        wire::server_message::Body::Welcome(again) => {
            assert!(again.resumed && again.player == welcome.player)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_may_be_used_once_takes_one_seat() {
    let server = TestServer::start(Config { token_once: true, ..tokens::config() });
    let once = token_with("ann", json!({ "jti": "1" }));
    let socket = |token: &str| upgrade(server.address(), "", &bearer(token)).unwrap();
    let mut ann = Player::on(socket(&once), server.address(), join("lobby"));
    ann.welcomed();
    let mut again = Any::WebSocket(Player::on(socket(&once), server.address(), join("lobby")));
    assert_eq!(again.goodbye(), number(CloseCode::Unauthenticated));
    assert_eq!(refused_on_quic(&server, join_with("lobby", &once)), number(CloseCode::Unauthenticated));
    assert_eq!(refused(upgrade(server.address(), "", &bearer(&token("ann")))), (401, "token_claims".into()));
    let other = token_with("ann", json!({ "jti": "2" }));
    Player::on(socket(&other), server.address(), join("lobby")).welcomed();
}

/// With a token that may be used once only.
fn once(server: &TestServer, room: &str, jti: &str) -> Player {
    let token = token_with("ann", json!({ "jti": jti }));
    Player::on(upgrade(server.address(), "", &bearer(&token)).unwrap(), server.address(), join(room))
}

#[test]
fn a_token_that_may_be_used_once_is_so_for_every_role_over_every_transport() {
    let server = TestServer::start(Config { token_once: true, ..tokens::config() });
    let address = server.address();
    let mut kept = util::Player::on(
        upgrade(address, "", &bearer(&token_with("eve", json!({ "jti": "0" })))).unwrap(),
        address,
        join("lobby"),
    );
    kept.welcomed(); // spectators make no rooms
    for (n, role) in ["player", "spectator", "admin"].into_iter().enumerate() {
        for first in 0..3 {
            let once = token_with("ann", json!({ "jti": format!("{n} {first}"), "role": role }));
            let connect = |transport: usize| {
                let quic = join_with("lobby", &once);
                match transport {
                    0 => {
                        let socket = upgrade(address, "", &bearer(&once)).unwrap_or_else(|e| panic!("{e:?}"));
                        Any::WebSocket(Player::on(socket, address, join("lobby")))
                    }
                    1 => {
                        let session = web_transport(server.quic(), "", Some(&once)).unwrap();
                        Any::Link(Player::on(session, server.quic(), join("lobby")))
                    }
                    _ => {
                        let link = Link::connect(Kind::Quic, server.quic());
                        Any::Link(Player::on(link, server.quic(), quic))
                    }
                }
            };
            let mut seat = connect(first);
            assert_eq!(seat.welcomed().spectating, role != "player");
            for again in 0..3 {
                let code = connect(again).goodbye();
                assert_eq!(code, number(CloseCode::Unauthenticated), "{role}: {first}, {again}");
            }
            drop(seat);
        }
    }
}

#[test]
fn a_token_is_not_used_up_by_a_join_that_is_refused() {
    let server = TestServer::start(Config { token_once: true, max_players: 1, ..tokens::config() });
    let mut first = once(&server, "lobby", "1");
    first.welcomed();
    assert_eq!(once(&server, "lobby", "2").ended(), CloseCode::RoomFull);
    first.leave();
    until("the seat is free", || server.players() == 0);
    once(&server, "lobby", "2").welcomed();
}

#[test]
fn no_room_is_made_for_a_token_that_was_used() {
    let server = TestServer::start(Config { token_once: true, ..tokens::config() });
    once(&server, "lobby", "1").welcomed();
    assert_eq!(once(&server, "attic", "1").ended(), CloseCode::Unauthenticated);
    let rooms = server.get_as_operator("/v1/rooms").json();
    assert_eq!(rooms["rooms"].as_array().unwrap().len(), 1, "{rooms}");
}

#[test]
fn of_joins_at_once_with_one_token_one_gets_a_seat() {
    let server = TestServer::start(Config { token_once: true, ..tokens::config() });
    for round in 0..10 {
        // In a new room, so that the joins wait for it.
        let room = format!("room-{round}");
        let all: Vec<_> = (0..8).map(|_| once(&server, &room, &room)).collect();
        let joined = all.into_iter().map(|mut player| {
            player.wait("an answer", |event| match event {
                ClientEvent::Welcome(_) => Some(true),
                ClientEvent::Goodbye(_) => Some(false),
                _ => None,
            })
        });
        assert_eq!(joined.filter(|joined| *joined).count(), 1);
    }
}

#[test]
fn a_server_that_is_started_again_knows_which_tokens_were_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = Some(folder.path().join("store"));
    let config = Config { token_once: true, store, ..tokens::config() };
    let server = TestServer::start(config.clone());
    once(&server, "lobby", "1").welcomed();
    drop(server);
    let server = TestServer::start(config);
    assert_eq!(once(&server, "lobby", "1").ended(), CloseCode::Unauthenticated);
    once(&server, "lobby", "2").welcomed();
}

// Guessing is limited to the rate of joins, and an honest client behind the same address learns when to come.
#[test]
fn who_shows_bad_tokens_too_fast_is_told_when_to_come_again() {
    let server = TestServer::start(Config {
        joins_per_second_per_address: 1,
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        ..tokens::config()
    });
    let headers = format!("{}x-forwarded-for: 192.0.2.1\r\n", bearer("x"));
    let refused = eventually("it is too fast", || {
        upgrade(server.address(), "", &headers).err().filter(|answer| answer.status != 401)
    });
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "too_fast"));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert!(server.running().metrics().refused.get("too_fast") >= 1);
}

// Whatever it costs to find out who somebody is, one address has it done only so often.
#[test]
fn nobody_has_the_server_check_tokens_without_end() {
    static CHECKED: AtomicUsize = AtomicUsize::new(0);
    let by_ticket = async |_: Knock| {
        CHECKED.fetch_add(1, Ordering::SeqCst);
        Err::<Identity, _>(Denied::unauthenticated("buy a ticket"))
    };
    let config = Config {
        joins_per_second_per_address: 1,
        topic_events_per_second_per_address: 1,
        max_connections_per_address: 8,
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        ..util::config()
    };
    let server = TestServer::of(Server::new(&games::kinds()).authenticate(by_ticket), config);
    let start = Instant::now();
    for _ in 0..300 {
        let headers = format!("{}x-forwarded-for: 192.0.2.1\r\n", bearer("x"));
        assert!([401, 429].contains(&upgrade(server.address(), "", &headers).err().unwrap().status));
    }
    let (checked, seconds) = (CHECKED.load(Ordering::SeqCst), start.elapsed().as_secs() as usize);
    let most = 55 + 11 * (seconds + 1);
    assert!(checked <= most, "{checked} of 300, and {most} may be");
    assert_eq!(
        upgrade(server.address(), "", &bearer("x")).err().unwrap().status,
        401,
        "others have their own"
    );
}

// Whoever has to be asked may be slow.
#[test]
fn a_connection_goes_on_while_a_fresh_token_is_checked() {
    static LATE: AtomicBool = AtomicBool::new(false);
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let by_ticket = async |_: Knock| {
        if ASKED.fetch_add(1, Ordering::SeqCst) > 0 {
            // Shorter than the server's own limit.
            actix_rt::time::sleep(Duration::from_secs(4)).await;
            LATE.store(true, Ordering::SeqCst);
        }
        Ok::<_, Denied>(Identity::of(User::Known("ann".into())))
    };
    let server = TestServer::of(Server::new(&games::kinds()).authenticate(by_ticket), util::config());
    let socket = upgrade(server.address(), "", &bearer("a")).unwrap_or_else(|e| panic!("{e:?}"));
    let mut player = Player::on(socket, server.address(), join("lobby"));
    player.welcomed();
    player.session.renew("b".to_owned());
    let mut states = 0;
    player.wait("states while it is asked", |event| {
        states += usize::from(matches!(event, ClientEvent::State { .. }));
        (states > 2 && ASKED.load(Ordering::SeqCst) == 2).then_some(())
    });
    // What only the connection's actor can do.
    player.leave();
    until("the seat is free", || server.players() == 0);
    assert!(!LATE.load(Ordering::SeqCst), "it waited for the check");
}

/// Waits until the server asks for a fresh token; how much time it gives.
#[track_caller]
fn asked<W: Wire>(player: &mut Player<W>) -> Duration {
    player.wait("being asked for a token", |event| match event {
        ClientEvent::TokenExpires(within) => Some(*within),
        _ => None,
    })
}

#[test]
fn a_fresh_token_keeps_a_player_and_without_one_the_player_goes_and_may_come_back() {
    let server = TestServer::start(Config { token_leeway: Duration::ZERO, ..tokens::config() });
    let short = || token_with("ann", json!({ "exp": tokens::now() + 4 }));
    let mut link = web_transport(server.quic(), "", Some(&short())).unwrap();
    let mut player = Player::on(link, server.quic(), join("lobby"));
    let first = player.welcomed();
    let until_then = asked(&mut player);
    assert!(until_then <= Duration::from_secs(4), "{until_then:?}");
    player.session.renew(short());
    let until_then = asked(&mut player);
    assert!(until_then <= Duration::from_secs(4), "asked again: the fresh one has taken effect");
    let mut player = Any::Link(player);
    assert_eq!(player.goodbye(), number(CloseCode::TokenExpired));
    // The seat is kept.
    link = web_transport(server.quic(), "", Some(&token("ann"))).unwrap();
    let resume = wire::Resume {
        protocol: 1,
        room: "lobby".into(),
        token: first.resume_token.clone(),
        ..wire::Resume::default()
    };
    link.send_reliable(&util::client(wire::client_message::Body::Resume(resume))).unwrap();
    let welcome = eventually("a welcome", || match link.recv() {
        quic::Came::Reliable(message) => Some(util::server(&message)),
        _ => None,
    });
    assert!(matches!(welcome, wire::server_message::Body::Welcome(again) if again.resumed));
}

#[test]
fn a_fresh_token_of_somebody_else_is_refused() {
    let server = TestServer::start(tokens::config());
    for fresh in [token("bob"), token_with("ann", json!({ "room": "attic" })), "x".to_owned()] {
        let [mut player, ..] = Any::all(&server, "lobby", &token("ann"));
        player.welcomed();
        let Any::WebSocket(player) = &mut player else { unreachable!() };
        player.session.renew(fresh.clone());
        let code = player.goodbye().code;
        let wanted = if fresh == "x" { CloseCode::Unauthenticated } else { CloseCode::Forbidden };
        assert_eq!(code, number(wanted));
    }
}

/// What a player on a WebSocket is told next of a topic.
#[track_caller]
fn told_of_topic(player: &mut Player) -> (String, Said, String) {
    player.wait("a topic", |event| match event {
        ClientEvent::Topic(said) => Some((said.topic.clone(), said.kind(), said.event.clone())),
        _ => None,
    })
}

#[test]
fn a_fresh_token_gives_the_rights_that_it_names_and_takes_the_others() {
    let topics_open = vec!["open".parse().unwrap()];
    let server = TestServer::start(Config { topics_open, max_seats_per_user: 0, ..tokens::config() });
    let reads = |topics: &[&str]| token_with("ann", json!({ "topics": { "read": topics } }));
    let socket = upgrade(server.address(), "", &bearer(&reads(&["news", "old"]))).unwrap();
    let mut player = Player::on(socket, server.address(), join("lobby"));
    player.welcomed();
    for topic in ["news", "old", "open"] {
        player.session.read_topic(topic, "");
        assert_eq!(told_of_topic(&mut player), (topic.to_owned(), Said::Begun, String::new()));
    }
    player.session.renew(reads(&["news", "new"]));
    assert_eq!(told_of_topic(&mut player), ("old".into(), Said::Over, "forbidden".into()));
    player.session.read_topic("new", "");
    assert_eq!(told_of_topic(&mut player), ("new".into(), Said::Begun, String::new()));
    server.post("/v1/topics/old", "1");
    for topic in ["news", "open", "new"] {
        server.post(&format!("/v1/topics/{topic}"), "1");
        assert_eq!(told_of_topic(&mut player), (topic.to_owned(), Said::Event, String::new()));
    }
    // What it plays and as whom stays, or it ends.
    for claims in [json!({ "role": "spectator" }), json!({ "role": "admin" }), json!({ "kind": "cursors" })] {
        let [mut player, ..] = Any::all(&server, "lobby", &token("ann"));
        player.welcomed();
        let Any::WebSocket(socket) = &mut player else { unreachable!() };
        socket.session.renew(token_with("ann", claims.clone()));
        assert_eq!(player.goodbye(), number(CloseCode::Forbidden), "{claims}");
    }
    // A watcher does not become one who sees everything, or plays.
    for role in ["admin", "player"] {
        let [mut watcher, ..] =
            Any::all(&server, "lobby", &token_with("bob", json!({ "role": "spectator" })));
        assert!(watcher.welcomed().spectating);
        let Any::WebSocket(socket) = &mut watcher else { unreachable!() };
        socket.session.renew(token_with("bob", json!({ "role": role })));
        assert_eq!(watcher.goodbye(), number(CloseCode::Forbidden), "{role}");
    }
}

// Promise 9: "Honest clients are not punished for what the server, a proxy or the network did"
#[test]
fn a_fresh_token_that_has_expired_leaves_the_old_one_good() {
    let server = TestServer::start(tokens::config());
    let [mut player, ..] = Any::all(&server, "lobby", &token("ann"));
    player.welcomed();
    let Any::WebSocket(player) = &mut player else { unreachable!() };
    player.session.renew(token_with("ann", json!({ "exp": 1 })));
    for _ in 0..10 {
        player.next_tick();
    }
    player.session.renew(token("bob"));
    assert_eq!(player.goodbye().code, number(CloseCode::Forbidden));
}

// A revoked user is gone within a second, everywhere.
#[test]
fn a_revoked_user_is_gone_from_every_transport_and_does_not_come_back() {
    let server = TestServer::start(tokens::config());
    let ann = token("ann");
    let mut players = Any::all(&server, "lobby", &ann);
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    let mut bob = Any::all(&server, "lobby", &token("bob")).into_iter().next().unwrap();
    bob.welcomed();
    // A connection without a seat, and a seat without a connection.
    let mut idle = upgrade(server.address(), "", &bearer(&ann)).unwrap();
    let mut away =
        Player::on(upgrade(server.address(), "", &bearer(&ann)).unwrap(), server.address(), join("attic"));
    let seat = away.welcomed();
    away.socket.lose();
    until("all have seats", || server.players() == 5);

    let revoked = Instant::now();
    let answer = server.post("/v1/users/ann/revoke", "");
    assert_eq!((answer.status, &answer.json()["seats"]), (200, &json!(4)));
    for player in &mut players {
        assert_eq!(player.goodbye(), number(CloseCode::Revoked));
    }
    assert_eq!(idle.close_code(), Some(CloseCode::Revoked.number()));
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    until("the seats have ended", || server.players() == 1);

    assert_eq!(refused(upgrade(server.address(), "", &bearer(&ann))), (403, "revoked".into()));
    assert!(web_transport(server.quic(), "", Some(&ann)).err().unwrap().contains("403"));
    assert_eq!(refused_on_quic(&server, join_with("lobby", &ann)), number(CloseCode::Forbidden));
    let mut link = Link::connect(Kind::Quic, server.quic());
    let resume = wire::Resume {
        protocol: 1,
        room: "attic".into(),
        token: seat.resume_token,
        identity_token: ann.clone(),
        ..wire::Resume::default()
    };
    link.send_reliable(&util::client(wire::client_message::Body::Resume(resume))).unwrap();
    assert_eq!(link.close_code().0, number(CloseCode::Forbidden));

    assert_eq!(server.operate("DELETE", "/v1/users/ann/revoke", "").status, 204);
    assert_eq!(server.operate("DELETE", "/v1/users/ann/revoke", "").status, 404);
    assert!(upgrade(server.address(), "", &bearer(&ann)).is_ok());
    assert_eq!(http::send(server.address(), "POST", "/v1/users/bob/revoke", "", "").status, 401);
    assert_eq!(server.post("/v1/users/bob/revoke", "{\"hours\":1}").status, 400);
}

#[test]
fn what_can_be_no_user_is_not_revoked_and_who_is_is_listed() {
    let server = TestServer::start(tokens::config());
    let long = "x".repeat(256);
    for (user, body, status, code) in [
        ("ann", "[1]", 400, "malformed_json"),
        ("ann", "1", 400, "malformed_json"),
        ("ann", r#"{"seconds":0}"#, 422, "out_of_range"),
        ("%20", "", 422, "bad_user"),
        ("a%00b", "", 422, "bad_user"),
        ("npc-1", "", 422, "bad_user"),
        ("..", "", 422, "bad_user"),
        ("%2e", "", 422, "bad_user"),
        ("guest-", "", 422, "bad_user"),
        (&long, "", 422, "bad_user"),
        ("", "", 404, "no_such_path"),
    ] {
        let refused = server.post(&format!("/v1/users/{user}/revoke"), body);
        assert_eq!((refused.status, &*refused.error_code()), (status, code), "{user:?} {body}");
    }
    let listed = |query: &str| server.get_as_operator(&format!("/v1/revoked{query}")).json();
    assert_eq!(listed(""), json!({ "users": [], "next": null }));
    for user in ["cid", "ann", "guest-12ab", "bob"] {
        assert_eq!(server.post(&format!("/v1/users/{user}/revoke"), r#"{"seconds":100}"#).status, 200);
    }
    let page = listed("?limit=3");
    let left = page["users"][0]["left_ms"].as_u64().unwrap();
    assert!((90_000..=100_000).contains(&left), "{page}");
    let names = |page: &serde_json::Value| {
        let users = page["users"].as_array().unwrap().iter();
        users.map(|user| user["user"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&page), &page["next"]),
        (["ann", "bob", "cid"].map(String::from).to_vec(), &json!("cid"))
    );
    let rest = listed("?after=cid");
    assert_eq!((names(&rest), &rest["next"]), (vec!["guest-12ab".to_owned()], &json!(null)));
    assert_eq!(server.operate("DELETE", "/v1/users/bob/revoke", "").status, 204);
    assert_eq!(names(&listed("")), ["ann", "cid", "guest-12ab"]);
    assert_eq!(server.get("/v1/revoked").status, 401);
    assert_eq!(server.get_as_operator("/v1/revoked?limit=0").status, 400);
}

// "A limit of seats a user in a room": one user cannot fill it.
#[test]
fn a_user_has_only_so_many_seats_in_a_room() {
    let server = TestServer::start(Config { guests: Guests::Yes, max_seats_per_user: 2, ..tokens::config() });
    let (address, code) = (server.address(), number(CloseCode::RoomFull));
    let come = |user: &str, room: &str| {
        Player::on(upgrade(address, "", &bearer(&token(user))).unwrap(), address, join(room))
    };
    let mut first = come("ann", "lobby");
    first.welcomed();
    let mut away = come("ann", "lobby");
    away.welcomed();
    away.socket.lose();
    let refused = come("ann", "lobby").goodbye();
    assert_eq!(refused.code, code);
    assert!(refused.reason.contains("ann has 2 seats in room \"lobby\""), "{}", refused.reason);
    assert_eq!(refused_on_quic(&server, join_with("lobby", &token("ann"))), code);
    come("bob", "lobby").welcomed();
    come("ann", "attic").welcomed();
    let guests: Vec<_> = (0..4).map(|_| Player::join_as(address, join("lobby"))).collect();
    let watching = token_with("ann", json!({ "role": "spectator" }));
    let mut watching = Player::on(upgrade(address, "", &bearer(&watching)).unwrap(), address, join("lobby"));
    assert!(watching.welcomed().spectating, "who watches takes no seat");
    let before = server.players();
    first.leave();
    until("a seat is free", || server.players() < before);
    come("ann", "lobby").welcomed();
    drop(guests);
}

#[test]
fn a_revoked_user_stays_revoked_after_a_restart_if_there_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { store: Some(folder.path().join("store")), ..tokens::config() };
    let status = |server: &TestServer, user: &str| {
        upgrade(server.address(), "", &bearer(&token(user))).err().map_or(101, |answer| answer.status)
    };
    let server = TestServer::start(config());
    for user in ["ann", "bob"] {
        assert_eq!(server.post(&format!("/v1/users/{user}/revoke"), "").json()["survives_restart"], true);
    }
    let part = folder.path().join("store/revoked.part");
    std::fs::create_dir(&part).unwrap();
    let refused = server.operate("DELETE", "/v1/users/bob/revoke", "");
    assert_eq!((refused.status, refused.error_code()), (503, "store_fails".into()));
    assert_eq!(status(&server, "bob"), 403, "nothing has changed");
    std::fs::remove_dir(&part).unwrap();
    assert_eq!(server.operate("DELETE", "/v1/users/bob/revoke", "").status, 204);
    drop(server);
    let server = TestServer::start(config());
    assert_eq!((status(&server, "ann"), status(&server, "bob")), (403, 101));
    drop(server);
    let server = TestServer::start(tokens::config());
    assert_eq!(server.post("/v1/users/ann/revoke", "").json()["survives_restart"], false);
}

// Recordings, carried rooms, logs and what operators and others may read.
#[test]
fn nothing_that_the_server_writes_or_shows_has_a_token_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (recordings, carry) = (at("recordings"), at("carried"));
    let args = ["--listen", "127.0.0.1:0", "--log", "trace", "--record", &recordings, "--carry", &carry];
    let mut command = process::command(&args);
    command.args(["--resume-window", "1h"]).env("DRIFTLESS_TOKEN_SECRET", tokens::SECRET);
    let mut server = process::Process::of(command);
    let address = server.address();
    let tokens = [token("ann"), token_with("bob", json!({ "role": "player" })), token("cid")];
    let ours = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n");
    let in_protocols = format!("sec-websocket-protocol: {SUBPROTOCOL}, driftless.token.{}\r\n", tokens[0]);
    let good = [
        upgrade(address, "", &bearer(&tokens[0])),
        upgrade(address, "", &in_protocols),
        upgrade(address, &format!("?token={}", tokens[1]), &ours),
    ];
    let mut players: Vec<_> = good
        .into_iter()
        .map(|socket| Any::WebSocket(Player::on(socket.unwrap(), address, join("lobby"))))
        .collect();
    for session in [
        web_transport(address, "", Some(&tokens[2])),
        web_transport(address, &format!("?token={}", tokens[2]), None),
    ] {
        players.push(Any::Link(Player::on(session.unwrap(), address, join("lobby"))));
    }
    let link = Link::connect(Kind::Quic, address);
    players.push(Any::Link(Player::on(link, address, join_with("lobby", &tokens[1]))));
    players.iter_mut().for_each(|player| drop(player.welcomed()));
    // And what is refused.
    let expired = token_with("dan", json!({ "exp": 1 }));
    drop(upgrade(address, &format!("?token={expired}"), &ours));
    drop(web_transport(address, &format!("?token={expired}"), None));
    drop(upgrade(address, &format!("?token={expired}&token=x"), &ours));
    drop(http::get(address, &format!("/nowhere?token={expired}")));
    let mut refused =
        Any::Link(Player::on(Link::connect(Kind::Quic, address), address, join_with("a", &expired)));
    assert_eq!(refused.goodbye(), number(CloseCode::Unauthenticated));
    let shown: String = ["/metrics", "/v1/rooms", "/v1/presence", "/v1/rooms/lobby/state"]
        .map(|path| http::send(address, "GET", path, &server.authorization(), "").body)
        .concat();
    assert!(shown.contains("ann"));
    server.signal(libc::SIGTERM);
    assert!(server.wait().0.success());
    let mut written = server.kill().into_bytes();
    assert!(written.len() > 10_000, "the log is there");
    let mut files = vec![folder.path().to_owned()];
    while let Some(path) = files.pop() {
        match std::fs::read_dir(&path) {
            Ok(inside) => files.extend(inside.map(|file| file.unwrap().path())),
            Err(_) => written.extend(std::fs::read(&path).unwrap()),
        }
    }
    written.extend(shown.into_bytes());
    for secret in tokens.iter().chain([&expired]).map(|token| token.rsplit_once('.').unwrap().1) {
        let found = written.windows(secret.len()).position(|window| window == secret.as_bytes());
        let around = |at: usize| String::from_utf8_lossy(&written[at.saturating_sub(300)..at]).into_owned();
        assert!(found.is_none(), "a token's signature after: {}", around(found.unwrap()));
    }
    let secret = tokens::SECRET.as_bytes();
    assert!(!written.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn a_program_may_find_out_who_players_are_in_its_own_way() {
    async fn by_ticket(knock: Knock) -> Result<Identity, Denied> {
        actix_rt::task::yield_now().await;
        match knock.token.as_deref().or(knock.header("cookie")) {
            Some("ticket of ann") => {
                Ok(Identity { role: Role::Player, ..Identity::of(User::Known("ann".into())) })
            }
            Some("ticket of bob") => Err(Denied::forbidden("bob is tired")),
            _ => Err(Denied::unauthenticated("buy a ticket")),
        }
    }
    let server = Server::new(&games::kinds()).authenticate(by_ticket);
    let server = TestServer::of(server, util::config());
    let cookie = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\ncookie: ticket of ann\r\n");
    let socket = upgrade(server.address(), "", &cookie).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(Player::on(socket, server.address(), join("lobby")).welcomed().user, "ann");
    assert_eq!(refused(upgrade(server.address(), "", &bearer("ticket of bob"))), (403, "forbidden".into()));
    let answer = upgrade(server.address(), "", &bearer("x")).err().unwrap();
    assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!("buy a ticket")));
    let mut player =
        Player::on(Link::connect(Kind::Quic, server.quic()), server.quic(), join_with("a", "ticket of ann"));
    assert_eq!(player.welcomed().user, "ann");
}

// Slow or hostile, but never for long.
#[test]
fn a_scheme_that_does_not_answer_refuses() {
    let never = |_| std::future::pending::<Result<Identity, Denied>>();
    let server = Server::new(&games::kinds()).authenticate(async move |knock: Knock| never(knock).await);
    let server = TestServer::of(server, util::config());
    let began = Instant::now();
    assert_eq!(refused(upgrade(server.address(), "", &bearer("x"))), (503, "identity_unavailable".into()));
    assert!(began.elapsed() < PATIENCE);
}
