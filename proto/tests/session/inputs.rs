//! Inputs: each exactly once, in order; late ones and repeats are ignored.

use crate::util::{Conditions, Pair, client, ms, server};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    moment::Moment,
    session::{Delivery, client::SendError, server::Request},
    wire::{ClientMessage, Input, Welcome, client_message::Body, server_message},
};
use prost::Message as _;

fn input(sequence: u32, previous: usize) -> Bytes {
    let payload = |n: u32| Bytes::from(n.to_le_bytes().to_vec());
    let previous = (1..=previous as u32).rev().map(|back| payload(sequence.wrapping_sub(back))).collect();
    let input = Input { sequence, moment: 9 * 128, payload: payload(sequence), previous, ..Input::default() };
    client(Body::Input(input))
}

fn taken(pair: &mut Pair, message: Bytes) -> Vec<u32> {
    pair.server.handle_message(pair.now, message).unwrap();
    std::iter::from_fn(|| pair.server.poll_request())
        .map(|request| match request {
            Request::Input(input) => {
                assert_eq!(input.payload, input.sequence.to_le_bytes().as_slice(), "its own payload");
                input.sequence
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

fn quiet() -> Pair {
    let mut pair = Pair::new(Delivery::Datagram, Conditions::default(), 1);
    pair.input_every = None;
    pair.run(ms(100));
    pair
}

const NONE: [u32; 0] = [];

#[test]
fn repeats_and_late_inputs_are_ignored() {
    let mut pair = quiet();
    assert_eq!(taken(&mut pair, input(1, 0)), [1]);
    assert_eq!(taken(&mut pair, input(1, 0)), NONE);
    assert_eq!(taken(&mut pair, input(3, 2)), [2, 3]);
    assert_eq!(taken(&mut pair, input(2, 1)), NONE);
    assert_eq!(taken(&mut pair, input(4, 3)), [4]);
    assert_eq!(taken(&mut pair, input(20, 8)), [12, 13, 14, 15, 16, 17, 18, 19, 20]);
    assert_eq!(taken(&mut pair, input(11, 8)), NONE, "it was skipped, so it is late");
    assert_eq!(pair.server.input_received(), 20);
}

#[test]
fn impossible_inputs_are_malformed() {
    for bad in [input(0, 0), input(3, 3), input(20, 9)] {
        let mut pair = quiet();
        pair.deliver_to_server(bad);
        assert_eq!(pair.server.closing(), Some(CloseCode::Malformed));
    }
}

#[test]
fn last_number_is_taken_and_nothing_wraps() {
    let mut pair = quiet();
    assert_eq!(taken(&mut pair, input(u32::MAX - 1, 0)), [u32::MAX - 1]);
    assert_eq!(taken(&mut pair, input(u32::MAX, 8)), [u32::MAX]);
    assert_eq!(taken(&mut pair, input(1, 0)), NONE, "numbers do not start again");
}

#[test]
fn lost_inputs_are_repeated_on_datagrams() {
    let lossy = Conditions { delay: ms(20), jitter: ms(60), loss: 30, duplication: 10, rate: 0 };
    for seed in 0..5 {
        let mut pair = Pair::new(Delivery::Datagram, lossy, seed);
        pair.run(ms(10_000));
        pair.assert_healthy();
        let inputs = &pair.served.as_ref().unwrap().inputs;
        assert!(inputs.is_sorted_by(|a, b| a < b));
        let missing = *inputs.last().unwrap() as usize - inputs.len();
        assert!(inputs.len() > 100 && missing <= 4, "seed {seed}: {missing} missing of {}", inputs.len());
    }
}

#[test]
fn unsent_inputs_go_together() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    pair.run(ms(100));
    let last = pair.server.input_received();
    for _ in 0..3 {
        pair.client.send_input(Bytes::from_static(b"x")).unwrap();
    }
    pair.run(ms(20));
    pair.assert_healthy();
    let inputs = &pair.served.as_ref().unwrap().inputs;
    assert_eq!(inputs[inputs.len() - 3..], [last + 1, last + 2, last + 3]);
}

/// Which of its last four inputs a client sends again over its next connection, whose welcome says that the
/// room has taken two of them, and whether it `stood_still` meanwhile. `attempts`: so many connections were
/// made, of which the last one was welcomed.
fn sent_after(delivery: Delivery, stood_still: bool, attempts: u32) -> Vec<u32> {
    let mut pair = Pair::joined(delivery);
    pair.input_every = None;
    pair.run(ms(200));
    let taken = pair.server.input_received();
    pair.up.cut();
    for _ in 0..4 {
        pair.client.send_input(Bytes::from_static(b"x")).unwrap();
        assert!(pair.client.poll_transmit(pair.now, &mut BytesMut::new()), "it is sent, and lost");
    }
    for _ in 0..attempts {
        pair.client.disconnected();
        pair.client.reconnected(pair.now, false, delivery);
    }
    let mut sent = Vec::new();
    let mut transmit = |pair: &mut Pair| {
        let mut out = BytesMut::new();
        while pair.client.poll_transmit(pair.now, &mut out) {
            let message = ClientMessage::decode(out.split().freeze()).unwrap();
            if let Some(Body::Input(input)) = message.body {
                let first = input.sequence - input.previous.len() as u32;
                sent.extend(first..=input.sequence);
            }
        }
    };
    transmit(&mut pair); // the resume
    let welcome = pair.client.welcome().unwrap().clone();
    let welcome = Welcome { input_received: taken + 2, resumed: true, stood_still, ..welcome };
    pair.client.handle_message(pair.now, server(server_message::Body::Welcome(welcome))).unwrap();
    transmit(&mut pair);
    sent.iter().map(|number| number - taken).collect()
}

// Its client may never have heard why the connection ended.
#[test]
fn what_a_room_that_stood_still_has_not_got_is_sent_again() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        assert_eq!(sent_after(delivery, true, 1), [3, 4], "{delivery:?}");
        assert_eq!(sent_after(delivery, true, 3), [3, 4], "{delivery:?}: not at the first attempt");
        assert_eq!(sent_after(delivery, false, 1), NONE, "{delivery:?}: it is outdated");
    }
}

/// Sequence and moment of each input that the server takes, in ticks and parts.
fn moments(pair: &mut Pair, input: Input) -> Vec<(u32, Option<u64>)> {
    pair.server.handle_message(pair.now, client(Body::Input(input))).unwrap();
    let taken = std::iter::from_fn(|| pair.server.poll_request());
    let inputs = taken.filter_map(|request| match request {
        Request::Input(input) => Some((input.sequence, input.moment.map(Moment::parts))),
        _ => None,
    });
    inputs.collect()
}

#[test]
fn a_repeated_input_keeps_its_own_view() {
    let mut pair = quiet();
    assert!(pair.room.tick >= 2);
    let previous = vec![Bytes::new(); 3];
    let input =
        Input { sequence: 4, moment: 200, previous, previous_moments: vec![-28, -118], ..Input::default() };
    // None is known of the first, and a part of a tick is kept.
    assert_eq!(moments(&mut pair, input), [(1, None), (2, Some(90)), (3, Some(190)), (4, Some(200))]);
    let bad = Input { sequence: 5, previous_moments: vec![0], ..Input::default() };
    pair.deliver_to_server(client(Body::Input(bad)));
    assert_eq!(pair.server.closing(), Some(CloseCode::Malformed), "a moment of no input");
}

#[test]
fn nobody_was_shown_more_than_the_newest_state_that_was_sent() {
    let mut pair = quiet();
    let newest = Moment::at(pair.room.tick).parts();
    for (sequence, moment) in (1..).zip([u64::MAX, newest + 1, newest]) {
        let input = Input { sequence, moment, ..Input::default() };
        assert_eq!(moments(&mut pair, input), [(sequence, Some(newest))]);
    }
    assert_eq!(moments(&mut pair, Input { sequence: 4, ..Input::default() }), [(4, None)], "nothing is said");
}

#[test]
fn a_client_says_the_newest_state_unless_it_shows_another() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    pair.run(ms(200));
    let newest = pair.client.snapshot().unwrap().tick();
    pair.client.send_input(Bytes::new()).unwrap();
    pair.client.send_input_seen(Bytes::new(), Some(Moment::at(newest).before(300))).unwrap();
    pair.client.send_input_seen(Bytes::new(), Some(Moment::at(newest).before(70))).unwrap();
    let mut out = bytes::BytesMut::new();
    assert!(pair.client.poll_transmit(pair.now, &mut out));
    let message = driftless_proto::wire::ClientMessage::decode(out.freeze()).unwrap();
    let Some(Body::Input(input)) = message.body else { panic!("{message:?}") };
    let expected = Moment::at(newest).parts();
    assert_eq!(input.moment, expected - 70);
    // The second goes back: no less than the same is written.
    assert_eq!(input.previous_moments, [-128, 230 - 128]);
}

#[test]
fn input_longer_than_allowed_is_refused() {
    let mut pair = quiet();
    let long = Bytes::from(vec![0; 1025]);
    assert_eq!(pair.client.send_input(long.clone()), Err(SendError::TooLarge(1025)));
    pair.deliver_to_server(client(Body::Input(Input { sequence: 1, payload: long, ..Input::default() })));
    assert_eq!(pair.server.closing(), Some(CloseCode::TooLarge));
}
