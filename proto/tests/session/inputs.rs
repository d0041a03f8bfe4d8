//! Inputs: each exactly once, in order; late ones and repeats are ignored.

use crate::util::{Conditions, Pair, client, ms};
use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    session::{Delivery, client::SendError, server::Request},
    wire::{Input, client_message::Body},
};

fn input(sequence: u32, previous: usize) -> Bytes {
    let payload = |n: u32| Bytes::from(n.to_le_bytes().to_vec());
    let previous = (1..=previous as u32).rev().map(|back| payload(sequence.wrapping_sub(back))).collect();
    let input = Input { sequence, tick: 9, payload: payload(sequence), previous, ..Input::default() };
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

#[test]
fn repeats_and_late_inputs_are_ignored() {
    let mut pair = quiet();
    assert_eq!(taken(&mut pair, input(1, 0)), [1]);
    assert_eq!(taken(&mut pair, input(1, 0)), []);
    assert_eq!(taken(&mut pair, input(3, 2)), [2, 3]);
    assert_eq!(taken(&mut pair, input(2, 1)), []);
    assert_eq!(taken(&mut pair, input(4, 3)), [4]);
    assert_eq!(taken(&mut pair, input(20, 8)), [12, 13, 14, 15, 16, 17, 18, 19, 20]);
    assert_eq!(taken(&mut pair, input(11, 8)), [], "it was skipped, so it is late");
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
    assert_eq!(taken(&mut pair, input(1, 0)), [], "numbers do not start again");
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

#[test]
fn input_longer_than_allowed_is_refused() {
    let mut pair = quiet();
    let long = Bytes::from(vec![0; 1025]);
    assert_eq!(pair.client.send_input(long.clone()), Err(SendError::TooLarge(1025)));
    pair.deliver_to_server(client(Body::Input(Input { sequence: 1, payload: long, ..Input::default() })));
    assert_eq!(pair.server.closing(), Some(CloseCode::TooLarge));
}
