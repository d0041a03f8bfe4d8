//! Arbitrary bytes, and messages changed in transit.
//!
//! Promise 6: "Nothing a peer sends panics the server. Bad input gets a named error and a documented close
//! code."

use crate::util::{Conditions, Pair, client, join, ms};
use bytes::Bytes;
use driftless_proto::{session::Delivery, wire};
use proptest::prelude::*;

fn message() -> impl Strategy<Value = Bytes> {
    use wire::client_message::Body;
    let small = 0..40u32;
    let payload = proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let moments = proptest::collection::vec(any::<i32>(), 0..10);
    let body = prop_oneof![
        (small.clone(), any::<u64>(), payload.clone(), small.clone(), 0..10u64, 0..10usize, moments)
            .prop_map(|(sequence, moment, payload, state_ack, reliable_ack, previous, previous_moments)| {
                Body::Input(wire::Input {
                    sequence,
                    moment,
                    previous_moments,
                    previous: vec![payload.clone(); previous],
                    payload,
                    state_ack,
                    reliable_ack,
                    state_missing: sequence,
                })
            }),
        (small, 0..10u64).prop_map(|(state_ack, reliable_ack)| Body::Ack(wire::Ack {
            state_ack,
            reliable_ack,
            ..wire::Ack::default()
        })),
        (0..5u64, payload).prop_map(|(sequence, payload)| Body::Command(wire::Command { sequence, payload })),
        Just(Body::Join(join())),
        Just(Body::Resume(wire::Resume { protocol: 1, room: "lobby".into(), ..wire::Resume::default() })),
        any::<u64>().prop_map(|time_us| Body::Ping(wire::Ping { time_us })),
        any::<u64>().prop_map(|time_us| Body::Pong(wire::Pong { time_us })),
        Just(Body::Leave(wire::Leave {})),
    ];
    prop_oneof![
        8 => body.prop_map(client),
        1 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // Promise 6
    #[test]
    fn any_messages_are_taken_or_refused_by_name(
        joined: bool,
        messages in proptest::collection::vec((message(), 0..200u64), 1..40),
    ) {
        let mut pair = if joined {
            Pair::joined(Delivery::Ordered)
        } else {
            Pair::new(Delivery::Ordered, Conditions::default(), 1)
        };
        for (message, pause) in messages {
            let was_closing = pair.server.closing();
            pair.server_error = None;
            pair.deliver_to_server(message);
            prop_assert!(was_closing.is_none() || pair.server.closing() == was_closing, "the first code stays");
            if was_closing.is_some() {
                prop_assert!(pair.server_error.is_none());
            }
            pair.run(ms(pause));
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_by_the_client(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..20),
    ) {
        let mut pair = Pair::joined(Delivery::Datagram);
        for message in messages {
            pair.deliver_to_client(Bytes::from(message));
            pair.run(ms(5));
        }
    }

    #[test]
    fn changed_states_are_refused_or_harmless(seed: u64) {
        let mut pair = Pair::joined(Delivery::Ordered);
        for _ in 0..30 {
            pair.dice.0 ^= seed;
            pair.run(ms(20));
            let mut out = bytes::BytesMut::new();
            let coding = pair.server.coding();
            let sent = pair.server.poll_state(pair.now, |send| pair.room.encode(&send, 0, coding, &mut out));
            if sent.is_some() {
                let at = pair.dice.next() as usize % out.len();
                out[at] ^= 1 << (pair.dice.next() % 8);
                // Not through `deliver_to_client`: a changed message may still be a valid state, but not the
                // room's.
                let _ = pair.client.handle_message(pair.now, out.freeze());
                while pair.client.poll_event().is_some() {}
                break;
            }
        }
    }
}
