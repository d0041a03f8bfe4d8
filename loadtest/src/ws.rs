//! The few bytes of WebSocket (RFC 6455) that a swarm needs: the opening handshake and frame headers, of both
//! ends. No socket in here.
//!
//! Why not a library: a swarm on one core shares one read and one write buffer among thousands of
//! connections; a library keeps two per connection.

use bytes::{BufMut, BytesMut};

/// Longest message a peer may announce, bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

/// The nonce of RFC 6455 section 1.3. The nonce proves to a client that no cache answered; a swarm on its own
/// machine has none to fear, and with a fixed one the answer is a constant.
const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to `NONCE`, from the same section.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A message.
    Binary,
    /// The end, with a code.
    Close,
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// The start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub opcode: Opcode,
    /// Bytes of the header itself.
    pub len: usize,
    /// Bytes after the header.
    pub payload: usize,
    /// Set by clients: every payload byte is XORed with these in turn.
    pub mask: Option<[u8; 4]>,
}

/// What a peer's bytes did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// An opcode or flag that this protocol does not use (text, fragments, extensions).
    #[error("frame starts with {0:#04x}, not a whole binary, close, ping or pong frame")]
    Kind(u8),
    /// Longer than `MAX_MESSAGE`.
    #[error("frame of {0} bytes")]
    TooLong(u64),
}

/// What the answer to the opening handshake says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// More bytes are needed.
    Partial,
    /// The connection is open after this many bytes.
    Open(usize),
    /// It is not.
    Refused(String),
}

impl Header {
    /// Reads the header at the start of `bytes`. None: it is not whole yet.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let opcode = match first {
            0x82 => Opcode::Binary,
            0x88 => Opcode::Close,
            0x89 => Opcode::Ping,
            0x8a => Opcode::Pong,
            other => return Err(FrameError::Kind(other)),
        };
        let (length_bytes, payload) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(&b) => (2, u64::from(u16::from_be_bytes(b))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(&b) => (8, u64::from_be_bytes(b)),
                None => return Ok(None),
            },
            short => (0, u64::from(short)),
        };
        if payload > MAX_MESSAGE as u64 {
            return Err(FrameError::TooLong(payload));
        }
        let (mask, mask_bytes) = if second & 0x80 == 0 {
            (None, 0)
        } else {
            match rest[length_bytes..].first_chunk() {
                Some(&mask) => (Some(mask), 4),
                None => return Ok(None),
            }
        };
        Ok(Some(Self { opcode, len: 2 + length_bytes + mask_bytes, payload: payload as usize, mask }))
    }
}

/// Appends a client's frame, masked with `mask`.
pub fn write_client_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut BytesMut) {
    write_header(opcode, payload.len(), 0x80, out);
    out.put_slice(&mask);
    let start = out.len();
    out.put_slice(payload);
    for (byte, key) in out[start..].iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a server's frame.
pub fn write_server_frame(payload: &[u8], out: &mut BytesMut) {
    write_header(Opcode::Binary, payload.len(), 0, out);
    out.put_slice(payload);
}

/// The code in a close frame's payload. 1005 stands for none, as in RFC 6455 section 7.1.5.
pub fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |&b| u16::from_be_bytes(b))
}

/// The client's half of the opening handshake.
pub fn request(host: &str, path: &str, subprotocol: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {NONCE}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
}

/// Reads the server's half.
pub fn read_answer(bytes: &[u8]) -> Answer {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if bytes.len() > 16 * 1024 {
            Answer::Refused("answer without an end".into())
        } else {
            Answer::Partial
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        let body = String::from_utf8_lossy(&bytes[end + 4..]);
        return Answer::Refused(format!("{status} {}", body.trim()).trim().to_owned());
    }
    let accepted = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT);
    if accepted {
        Answer::Open(end + 4)
    } else {
        Answer::Refused("answer without the right Sec-WebSocket-Accept".into())
    }
}

fn write_header(opcode: Opcode, payload: usize, mask_bit: u8, out: &mut BytesMut) {
    out.put_u8(match opcode {
        Opcode::Binary => 0x82,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8a,
    });
    match payload {
        0..=125 => out.put_u8(mask_bit | payload as u8),
        126..=0xffff => {
            out.put_u8(mask_bit | 126);
            out.put_u16(payload as u16);
        }
        _ => {
            out.put_u8(mask_bit | 127);
            out.put_u64(payload as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_each_length_form_is_read_back() {
        for len in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let payload = vec![7; len];
            let mut out = BytesMut::new();
            write_client_frame(Opcode::Binary, &payload, [1, 2, 3, 4], &mut out);
            let header = Header::read(&out).unwrap().unwrap();
            assert_eq!((header.payload, header.mask), (len, Some([1, 2, 3, 4])));
            assert_eq!(out.len(), header.len + len);
            if len > 1 {
                assert_eq!(out[header.len..][..2], [7 ^ 1, 7 ^ 2]);
            }
            for cut in 0..header.len {
                assert_eq!(Header::read(&out[..cut]), Ok(None));
            }
            out.clear();
            write_server_frame(&payload, &mut out);
            let header = Header::read(&out).unwrap().unwrap();
            assert_eq!((header.payload, header.mask), (len, None));
        }
    }

    #[test]
    fn text_fragments_and_giants_are_refused() {
        assert_eq!(Header::read(&[0x81, 1]), Err(FrameError::Kind(0x81)));
        assert_eq!(Header::read(&[0x02, 1]), Err(FrameError::Kind(0x02)));
        let mut giant = vec![0x82, 127];
        giant.extend_from_slice(&(1u64 << 31).to_be_bytes());
        assert_eq!(Header::read(&giant), Err(FrameError::TooLong(1 << 31)));
    }

    #[test]
    fn only_the_right_answer_opens() {
        let answer =
            format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\nrest");
        assert_eq!(read_answer(answer.as_bytes()), Answer::Open(answer.len() - 4));
        assert_eq!(read_answer(&answer.as_bytes()[..40]), Answer::Partial);
        assert!(matches!(read_answer(b"HTTP/1.1 101 x\r\n\r\n"), Answer::Refused(_)));
        assert_eq!(
            read_answer(b"HTTP/1.1 503 Service Unavailable\r\n\r\nfull"),
            Answer::Refused("HTTP/1.1 503 Service Unavailable full".into())
        );
    }
}
