//! WebSocket over a tokio TCP stream: the sans-IO half of tungstenite, polled directly.
//!
//! A process may have thousands of these, so each must cost little: a read buffer of 2 KiB, one write per
//! batch, no task, no lock, and no allocation per message in steady state (a received message is a slice of
//! the read buffer, which is reused once the message is dropped).
//!
//! Measured with three libraries and a hand-written client (frames parsed and masked in 40 lines, no control
//! frames): 1,000 connections in one thread, each with 20 frames of 120 bytes down and 20 of 40 bytes up per
//! second, on a busy 2-core machine, mean of three interleaved passes of 8 s, `getrusage` of the client
//! process:
//!
//! | | µs CPU per frame down and one up | of which in user space | KiB RSS per connection |
//! | --- | --- | --- | --- |
//! | this: tungstenite 0.30, polled directly | 9.0 | 1.3 | 6.3 |
//! | tokio-tungstenite 0.30, 2 KiB read buffer | 9.4 | 1.7 | 4.3 |
//! | fastwebsockets 0.10 | 9.3 | 1.2 | 10.4 |
//! | hand-written | 8.6 | 0.7 | 4.2 |
//!
//! Nearly all of it is spent in the kernel. (Figures vary by 10 %.)
//!
//! The subprotocol `driftless.v1` is offered and required; TCP_NODELAY is on; the library answers pings.

use super::{Closed, DialError, Trust, denied, stream::Stream, target::Target};
use bytes::Bytes;
use driftless_proto::limits::SUBPROTOCOL;
use std::{
    future::poll_fn,
    io::{self, Read, Write},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{io::ReadBuf, net::TcpStream};
use tungstenite::{
    Error, Message,
    client::ClientRequestBuilder,
    error::{CapacityError, ProtocolError},
    handshake::{HandshakeError, client::ClientHandshake},
    http::{Uri, header::CONTENT_TYPE},
    protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
};

/// Size of the read buffer, bytes. A longer message grows it.
const READ_BUFFER: usize = 2 * 1024;
/// Bytes after which buffered frames are written without a flush.
const WRITE_BUFFER: usize = 4 * 1024;

/// One client WebSocket connection.
#[derive(Debug)]
pub struct WebSocket {
    inner: tungstenite::WebSocket<Io>,
    max_message: usize,
    close: Option<(u16, String)>,
}

impl WebSocket {
    /// Opens a connection to `url` (`ws://host[:port]/path`, or `wss://` to a server whose certificate the
    /// system trusts; without a path, `/v1/connect`) and performs the handshake. Messages longer than
    /// `max_message` bytes are refused.
    pub async fn dial(url: &str, max_message: usize, timeout: Duration) -> Result<Self, DialError> {
        let target = Target::parse(url)?;
        match tokio::time::timeout(timeout, Self::open(&target, &Trust::System, max_message, "")).await {
            Ok(result) => result,
            Err(_) => Err(DialError::TimedOut { address: target.address(), after: timeout }),
        }
    }

    pub(super) async fn open(
        target: &Target,
        trust: &Trust,
        max_message: usize,
        token: &str,
    ) -> Result<Self, DialError> {
        let url = target.url(if target.is_secure() { "wss" } else { "ws" });
        let uri: Uri = url.parse().map_err(|e| target.bad(format!("{e}")))?;
        let stream = Stream::connect(target, trust).await?;
        Self::handshake(stream, uri, max_message, token).await.map_err(|e| dial_error(target.address(), e))
    }

    async fn handshake(stream: Stream, uri: Uri, max_message: usize, token: &str) -> Result<Self, Error> {
        let mut request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
        if !token.is_empty() {
            request = request.with_header("authorization", format!("Bearer {token}"));
        }
        let request = tungstenite::client::IntoClientRequest::into_client_request(request)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let io = Io { stream, waker: Waker::noop().clone(), is_deaf: false };
        let mut stage = Some(ClientHandshake::start(io, request, Some(config))?);
        let (inner, _response) = poll_fn(|cx| {
            let Some(mut mid) = stage.take() else { return Poll::Pending };
            mid.get_mut().get_mut().wake_by(cx);
            match mid.handshake() {
                Ok(done) => Poll::Ready(Ok(done)),
                Err(HandshakeError::Interrupted(mid)) => {
                    stage = Some(mid);
                    Poll::Pending
                }
                Err(HandshakeError::Failure(e)) => Poll::Ready(Err(e)),
            }
        })
        .await?;
        Ok(Self { inner, max_message, close: None })
    }

    /// The next binary message. Cancel-safe. After an error the connection has to be dropped.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        self.inner.get_mut().wake_by(cx);
        loop {
            match self.inner.read() {
                Ok(Message::Binary(message)) => return Poll::Ready(Ok(message)),
                Ok(Message::Close(frame)) => {
                    let _ = self.inner.flush(); // the reply to the close, if the network takes it
                    let (code, reason) =
                        frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    self.close.get_or_insert((code, reason));
                    return Poll::Ready(Err(self.closed()));
                }
                Ok(Message::Text(_)) => {
                    return Poll::Ready(Err(Closed::Violation("it sent a text message".into())));
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(e) => return Poll::Ready(Err(self.failed(e))),
            }
        }
    }

    /// Queues a message, to be sent with the next `poll_flush`. The queue is bounded only by the caller, who
    /// queues only after a flush that was ready.
    pub fn send(&mut self, message: Bytes) -> Result<(), Closed> {
        match self.inner.write(Message::Binary(message)) {
            Ok(()) => Ok(()),
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(self.failed(e)),
        }
    }

    /// Writes what is queued. Pending: the network takes no more for now; queue nothing until it is ready.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.inner.get_mut().wake_by(cx);
        match self.inner.flush() {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(e) => Poll::Ready(Err(self.failed(e))),
        }
    }

    /// Queues a close frame and writes it if the network takes it at once.
    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        if self.inner.close(Some(frame)).is_ok() {
            let _ = self.inner.flush();
        }
    }

    /// The next binary message, awaited.
    pub async fn recv(&mut self) -> Result<Bytes, Closed> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Writes what is queued, awaited.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// The TCP stream, to set options on or to read its address.
    pub fn tcp(&self) -> &TcpStream {
        self.inner.get_ref().stream.tcp()
    }

    fn closed(&self) -> Closed {
        match &self.close {
            Some((code, reason)) => Closed::ByPeer { code: *code, reason: reason.clone() },
            None => Closed::Lost("closed".into()),
        }
    }

    fn failed(&self, error: Error) -> Closed {
        match error {
            Error::Io(e) => Closed::Lost(e.to_string()),
            Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
                Closed::TooLarge { size, limit: self.max_message }
            }
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Closed::Lost("it ended without a close".into())
            }
            Error::ConnectionClosed | Error::AlreadyClosed => self.closed(),
            Error::Protocol(ProtocolError::SendAfterClosing) => self.closed(),
            e => Closed::Violation(e.to_string()),
        }
    }
}

