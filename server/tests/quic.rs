//! Playing over QUIC and WebTransport: joins, states, inputs, resumes, closes.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    lane::Lane,
    session::client::ClientEvent,
    wire::{self, client_message::Body, member::Change, server_message},
};
use driftless_server::{
    config::{Config, QuicListen},
    ground::transport_kind::TransportKind,
};
use driftless_sim::GameKind;
use prost::Message;
use std::time::Duration;
use util::{
    Frame, Player, Socket, TestServer, client, config,
    games::{Ask, Obedient, Told},
    join,
    quic::{self, BOTH, Came, Kind, Link},
    until,
};

fn transport(kind: Kind) -> TransportKind {
    match kind {
        Kind::Quic => TransportKind::Quic,
        Kind::WebTransport => TransportKind::WebTransport,
    }
}

/// The lane on which each message to a player came.
fn lane(came: &Came) -> Option<(Lane, server_message::Body)> {
    match came {
        Came::Reliable(message) => Some((Lane::Reliable, util::server(message))),
        Came::Datagram(message) | Came::Large(message) => Some((Lane::Unreliable, util::server(message))),
        Came::Closed { .. } | Came::Lost(_) => None,
    }
}

#[test]
fn a_player_joins_plays_and_leaves() {
    let server = TestServer::start(config());
    for kind in BOTH {
        let mut player = Player::named_over(kind, server.quic(), "lobby", "ann");
        assert_eq!(server.connections_of(transport(kind)), 1);
        let me = player.number();
        let (x, _) = player.wait_state("oneself", |state| util::player::place(state, me));
        util::eventually("the entity moves", || {
            player.next_tick();
            player.run(100, 0);
            player.sees(me).filter(|(now, _)| *now != x)
        });
        player.leave();
        until("the place is given back", || server.connections_of(transport(kind)) == 0);
    }
    let metrics = server.running().metrics();
    for kind in BOTH {
        let of_transport = metrics.transport(transport(kind));
        assert_eq!(of_transport.connections_total.get(), 1, "{kind:?}");
        until("messages are counted", || {
            of_transport.received_messages.get() > 0 && of_transport.sent_bytes.get() > 0
        });
    }
    assert_eq!(metrics.transport(TransportKind::WebSocket).connections_total.get(), 0);
    assert_eq!(metrics.transport(TransportKind::WebSocket).sent_messages.get(), 0);
    assert_eq!(server.disconnects("left"), 2);
}

#[test]
fn players_of_all_transports_are_in_one_room() {
    let server = TestServer::start(config());
    let mut quic = Player::named_over(Kind::Quic, server.quic(), "lobby", "quic");
    let mut web = Player::named_over(Kind::WebTransport, server.quic(), "lobby", "web");
    let mut socket = Player::named(server.address(), "lobby", "socket");
    quic.wait_presence("socket", Change::Joined);
    socket.chat("hello");
    for said in [quic.next_chat(), web.next_chat(), socket.next_chat()] {
        assert_eq!(said, (socket.number(), "hello".to_owned()));
    }
    quic.chat("hello to you");
    assert_eq!((web.next_chat().0, socket.next_chat().0), (quic.number(), quic.number()));
    let all = [quic.number(), web.number(), socket.number()];
    socket.wait_state("all three", |state| {
        all.iter().all(|player| util::player::place(state, *player).is_some()).then_some(())
    });
}

#[test]
fn messages_take_their_lanes() {
    let server = TestServer::start(config());
    for kind in BOTH {
        let mut link = Link::connect(kind, server.quic());
        link.send_reliable(&client(Body::Join(join("lobby")))).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        until("a welcome, presence, states and a pong", || {
            let came = link.recv();
            match lane(&came).unwrap() {
                (Lane::Reliable, server_message::Body::Welcome(_)) => {
                    link.send_datagram(&client(Body::Ping(wire::Ping { time_us: 5 }))).unwrap();
                    seen.insert("welcome")
                }
                (Lane::Reliable, server_message::Body::Presence(_)) => seen.insert("presence"),
                (Lane::Unreliable, server_message::Body::State(_)) => seen.insert("state"),
                (Lane::Unreliable, server_message::Body::ServerPing(_)) => seen.insert("ping"),
                (Lane::Unreliable, server_message::Body::Pong(_)) => seen.insert("pong"),
                wrong => panic!("{wrong:?}"),
            };
            assert!(!matches!(came, Came::Large(_)), "a small state is a datagram");
            seen.len() == 5
        });
    }
}

