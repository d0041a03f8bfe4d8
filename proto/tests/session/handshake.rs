//! The first messages of a connection.

use crate::util::{Conditions, Pair, Published, client, join, ms};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::{
        Delivery,
        client::ClientEvent,
        server::{Request, ServerSession},
    },
    wire::{self, ColumnCoding, client_message::Body},
};
use prost::Message as _;
use std::time::{Duration, Instant};

fn session() -> (ServerSession<Published>, Instant) {
    let now = Instant::now();
    (ServerSession::new(now, Limits::default(), Delivery::Ordered), now)
}

/// The close code that answers a first message.
fn answer(body: Body) -> Option<CloseCode> {
    let (mut session, now) = session();
    let result = session.handle_message(now, client(body));
    assert_eq!(result.as_ref().err().map(|error| error.code), session.closing());
    if session.closing().is_some() {
        assert_eq!(goodbye(&mut session), session.closing());
    }
    session.closing()
}

/// The code of the goodbye, which must be the only message sent.
fn goodbye(session: &mut ServerSession<Published>) -> Option<CloseCode> {
    let mut out = BytesMut::new();
    assert!(session.poll_control(0, &mut out));
    let message = wire::ServerMessage::decode(out.split().freeze()).unwrap();
    assert!(!session.poll_control(0, &mut out));
    match message.body {
        Some(wire::server_message::Body::Goodbye(goodbye)) => CloseCode::from_number(goodbye.code as u16),
        other => panic!("not a goodbye: {other:?}"),
    }
}

#[test]
fn join_is_welcomed() {
    let mut pair = Pair::new(Delivery::Ordered, Conditions { delay: ms(20), ..Conditions::default() }, 1);
    pair.run(ms(300));
    pair.assert_healthy();
    let welcome = pair.client.welcome().unwrap();
    assert_eq!((welcome.protocol, welcome.tick_rate, welcome.timeout_ms), (1, 20, 10_000));
    assert_eq!(pair.client.schema(), Some(&pair.room.schema));
    assert!(matches!(pair.events[0], ClientEvent::Welcome(_)));
    assert!(matches!(
        pair.events.iter().find(|e| matches!(e, ClientEvent::State { .. })),
        Some(ClientEvent::State { full: true, .. })
    ));
    assert_eq!(pair.server.coding(), ColumnCoding::Dense);
    assert_eq!(pair.server.rtt(), Some(ms(40)));
}

#[test]
fn unknown_protocol_is_refused() {
    for protocol in [0, 2, u32::MAX] {
        assert_eq!(
            answer(Body::Join(wire::Join { protocol, ..join() })),
            Some(CloseCode::UnsupportedVersion)
        );
        let resume = wire::Resume { protocol, room: "lobby".into(), ..wire::Resume::default() };
        assert_eq!(answer(Body::Resume(resume)), Some(CloseCode::UnsupportedVersion));
    }
}

#[test]
fn bad_names_are_refused() {
    let bad = Some(CloseCode::BadName);
    for room in ["", ".", "-x", "a b", "ä", "../x", "a\n", &"r".repeat(65)] {
        assert_eq!(answer(Body::Join(wire::Join { room: room.into(), ..join() })), bad, "room {room:?}");
        let resume = wire::Resume { protocol: 1, room: room.into(), ..wire::Resume::default() };
        assert_eq!(answer(Body::Resume(resume)), bad, "room {room:?}");
    }
    for name in ["\u{7}", " ", "\u{202e}nimda", "guest-1", &"n".repeat(33)] {
        assert_eq!(answer(Body::Join(wire::Join { name: name.into(), ..join() })), bad, "name {name:?}");
    }
    for kind in [" ", "a/b", &"k".repeat(65)] {
        let answer = answer(Body::Join(wire::Join { kind: kind.into(), ..join() }));
        assert_eq!(answer, Some(CloseCode::UnknownKind), "kind {kind:?}");
    }
}

#[test]
fn longest_names_are_taken() {
    let longest =
        wire::Join { room: "r".repeat(64), kind: "Arena_2.x-y".into(), name: "ü".repeat(32), ..join() };
    assert_eq!(answer(Body::Join(longest)), None);
}

#[test]
fn name_goes_on_as_it_is_to_be_shown() {
    for (name, shown) in [("", ""), ("  Ａｌｉｃｅ ", "Alice"), ("Zoe\u{308}", "Zoë")] {
        let (mut session, now) = session();
        let asked = wire::Join { name: name.into(), ..join() };
        session.handle_message(now, client(Body::Join(asked))).unwrap();
        let Some(Request::Join(taken)) = session.poll_request() else { panic!("no join") };
        assert_eq!(taken.name, shown);
    }
}

#[test]
fn refusal_of_a_name_says_which_character_and_what_to_do() {
    let (mut session, now) = session();
    let asked = wire::Join { name: "\u{202e}nimda".into(), ..join() };
    let error = session.handle_message(now, client(Body::Join(asked))).unwrap_err();
    assert_eq!(error.code, CloseCode::BadName);
    let reason = "bad display name: U+202E is invisible, a control character or unassigned: leave it out";
    assert_eq!(error.reason, reason);
}

#[test]
fn first_message_that_is_no_join_or_resume_is_refused() {
    let others = [
        Body::Input(wire::Input { sequence: 1, ..wire::Input::default() }),
        Body::Ack(wire::Ack::default()),
        Body::Command(wire::Command { sequence: 1, ..wire::Command::default() }),
        Body::Ping(wire::Ping::default()),
        Body::Pong(wire::Pong::default()),
        Body::Leave(wire::Leave {}),
    ];
    for body in others {
        assert_eq!(answer(body), Some(CloseCode::Unexpected));
    }
    let (mut session, now) = session();
    assert!(session.handle_message(now, Bytes::new()).is_err());
    assert_eq!(session.closing(), Some(CloseCode::Unexpected));
}

