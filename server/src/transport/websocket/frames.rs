//! What arrives: frames out of bytes, messages out of frames.

use super::Link;
use crate::connection::{Inbound, PeerRef, TransportError};
use actix_codec::Decoder;
use actix_http::ws::{CloseCode as WsCode, CloseReason, Codec, Frame, Item, ProtocolError};
use actix_web::{error::PayloadError, web::Payload};
use bytes::{Bytes, BytesMut};
use driftless_proto::code::CloseCode;
use futures_util::Stream;
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// Pings, pongs and fragments count against no limit of the session: more than this many without a message between them are
/// taken for a flood.
const FRAMES_BETWEEN_MESSAGES: u32 = 64;

/// The stream of messages of one WebSocket.
pub struct Frames {
    payload: Payload,
    buffer: BytesMut,
    codec: Codec,
    /// A message that comes in fragments.
    fragments: Option<BytesMut>,
    max_message: usize,
    /// Frames since the last message.
    frames: u32,
    link: Rc<Link>,
    peer: PeerRef,
    done: bool,
}

impl Frames {
    pub(super) fn new(payload: Payload, max_message: usize, link: Rc<Link>, peer: PeerRef) -> Self {
        Self {
            payload,
            buffer: BytesMut::new(),
            codec: Codec::new().max_size(max_message),
            fragments: None,
            max_message,
            frames: 0,
            link,
            peer,
            done: false,
        }
    }

    /// The next message in the buffer. None: more bytes are needed.
    fn next_message(&mut self) -> Result<Option<Inbound>, Violation> {
        loop {
            self.check_length()?;
            let Some(frame) = self.codec.decode(&mut self.buffer).map_err(Violation::of)? else {
                return Ok(None);
            };
            self.frames += 1;
            match frame {
                Frame::Binary(message) => {
                    self.frames = 0;
                    return Ok(Some(Inbound::Message(message)));
                }
                Frame::Continuation(item) => {
                    if let Some(message) = self.fragment(item)? {
                        self.frames = 0;
                        return Ok(Some(Inbound::Message(message)));
                    }
                }
                Frame::Ping(payload) => {
                    *self.link.ping.borrow_mut() = Some(payload);
                    self.peer.borrow().wake();
                }
                Frame::Pong(_) => {}
                Frame::Text(_) => return Err(Violation::text()),
                Frame::Close(reason) => {
                    self.link.closed.set(true);
                    self.peer.borrow().wake();
                    return Ok(Some(Inbound::Closed(reason.map(|r| r.code.into()))));
                }
            }
            if self.frames > FRAMES_BETWEEN_MESSAGES {
                let reason = "too many frames without a message";
                return Err(Violation::new(WsCode::Policy, CloseCode::RateLimited, reason));
            }
        }
    }

    /// Refuses a frame by its header, before its payload is buffered: the codec would look at the size only when it has all of it.
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
        // The codec lets nothing but a first fragment begin a message.
        let message = self.fragments.get_or_insert_default();
        let length = message.len() + part.len();
        if length > self.max_message {
            return Err(Violation::too_large(length as u64, self.max_message));
        }
        message.extend_from_slice(&part);
        Ok(if last { self.fragments.take().map(BytesMut::freeze) } else { None })
    }

    fn refuse(&mut self, violation: Violation) -> TransportError {
        let transport_code = violation.reason.code.into();
        let reason = violation.reason.description.clone().unwrap_or_default();
        *self.link.close.borrow_mut() = Some(violation.reason);
        self.peer.borrow().wake();
        TransportError::Violation { transport_code, code: violation.code, reason }
    }
}

impl Stream for Frames {
    type Item = Result<Inbound, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        loop {
            match this.next_message() {
                Ok(Some(closed @ Inbound::Closed(_))) => {
                    this.done = true;
                    return Poll::Ready(Some(Ok(closed)));
                }
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(violation) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(this.refuse(violation))));
                }
            }
            match Pin::new(&mut this.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    this.buffer.extend_from_slice(&bytes);
                }
                Poll::Ready(Some(Err(e))) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(lost(&e))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn lost(e: &PayloadError) -> TransportError {
    TransportError::Lost(match e {
        PayloadError::Incomplete(_) => "the peer went without a close frame".to_owned(),
        other => other.to_string(),
    })
}

/// What the peer did, and the close frame it gets.
struct Violation {
    reason: CloseReason,
    code: CloseCode,
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
            &format!("a message of {length} bytes: at most {max} are allowed"),
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

/// The payload length that a frame's header announces (RFC 6455, section 5.2). None: the header is not complete yet.
fn announced_length(buffer: &[u8]) -> Option<u64> {
    match buffer.get(1)? & 0x7F {
        126 => Some(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?).into()),
        127 => Some(u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)),
        short => Some(short.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::announced_length;

    #[test]
    fn length_is_read_from_the_header_alone() {
        assert_eq!(announced_length(&[0x82]), None);
        assert_eq!(announced_length(&[0x82, 0x80 | 5]), Some(5));
        assert_eq!(announced_length(&[0x82, 0xFE, 1]), None);
        assert_eq!(announced_length(&[0x82, 0xFE, 1, 0]), Some(256));
        assert_eq!(announced_length(&[0x82, 0xFF, 0, 0, 0, 0, 0x80, 0, 0, 0]), Some(1 << 31));
    }
}
