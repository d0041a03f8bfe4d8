//! A state message is a head for each client and bytes that clients share.
#![allow(clippy::unwrap_used, clippy::expect_used)] // in helpers of tests

mod worlds;

use bytes::Bytes;
use driftless_proto::{
    delta::DeltaError,
    state::StateHead,
    wire::{self, ColumnCoding, server_message::Body},
};
use proptest::prelude::*;
use prost::Message;
use worlds::worlds;

fn heads() -> impl Strategy<Value = StateHead> {
    let lag = || prop_oneof![Just(1_u32), 1..=64_u32];
    (prop_oneof![0..1000_u32, any::<u32>()], lag(), lag(), 0..3, any::<u32>()).prop_map(
        |(tick, first, second, references, input)| {
            let baseline = tick.checked_sub(first).filter(|_| references > 0);
            let prior = baseline.and_then(|b| b.checked_sub(second)).filter(|_| references > 1);
            StateHead { tick, baseline, prior, input, number: tick, apart: false }
        },
    )
}

fn joined(head: &StateHead, shared: &[u8]) -> Bytes {
    let mut message = Vec::new();
    head.write(shared.len(), &mut message);
    message.extend_from_slice(shared);
    assert_eq!(message.len(), head.message_len(shared.len()));
    message.into()
}

proptest! {
    #[test]
    fn a_joined_message_comes_apart_again(head in heads(), world in worlds()) {
        let shared = world.encode(ColumnCoding::Packed, Some(1));
        let message = joined(&head, &shared);
        prop_assert_eq!(StateHead::split(&message), Ok(Some((head, Bytes::from(shared)))));
    }

    #[test]
    fn prost_reads_and_writes_the_same_bytes(head in heads(), world in worlds(), rice: bool) {
        let coding = if rice { ColumnCoding::Rice } else { ColumnCoding::Packed };
        let message = joined(&head, &world.encode(coding, Some(7)));
        let read = wire::ServerMessage::decode(message.clone()).unwrap();
        let Some(Body::State(state)) = &read.body else { panic!("not a state") };
        prop_assert_eq!(state.tick, head.tick);
        prop_assert_eq!(state.full, head.baseline.is_none());
        prop_assert_eq!(state.input, head.input);
        prop_assert_eq!(state.checksum, Some(7));
        if let Some(baseline) = head.baseline {
            prop_assert_eq!(head.tick - 1 - state.baseline_lag, baseline);
            prop_assert_eq!(state.no_prior, head.prior.is_none());
            if let Some(prior) = head.prior {
                prop_assert_eq!(baseline - 1 - state.prior_lag, prior);
            }
        }
        prop_assert_eq!(Bytes::from(read.encode_to_vec()), message);
    }

    // Promise 6: "Nothing a peer sends panics the server. Bad input gets a named error".
    #[test]
    fn random_bytes_are_refused_or_split(mut bytes: Vec<u8>, state: bool) {
        if state {
            bytes.splice(0..0, [0x0a, bytes.len().min(127) as u8]);
        }
        if let Ok(Some((head, _))) = StateHead::split(&bytes.into()) {
            prop_assert!(head.baseline.is_none_or(|b| b < head.tick));
            prop_assert!(head.prior.is_none_or(|p| head.baseline.is_some_and(|b| p < b)));
        }
    }
}

#[test]
fn a_message_that_is_no_state_is_left_to_prost() {
    let pong = wire::ServerMessage { body: Some(Body::Pong(wire::ServerPong::default())) };
    assert_eq!(StateHead::split(&pong.encode_to_vec().into()), Ok(None));
    assert_eq!(StateHead::split(&Bytes::new()), Ok(None));
}

#[test]
fn a_bad_head_is_refused_by_name() {
    let split = |bytes: &'static [u8]| StateHead::split(&Bytes::from_static(bytes));
    assert_eq!(split(&[0x0a]), Err(DeltaError::Truncated));
    assert_eq!(split(&[0x0a, 3, 8, 5]), Err(DeltaError::Truncated));
    assert_eq!(split(&[0x0a, 2, 8, 5, 0]), Err(DeltaError::Trailing));
    assert_eq!(split(&[0x0a, 4, 8, 5, 8, 5]), Err(DeltaError::Repeated("tick")));
    assert_eq!(split(&[0x0a, 0]), Err(DeltaError::BeforeStart));
    assert_eq!(split(&[0x0a, 2, 8, 1]), Err(DeltaError::BeforeStart));
    assert_eq!(
        split(&[0x0a, 4, 8, 100, 24, 64]),
        Err(DeltaError::TooLarge { field: "baseline_lag", value: 64 })
    );
    assert_eq!(
        split(&[0x0a, 3, 10, 1, 0]),
        Err(DeltaError::WireType { message: "State", field: 1, wire_type: 2 })
    );
}
