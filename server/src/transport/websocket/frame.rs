//! The header of a frame (RFC 6455, section 5.2), as far as it is needed before the codec sees it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::mem;

/// Longest header of a frame that a server sends.
const MAX_HEADER: usize = 10;
const FIN_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// Longest payload whose length fits in the second byte.
const MAX_SHORT: usize = 125;
/// Two bytes and the mask.
const SHORT_MASKED_HEADER: usize = 6;

/// The payload length that a header announces. None: the header is not complete yet.
pub(super) fn announced_length(buffer: &[u8]) -> Option<u64> {
    match buffer.get(1)? & 0x7F {
        126 => Some(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?).into()),
        127 => Some(u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)),
        short => Some(short.into()),
    }
}

/// Takes a whole short binary frame of a client off the buffer and returns its payload. Nearly all frames are
/// of this kind. None: it is something else, for the codec.
pub(super) fn take_short_binary(buffer: &mut BytesMut) -> Option<Bytes> {
    let &[FIN_BINARY, length, a, b, c, d, ..] = &buffer[..] else { return None };
    let length = usize::from(length ^ MASKED);
    let end = SHORT_MASKED_HEADER + length;
    if length > MAX_SHORT || buffer.len() < end {
        return None;
    }
    // The last frame takes the buffer with it: a peer without an incomplete frame needs none.
    let mut frame = if buffer.len() == end { mem::take(buffer) } else { buffer.split_to(end) };
    frame.advance(SHORT_MASKED_HEADER);
    for four in frame.chunks_mut(4) {
        four.iter_mut().zip([a, b, c, d]).for_each(|(byte, mask)| *byte ^= mask);
    }
    Some(frame.freeze())
}

/// Appends an unmasked binary frame.
pub(super) fn put_binary(payload: &[u8], out: &mut BytesMut) {
    out.reserve(MAX_HEADER + payload.len());
    out.put_u8(FIN_BINARY);
    match payload.len() {
        short @ 0..=125 => out.put_u8(short as u8),
        medium @ 126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(medium as u16);
        }
        long => {
            out.put_u8(127);
            out.put_u64(long as u64);
        }
    }
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_codec::{Decoder, Encoder};
    use actix_http::ws::{Codec, Frame, Message};

    #[test]
    fn length_is_read_from_the_header_alone() {
        assert_eq!(announced_length(&[0x82]), None);
        assert_eq!(announced_length(&[0x82, 0x80 | 5]), Some(5));
        assert_eq!(announced_length(&[0x82, 0xFE, 1]), None);
        assert_eq!(announced_length(&[0x82, 0xFE, 1, 0]), Some(256));
        assert_eq!(announced_length(&[0x82, 0xFF, 0, 0, 0, 0, 0x80, 0, 0, 0]), Some(1 << 31));
    }

    #[test]
    fn a_short_frame_is_what_the_codec_reads() {
        for length in 0..=130usize {
            let payload: Vec<u8> = (0..length).map(|n| (n * 7) as u8).collect();
            let mut frame = BytesMut::new();
            Codec::new().client_mode().encode(Message::Binary(payload.clone().into()), &mut frame).unwrap();
            let whole = frame.clone();
            for more in [&b""[..], b"\x82", b"\x82\x80\0\0\0\0"] {
                let mut buffer = whole.clone();
                buffer.extend_from_slice(more);
                let taken = take_short_binary(&mut buffer);
                assert_eq!(
                    taken.as_deref(),
                    (length <= MAX_SHORT).then_some(&payload[..]),
                    "length {length}"
                );
                assert_eq!(buffer.len(), if taken.is_some() { more.len() } else { whole.len() + more.len() });
            }
            let mut incomplete = whole.clone();
            incomplete.truncate(whole.len() - 1);
            assert_eq!(take_short_binary(&mut incomplete), None);
            assert_eq!(incomplete.len(), whole.len() - 1);
        }
    }

    #[test]
    fn what_is_no_short_binary_frame_is_left_to_the_codec() {
        for first in (0..=255).filter(|first| *first != FIN_BINARY) {
            let mut buffer = BytesMut::from(&[first, MASKED | 1, 0, 0, 0, 0, 7][..]);
            assert_eq!(take_short_binary(&mut buffer), None);
            assert_eq!(buffer.len(), 7);
        }
        let mut unmasked = BytesMut::from(&[FIN_BINARY, 5, 1, 2, 3, 4, 5][..]);
        assert_eq!(take_short_binary(&mut unmasked), None);
    }

    #[test]
    fn what_is_put_is_what_a_client_reads() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![7; length];
            let mut out = BytesMut::new();
            put_binary(&payload, &mut out);
            let frame = Codec::new().client_mode().max_size(1 << 20).decode(&mut out).unwrap();
            assert_eq!(frame, Some(Frame::Binary(payload.into())), "length {length}");
            assert!(out.is_empty());
        }
    }
}
