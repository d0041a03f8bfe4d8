//! Reads the message that comes once per client and tick without the generated code: exactly one input, with
//! its fields in any order.

use crate::{
    delta::protobuf::take_varint,
    wire::{Input, client_message::Body},
};
use bytes::{Buf, Bytes};

/// Field keys: number and wire type.
mod key {
    pub(super) const BODY: u8 = 1 << 3 | 2;
    pub(super) const SEQUENCE: u8 = 1 << 3;
    pub(super) const MOMENT: u8 = 2 << 3;
    pub(super) const PAYLOAD: u8 = 3 << 3 | 2;
    pub(super) const STATE_ACK: u8 = 4 << 3;
    pub(super) const RELIABLE_ACK: u8 = 5 << 3;
    pub(super) const STATE_MISSING: u8 = 8 << 3;
}

/// The input in a message, with the values that the generated code would read. A message that holds anything
/// else is returned unchanged: repeated inputs, another message, nonsense.
pub(super) fn decode(mut message: Bytes) -> Result<Body, Bytes> {
    let Some((mut input, payload_end, payload_len)) = read(&message) else { return Err(message) };
    if payload_len > 0 {
        // The payload takes over the message's buffer, which nothing else holds.
        message.truncate(payload_end);
        message.advance(payload_end - payload_len);
        input.payload = message;
    }
    Ok(Body::Input(input))
}

/// An input without its payload, where the payload ends, and how long it is.
fn read(message: &[u8]) -> Option<(Input, usize, usize)> {
    let (&key::BODY, mut rest) = message.split_first()? else { return None };
    if take_varint(&mut rest).ok()? != rest.len() as u64 {
        return None;
    }
    let mut input = Input::default();
    let (mut payload_end, mut payload_len) = (0, 0);
    while let Some((key, after)) = rest.split_first() {
        rest = after;
        let value = take_varint(&mut rest).ok()?;
        match *key {
            // As in the generated code, the low bits of a number that is too large count.
            key::SEQUENCE => input.sequence = value as u32,
            key::MOMENT => input.moment = value,
            key::STATE_ACK => input.state_ack = value as u32,
            key::RELIABLE_ACK => input.reliable_ack = value,
            key::STATE_MISSING => input.state_missing = value as u32,
            key::PAYLOAD => {
                payload_len = usize::try_from(value).ok()?;
                rest = rest.get(payload_len..)?;
                payload_end = message.len() - rest.len();
            }
            _ => return None,
        }
    }
    Some((input, payload_end, payload_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ClientMessage;
    use proptest::prelude::*;
    use prost::Message as _;

    fn any_input() -> impl Strategy<Value = Input> {
        let payload = || proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        let numbers = (any::<u32>(), 0u64..300, 0u32..300, any::<u64>(), 0u32..300);
        let moments = proptest::collection::vec(any::<i32>(), 0..3);
        (numbers, payload(), proptest::collection::vec(payload(), 0..3), moments).prop_map(
            |(numbers, payload, previous, previous_moments)| {
                let (sequence, moment, state_ack, reliable_ack, state_missing) = numbers;
                Input {
                    sequence,
                    moment,
                    payload,
                    state_ack,
                    reliable_ack,
                    previous,
                    previous_moments,
                    state_missing,
                }
            },
        )
    }

    fn encoded(input: &Input) -> Vec<u8> {
        ClientMessage { body: Some(Body::Input(input.clone())) }.encode_to_vec()
    }

    /// What the generated code reads.
    fn generated(message: &[u8]) -> Option<Body> {
        ClientMessage::decode(message).ok()?.body
    }

    proptest! {
        #[test]
        fn an_input_is_what_the_generated_code_reads(input in any_input()) {
            let message = Bytes::from(encoded(&input));
            let alone = input.previous.is_empty() && input.previous_moments.is_empty();
            let expected = if alone { Ok(Body::Input(input)) } else { Err(message.clone()) };
            prop_assert_eq!(decode(message), expected);
        }

        #[test]
        fn a_changed_message_is_what_the_generated_code_reads(
            input in any_input(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            more in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let alone = Input { previous: Vec::new(), previous_moments: Vec::new(), ..input };
            let mut message = encoded(&alone);
            // At the end of the input, as if it had more fields.
            if message[1] as usize + 2 == message.len() && message.len() + more.len() < 128 {
                message[1] += more.len() as u8;
                message.extend(more);
            }
            for (at, byte) in changes {
                let at = at.index(message.len());
                message[at] = byte;
            }
            if let Ok(body) = decode(message.clone().into()) {
                prop_assert_eq!(generated(&message), Some(body));
            }
        }

        #[test]
        fn no_bytes_are_read_otherwise(message in proptest::collection::vec(0u8..64, 0..24)) {
            let message: Vec<u8> = [&[key::BODY, message.len() as u8], &message[..]].concat();
            if let Ok(body) = decode(message.clone().into()) {
                prop_assert_eq!(generated(&message), Some(body));
            }
        }
    }

    #[test]
    fn the_payload_needs_no_handle_of_its_own() {
        let input =
            Input { sequence: 7, payload: Bytes::from_static(b"jump"), state_ack: 3, ..Input::default() };
        let message = Bytes::from(encoded(&input));
        let Ok(Body::Input(decoded)) = decode(message) else { panic!("an input") };
        assert!(decoded.payload.is_unique());
        assert_eq!(decoded, input);
    }
}
