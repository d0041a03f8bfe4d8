//! Coming back after a lost connection.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    session::client::ClientEvent,
    wire::{self, client_message::Body, member::Change},
};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use prost::Message;
use std::time::Duration;
use util::{
    Player, Socket, TestServer, client, config,
    games::{Ask, Obedient, Told},
    join, until,
};

/// A resume by somebody who may or may not own the token: the socket, or the code with which it is refused.
fn try_resume(server: &TestServer, room: &str, token: &[u8], received: u64) -> Result<Socket, CloseCode> {
    let resume = wire::Resume {
        protocol: 1,
        room: room.to_owned(),
        token: Bytes::copy_from_slice(token),
        reliable_received: received,
        ..wire::Resume::default()
    };
    let mut socket = Socket::connect(server.address());
    socket.send(&client(Body::Resume(resume))).unwrap();
    let util::Frame::Binary(message) = socket.recv() else { panic!("neither a welcome nor a goodbye") };
    match util::server(&message) {
        wire::server_message::Body::Welcome(welcome) => {
            assert!(welcome.resumed);
            Ok(socket)
        }
        wire::server_message::Body::Goodbye(goodbye) => {
            Err(CloseCode::from_number(goodbye.code as u16).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_connection_keeps_seat_and_entity() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    let (number, token) = (ann.number(), ann.token());
    ann.next_tick();
    let input = ann.run(0, 0);
    ann.wait("a state with the input", |event| match event {
        ClientEvent::State { input: contained, .. } => (*contained == input).then_some(()),
        _ => None,
    });
    let before = ann.session.snapshot().unwrap().tick();

    ann.lose_connection();
    bob.wait_presence("ann", Change::Away);
    bob.wait_state("her entity stays", |state| util::player::place(state, number));
    assert_eq!((server.players(), server.get("/v1/rooms/lobby").json()["connected"].as_u64()), (2, Some(1)));

    ann.reconnect();
    let welcome = ann.welcomed();
    assert!(welcome.resumed);
    assert_eq!((welcome.player, &welcome.resume_token), (number, &token));
    assert_eq!(welcome.input_received, input, "the room remembers what it has had");
    let (tick, full) = ann.wait("a state", |event| match event {
        ClientEvent::State { tick, full, .. } => Some((*tick, *full)),
        _ => None,
    });
    assert!(full && tick > before, "a full state, newer than {before}: {tick}");
    assert!(ann.sees(number).is_some());
    let member = bob.wait_presence("ann", Change::Back);
    assert_eq!((member.players, member.connections), (vec![number], 1));
    assert_eq!(server.running().metrics().rooms.resumes.get("resumed"), 1);
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
#[test]
fn missed_events_are_replayed_once_and_in_order() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    bob.chat("before");
    assert_eq!(ann.next_chat().1, "before");

    // One is in transit when the connection is lost, and the others come while there is none.
    bob.chat("lost on the way");
    assert_eq!([bob.next_chat().1, bob.next_chat().1], ["before", "lost on the way"]);
    ann.lose_connection();
    bob.wait_presence("ann", Change::Away);
    bob.chat("while away 1");
    bob.chat("while away 2");
    assert_eq!([bob.next_chat().1, bob.next_chat().1], ["while away 1", "while away 2"]);

    ann.reconnect();
    assert!(ann.welcomed().resumed);
    bob.wait_presence("ann", Change::Back);
    bob.chat("after");
    let got: Vec<_> = (0..4).map(|_| ann.next_chat().1).collect();
    assert_eq!(got, ["lost on the way", "while away 1", "while away 2", "after"]);
}

#[test]
fn events_come_once_over_many_lost_connections() {
    const ROUNDS: u32 = 25;
    let server = TestServer::with(Config { tick_rate: 100, ..config() }, GameKind::of::<Obedient>());
    let asked = |name: &str| wire::Join { kind: "obedient".into(), name: name.into(), ..join("lobby") };
    let mut ann = Player::join_as(server.address(), asked("ann"));
    let mut bob = Player::join_as(server.address(), asked("bob"));
    let (mut by_ann, mut by_bob) = (Vec::new(), Vec::new());
    let told = |event: &ClientEvent| match event {
        ClientEvent::Event(event) => Some(Told::decode(&event.payload[..]).unwrap().number),
        _ => None,
    };
    for round in 0..ROUNDS {
        // Ann's commands must take effect once, too: she does not know whether they arrived.
        ann.command(&Ask { tell: 1, ..Ask::default() });
        bob.command(&Ask { tell: 1, ..Ask::default() });
        for _ in 0..round % 3 {
            by_ann.extend(told(&ann.next()));
        }
        ann.lose_connection();
        ann.reconnect();
        loop {
            let event = ann.next();
            by_ann.extend(told(&event));
            if let ClientEvent::Welcome(welcome) = event {
                assert!(welcome.resumed, "round {round}");
                break;
            }
        }
    }
    let all: Vec<_> = (1..=2 * ROUNDS).collect();
    while by_ann.len() < all.len() {
        by_ann.extend(told(&ann.next()));
    }
    while by_bob.len() < all.len() {
        by_bob.extend(told(&bob.next()));
    }
    // And no more follow.
    for player in [&mut ann, &mut bob] {
        player.next_tick();
        let more = (0..20).find_map(|_| told(&player.next()));
        assert_eq!(more, None);
    }
    assert_eq!((by_ann, by_bob), (all.clone(), all));
}

#[test]
fn a_wrong_token_changes_nothing() {
    let mut config = config();
    config.resume_window = Duration::from_secs(60);
    let server = TestServer::start(config);
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let other = Player::named(server.address(), "other", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    let (token, foreign) = (ann.token(), other.token());
    let mut forged = token.to_vec();
    forged[15] ^= 1;

    let wrong: [(&str, &[u8], u64); 7] = [
        ("lobby", &[0; 16], 0),
        ("lobby", &forged, 0),
        ("lobby", &foreign, 0),
        ("other", &token, 0),
        ("nowhere", &token, 0),
        ("lobby", &token[..15], 0),
        ("lobby", &token, 1_000_000), // has received what was never sent
    ];
    // While she is connected...
    for (room, token, received) in wrong {
        assert_eq!(try_resume(&server, room, token, received).err(), Some(CloseCode::UnknownSession));
    }
    ann.next_tick();
    // ...and while she is away.
    ann.lose_connection();
    bob.wait_presence("ann", Change::Away);
    for (room, token, received) in wrong {
        assert_eq!(try_resume(&server, room, token, received).err(), Some(CloseCode::UnknownSession));
    }
    ann.reconnect();
    assert!(ann.welcomed().resumed, "her own token is still good");
    bob.wait("her return and nothing else", |event| {
        let ClientEvent::Presence(presence) = event else { return None };
        assert_eq!(presence.members.iter().map(|m| m.change()).collect::<Vec<_>>(), [Change::Back]);
        Some(())
    });
    assert_eq!(server.running().metrics().rooms.resumes.get("resumed"), 1);
}

#[test]
fn a_newer_connection_with_the_token_takes_the_seat() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    let mut newer = try_resume(&server, "lobby", &ann.token(), 0).unwrap_or_else(|code| panic!("{code:?}"));
    assert_eq!(ann.ended(), CloseCode::Replaced);
    until("the old connection is gone", || server.connections() == 2);
    assert_eq!(server.players(), 2, "one seat, whoever sits on it");
    assert!(matches!(newer.recv(), util::Frame::Binary(_)));

    // The others have noticed nothing.
    bob.chat("ann?");
    bob.wait("the chat, and no change of presence before it", |event| match event {
        ClientEvent::Presence(presence) => {
            assert!(presence.members.iter().all(|m| m.change() == Change::Joined), "{presence:?}");
            None
        }
        ClientEvent::Event(_) => Some(()),
        _ => None,
    });
}

#[test]
fn the_seat_ends_with_the_window() {
    let server = TestServer::start(Config { resume_window: Duration::from_millis(300), ..config() });
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    let number = ann.number();
    ann.lose_connection();
    bob.wait_presence("ann", Change::Away);
    bob.wait_presence("ann", Change::Disconnected);
    bob.wait_state("her entity is gone", |state| util::player::place(state, number).is_none().then_some(()));
    assert_eq!(server.players(), 1);
    ann.reconnect();
    assert_eq!(ann.ended(), CloseCode::UnknownSession);
}

#[test]
fn who_comes_back_in_time_again_and_again_keeps_the_seat() {
    let server = TestServer::start(Config { resume_window: Duration::from_secs(2), ..config() });
    let mut bob = Player::named(server.address(), "lobby", "bob");
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let number = ann.number();
    for _ in 0..5 {
        ann.lose_connection();
        bob.wait_presence("ann", Change::Away);
        ann.reconnect();
        assert_eq!(ann.welcomed().player, number);
        bob.wait_presence("ann", Change::Back);
    }
}

#[test]
fn who_left_cannot_come_back() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let token = ann.token();
    ann.leave();
    until("the seat is free", || server.players() == 0);
    assert_eq!(try_resume(&server, "lobby", &token, 0).err(), Some(CloseCode::UnknownSession));
    assert_eq!(server.running().metrics().rooms.resumes.get("unknown"), 1);
}