#[test]
fn second_join_is_refused() {
    for second in [Body::Join(join()), Body::Resume(wire::Resume::default())] {
        let (mut session, now) = session();
        session.handle_message(now, client(Body::Join(join()))).unwrap();
        let error = session.handle_message(now, client(second.clone())).unwrap_err();
        assert_eq!(error.code, CloseCode::Unexpected);

        let mut pair = Pair::joined(Delivery::Ordered);
        pair.deliver_to_server(client(second));
        assert_eq!(pair.server.closing(), Some(CloseCode::Unexpected));
    }
}

#[test]
fn nothing_but_pings_and_leaves_is_taken_before_the_seat() {
    let (mut session, now) = session();
    session.handle_message(now, client(Body::Join(join()))).unwrap();
    assert!(matches!(session.poll_request(), Some(Request::Join(_))));
    session.handle_message(now, client(Body::Ping(wire::Ping { time_us: 7 }))).unwrap();
    let mut out = BytesMut::new();
    assert!(session.poll_control(0, &mut out), "the pong");
    session.handle_message(now, client(Body::Leave(wire::Leave {}))).unwrap();
    assert_eq!(session.poll_request(), Some(Request::Leave));
    assert_eq!(session.closing(), Some(CloseCode::Left));

    let (mut session, now) = self::session();
    session.handle_message(now, client(Body::Join(join()))).unwrap();
    let input = Body::Input(wire::Input { sequence: 1, ..wire::Input::default() });
    assert_eq!(session.handle_message(now, client(input)).unwrap_err().code, CloseCode::Unexpected);
}

#[test]
fn welcome_after_the_end_is_ignored() {
    let (mut session, now) = session();
    session.handle_message(now, client(Body::Join(join()))).unwrap();
    session.close(CloseCode::RoomFull, "full", Duration::from_secs(3));
    session.close(CloseCode::Internal, "the first code stays", Duration::ZERO);
    session.welcome(now, wire::Welcome::default());
    assert_eq!(goodbye(&mut session), Some(CloseCode::RoomFull));
    session.handle_message(now, client(Body::Join(join()))).expect("ignored while closing");
    assert_eq!(session.closing(), Some(CloseCode::RoomFull));
}

#[test]
fn codings_offered_decide_the_coding() {
    for (offered, chosen) in [
        (vec![], ColumnCoding::Packed),
        (vec![ColumnCoding::Packed as i32, 77], ColumnCoding::Packed),
        (vec![77, ColumnCoding::Rice as i32], ColumnCoding::Rice),
        (vec![ColumnCoding::Rice as i32, ColumnCoding::Dense as i32], ColumnCoding::Dense),
    ] {
        let (mut session, now) = session();
        let hello = wire::Join { codings: offered, ..join() };
        session.handle_message(now, client(Body::Join(hello))).unwrap();
        assert_eq!(session.coding(), chosen);
    }
}

#[test]
fn leave_is_answered_with_a_goodbye() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.client.leave();
    pair.run(ms(100));
    assert_eq!(pair.client.closed(), Some(CloseCode::Left));
    assert!(pair.served.as_ref().unwrap().left);
    assert!(matches!(pair.events.last(), Some(ClientEvent::Goodbye(_))));
    let states = pair.ticks().len();
    pair.run(ms(500));
    assert_eq!(pair.ticks().len(), states, "nothing goes out after the goodbye");
}

#[test]
fn client_that_left_waits_for_the_goodbye_alone() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.down.conditions.delay = ms(3_000);
    pair.client.leave();
    pair.run(ms(2_900));
    assert_eq!(pair.client.closed(), None);
    assert_eq!(pair.client.poll_timeout().map(|at| at > pair.now), Some(true));
    pair.run(ms(200));
    assert_eq!(pair.client.closed(), Some(CloseCode::Left));
}

#[test]
fn resume_returns_to_the_seat_with_a_full_state() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run(ms(500));
    let inputs = pair.served.as_ref().unwrap().inputs.clone();
    pair.reconnect(false);
    pair.events.clear();
    pair.run(ms(300));
    pair.assert_healthy();
    assert!(pair.client.welcome().unwrap().resumed);
    let first = pair.events.iter().find(|event| matches!(event, ClientEvent::State { .. }));
    assert!(matches!(first, Some(ClientEvent::State { full: true, .. })), "{first:?}");
    let all = &pair.served.as_ref().unwrap().inputs;
    assert!(all.len() > inputs.len() && all.is_sorted_by(|a, b| a < b), "numbers go on: {all:?}");
}

#[test]
fn wrong_token_is_told_and_a_rejoin_starts_anew() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run(ms(500));
    pair.served = None;
    pair.reconnect(false);
    pair.run(ms(100));
    assert_eq!(pair.client.closed(), Some(CloseCode::UnknownSession));
    pair.reconnect(true);
    pair.run(ms(300));
    pair.assert_healthy();
    assert!(!pair.client.welcome().unwrap().resumed);
    assert_eq!(pair.served.as_ref().unwrap().inputs[0], 1, "a new player's inputs start at 1");
}

#[test]
fn resume_within_the_same_tick_repeats_the_state_harmlessly() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run_until(ms(200), |pair| pair.ticks().last() == Some(&pair.room.tick));
    pair.up.conditions.delay = Duration::ZERO;
    pair.down.conditions.delay = Duration::ZERO;
    pair.reconnect(false);
    pair.run(ms(500));
    pair.assert_healthy();
}
