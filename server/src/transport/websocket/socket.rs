//! The task of one WebSocket: the only place that touches its socket.

use super::{
    frame::put_binary,
    messages::{Arrived, Messages, Violation},
};
use crate::{
    connection::{End, Outbound, PeerRef, Worker},
    transport::{CLOSE_LIMIT, Stream},
};
use actix_codec::Encoder;
use actix_http::ws::{CloseCode as WsCode, CloseReason, Codec, Message};
use actix_rt::time::{Sleep, sleep};
use bytes::{Buf, Bytes, BytesMut};
use driftless_proto::code::CloseCode;
use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that one write takes together before it looks at the socket again.
const BATCH: usize = 16 * 1024;
/// Reads in a row before other connections of the thread get their turn.
const READS: usize = 4;
/// Bytes that are read and thrown away meanwhile: what an honest peer may have under way when it hears of the close. After them, too,
/// the socket is dropped.
const CLOSE_BYTES: usize = 1 << 20;

/// One WebSocket, from the handshake to the end of its socket.
pub(super) struct Socket {
    io: Stream,
    messages: Messages,
    /// What the socket had no room for. While there is some, nothing new is put together.
    unsent: BytesMut,
    /// The newest ping that is not answered. (RFC 6455, section 5.5.3: older ones need no answer.)
    ping: Option<Bytes>,
    state: State,
    /// Bytes read since the end was decided.
    unheard: usize,
    /// When a close that does not come to its end is cut short. Boxed: most sockets have none for most of their life.
    limit: Option<Pin<Box<Sleep>>>,
    peer: PeerRef,
    worker: Rc<Worker>,
}

/// How a connection ended that its peer has closed.
const CLOSED: &str = "closed by the peer";

enum State {
    /// Messages go both ways.
    Open,
    /// The close frame is in `unsent`, or sent; the rest is a formality.
    Closing { shut: bool },
}