/// A tokio stream as the blocking-style stream that tungstenite wants: where it would block, it wakes `waker`
/// later. (`poll_read` rather than `try_read`: it knows that a short read has emptied the socket, and saves
/// the read that would confirm it.)
#[derive(Debug)]
struct Io {
    stream: Stream,
    waker: Waker,
    /// The peer takes nothing more: a write has failed. What it said before, above all why, may still be
    /// unread, and reading comes to the end by itself.
    is_deaf: bool,
}

impl Io {
    fn wake_by(&mut self, cx: &Context<'_>) {
        self.waker.clone_from(cx.waker());
    }
}

impl Read for Io {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        match self.stream.poll_read(&mut Context::from_waker(&self.waker), &mut buf) {
            Poll::Ready(Ok(())) => Ok(buf.filled().len()),
            Poll::Ready(Err(e)) => Err(e),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Io {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.is_deaf {
            return Ok(buf.len());
        }
        match self.stream.poll_write(&mut Context::from_waker(&self.waker), buf) {
            Poll::Ready(Ok(written)) => Ok(written),
            Poll::Ready(Err(_)) => {
                self.is_deaf = true;
                Ok(buf.len())
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        if self.is_deaf {
            return Ok(());
        }
        match self.stream.poll_flush(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(flushed) => {
                self.is_deaf = flushed.is_err();
                Ok(())
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn dial_error(address: String, error: Error) -> DialError {
    match error {
        Error::Http(response) => {
            let (status, body) = (response.status().as_u16(), response.body().as_deref().unwrap_or_default());
            let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == denied::PROBLEM);
            if let Some(denied) = denied::read(&address, status, body).filter(|_| is_problem) {
                return denied;
            }
            let body = String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
            DialError::Refused { address, status, body }
        }
        Error::Io(e) => DialError::Unreachable { address, reason: e.to_string() },
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            DialError::Unreachable { address, reason: "closed during the handshake".into() }
        }
        e => DialError::NotDriftless { address, reason: e.to_string() },
    }
}
