//! Which lane a client's messages take, and that inputs fit their datagram.

use crate::util::{Conditions, Pair, ms};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    lane::Lane,
    session::Delivery,
    wire::{ClientMessage, client_message::Body},
};
use prost::Message;

/// A player in a room whose network no longer carries anything, so that only what the test sends is there.
fn cut_off(delivery: Delivery) -> Pair {
    let mut pair = Pair::new(delivery, Conditions::default(), 1);
    pair.input_every = None;
    pair.run(ms(500));
    pair.assert_healthy();
    pair
}

/// The next message: its lane, its length, and its body.
fn next(pair: &mut Pair, max_datagram: usize) -> Option<(Lane, usize, Body)> {
    let mut out = BytesMut::new();
    let lane = pair.client.poll_transmit_lane(pair.now, &mut out, || max_datagram)?;
    Some((lane, out.len(), ClientMessage::decode(out).unwrap().body.unwrap()))
}

fn next_input(pair: &mut Pair, payload: usize, max_datagram: usize) -> (Lane, usize, usize) {
    pair.client.send_input(Bytes::from(vec![7; payload])).unwrap();
    loop {
        if let (lane, bytes, Body::Input(input)) = next(pair, max_datagram).unwrap() {
            assert_eq!(input.payload.len(), payload);
            return (lane, bytes, input.previous.len());
        }
    }
}

#[test]
fn inputs_and_acknowledgements_are_datagrams_and_the_rest_is_reliable() {
    let mut pair = cut_off(Delivery::Datagram);
    pair.client.send_command(Bytes::new()).unwrap();
    pair.client.send_input(Bytes::new()).unwrap();
    pair.client.leave();
    pair.now += ms(10_000);
    while let Some((lane, _, body)) = next(&mut pair, 1162) {
        let lossy = matches!(body, Body::Input(_) | Body::Ack(_) | Body::Ping(_) | Body::Pong(_));
        assert_eq!(lane, if lossy { Lane::Unreliable } else { Lane::Reliable }, "{body:?}");
    }
}

#[test]
fn everything_is_reliable_where_there_is_one_lane() {
    let mut pair = cut_off(Delivery::Ordered);
    assert_eq!(next_input(&mut pair, 10, 0).0, Lane::Reliable);
}

#[test]
fn an_input_that_does_not_fit_goes_without_the_oldest_it_repeats() {
    let mut pair = cut_off(Delivery::Datagram);
    for sent in 0..20 {
        let (lane, bytes, repeats) = next_input(&mut pair, 100, 450);
        assert!(lane == Lane::Unreliable && bytes <= 450, "{bytes} bytes");
        assert_eq!(repeats, 3.min(sent), "as many as fit");
    }
    // A path with larger datagrams repeats more of the unconfirmed inputs.
    assert_eq!(next_input(&mut pair, 100, 1162).2, 8);
}

#[test]
fn an_input_that_does_not_fit_alone_takes_the_reliable_lane() {
    let mut pair = cut_off(Delivery::Datagram);
    let (lane, bytes, repeats) = next_input(&mut pair, 1024, 1000);
    assert!(lane == Lane::Reliable && bytes > 1000 && repeats == 0);
    assert_eq!(next_input(&mut pair, 10, 0).0, Lane::Reliable, "a peer that takes no datagrams");
}
