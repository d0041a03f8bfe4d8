//! Framing of messages on a byte stream: each follows its length, a protobuf varint (protobuf libraries call
//! this length-delimited).
//!
//! Used on the one reliable stream of a QUIC connection or WebTransport session, in either direction.
//! (WebSocket has its own frames, and a datagram or single-message stream needs none.)
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use driftless_proto::framing::{Framing, put_message};
//!
//! let mut stream = BytesMut::new();
//! put_message(b"first", &mut stream);
//! put_message(b"second", &mut stream);
//!
//! // The chunks may be cut anywhere.
//! let mut framing = Framing::new(1024);
//! let mut chunk = stream.split_to(8).freeze();
//! assert_eq!(framing.next_message(&mut chunk)?, Some(Bytes::from_static(b"first")));
//! assert_eq!(framing.next_message(&mut chunk)?, None);
//! let mut chunk = stream.freeze();
//! assert_eq!(framing.next_message(&mut chunk)?, Some(Bytes::from_static(b"second")));
//! assert!(framing.is_between_messages());
//! # Ok::<(), driftless_proto::framing::FramingError>(())
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

/// Longest length prefix, bytes. (A 64-bit varint can have ten, but no allowed length needs more than five.)
const MAX_PREFIX: usize = 5;

/// Splits a stream of chunks into messages. Keeps at most one incomplete message, no longer than the maximum
/// length.
#[derive(Debug)]
pub struct Framing {
    max: usize,
    state: State,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum State {
    /// A length prefix: its value so far, and how many of its bytes have arrived.
    Length { value: u64, bytes: usize },
    /// A message of `length` bytes, of which `partial` has arrived.
    Message { length: usize, partial: BytesMut },
}

/// What is wrong with a stream: the peer's fault. Nothing after it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// It announces a message longer than the maximum.
    #[error("a message of {length} bytes; at most {max} are allowed")]
    TooLarge {
        /// The length announced.
        length: u64,
        /// The maximum length.
        max: usize,
    },
    /// A length prefix that does not end within five bytes.
    #[error("a length prefix longer than five bytes")]
    BadLength,
}

impl Framing {
    /// For messages of at most `max` bytes. (A length above 2^35 - 1 cannot be announced.)
    pub fn new(max: usize) -> Self {
        Self { max, state: State::START }
    }

    /// Takes the next message off the front of `chunk`. None: `chunk` is used up, and the message is
    /// incomplete. A message that lies entirely within `chunk` is a slice of it: it is not copied, and it
    /// keeps the chunk's memory alive.
    ///
    /// # Errors
    /// `TooLarge` as soon as the length is read, so nothing of such a message is kept; `BadLength`.
    pub fn next_message(&mut self, chunk: &mut Bytes) -> Result<Option<Bytes>, FramingError> {
        loop {
            match &mut self.state {
                State::Length { value, bytes } => {
                    if !chunk.has_remaining() {
                        return Ok(None);
                    }
                    let byte = chunk.get_u8();
                    *value |= u64::from(byte & 0x7F) << (7 * *bytes);
                    *bytes += 1;
                    if byte & 0x80 == 0 {
                        let length = usize::try_from(*value).unwrap_or(usize::MAX);
                        if length > self.max {
                            return Err(FramingError::TooLarge { length: *value, max: self.max });
                        }
                        self.state = State::Message { length, partial: BytesMut::new() };
                    } else if *bytes == MAX_PREFIX {
                        return Err(FramingError::BadLength);
                    }
                }
                State::Message { length, partial } => {
                    let missing = *length - partial.len();
                    if partial.is_empty() && chunk.len() >= missing {
                        self.state = State::START;
                        return Ok(Some(chunk.split_to(missing)));
                    }
                    partial.extend_from_slice(&chunk.split_to(missing.min(chunk.len())));
                    if partial.len() < *length {
                        return Ok(None);
                    }
                    let message = std::mem::take(partial).freeze();
                    self.state = State::START;
                    return Ok(Some(message));
                }
            }
        }
    }

