//! Assembles messages from frames, and frames from bytes.

use super::frame::{announced_length, take_short_binary};
use actix_codec::Decoder;
use actix_http::ws::{CloseCode as WsCode, CloseReason, Codec, Frame, Item, ProtocolError};
use bytes::{Bytes, BytesMut};
use driftless_proto::code::CloseCode;

/// Pings, pongs and fragments count against no limit of the session. More than this many without a message in
/// between are a flood.
const FRAMES_BETWEEN_MESSAGES: u32 = 64;

/// What arrived.
pub(super) enum Arrived {
    /// One message of the protocol.
    Message(Bytes),
    /// A ping to answer.
    Ping(Bytes),
    /// The peer's close frame.
    Close,
}

/// Assembles messages. Holds memory only for what is incomplete.
pub(super) struct Messages {
    buffer: BytesMut,
    codec: Codec,
    /// A message that arrives in fragments.
    fragments: Option<BytesMut>,
    max_message: usize,
    /// Frames since the last message.
    frames: u32,
}

impl Messages {
    /// Begins with bytes that were read together with the handshake.
    pub(super) fn new(read: BytesMut, max_message: usize) -> Self {
        Self {
            buffer: read,
            codec: Codec::new().max_size(max_message),
            fragments: None,
            max_message,
            frames: 0,
        }
    }

    /// Bytes arrived.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes of an incomplete frame.
    #[cfg(test)]
    pub(super) fn incomplete(&self) -> usize {
        self.buffer.len()
    }

    /// The next complete item. None: more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Arrived>, Violation> {
        loop {
            if self.buffer.is_empty() {
                return Ok(None);
            }
            self.check_length()?;
            if self.fragments.is_none()
                && let Some(message) = take_short_binary(&mut self.buffer)
            {
                self.frames = 0;
                return Ok(Some(Arrived::Message(message)));
            }
            let Some(frame) = self.codec.decode(&mut self.buffer).map_err(Violation::of)? else {
                return Ok(None);
            };
            self.frames += 1;
            if self.frames > FRAMES_BETWEEN_MESSAGES {
                let reason = "too many frames without a message";
                return Err(Violation::new(WsCode::Policy, CloseCode::RateLimited, reason));
            }
            let message = match frame {
                Frame::Binary(message) => message,
                Frame::Continuation(item) => match self.fragment(item)? {
                    Some(message) => message,
                    None => continue,
                },
                Frame::Ping(payload) => return Ok(Some(Arrived::Ping(payload))),
                Frame::Pong(_) => continue,
                Frame::Text(_) => return Err(Violation::text()),
                Frame::Close(_) => return Ok(Some(Arrived::Close)),
            };
            self.frames = 0;
            return Ok(Some(Arrived::Message(message)));
        }
    }

    /// Refuses a frame by its header, before its payload is buffered; the codec checks the size only when it
    /// has the whole frame.
    fn check_length(&self) -> Result<(), Violation> {
        match announced_length(&self.buffer) {
            Some(length) if length > self.max_message as u64 => {
                Err(Violation::too_large(length, self.max_message))
            }
            _ => Ok(()),
        }
    }

    fn fragment(&mut self, item: Item) -> Result<Option<Bytes>, Violation> {
        let (part, last) = match item {
            Item::FirstText(_) => return Err(Violation::text()),
            Item::FirstBinary(part) => {
                self.fragments = Some(BytesMut::new());
                (part, false)
            }
            Item::Continue(part) => (part, false),
            Item::Last(part) => (part, true),
        };
        // The codec lets only a first fragment begin a message.
        let message = self.fragments.get_or_insert_default();
        let length = message.len() + part.len();
        if length > self.max_message {
            return Err(Violation::too_large(length as u64, self.max_message));
        }
        message.extend_from_slice(&part);
        Ok(if last { self.fragments.take().map(BytesMut::freeze) } else { None })
    }
}

/// Frames, in pieces.
#[cfg(any(test, fuzzed))]
pub(in crate::transport) fn fuzz(bytes: &[u8]) {
    const MOST: usize = 1_000;
    let mut messages = Messages::new(BytesMut::new(), MOST);
    for piece in bytes.chunks(7) {
        messages.extend(piece);
        loop {
            match messages.next() {
                Ok(Some(Arrived::Message(message))) => assert!(message.len() <= MOST, "it is too long"),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// What the peer did wrong, and the close frame that it gets.
pub(super) struct Violation {
    /// The close frame.
    pub(super) reason: CloseReason,
    /// The close code for the room and the metrics.
    pub(super) code: CloseCode,
}

impl Violation {
    fn new(transport: WsCode, code: CloseCode, reason: &str) -> Self {
        Self { reason: CloseReason { code: transport, description: Some(reason.to_owned()) }, code }
    }
    fn text() -> Self {
        Self::new(
            WsCode::Unsupported,
            CloseCode::NotBinary,
            "text frames are not supported: send binary frames",
        )
    }
    fn too_large(length: u64, max: usize) -> Self {
        Self::new(
            WsCode::Size,
            CloseCode::TooLarge,
            &format!("a message of {length} bytes; at most {max} are allowed"),
        )
    }
    fn of(e: ProtocolError) -> Self {
        match e {
            ProtocolError::Overflow => {
                Self::new(WsCode::Size, CloseCode::TooLarge, "a frame that is too large")
            }
            e => Self::new(WsCode::Protocol, CloseCode::Malformed, &e.to_string()),
        }
    }
}
