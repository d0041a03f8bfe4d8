//! What is undone when a server fails: each client says exactly what it had not heard.

use crate::util::{Pair, ms, server};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    session::{Delivery, client::ClientEvent},
    wire::{Event, Reliable, Undone, Welcome, reliable, server_message::Body},
};

/// A client that has seen ticks up to the one that is returned.
fn playing() -> (Pair, u32) {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    pair.run(ms(1_000));
    let seen = *pair.ticks().last().unwrap();
    (pair, seen)
}

/// It comes back to a room of which this was undone. Returns what it says of that.
fn back(pair: &mut Pair, undone: &[(u32, u32)]) -> Vec<(u32, u32)> {
    pair.client.disconnected();
    pair.client.reconnected(pair.now, false, Delivery::Ordered);
    assert!(pair.client.poll_transmit(pair.now, &mut BytesMut::new()), "the resume");
    let undone = undone.iter().map(|(after, until)| Undone { after: *after, until: *until }).collect();
    let welcome = Welcome { resumed: true, undone, ..pair.client.welcome().unwrap().clone() };
    pair.client.handle_message(pair.now, server(Body::Welcome(welcome))).unwrap();
    let events = std::iter::from_fn(|| pair.client.poll_event());
    let rolled_back = events.filter_map(|event| match event {
        ClientEvent::RolledBack { after, until } => Some((after, until)),
        _ => None,
    });
    rolled_back.collect()
}

/// It hears of something in this tick.
fn hears(pair: &mut Pair, sequence: u64, tick: u32) {
    let event = reliable::Body::Event(Event { tick, payload: Bytes::new() });
    let message = Body::Reliable(Reliable { sequence, body: Some(event) });
    pair.client.handle_message(pair.now, server(message)).unwrap();
}

const NOTHING: [(u32, u32); 0] = [];

#[test]
fn a_roll_back_is_told_once_however_often_the_server_fails() {
    let (mut pair, seen) = playing();
    let first = (seen - 3, seen + 100);
    assert_eq!(back(&mut pair, &[first]), [(seen - 3, seen)], "no more than it has seen");
    assert_eq!(back(&mut pair, &[first]), NOTHING, "it knows");
    let second = (seen + 110, seen + 200);
    assert_eq!(back(&mut pair, &[first, second]), NOTHING, "it has seen nothing of that");
    hears(&mut pair, 1, seen + 290);
    let third = (seen + 250, seen + 300);
    assert_eq!(back(&mut pair, &[first, second, third]), [(seen + 250, seen + 290)], "and no more");
}

#[test]
fn who_was_away_while_the_server_failed_twice_is_told_of_the_first_that_undid_what_it_saw() {
    let (mut pair, seen) = playing();
    assert_eq!(back(&mut pair, &[(seen - 3, seen + 100), (seen + 100, seen + 200)]), [(seen - 3, seen)]);
    let (mut pair, seen) = playing();
    assert_eq!(back(&mut pair, &[(seen, seen + 100), (seen + 150, seen + 200)]), NOTHING, "all is there");
}

// Promise 3: it had heard of something, although no state had come since.
#[test]
fn an_event_that_is_undone_is_told_although_every_state_is_there() {
    let (mut pair, seen) = playing();
    hears(&mut pair, 1, seen + 2);
    assert_eq!(back(&mut pair, &[(seen + 1, seen + 100)]), [(seen + 1, seen + 2)]);
}

#[test]
fn a_new_seat_has_seen_nothing() {
    let (mut pair, seen) = playing();
    pair.client.disconnected();
    pair.client.reconnected(pair.now, true, Delivery::Ordered);
    assert!(pair.client.poll_transmit(pair.now, &mut BytesMut::new()), "the join");
    let undone = vec![Undone { after: 1, until: seen + 100 }];
    let welcome = Welcome { undone, ..pair.client.welcome().unwrap().clone() };
    pair.client.handle_message(pair.now, server(Body::Welcome(welcome))).unwrap();
    assert!(
        !std::iter::from_fn(|| pair.client.poll_event())
            .any(|event| matches!(event, ClientEvent::RolledBack { .. }))
    );
    assert_eq!(back(&mut pair, &[(1, seen + 100)]), NOTHING);
}
