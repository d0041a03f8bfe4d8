//! A hand-written WebSocket, so that a test can also send what no library would.

use super::{PATIENCE, http};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
/// First bit of a frame: the message ends with it.
pub const FIN: u8 = 0x80;

const PATH: &str = "/v1/connect";
const OURS: &str = "sec-websocket-protocol: driftless.v1\r\n";

/// An upgraded connection, or what is left of it.
pub struct Socket {
    /// For its options, and to disconnect it.
    tcp: TcpStream,
    /// What is read and written: the same, or TLS over it.
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// Bytes in and out.
pub trait Io: Read + Write + Send {}
impl<T: Read + Write + Send> Io for T {}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// Code 1005: there was none.
    Close {
        code: u16,
        reason: String,
    },
    /// The server has closed the connection.
    End,
}

impl Socket {
    /// An upgraded connection.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        Self::upgrade(stream, OURS).unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    /// An upgraded connection whose kernel buffers few bytes before the test reads them.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr, receive_buffer: usize) -> Self {
        Self::upgrade(narrow(address, receive_buffer), OURS)
            .unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    /// An upgraded connection that sent these bytes before it was upgraded.
    #[track_caller]
    pub fn connect_saying(address: SocketAddr, bytes: &[u8]) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        Self::upgrade_saying(PATH, plain(&stream), stream, OURS, bytes)
            .unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    /// Requests an upgrade with these additional headers (each with its line end).
    pub fn upgrade(stream: TcpStream, headers: &str) -> Result<Self, http::Response> {
        Self::upgrade_at(PATH, stream, headers)
    }

    /// Requests it at this path.
    pub fn upgrade_at(path: &str, stream: TcpStream, headers: &str) -> Result<Self, http::Response> {
        Self::upgrade_saying(path, plain(&stream), stream, headers, &[])
    }

    /// Requests an upgrade over another stream.
    pub fn upgrade_over(tcp: TcpStream, io: Box<dyn Io>) -> Result<Self, http::Response> {
        Self::upgrade_saying(PATH, io, tcp, OURS, &[])
    }

    fn upgrade_saying(
        path: &str,
        io: Box<dyn Io>,
        tcp: TcpStream,
        headers: &str,
        more: &[u8],
    ) -> Result<Self, http::Response> {
        tcp.set_nodelay(true).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        let mut socket = Self { tcp, io, buffer: Vec::new() };
        socket.io.write_all(&[request.as_bytes(), more].concat()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(end) = socket.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(matches!(socket.fill(deadline), Ok(n) if n > 0), "no answer to the upgrade");
        };
        let mut response = http::parse(&socket.buffer[..end]);
        socket.buffer.drain(..end);
        if response.status == 101 {
            assert!(response.head.contains("sec-websocket-protocol: driftless.v1"), "{response:?}");
            assert!(
                response.head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="),
                "RFC 6455, section 1.3: {response:?}"
            );
            return Ok(socket);
        }
        let length = response.head.split("content-length: ").nth(1).and_then(|l| l.lines().next());
        let length: usize = length.map_or(0, |l| l.parse().unwrap());
        while socket.buffer.len() < length && matches!(socket.fill(deadline), Ok(n) if n > 0) {}
        response.body = String::from_utf8_lossy(&socket.buffer).into_owned();
        Err(response)
    }

    /// Sends a message as one binary frame.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.send_frame(FIN | BINARY, message)
    }

    /// Sends a masked frame with this first byte (flags and opcode).
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.send_raw(&frame(first, payload))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes)?;
        self.io.flush()
    }

    /// The next frame.
    #[track_caller]
    pub fn recv(&mut self) -> Frame {
        self.recv_by(Instant::now() + PATIENCE).expect("a frame in time")
    }

    /// The next frame, if it comes in time.
    pub fn recv_by(&mut self, deadline: Instant) -> Option<Frame> {
        loop {
            if let Some((length, frame)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Some(frame);
            }
            match self.fill(deadline) {
                Ok(0) => return Some(Frame::End),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return None;
                }
                Err(_) => return Some(Frame::End),
            }
        }
    }

    /// Reads on until the close frame: its code and reason. None: the connection ended without one.
    #[track_caller]
    pub fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.recv() {
                Frame::Close { code, .. } => return Some(code),
                Frame::End => return None,
                _ => {}
            }
        }
    }

    /// Reads on until the server has closed the connection.
    #[track_caller]
    pub fn wait_end(&mut self) {
        while self.recv() != Frame::End {}
    }

    pub fn stream(&self) -> &TcpStream {
        &self.tcp
    }

    fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        self.tcp.set_read_timeout(Some(left))?;
        let mut chunk = [0; 16 * 1024];
        let read = self.io.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }
}

fn plain(stream: &TcpStream) -> Box<dyn Io> {
    Box::new(stream.try_clone().expect("a second handle"))
}

/// A connection whose kernel takes few bytes before the test reads them.
pub fn narrow(address: SocketAddr, receive_buffer: usize) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(receive_buffer).unwrap(); // before connecting: it bounds the window
    socket.connect(&address.into()).expect("the server listens");
    socket.into()
}

/// A masked frame (RFC 6455, section 5.2).
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut out = header(first, payload.len() as u64);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// The header of a masked frame up to the mask.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut out = vec![first];
    match length {
        0..126 => out.push(0x80 | length as u8),
        126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out
}

/// The first whole frame of a server: how long it is, and what it says.
fn parse(buffer: &[u8]) -> Option<(usize, Frame)> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    assert_eq!(second & 0x80, 0, "a server must not mask");
    assert_eq!(first & 0xF0, FIN, "the server neither fragments nor uses reserved bits");
    let (start, length) = match second {
        126 => (4, u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap()).into()),
        127 => (10, u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap()) as usize),
        short => (2, short.into()),
    };
    let payload = buffer.get(start..start + length)?.to_vec();
    let frame = match first & 0x0F {
        BINARY => Frame::Binary(payload),
        PONG => Frame::Pong(payload),
        CLOSE => match payload.split_first_chunk() {
            Some((code, reason)) => Frame::Close {
                code: u16::from_be_bytes(*code),
                reason: String::from_utf8(reason.to_vec()).expect("a close reason is UTF-8"),
            },
            None => Frame::Close { code: 1005, reason: String::new() },
        },
        opcode => panic!("opcode {opcode} from the server"),
    };
    Some((start + length, frame))
}
