//! One WebSocket. Nothing else touches its connection.

use super::{
    frame::put_binary,
    io::{Got, Io},
    messages::{Arrived, Messages, Violation},
};
use crate::{
    connection::{End, Outbound, Peer, Worker},
    ground::shares::Share,
    transport::CLOSE_LIMIT,
};
use actix_codec::Encoder;
use actix_http::ws::{CloseCode as WsCode, CloseReason, Codec, Message};
use bytes::{Buf, Bytes, BytesMut};
use driftless_proto::code::CloseCode;
use std::{io, net::TcpStream, time::Instant};

/// Bytes that are assembled into one write.
const BATCH: usize = 16 * 1024;
/// Reads in a row before other connections of the thread get their turn.
const READS: usize = 4;
/// Messages likewise: one read may hold thousands of short ones.
const MESSAGES: usize = 256;
/// Bytes that are read and discarded once the end is decided: what an honest peer may have in flight when the
/// close reaches it. After that many, the socket is dropped.
const CLOSE_BYTES: usize = 1 << 20;

/// One WebSocket, from the handshake to the end of its connection. It knows neither its thread nor its peer,
/// so that it can move to another thread.
pub(crate) struct Socket {
    io: Io,
    messages: Messages,
    /// What the socket had no room for. Until it is sent, nothing new is assembled.
    unsent: BytesMut,
    /// The newest unanswered ping. (RFC 6455, section 5.5.3: older ones need no answer.)
    ping: Option<Bytes>,
    state: State,
    /// The peer has ended its half.
    ended: bool,
    /// More messages have been read than were handled.
    has_more: bool,
    /// Bytes read since the end was decided.
    unheard: usize,
    /// When a close that does not complete is cut short.
    limit: Option<Instant>,
    /// The permit of its source.
    _place: Share,
}

/// How a connection ended that its peer has closed.
const CLOSED: &str = "closed by the peer";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Messages go both ways.
    Open,
    /// The close frame is in `unsent`, or sent; only the close handshake remains. `heard`: the peer has sent
    /// its own, or sends nothing that could be understood. `shut`: our half is ended.
    Closing { heard: bool, shut: bool },
}

/// The state of a socket after it was served.
pub(super) enum Served {
    /// It waits for its peer, for room, or for something to send.
    Waits,
    /// There is more to read, after others have had their turn.
    HasMore,
    /// It has ended.
    Ended(End),
}

/// The peer for which a socket is served, the time, and the thread's shared data.
struct Turn<'a> {
    peer: &'a mut Peer,
    worker: &'a Worker,
    now: Instant,
}

impl Socket {
    /// `read` came together with the handshake. `head` is the handshake's answer, to be sent first.
    pub(super) fn new(io: Io, read: BytesMut, head: BytesMut, max_message: usize, place: Share) -> Self {
        Self {
            io,
            messages: Messages::new(read, max_message),
            unsent: head,
            ping: None,
            state: State::Open,
            ended: false,
            has_more: false,
            unheard: 0,
            limit: None,
            _place: place,
        }
    }

    /// What the poll instance watches.
    pub(super) fn tcp(&self) -> &TcpStream {
        self.io.tcp()
    }

    /// Takes in a kernel event, see [`Io::hear`].
    pub(super) fn hear(&mut self, readable: bool, writable: bool, ends: bool) -> bool {
        self.io.hear(readable, writable, ends)
    }

    /// When a close that does not complete is cut short, if the socket is closing.
    pub(super) fn limit(&self) -> Option<Instant> {
        self.limit
    }

    /// Bytes of an incomplete message, and bytes that could not be sent.
    #[cfg(test)]
    pub(super) fn holds(&self) -> (usize, usize) {
        (self.messages.incomplete(), self.unsent.len())
    }