    /// Whether the stream may end here: no message is incomplete.
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Length { bytes: 0, .. })
    }
}

impl State {
    const START: Self = State::Length { value: 0, bytes: 0 };
}

/// Appends a message, preceded by its length.
pub fn put_message(message: &[u8], out: &mut BytesMut) {
    let length = message.len() as u64;
    out.reserve(encoded_len_varint(length) + message.len());
    encode_varint(length, out);
    out.put_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(framing: &mut Framing, chunk: &[u8]) -> Result<Vec<Bytes>, FramingError> {
        let mut chunk = Bytes::copy_from_slice(chunk);
        let mut messages = Vec::new();
        while let Some(message) = framing.next_message(&mut chunk)? {
            messages.push(message);
        }
        assert!(chunk.is_empty(), "all of a chunk is taken");
        Ok(messages)
    }

    #[test]
    fn empty_message_is_a_message() {
        assert_eq!(read(&mut Framing::new(0), &[0, 0]), Ok(vec![Bytes::new(), Bytes::new()]));
    }

    #[test]
    fn whole_message_is_not_copied() {
        let mut chunk = Bytes::from_static(b"\x03abc");
        let start = chunk[1..].as_ptr();
        let message = Framing::new(3).next_message(&mut chunk).unwrap().unwrap();
        assert_eq!((&message[..], message.as_ptr()), (&b"abc"[..], start));
    }

    // Promise 4: "One client, however slow or hostile, does not … grow memory without bound."
    #[test]
    fn too_long_a_message_is_refused_by_its_length_alone() {
        let mut framing = Framing::new(300);
        assert_eq!(read(&mut framing, &[0xAC]), Ok(vec![]));
        assert_eq!(read(&mut framing, &[0x02]), Ok(vec![]), "300 is allowed");
        let mut framing = Framing::new(300);
        assert_eq!(read(&mut framing, &[0xAD]), Ok(vec![]));
        assert_eq!(read(&mut framing, &[0x02]), Err(FramingError::TooLarge { length: 301, max: 300 }));
        let longest = [0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        let refused = FramingError::TooLarge { length: (1 << 35) - 1, max: 300 };
        assert_eq!(read(&mut Framing::new(300), &longest), Err(refused));
    }

    #[test]
    fn length_that_does_not_end_is_refused() {
        for bytes in [[0x80; 10], [0xFF; 10]] {
            assert_eq!(read(&mut Framing::new(usize::MAX), &bytes), Err(FramingError::BadLength));
        }
    }

    #[test]
    fn stream_may_end_only_between_messages() {
        let mut framing = Framing::new(300);
        assert!(framing.is_between_messages());
        for (chunk, between) in [(&[0x80][..], false), (&[0x01], false), (&[7; 127], false), (&[7], true)] {
            read(&mut framing, chunk).unwrap();
            assert_eq!(framing.is_between_messages(), between);
        }
    }

    proptest! {
        #[test]
        fn what_is_put_is_read_however_it_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1usize..400, 1..50),
        ) {
            let mut stream = BytesMut::new();
            for message in &messages {
                put_message(message, &mut stream);
            }
            let mut stream = stream.freeze();
            let mut framing = Framing::new(300);
            let mut got = Vec::new();
            for cut in cuts.iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                got.extend(read(&mut framing, &stream.split_to((*cut).min(stream.len()))).unwrap());
            }
            prop_assert_eq!(got, messages);
            prop_assert!(framing.is_between_messages());
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let mut framing = Framing::new(64);
            for chunk in &chunks {
                let Ok(messages) = read(&mut framing, chunk) else { break };
                prop_assert!(messages.iter().all(|m| m.len() <= 64));
                if let State::Message { length, partial } = &framing.state {
                    prop_assert!(partial.len() < *length && *length <= 64);
                }
            }
        }
    }
}
