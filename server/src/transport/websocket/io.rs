//! The bytes of a non-blocking socket: plain, or within TLS.

use rustls::ServerConnection;
use std::{
    io::{self, ErrorKind::WouldBlock, IoSlice, Read, Write},
    net::{Shutdown, TcpStream},
};

/// A connected socket. With TLS, `write` may take bytes that the socket has no room for; `flush` says when
/// they are sent.
pub(super) struct Io {
    stream: Stream,
    /// Boxed, because it takes a kilobyte that connections without TLS need not pay for.
    tls: Option<Box<Tls>>,
}

struct Tls {
    connection: ServerConnection,
    /// TLS may hold more received bytes than fitted into the caller's buffer.
    holds: bool,
    /// The peer has been told that nothing more follows.
    said_last: bool,
}

/// The socket, and its last answers.
struct Stream {
    tcp: TcpStream,
    /// Everything that the kernel had is read. An event reports when there is more.
    drained: bool,
    /// The kernel takes nothing more. An event reports when it does.
    full: bool,
    /// The peer has ended its half, or the connection is broken: a read will say so.
    ends: bool,
}

/// Result of a read.
pub(super) enum Got {
    /// This many bytes.
    Bytes(usize),
    /// Nothing now: everything has been read.
    Nothing,
    /// The peer has ended its half.
    End,
}

impl Io {
    /// A non-blocking socket, with the state of its TLS.
    pub(super) fn new(tcp: TcpStream, tls: Option<ServerConnection>) -> Self {
        let tls = tls.map(|connection| Box::new(Tls { connection, holds: false, said_last: false }));
        Self { stream: Stream { tcp, drained: false, full: false, ends: false }, tls }
    }

    /// The socket.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.stream.tcp
    }

    /// Takes in a kernel event: there is something to read, there is room to write, or reading will come to
    /// an end. Returns whether that is new.
    pub(super) fn hear(&mut self, readable: bool, writable: bool, ends: bool) -> bool {
        let is_new = readable || (writable && self.stream.full);
        self.stream.drained &= !readable;
        self.stream.full &= !writable;
        self.stream.ends |= ends;
        is_new
    }

    /// Whether there may be something to read.
    pub(super) fn may_read(&self) -> bool {
        !self.stream.drained || self.tls.as_ref().is_some_and(|tls| tls.holds)
    }

    /// Reads what is available, as much as fits.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let got = match &mut self.tls {
            None => self.stream.read(buffer),
            Some(tls) => tls.read(&mut self.stream, buffer),
        };
        match got {
            Ok(0) => Ok(Got::End),
            Ok(read) => Ok(Got::Bytes(read)),
            Err(e) if e.kind() == WouldBlock => Ok(Got::Nothing),
            Err(e) => Err(e),
        }
    }

    /// Writes as much as there is room for. Call it when everything is flushed.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => {
                let wrote = tls.connection.writer().write(bytes)?;
                tls.flush(&mut self.stream)?;
                return Ok(wrote);
            }
        };
        match wrote {
            Err(e) if e.kind() == WouldBlock => Ok(0),
            wrote => wrote,
        }
    }

    /// Sends what TLS holds. False: the socket has no room.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| tls.flush(&mut self.stream))
    }

    /// Ends our half. False: the socket has no room for TLS's closing message.
    pub(super) fn shut(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls {
            if !std::mem::replace(&mut tls.said_last, true) {
                tls.connection.send_close_notify();
            }
            if !tls.flush(&mut self.stream)? {
                return Ok(false);
            }
        }
        match self.stream.tcp.shutdown(Shutdown::Write) {
            Err(e) if e.kind() != io::ErrorKind::NotConnected => Err(e),
            _ => Ok(true),
        }
    }
}

impl Tls {
    fn read(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(e) if e.kind() == WouldBlock => {}
                // An end without TLS's own closing message is an error.
                read => {
                    self.holds = read.as_ref().is_ok_and(|read| *read == buffer.len());
                    return read;
                }
            }
            self.holds = false;
            if self.connection.read_tls(stream)? == 0 {
                continue; // the reader knows now
            }
            if let Err(e) = self.connection.process_new_packets() {
                // Tells the peer what is wrong, if the socket takes it at once.
                let _ = self.flush(stream);
                return Err(io::Error::new(io::ErrorKind::InvalidData, e));
            }
        }
    }

    fn flush(&mut self, stream: &mut Stream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(e) if e.kind() == WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.drained {
            return Err(WouldBlock.into());
        }
        let read = self.tcp.read(buffer);
        // A read that does not fill the buffer has taken everything, unless it was the last before the end.
        self.drained = match &read {
            Ok(read) => *read < buffer.len() && !self.ends,
            Err(e) => e.kind() == WouldBlock,
        };
        read
    }
}

impl Stream {
    fn note(&mut self, wrote: io::Result<usize>, of: usize) -> io::Result<usize> {
        // A partial write means that there is no room for the rest; an event reports when there is.
        self.full = match &wrote {
            Ok(wrote) => *wrote < of,
            Err(e) => e.kind() == WouldBlock,
        };
        wrote
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full {
            return Err(WouldBlock.into());
        }
        let wrote = self.tcp.write(bytes);
        self.note(wrote, bytes.len())
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.full {
            return Err(WouldBlock.into());
        }
        let wrote = self.tcp.write_vectored(bytes);
        self.note(wrote, bytes.iter().map(|part| part.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