    /// Reads and sends what is there.
    pub(super) fn serve(&mut self, peer: &mut Peer, worker: &Worker, now: Instant) -> Served {
        match self.try_serve(&mut Turn { peer, worker, now }) {
            Ok(false) if self.has_more || (!self.ended && self.io.may_read()) => Served::HasMore,
            Ok(false) => Served::Waits,
            Ok(true) => Served::Ended(End::Lost(CLOSED.to_owned())),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Served::Ended(End::Lost("no close frame".to_owned()))
            }
            Err(e) => Served::Ended(End::Lost(e.to_string())),
        }
    }

    /// True: the socket has ended.
    fn try_serve(&mut self, turn: &mut Turn<'_>) -> io::Result<bool> {
        if self.state == State::Open {
            self.read(turn)?;
            self.write(turn)?;
            // A peer that has left may end its half before it has read the goodbye.
            if self.ended && !self.has_more && self.state == State::Open && !self.is_ending(turn) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if self.is_ending(turn) && *self.limit.get_or_insert(turn.now + CLOSE_LIMIT) <= turn.now {
            return Ok(true);
        }
        match self.state {
            State::Open => Ok(false),
            State::Closing { heard, shut } => self.finish(heard, shut, turn.worker),
        }
    }

    fn is_ending(&self, turn: &Turn<'_>) -> bool {
        self.state != State::Open || turn.peer.session.closing().is_some()
    }

    /// Reads what is available, into a buffer that all sockets of the thread share.
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        if !self.io.may_read() && !self.has_more {
            return Ok(());
        }
        let mut left = MESSAGES;
        // What came with the handshake, or was left.
        self.receive(turn, &mut left)?;
        for _ in 0..READS {
            if self.has_more || self.ended || self.state != State::Open || !self.io.may_read() {
                return Ok(());
            }
            let ending = self.is_ending(turn);
            {
                let mut buffer = turn.worker.read_buffer();
                match self.io.read(&mut buffer)? {
                    Got::Nothing => return Ok(()),
                    Got::End => self.ended = true,
                    Got::Bytes(read) => {
                        self.messages.extend(&buffer[..read]);
                        self.unheard += if ending { read } else { 0 };
                    }
                }
            }
            if self.unheard > CLOSE_BYTES {
                // The peer reads neither the goodbye nor anything else.
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.receive(turn, &mut left)?;
        }
        Ok(())
    }

    /// Handles messages, at most `left`.
    fn receive(&mut self, turn: &mut Turn<'_>, left: &mut usize) -> io::Result<()> {
        self.has_more = false;
        loop {
            if *left == 0 {
                self.has_more = true;
                return Ok(());
            }
            *left -= 1;
            match self.messages.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Arrived::Message(message))) => turn.peer.receive(turn.worker, turn.now, message),
                Ok(Some(Arrived::Ping(payload))) => self.ping = Some(payload),
                Ok(Some(Arrived::Close)) => {
                    turn.peer.end(End::Lost(CLOSED.to_owned()));
                    return self.close(None, true);
                }
                Err(Violation { reason, code }) => {
                    let why = reason.description.clone().unwrap_or_default();
                    turn.peer.end(End::Closed { code, reason: why });
                    return self.close(Some(reason), true);
                }
            }
        }
    }

    /// Sends what is unsent, then pulls and sends until there is nothing more or the socket is full.
    fn write(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        while self.state == State::Open && self.flush()? {
            let mut out = turn.worker.write_buffer();
            out.clear();
            let closes = self.fill(turn, &mut out)?;
            if !out.is_empty() {
                let wrote = self.io.write(&out)?;
                self.unsent.extend_from_slice(&out[wrote..]);
            }
            match closes {
                Some(code) => return self.close(Some(close_reason(code)), false),
                None if out.len() < BATCH => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// Assembles messages. Some: the session has ended with this code.
    fn fill(&mut self, turn: &mut Turn<'_>, out: &mut BytesMut) -> io::Result<Option<CloseCode>> {
        if let Some(payload) = self.ping.take() {
            Codec::new().encode(Message::Pong(payload), out).map_err(io::Error::other)?;
        }
        if !turn.peer.wants_transmit() {
            return Ok(None);
        }
        let mut message = turn.worker.scratch();
        while out.len() < BATCH {
            message.clear();
            match turn.peer.next_message(turn.worker, turn.now, &mut message) {
                Outbound::Message => put_binary(&message, out),
                Outbound::Idle => return Ok(None),
                Outbound::Close(code) => return Ok(Some(code)),
            }
        }
        Ok(None)
    }

    /// Sends what is unsent. False: the socket has no room.
    fn flush(&mut self) -> io::Result<bool> {
        // TLS may hold bytes that the socket had no room for: until they are sent, nothing new is assembled.
        while self.io.flush()? {
            if self.unsent.is_empty() {
                if self.unsent.capacity() > 0 {
                    self.unsent = BytesMut::new(); // a peer that keeps up needs no memory here
                }
                return Ok(true);
            }
            match self.io.write(&self.unsent)? {
                0 => return Ok(false),
                wrote => self.unsent.advance(wrote),
            }
        }
        Ok(false)
    }

    fn close(&mut self, reason: Option<CloseReason>, heard: bool) -> io::Result<()> {
        Codec::new().encode(Message::Close(reason), &mut self.unsent).map_err(io::Error::other)?;
        self.state = State::Closing { heard, shut: false };
        Ok(())
    }

    /// Flushes, reads until the peer has answered with its own close frame, ends our half, and reads until
    /// the peer ends its own. True: all is done.
    ///
    /// Our half is not ended before: a proxy that sees it end closes both sides at once, and what the client
    /// was just sending resets its connection, so that it may never read the close frame. A socket dropped
    /// with unread bytes would do the same.
    fn finish(&mut self, mut heard: bool, mut shut: bool, worker: &Worker) -> io::Result<bool> {
        let flushed = self.flush()?;
        for reads in 0..=READS {
            heard = heard || self.ended || self.has_answered();
            if flushed && heard && !shut {
                shut = self.io.shut()?;
            }
            self.state = State::Closing { heard, shut };
            if self.ended {
                // We may still have a goodbye to send to a peer that ended only its half.
                return Ok(shut);
            }
            if reads == READS {
                break; // others have their turn
            }
            let mut buffer = worker.read_buffer();
            match self.io.read(&mut buffer)? {
                Got::Nothing => return Ok(false),
                Got::End => self.ended = true,
                Got::Bytes(read) => {
                    self.unheard += read;
                    if !heard {
                        self.messages.extend(&buffer[..read]);
                    }
                }
            }
            if self.unheard > CLOSE_BYTES {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the peer's close frame is among what has come. What comes before it is too late.
    fn has_answered(&mut self) -> bool {
        loop {
            match self.messages.next() {
                Ok(None) => return false,
                Ok(Some(Arrived::Message(_) | Arrived::Ping(_))) => {}
                Ok(Some(Arrived::Close)) | Err(_) => return true,
            }
        }
    }
}

/// The close frame for one of our codes: the same number, with its name as the reason.
fn close_reason(code: CloseCode) -> CloseReason {
    CloseReason { code: WsCode::from(code.number()), description: Some(code.name().to_owned()) }
}
