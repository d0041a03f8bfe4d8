//! Deadlines and heartbeats.
//!
//! Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts after the
//! timeout."

use crate::util::{Conditions, Pair, Published, ms};
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::{
        Delivery,
        client::{ClientEvent, ServerError},
        server::ServerSession,
    },
};
use std::time::{Duration, Instant};

#[test]
fn silent_connection_without_a_join_ends_at_the_deadline() {
    let now = Instant::now();
    let mut session = ServerSession::<Published>::new(now, Limits::default(), Delivery::Ordered);
    let deadline = session.poll_timeout().unwrap();
    assert_eq!(deadline, now + Limits::default().handshake);
    session.handle_timeout(deadline - ms(1), 0);
    assert_eq!(session.closing(), None);
    session.handle_timeout(deadline, 0);
    assert_eq!(session.closing(), Some(CloseCode::HandshakeTimeout));
    assert_eq!(session.poll_timeout(), None);
}

// Promise 5
#[test]
fn silent_client_times_out() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.up.stalled = true;
    pair.run(ms(9_900));
    assert_eq!(pair.server.closing(), None);
    pair.run(ms(110));
    assert_eq!(pair.server.closing(), Some(CloseCode::TimedOut));
    pair.run(ms(50));
    assert_eq!(pair.client.closed(), Some(CloseCode::TimedOut));
    assert!(CloseCode::TimedOut.may_reconnect());
}

#[test]
fn silent_server_times_out_once() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.down.stalled = true;
    pair.run(ms(9_900));
    assert_eq!(pair.client_error, None);
    pair.run(ms(200));
    assert!(matches!(pair.client_error.take(), Some(ServerError::TimedOut(_))));
    pair.run(ms(20_000));
    assert_eq!(pair.client_error, None);
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn heartbeats_keep_a_quiet_player() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    pair.tick = Duration::from_secs(1000);
    pair.run(ms(60_000));
    pair.assert_healthy();
    assert!(pair.client.is_active());
    assert!(pair.server.rtt().is_some());
    let pongs = pair.events.iter().filter(|event| matches!(event, ClientEvent::Pong { .. })).count();
    assert!((28..=34).contains(&pongs), "{pongs} measurements in 60 s");
}

#[test]
fn pong_gives_the_round_trip_and_the_servers_clock() {
    let mut pair = Pair::new(Delivery::Ordered, Conditions { delay: ms(40), ..Conditions::default() }, 1);
    pair.run(ms(1_000));
    let pong = pair.events.iter().find_map(|event| match event {
        ClientEvent::Pong { rtt, server_time_us, at } => Some((*rtt, *server_time_us, *at)),
        _ => None,
    });
    let (rtt, server_time_us, at) = pong.expect("a pong");
    assert!((ms(80)..=ms(82)).contains(&rtt), "{rtt:?}");
    let middle = at - pair.start - rtt / 2;
    let server = Duration::from_micros(server_time_us);
    assert!(server.abs_diff(middle) <= ms(2), "{server:?} against {middle:?}");
}

#[test]
fn server_that_never_welcomes_times_out() {
    let mut pair = Pair::new(Delivery::Ordered, Conditions::default(), 1);
    pair.up.stalled = true;
    pair.down.stalled = true;
    pair.run(ms(10_100));
    assert!(matches!(pair.client_error, Some(ServerError::TimedOut(_))));
}
