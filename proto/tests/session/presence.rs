//! Presence: state with a version.

use crate::util::{Pair, ms, server};
use bytes::BytesMut;
use driftless_proto::{
    session::{Delivery, client::ClientEvent, client::ServerError},
    wire::{self, client_message, server_message::Body},
};
use prost::Message as _;

fn presence(since: u64, version: u64) -> bytes::Bytes {
    server(Body::Presence(wire::Presence { since, version, ..wire::Presence::default() }))
}

fn versions(pair: &Pair) -> Vec<(u64, u64)> {
    let told = |event: &ClientEvent| match event {
        ClientEvent::Presence(presence) => Some((presence.since, presence.version)),
        _ => None,
    };
    pair.events.iter().filter_map(told).collect()
}

/// The presence version in the client's next hello.
fn version_of_hello(pair: &mut Pair) -> u64 {
    pair.lose();
    pair.client.reconnected(pair.now, false, Delivery::Ordered);
    let mut out = BytesMut::new();
    assert!(pair.client.poll_transmit(pair.now, &mut out));
    match wire::ClientMessage::decode(out).unwrap().body {
        Some(client_message::Body::Resume(resume)) => resume.presence_version,
        other => panic!("no resume: {other:?}"),
    }
}

#[test]
fn changes_follow_on_each_other_and_the_list_may_begin_anew() {
    let mut pair = Pair::joined(Delivery::Ordered);
    for (since, version) in [(0, 3), (3, 4), (4, 4), (0, 9), (9, 12)] {
        pair.deliver_to_client(presence(since, version));
    }
    assert_eq!(pair.client_error, None);
    assert_eq!(versions(&pair), [(0, 3), (3, 4), (4, 4), (0, 9), (9, 12)]);
}

#[test]
fn changes_since_what_the_client_does_not_have_are_the_servers_fault() {
    for since in [3, 5] {
        let mut pair = Pair::joined(Delivery::Ordered);
        pair.deliver_to_client(presence(0, 4));
        pair.deliver_to_client(presence(since, 6));
        assert_eq!(pair.client_error, Some(ServerError::Unexpected("presence with another base version")));
        assert_eq!(versions(&pair), [(0, 4)]);
    }
}

#[test]
fn a_resume_says_what_the_client_has() {
    let mut pair = Pair::joined(Delivery::Ordered);
    assert_eq!(version_of_hello(&mut pair), 0, "nothing was told yet");
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.deliver_to_client(presence(0, 4));
    assert_eq!(version_of_hello(&mut pair), 4);
    pair.reconnect(false);
    pair.run(ms(200));
    assert!(pair.client.is_active());
    pair.deliver_to_client(presence(4, 7));
    assert_eq!((version_of_hello(&mut pair), pair.client_error.clone()), (7, None));
}

#[test]
fn a_new_seat_begins_anew() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.deliver_to_client(presence(0, 4));
    pair.reconnect(true);
    pair.run(ms(200));
    assert!(pair.client.is_active());
    assert_eq!(version_of_hello(&mut pair), 0);
}

#[test]
fn presence_before_the_welcome_is_the_servers_fault() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.reconnect(false);
    pair.run(ms(1));
    assert!(!pair.client.is_active());
    pair.deliver_to_client(presence(0, 1));
    assert_eq!(pair.client_error, Some(ServerError::Unexpected("presence before the welcome")));
}
