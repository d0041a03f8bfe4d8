//! What a peer may not do, and the close code that answers it.
//!
//! Promise 6: "Nothing a peer sends panics the server. Bad input gets a named error and a documented close
//! code."

use crate::util::{Pair, client, ms};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::Delivery,
    wire::{self, client_message::Body},
};

fn closes_with(message: Bytes) -> Option<CloseCode> {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.deliver_to_server(message);
    assert_eq!(pair.server_error.map(|error| error.code), pair.server.closing());
    let code = pair.server.closing();
    pair.server_error = None;
    pair.run(ms(50));
    assert_eq!(pair.client.closed(), code, "the goodbye says the same");
    code
}

fn ack(state_ack: u32, reliable_ack: u64) -> Body {
    Body::Ack(wire::Ack { state_ack, reliable_ack, ..wire::Ack::default() })
}

// Promise 6
#[test]
fn malformed_message() {
    for bytes in
        [&[0xff][..], &[0x0a, 0x05, 0x08], &[0x0a, 0x02, 0x08, 0xff], &[0x0b], &[0x08, 0x01], &[0x00]]
    {
        let code = closes_with(Bytes::copy_from_slice(bytes));
        assert_eq!(code, Some(CloseCode::Malformed), "{bytes:02x?}");
    }
}

// Promise 6
#[test]
fn oversized_message() {
    let limit = Limits::default().message_bytes;
    assert_eq!(closes_with(Bytes::from(vec![0; limit + 1])), Some(CloseCode::TooLarge));
}

#[test]
fn unknown_kind_of_message_is_ignored() {
    // Field 100 of `ClientMessage`, empty.
    assert_eq!(closes_with(Bytes::from_static(&[0xa2, 0x06, 0x00])), None);
    assert_eq!(closes_with(Bytes::new()), None);
}

#[test]
fn ack_of_a_state_never_sent() {
    assert_eq!(closes_with(client(ack(1_000_000, 0))), Some(CloseCode::Unexpected));
}

#[test]
fn ack_of_a_reliable_message_never_sent() {
    assert_eq!(closes_with(client(ack(0, 1))), Some(CloseCode::Unexpected));
}

#[test]
fn pong_to_no_ping_is_ignored() {
    assert_eq!(closes_with(client(Body::Pong(wire::Pong { time_us: 12345 }))), None);
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn unanswered_pings_do_not_pile_up() {
    let mut pair = Pair::joined(Delivery::Ordered);
    for time_us in 0..500 {
        pair.deliver_to_server(client(Body::Ping(wire::Ping { time_us })));
    }
    let mut out = BytesMut::new();
    let count = std::iter::from_fn(|| pair.server.poll_control(0, &mut out).then_some(())).count();
    assert_eq!(count, 1, "the newest is answered");
}

#[test]
fn codes_are_in_their_ranges() {
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_number(code.number()), Some(*code));
        assert_eq!(code.may_reconnect(), code.number() < 4500);
        assert!((4000..5000).contains(&code.number()));
    }
}