/// A room with so many players that a full state is too large for a datagram.
#[test]
fn a_large_state_has_a_stream_of_its_own() {
    const PLAYERS: usize = 400;
    let server = TestServer::start(Config { max_players: 1000, ..config() });
    let mut others: Vec<_> = (0..PLAYERS).map(|_| Player::join(server.address(), "lobby")).collect();
    others.iter_mut().for_each(Player::lose_connection); // their seats, and entities, stay
    for kind in BOTH {
        let mut link = Link::connect(kind, server.quic());
        link.send_reliable(&client(Body::Join(join("lobby")))).unwrap();
        let message = util::eventually("a large state", || match link.recv() {
            Came::Large(message) => Some(message),
            _ => None,
        });
        assert!(message.len() > link.session.max_datagram_size(), "{} bytes", message.len());
        let server_message::Body::State(state) = util::server(&message) else { panic!("only states") };
        assert!(state.full);

        // A real client continues from it.
        let mut player = Player::join_over(kind, server.quic(), "lobby");
        player.wait_state("all the others", |state| {
            (state.tables()[driftless_sim::games::arena::PLAYERS].ids().len() > PLAYERS).then_some(())
        });
        player.run(0, 0);
        player.wait("a state against it", |event| {
            matches!(event, ClientEvent::State { full: false, .. }).then_some(())
        });
        player.leave();
    }
}

// Inputs in datagrams repeat earlier ones: each is applied once, in order, whatever is lost.
#[test]
fn repeated_inputs_are_taken_once() {
    let server = TestServer::start(config());
    for kind in BOTH {
        let mut link = Link::connect(kind, server.quic());
        link.send_reliable(&client(Body::Join(join("lobby")))).unwrap();
        let input = |sequence: u32, previous: usize| {
            let previous = vec![Bytes::new(); previous];
            client(Body::Input(wire::Input { sequence, previous, ..wire::Input::default() }))
        };
        util::eventually("the welcome", || matches!(link.recv(), Came::Reliable(_)).then_some(()));
        let before = server.running().metrics().rooms.inputs.get();
        // 1 and 2 are lost, 5 comes twice, 4 comes late.
        for message in [input(3, 2), input(5, 4), input(5, 4), input(4, 3)] {
            link.send_datagram(&message).unwrap();
        }
        util::eventually("a state that contains the last", || match lane(&link.recv()) {
            Some((_, server_message::Body::State(state))) => (state.input == 5).then_some(()),
            _ => None,
        });
        until("all are counted", || server.running().metrics().rooms.inputs.get() >= before + 5);
        link.send_datagram(&client(Body::Ping(wire::Ping { time_us: 9 }))).unwrap();
        util::eventually("the pong", || match lane(&link.recv()) {
            Some((_, server_message::Body::Pong(pong))) => (pong.time_us == 9).then_some(()),
            _ => None,
        });
        assert_eq!(server.running().metrics().rooms.inputs.get(), before + 5, "and no others");
    }
}

fn obedient(config: Config) -> TestServer {
    TestServer::with(
        Config { default_kind: Some("obedient".to_owned()), ..config },
        GameKind::of::<Obedient>(),
    )
}

