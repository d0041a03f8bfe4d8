//! The header of a frame (RFC 6455, section 5.2), as far as it is needed before the codec sees it.

use bytes::{BufMut, BytesMut};

/// Longest header of a frame that a server sends.
const MAX_HEADER: usize = 10;
const FIN_BINARY: u8 = 0x82;

/// The payload length that a header announces. None: the header is not complete yet.
pub(super) fn announced_length(buffer: &[u8]) -> Option<u64> {
    match buffer.get(1)? & 0x7F {
        126 => Some(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?).into()),
        127 => Some(u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)),
        short => Some(short.into()),
    }
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
    use actix_codec::Decoder;
    use actix_http::ws::{Codec, Frame};

    #[test]
    fn length_is_read_from_the_header_alone() {
        assert_eq!(announced_length(&[0x82]), None);
        assert_eq!(announced_length(&[0x82, 0x80 | 5]), Some(5));
        assert_eq!(announced_length(&[0x82, 0xFE, 1]), None);
        assert_eq!(announced_length(&[0x82, 0xFE, 1, 0]), Some(256));
        assert_eq!(announced_length(&[0x82, 0xFF, 0, 0, 0, 0, 0x80, 0, 0, 0]), Some(1 << 31));
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
