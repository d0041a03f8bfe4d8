//! Native QUIC and WebTransport, which differ only in how the session is made.
//!
//! ```text
//!                  ┌ reliable stream, both ways ── welcome, events, commands, goodbye: each after its length
//! session ─────────┼ datagrams, both ways ──────── states, inputs, acknowledgements, pings: one message each
//!                  └ streams from the server ───── a state too large for a datagram: one message each
//! ```
//!
//! The session and its streams are polled by the task that owns this. Below them, quinn has a task for the
//! connection and one for the socket.

use super::{Closed, TransportKind};
use bytes::{Buf, Bytes, BytesMut};
use driftless_proto::{
    framing::{Framing, FramingError, put_message},
    lane::Lane,
};
use std::task::{Context, Poll, ready};
use web_transport_quinn::{
    ReadError, RecvStream, SendStream, Session, SessionError, WebTransportError, WriteError,
    generic::poll::{RecvStream as _, SendStream as _, Session as _},
    quinn::{ConnectionError, SendDatagramError},
};

/// Bytes read at once.
const CHUNK: usize = 2 * 1024;
/// The close code of a player who leaves, or of a client that is dropped.
const LEFT: u32 = 0;

/// One client connection over QUIC or WebTransport. Closed with code 0 when it is dropped.
pub struct Quic {
    session: Session,
    kind: TransportKind,
    max_message: usize,
    up: SendStream,
    /// What the reliable stream has not taken yet.
    unsent: BytesMut,
    down: Down,
    large: Vec<Large>,
}

/// The reliable stream from the server.
struct Down {
    stream: RecvStream,
    framing: Framing,
    chunk: Bytes,
    ended: bool,
}

/// A message on a stream of its own.
struct Large {
    stream: RecvStream,
    message: BytesMut,
}

impl Quic {
    /// Opens the reliable stream of a session.
    pub(super) async fn open(
        session: Session,
        kind: TransportKind,
        max_message: usize,
    ) -> Result<Self, SessionError> {
        let (up, stream) = session.open_bi().await?;
        let down = Down { stream, framing: Framing::new(max_message), chunk: Bytes::new(), ended: false };
        Ok(Self { session, kind, max_message, up, unsent: BytesMut::new(), down, large: Vec::new() })
    }

    /// Which of the two it is.
    pub fn kind(&self) -> TransportKind {
        self.kind
    }