fn told(player: &mut Player<Link>) -> u32 {
    player.wait("what the game tells", |event| match event {
        ClientEvent::Event(event) => Some(Told::decode(&event.payload[..]).unwrap().number),
        _ => None,
    })
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
#[test]
fn events_arrive_once_and_in_order_across_a_resume() {
    const EVENTS: u32 = 60;
    let server = obedient(config());
    for kind in BOTH {
        let room = format!("{kind:?}");
        let mut ann = Player::named_over(kind, server.quic(), &room, "ann");
        let mut bob = Player::named_over(kind, server.quic(), &room, "bob");
        bob.command(&Ask { tell: EVENTS / 2, bytes: 100, ..Ask::default() });
        let mut got: Vec<_> = (0..EVENTS / 4).map(|_| told(&mut ann)).collect();
        ann.lose_connection();
        bob.wait_presence("ann", Change::Away);
        bob.command(&Ask { tell: EVENTS / 2, bytes: 100, ..Ask::default() });
        ann.reconnect();
        assert!(ann.welcomed().resumed);
        // What her session had received before the loss but she had not read is lost with the events queue.
        let first = told(&mut ann);
        got.push(first);
        got.extend((first..EVENTS).map(|_| told(&mut ann)));
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{got:?}");
        assert_eq!((got.first(), got.last()), (Some(&1), Some(&EVENTS)));
        ann.leave();
        bob.leave();
    }
}

#[test]
fn a_seat_moves_from_one_transport_to_another() {
    let server = TestServer::start(config());
    // A connection that acknowledges nothing, so that everything may be requested again.
    let mut socket = Socket::connect(server.address());
    socket.send(&client(Body::Join(join("lobby")))).unwrap();
    let Frame::Binary(message) = socket.recv() else { panic!("no welcome") };
    let server_message::Body::Welcome(welcome) = util::server(&message) else { panic!("no welcome") };
    let (number, token) = (welcome.player, welcome.resume_token);
    for kind in [Kind::Quic, Kind::WebTransport, Kind::Quic] {
        let resume = wire::Resume {
            protocol: 1,
            room: "lobby".to_owned(),
            token: token.clone(),
            ..wire::Resume::default()
        };
        let mut link = Link::connect(kind, server.quic());
        link.send_reliable(&client(Body::Resume(resume))).unwrap();
        let welcome = util::eventually("a welcome", || match link.recv() {
            Came::Reliable(message) => match util::server(&message) {
                server_message::Body::Welcome(welcome) => Some(welcome),
                other => panic!("{kind:?} {other:?}"),
            },
            Came::Closed { code, reason } => panic!("{kind:?} {code} {reason}"),
            _ => None,
        });
        assert_eq!((welcome.player, welcome.resumed), (number, true));
    }
    assert_eq!(server.running().metrics().rooms.resumes.get("resumed"), 3);
    assert_eq!(socket.close_code(), Some(CloseCode::Replaced.number()), "the seat has one connection");
}

#[test]
fn the_close_says_what_the_goodbye_said() {
    let server = TestServer::start(config());
    for kind in BOTH {
        let mut link = Link::connect(kind, server.quic());
        link.send_reliable(&client(Body::Join(join("no/such/name")))).unwrap();
        let Came::Reliable(message) = link.recv() else { panic!("no goodbye") };
        let server_message::Body::Goodbye(goodbye) = util::server(&message) else { panic!("no goodbye") };
        assert_eq!(goodbye.code, u32::from(CloseCode::BadName.number()));
        assert!(!goodbye.reason.is_empty());
        assert_eq!(link.close_code(), (goodbye.code, goodbye.reason), "{kind:?}");
    }
}

#[test]
fn who_does_not_join_is_closed() {
    let mut config = config();
    config.limits.handshake = Duration::from_millis(300);
    let server = TestServer::start(config);
    for kind in BOTH {
        // The server does not even learn of a stream that is opened and never written.
        let mut link = Link::connect(kind, server.quic());
        let (code, reason) = link.close_code();
        assert_eq!(code, u32::from(CloseCode::HandshakeTimeout.number()), "{kind:?}: {reason}");
        until("the place is given back", || server.connections_of(transport(kind)) == 0);
    }
}

#[test]
fn a_drain_says_goodbye_on_all_transports() {
    let server = TestServer::start(config());
    let mut players: Vec<_> = BOTH.map(|kind| Player::join_over(kind, server.quic(), "lobby")).into();
    let running = server.running().clone();
    let drain = std::thread::spawn(move || util::quic::wait(async move { running.registry().drain() }));
    drain.join().unwrap();
    // New connections are refused; existing ones stay until the server says goodbye.
    for kind in BOTH {
        assert_eq!(quic::refused(kind, server.quic()).0, u32::from(CloseCode::Draining.number()), "{kind:?}");
    }
    let ended = std::thread::spawn(move || players.iter_mut().map(Player::ended).collect::<Vec<_>>());
    drop(server);
    assert_eq!(ended.join().unwrap(), [CloseCode::Draining; 2]);
}

#[test]
fn a_full_server_says_so() {
    let server = TestServer::start(Config { max_connections: 1, ..config() });
    let _only = Player::join(server.address(), "lobby");
    for kind in BOTH {
        let goodbye = Player::on(Link::connect(kind, server.quic()), server.quic(), join("lobby")).goodbye();
        assert_eq!(goodbye.code, u32::from(CloseCode::ServerFull.number()));
        assert_eq!(goodbye.reason, "the server is full: 1 is its limit");
    }
    assert_eq!(server.running().metrics().refused.get("server_full"), 2);
}

#[test]
fn quic_can_be_off() {
    let server = TestServer::start(Config { quic: QuicListen::Off, ..config() });
    assert_eq!(server.running().quic_address(), None);
    Player::join(server.address(), "lobby").leave();
}

#[test]
fn quic_has_the_port_of_http_or_its_own() {
    let server = TestServer::start(config());
    assert_eq!(server.quic(), server.address());
    let quic = QuicListen::At("127.0.0.1:0".parse().unwrap());
    let other = TestServer::start(Config { quic, ..config() });
    assert_ne!(other.quic().port(), 0);
    Player::join_over(Kind::Quic, other.quic(), "lobby").leave();
}
