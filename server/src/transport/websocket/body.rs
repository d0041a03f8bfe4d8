//! What is sent: the response body of the upgrade, which pulls from the connection when the socket has room.

use super::Link;
use crate::connection::{Outbound, PeerRef, Worker};
use actix_codec::Encoder;
use actix_http::ws::{CloseCode as WsCode, CloseReason, Codec, Message, ProtocolError};
use bytes::{Bytes, BytesMut};
use driftless_proto::code::CloseCode;
use futures_util::Stream;
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

/// Bytes that one write takes together before it looks at the socket again.
const BATCH: usize = 16 * 1024;

/// The sending half of one WebSocket.
pub struct Body {
    peer: PeerRef,
    worker: Rc<Worker>,
    link: Rc<Link>,
    codec: Codec,
    out: BytesMut,
    ended: bool,
}

impl Body {
    pub(super) fn new(peer: PeerRef, worker: Rc<Worker>, link: Rc<Link>) -> Self {
        Self { peer, worker, link, codec: Codec::new(), out: BytesMut::new(), ended: false }
    }

    fn fill(&mut self) -> Result<(), ProtocolError> {
        if let Some(payload) = self.link.ping.borrow_mut().take() {
            self.codec.encode(Message::Pong(payload), &mut self.out)?;
        }
        let close = self.link.close.borrow_mut().take();
        if let Some(reason) = close {
            return self.end(Some(reason));
        }
        let now = Instant::now();
        let mut peer = self.peer.borrow_mut();
        let outcome = loop {
            let mut message = self.worker.scratch();
            match peer.next_message(&self.worker, now, &mut message) {
                Outbound::Message => {
                    let message = message.split().freeze();
                    let mut counters = self.worker.counters();
                    counters.messages_out += 1;
                    counters.bytes_out += message.len() as u64;
                    self.codec.encode(Message::Binary(message), &mut self.out)?;
                }
                outcome => break outcome,
            }
            if self.out.len() >= BATCH {
                break Outbound::Message;
            }
        };
        drop(peer);
        match outcome {
            Outbound::Close(code) => self.end(Some(close_frame(code))),
            Outbound::Gone if self.link.closed.get() => self.end(None),
            Outbound::Gone => {
                self.ended = true;
                Ok(())
            }
            Outbound::Message | Outbound::Idle => Ok(()),
        }
    }

    fn end(&mut self, reason: Option<CloseReason>) -> Result<(), ProtocolError> {
        self.ended = true;
        self.codec.encode(Message::Close(reason), &mut self.out)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, actix_web::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.peer.borrow_mut().register(cx);
        self.fill()?;
        if self.out.is_empty() {
            return if self.ended { Poll::Ready(None) } else { Poll::Pending };
        }
        Poll::Ready(Some(Ok(self.out.split().freeze())))
    }
}

/// The WebSocket close frame for one of our codes: the same number, and its name as the reason.
fn close_frame(code: CloseCode) -> CloseReason {
    CloseReason { code: WsCode::from(code.number()), description: Some(code.name().to_owned()) }
}