impl Socket {
    /// `read`: what came with the handshake. `head`: the handshake's answer, to be sent first.
    pub(super) fn new(
        io: Stream,
        read: BytesMut,
        head: BytesMut,
        max_message: usize,
        peer: PeerRef,
        worker: Rc<Worker>,
    ) -> Self {
        let messages = Messages::new(read, max_message);
        let state = State::Open;
        Self { io, messages, unsent: head, ping: None, state, unheard: 0, limit: None, peer, worker }
    }

    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, State::Open) {
            let ended = self.read(cx)?;
            self.write(cx)?;
            // A peer that has left may end its half before it has read the goodbye.
            if ended && matches!(self.state, State::Open) && !self.is_ending() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        if self.is_ending() {
            let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(CLOSE_LIMIT)));
            if limit.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        match self.state {
            State::Open => Poll::Pending,
            State::Closing { .. } => self.poll_close(cx),
        }
    }

    fn is_ending(&self) -> bool {
        matches!(self.state, State::Closing { .. }) || self.peer.borrow().session.closing().is_some()
    }

    /// Reads what there is, into a buffer that all sockets of the thread share. True: the peer has ended its half.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        // What came with the handshake.
        self.receive()?;
        for _ in 0..READS {
            let ending = self.is_ending();
            {
                let mut buffer = self.worker.read_buffer();
                let mut buffer = ReadBuf::new(&mut buffer[..]);
                match Pin::new(&mut self.io).poll_read(cx, &mut buffer)? {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(()) if buffer.filled().is_empty() => return Ok(true),
                    Poll::Ready(()) => self.messages.extend(buffer.filled()),
                }
                self.unheard += if ending { buffer.filled().len() } else { 0 };
            }
            if self.unheard > CLOSE_BYTES {
                // It takes neither the goodbye nor a hint.
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.receive()?;
            if !matches!(self.state, State::Open) {
                return Ok(false);
            }
        }
        cx.waker().wake_by_ref();
        Ok(false)
    }

    fn receive(&mut self) -> io::Result<()> {
        loop {
            match self.messages.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Arrived::Message(message))) => {
                    self.peer.borrow_mut().receive(&self.worker, Instant::now(), message);
                }
                Ok(Some(Arrived::Ping(payload))) => self.ping = Some(payload),
                Ok(Some(Arrived::Close)) => {
                    self.peer.borrow_mut().end(End::Lost(CLOSED.to_owned()));
                    return self.close(None);
                }
                Err(Violation { reason, code }) => {
                    let why = reason.description.clone().unwrap_or_default();
                    self.peer.borrow_mut().end(End::Closed { code, reason: why });
                    return self.close(Some(reason));
                }
            }
        }
    }

    /// Sends what is unsent, then pulls and sends until there is nothing more or the socket is full.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.poll_flush(cx)?.is_pending() || !matches!(self.state, State::Open) {
                return Ok(());
            }
            let worker = self.worker.clone();
            let mut out = worker.write_buffer();
            out.clear();
            let closes = self.fill(&mut out)?;
            if !out.is_empty() {
                let wrote = match Pin::new(&mut self.io).poll_write(cx, &out)? {
                    Poll::Ready(wrote) => wrote,
                    Poll::Pending => 0,
                };
                self.unsent.extend_from_slice(&out[wrote..]);
            }
            match closes {
                _ if out.len() >= BATCH => {}
                None => return Ok(()),
                Some(code) => return self.close(Some(close_reason(code))),
            }
        }
    }

    /// Puts messages together. Some: the session has ended with this code.
    fn fill(&mut self, out: &mut BytesMut) -> io::Result<Option<CloseCode>> {
        if let Some(payload) = self.ping.take() {
            Codec::new().encode(Message::Pong(payload), out).map_err(io::Error::other)?;
        }
        let mut peer = self.peer.borrow_mut();
        if !peer.wants_transmit() {
            return Ok(None);
        }
        let now = Instant::now();
        let mut message = self.worker.scratch();
        while out.len() < BATCH {
            message.clear();
            match peer.next_message(&self.worker, now, &mut message) {
                Outbound::Message => put_binary(&message, out),
                Outbound::Idle => return Ok(None),
                Outbound::Close(code) => return Ok(Some(code)),
            }
        }
        Ok(None)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let wrote = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(wrote);
        }
        if self.unsent.capacity() > 0 {
            self.unsent = BytesMut::new(); // a peer that keeps up needs no memory here
        }
        // TLS may hold bytes of its own that the socket had no room for: until they are gone, nothing new is put together.
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn close(&mut self, reason: Option<CloseReason>) -> io::Result<()> {
        Codec::new().encode(Message::Close(reason), &mut self.unsent).map_err(io::Error::other)?;
        self.state = State::Closing { shut: false };
        Ok(())
    }

    /// Flushes, ends our half, and reads until the peer ends its own: a socket dropped with unread bytes would reset the connection,
    /// and the peer might not see the close frame.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_flush(cx)?.is_ready();
        let State::Closing { shut } = &mut self.state else { return Poll::Ready(Ok(())) };
        if flushed && !*shut {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            *shut = true;
        }
        loop {
            let mut buffer = self.worker.read_buffer();
            let mut buffer = ReadBuf::new(&mut buffer[..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                // The peer has ended its half. Ours may still have a goodbye to send to one that closed only that.
                return if flushed { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            self.unheard += buffer.filled().len();
            if self.unheard > CLOSE_BYTES {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Future for Socket {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.peer.borrow_mut().register(cx);
        let result = ready!(self.poll_io(cx));
        let end = match result {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => End::Lost("no close frame".to_owned()),
            Err(e) => End::Lost(e.to_string()),
            Ok(()) => End::Lost(CLOSED.to_owned()),
        };
        self.peer.borrow_mut().end(end);
        Poll::Ready(())
    }
}

/// A server that stops drops its tasks: the actor must hear of it all the same.
impl Drop for Socket {
    fn drop(&mut self) {
        self.peer.borrow_mut().end(End::Lost("the server stopped".to_owned()));
    }
}

/// The close frame for one of our codes: the same number, and its name as the reason.
fn close_reason(code: CloseCode) -> CloseReason {
    CloseReason { code: WsCode::from(code.number()), description: Some(code.name().to_owned()) }
}