    /// The next message, from any lane. Cancel-safe. After an error the connection has to be dropped.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        // In this order, so that a welcome comes before its states, and a goodbye before the end of the
        // session.
        if let Poll::Ready(message) = self.poll_reliable(cx) {
            return Poll::Ready(message);
        }
        if let Poll::Ready(message) = self.poll_large(cx) {
            return Poll::Ready(message);
        }
        match ready!(self.session.poll_recv_datagram(cx)) {
            Ok(message) => Poll::Ready(Ok(message)),
            Err(error) => Poll::Ready(Err(closed(error))),
        }
    }

    /// Queues a message. A datagram is sent as soon as the network takes it, and replaces an older one that
    /// waits; a reliable message is sent with the next `poll_flush`.
    pub fn send(&mut self, message: Bytes, lane: Lane) -> Result<(), Closed> {
        if lane == Lane::Unreliable {
            match self.session.send_datagram(message.clone()) {
                Ok(()) => return Ok(()),
                // The path has just become narrower, or the server takes no datagrams.
                Err(SessionError::SendDatagramError(
                    SendDatagramError::TooLarge
                    | SendDatagramError::UnsupportedByPeer
                    | SendDatagramError::Disabled,
                )) => {}
                Err(error) => return Err(closed(error)),
            }
        }
        put_message(&message, &mut self.unsent);
        Ok(())
    }

    /// Writes what is queued for the reliable stream. Pending: it takes no more for now; queue nothing until
    /// it is ready.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        while self.unsent.has_remaining() {
            match ready!(self.up.poll_write(cx, &self.unsent)) {
                Ok(written) => self.unsent.advance(written),
                Err(WriteError::SessionError(error)) => return Poll::Ready(Err(closed(error))),
                // The server stopped reading: it is about to say why.
                Err(WriteError::Stopped(_) | WriteError::InvalidStopped(_) | WriteError::ClosedStream) => {
                    self.unsent.clear();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the session with a code and a reason.
    pub fn close(&mut self, code: u16, reason: &str) {
        Session::close(&self.session, code.into(), reason.as_bytes());
    }

    /// Longest datagram, bytes. It changes with the path. 0: the server takes none.
    pub fn max_datagram(&self) -> usize {
        Session::max_datagram_size(&self.session)
    }

    /// The session, for inspection: addresses, round-trip time, statistics.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Bytes of UDP payload received and sent so far, including all of QUIC.
    pub fn udp_bytes(&self) -> (u64, u64) {
        let stats = quinn::Connection::stats(&self.session);
        (stats.udp_rx.bytes, stats.udp_tx.bytes)
    }

    fn poll_reliable(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        let Down { stream, framing, chunk, ended } = &mut self.down;
        loop {
            match framing.next_message(chunk) {
                Ok(Some(message)) => return Poll::Ready(Ok(message)),
                Ok(None) => {}
                Err(FramingError::TooLarge { length, max }) => {
                    return Poll::Ready(Err(too_large(length, max)));
                }
                Err(error) => return Poll::Ready(Err(Closed::Violation(error.to_string()))),
            }
            if *ended {
                return Poll::Pending; // the end of the session will wake the datagram reader
            }
            let mut buffer = [0; CHUNK];
            match ready!(stream.poll_read(cx, &mut buffer)) {
                Ok(Some(read)) => *chunk = Bytes::copy_from_slice(&buffer[..read]),
                Ok(None) if framing.is_between_messages() => *ended = true,
                Ok(None) => {
                    return Poll::Ready(Err(Closed::Violation("the stream ended within a message".into())));
                }
                Err(ReadError::SessionError(error)) => return Poll::Ready(Err(closed(error))),
                Err(error) => return Poll::Ready(Err(Closed::Violation(error.to_string()))),
            }
        }
    }

    fn poll_large(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        // The datagrams report the end of the session.
        while let Poll::Ready(Ok(stream)) = self.session.poll_accept_uni(cx) {
            self.large.push(Large { stream, message: BytesMut::new() });
        }
        let mut place = 0;
        while let Some(large) = self.large.get_mut(place) {
            match large.poll(cx, self.max_message) {
                Poll::Ready(Ok(Some(message))) => {
                    self.large.swap_remove(place);
                    return Poll::Ready(Ok(message));
                }
                Poll::Ready(Ok(None)) => drop(self.large.swap_remove(place)),
                Poll::Ready(Err(closed)) => return Poll::Ready(Err(closed)),
                Poll::Pending => place += 1,
            }
        }
        Poll::Pending
    }
}

impl Large {
    /// The whole message. None: the server abandoned it, because there is a newer one.
    fn poll(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, Closed>> {
        let mut buffer = [0; CHUNK];
        loop {
            match ready!(self.stream.poll_read(cx, &mut buffer)) {
                Ok(Some(read)) if self.message.len() + read > max => {
                    return Poll::Ready(Err(too_large((self.message.len() + read) as u64, max)));
                }
                Ok(Some(read)) => self.message.extend_from_slice(&buffer[..read]),
                Ok(None) => return Poll::Ready(Ok(Some(self.message.split().freeze()))),
                Err(_) => return Poll::Ready(Ok(None)),
            }
        }
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        // WebTransport's own task would keep the connection alive. This has no effect on a connection that is
        // already closed.
        Session::close(&self.session, LEFT, b"");
    }
}

impl std::fmt::Debug for Quic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quic")
            .field("kind", &self.kind)
            .field("server", &self.session.remote_address())
            .finish_non_exhaustive()
    }
}

fn too_large(size: u64, limit: usize) -> Closed {
    Closed::TooLarge { size: usize::try_from(size).unwrap_or(usize::MAX), limit }
}

fn closed(error: SessionError) -> Closed {
    match error {
        SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => {
            // A server sends 0 when it gives no code; all our close codes fit in 16 bits.
            let code = if code == 0 { 1005 } else { u16::try_from(code).unwrap_or(u16::MAX) };
            Closed::ByPeer { code, reason }
        }
        SessionError::WebTransportError(error) => Closed::Violation(error.to_string()),
        SessionError::ConnectionError(ConnectionError::TransportError(error)) => {
            Closed::Violation(error.to_string())
        }
        SessionError::ConnectionError(error) => Closed::Lost(error.to_string()),
        SessionError::SendDatagramError(error) => Closed::Lost(error.to_string()),
    }
}
