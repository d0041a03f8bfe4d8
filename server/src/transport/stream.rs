//! A TCP connection as HTTP and WebSocket see it: plain, or within TLS.

use super::lease;
use crate::ground::shares::Share;
use actix_rt::net::TcpStream;
use rustls::ServerConnection;
use std::{
    io, net,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// An accepted connection, and the permit of its source.
///
/// With TLS, `poll_write` may take bytes that the socket has no room for; `poll_flush` says when they are
/// sent. A plain connection never has such bytes.
pub(crate) struct Stream {
    io: Io,
    place: Share,
}

enum Io {
    /// A plain connection.
    Plain(TcpStream),
    /// A connection within TLS, after the handshake. Boxed, because it takes a kilobyte that connections
    /// without TLS need not pay for.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// A plain connection.
    pub(super) fn plain(stream: TcpStream, place: Share) -> Self {
        Self { io: Io::Plain(stream), place }
    }

    /// Within TLS, after the handshake.
    pub(super) fn tls(stream: TlsStream<TcpStream>, place: Share) -> Self {
        Self { io: Io::Tls(Box::new(stream)), place }
    }

    /// The non-blocking socket, the state of TLS, and the permit, for use without the runtime.
    pub(super) fn into_parts(self) -> io::Result<(net::TcpStream, Option<ServerConnection>, Share)> {
        let (tcp, tls) = match self.io {
            Io::Plain(tcp) => (tcp, None),
            Io::Tls(stream) => {
                let (tcp, tls) = stream.into_inner();
                (tcp, Some(tls))
            }
        };
        Ok((tcp.into_std()?, tls, self.place))
    }
}

impl Io {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let io = &mut self.get_mut().io;
        if !lease::is_held() {
            return io.poll_read(cx, buffer);
        }
        if !lease::may_read(cx) {
            return Poll::Pending;
        }
        let mut chunk = [0; lease::CHUNK];
        let most = chunk.len().min(buffer.remaining());
        let mut chunk = ReadBuf::new(&mut chunk[..most]);
        ready!(io.poll_read(cx, &mut chunk))?;
        if chunk.filled().is_empty() && lease::is_endless() {
            // Otherwise it would be noticed when something can no longer be written.
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the reader is gone")));
        }
        lease::gave(chunk.filled());
        buffer.put_slice(chunk.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
