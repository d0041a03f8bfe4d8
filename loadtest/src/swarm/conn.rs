//! One client connection: a non-blocking socket and where it is in its life.

use crate::{
    tokens::Tokens,
    url::Url,
    ws::{self, Answer, FrameError, Header, Opcode},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{limits::SUBPROTOCOL, wire};
use rustix::event::epoll::EventFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    borrow::Cow,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// A client connection. Buffers are lent by the swarm: an idle connection owns its socket and two empty
/// vectors.
#[derive(Debug)]
pub struct Conn {
    socket: Socket,
    state: State,
    /// The start of a frame whose rest has not arrived.
    inbox: Vec<u8>,
    /// What the kernel did not take.
    outbox: Vec<u8>,
}

/// Connecting → Upgrading → Open; from each of them to the end, which drops the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The kernel connects.
    Connecting,
    /// The opening handshake is under way.
    Upgrading,
    /// Frames flow.
    Open,
}

/// How a connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The connection was never open.
    Refused(String),
    /// The server closed it, with this code. 1006: without one.
    Closed(u16),
    /// The server's frames make no sense.
    Broken(FrameError),
    /// The server broke another rule of the transport.
    Violation(String),
    /// Nothing comes over it, and there is another one.
    Silent,
    /// The bot hung up.
    HungUp,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The connection is open.
    Opened,
    /// A message, and how many bytes its frame had.
    Message(Bytes, usize),
    /// A WebSocket ping, to be answered with a pong of the same bytes.
    Ping(Bytes),
}

/// How a connection is made.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to.
    pub address: SocketAddr,
    /// The whole opening request, but for tokens.
    pub request: String,
    /// Each client shows one of these with it.
    pub tokens: Option<Tokens>,
    /// A receive buffer other than the kernel's for one client: which, and how many bytes (SO_RCVBUF).
    pub receive_buffer: Option<(usize, usize)>,
}

/// Connections from one loopback source address before the next is used: Linux has 28,232 ephemeral ports by
/// default.
const PER_SOURCE: usize = 25_000;

impl Target {
    /// The same at a node to which a client was sent.
    pub fn at(&self, node: &wire::Moved) -> std::io::Result<Self> {
        let url = node.url.parse::<Url>().map_err(std::io::Error::other)?;
        let request = ws::request(&url.authority(), url.path(), SUBPROTOCOL);
        Ok(Self { address: url.resolve()?, request, ..self.clone() })
    }
    /// The opening request of a client.
    fn opening(&self, index: usize) -> Cow<'_, str> {
        let Some(tokens) = &self.tokens else { return Cow::Borrowed(&self.request) };
        let head = self.request.trim_end();
        Cow::Owned(format!("{head}\r\nAuthorization: Bearer {}\r\n\r\n", tokens.of(index)))
    }
}

impl Conn {
    /// Starts to connect. `index` tells which connection of the swarm this is.
    pub fn start(target: &Target, index: usize) -> std::io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(target.address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        // Before the connection: the window that it opens with depends on it.
        if let Some((_, bytes)) = target.receive_buffer.filter(|(client, _)| *client == index) {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_tcp_nodelay(true)?;
        let source = index / PER_SOURCE;
        if source > 0 && target.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            let ip = Ipv4Addr::new(127, 0, (source >> 8) as u8, source as u8 + 1);
            socket.bind(&SockAddr::from(SocketAddr::from((ip, 0))))?;
        }
        match socket.connect(&SockAddr::from(target.address)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { socket, state: State::Connecting, inbox: Vec::new(), outbox: Vec::new() })
    }
    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }
    /// What to wait for.
    pub fn interest(&self, reading: bool) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, reading && self.state != State::Connecting);
        flags.set(EventFlags::OUT, self.state == State::Connecting || !self.outbox.is_empty());
        flags
    }
    /// The socket can be written to: ends the connecting, or writes what was left.
    pub fn writable(&mut self, target: &Target, index: usize) -> Result<(), End> {
        if self.state == State::Connecting {
            match self.socket.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return Err(End::Refused(error.to_string())),
            }
            self.state = State::Upgrading;
            return self.send(target.opening(index).as_bytes());
        }
        let left = std::mem::take(&mut self.outbox);
        self.send(&left)
    }
    /// Writes frames, and keeps what the kernel does not take.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut rest = bytes;
        while self.outbox.is_empty() && !rest.is_empty() {
            match (&self.socket).write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What the server said before, above all why, may still be unread.
                Err(_) if self.state == State::Open => return Ok(()),
                Err(error) => return Err(self.lost(&error)),
            }
        }
        self.outbox.extend_from_slice(rest);
        Ok(())
    }
    /// Reads once into `buffer` and gives what came to `take`. `arena` is where messages live: when all
    /// are dropped by the next read, it is used again and nothing is allocated.
    pub fn readable(
        &mut self,
        buffer: &mut [u8],
        arena: &mut BytesMut,
        take: &mut impl FnMut(Incoming) -> Result<(), End>,
    ) -> Result<(), End> {
        let read = match (&self.socket).read(buffer) {
            Ok(0) => return Err(self.ended(1006)),
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(self.lost(&error)),
        };
        if self.inbox.is_empty() {
            let used = self.parse(&buffer[..read], arena, take)?;
            self.inbox.extend_from_slice(&buffer[used..read]);
        } else {
            let mut inbox = std::mem::take(&mut self.inbox);
            inbox.extend_from_slice(&buffer[..read]);
            let used = self.parse(&inbox, arena, take)?;
            inbox.drain(..used);
            self.inbox = inbox;
        }
        Ok(())
    }
    /// Bytes that wait in the kernel's receive buffer, unread.
    pub fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.socket).unwrap_or(0)
    }
    /// Bytes of a frame that were read and whose rest was not.
    pub fn half_read(&self) -> u64 {
        self.inbox.len() as u64
    }

    fn parse(
        &mut self,
        bytes: &[u8],
        arena: &mut BytesMut,
        take: &mut impl FnMut(Incoming) -> Result<(), End>,
    ) -> Result<usize, End> {
        let mut used = 0;
        if self.state == State::Upgrading {
            match ws::read_answer(bytes) {
                Answer::Partial => return Ok(0),
                Answer::Refused(why) => return Err(End::Refused(why)),
                Answer::Open(length) => used = length,
            }
            self.state = State::Open;
            take(Incoming::Opened)?;
        }
        while let Some(header) = Header::read(&bytes[used..]).map_err(End::Broken)? {
            let Some(payload) = bytes[used + header.len..].get(..header.payload) else { break };
            used += header.len + header.payload;
            match header.opcode {
                Opcode::Close => return Err(self.ended(ws::close_code(payload))),
                Opcode::Pong => {}
                Opcode::Binary | Opcode::Ping => {
                    arena.extend_from_slice(payload);
                    let payload = arena.split().freeze();
                    let frame = header.len + header.payload;
                    let incoming = if header.opcode == Opcode::Ping {
                        Incoming::Ping(payload)
                    } else {
                        Incoming::Message(payload, frame)
                    };
                    take(incoming)?;
                }
            }
        }
        Ok(used)
    }
    fn lost(&self, error: &std::io::Error) -> End {
        if self.state == State::Open { End::Closed(1006) } else { End::Refused(error.to_string()) }
    }
    fn ended(&self, code: u16) -> End {
        if self.state == State::Open {
            End::Closed(code)
        } else {
            End::Refused("closed during the handshake".into())
        }
    }
}

impl std::os::fd::AsFd for Conn {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
