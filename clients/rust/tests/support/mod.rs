//! A WebSocket server for tests. It writes frames by hand, so that it can also break the rules.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses a part

pub mod log;
pub mod pair;
pub mod quic;
pub mod room;

use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Listens on a free port of loopback.
pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    (listener, format!("ws://{address}"))
}

/// The server's end of one connection.
pub struct Peer {
    pub tcp: TcpStream,
    pub request: String,
}

impl Peer {
    /// Accepts a connection and its handshake.
    pub async fn accept(listener: &TcpListener) -> Self {
        let mut peer = Self::accept_request(listener).await;
        peer.answer("Sec-WebSocket-Protocol: driftless.v1\r\n").await;
        peer
    }

    /// Accepts a connection and reads the request, without an answer.
    pub async fn accept_request(listener: &TcpListener) -> Self {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(tcp.read_u8().await.unwrap());
        }
        Self { tcp, request: String::from_utf8(request).unwrap() }
    }

    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.lines().find_map(|l| {
            let (key, value) = l.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Answers the request with 101 and these headers in addition to the required ones.
    pub async fn answer(&mut self, headers: &str) {
        let key = self.header("sec-websocket-key").unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
        );
        self.tcp.write_all(answer.as_bytes()).await.unwrap();
    }

    /// Writes one frame.
    pub async fn frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.tcp.write_all(&frame(fin, opcode, payload)).await.unwrap();
    }

    /// Writes a close frame.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        self.frame(true, CLOSE, &payload).await;
    }

    /// Reads one frame, unmasked; None if the client has gone.
    pub async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        Frames::new(&mut self.tcp).next().await
    }
}

/// Reads a client's frames. Cancel-safe.
pub struct Frames<R> {
    read: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(read: R) -> Self {
        Self { read, buffer: Vec::new() }
    }

    /// The next frame, unmasked; None if the client has gone.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let len = usize::from(self.fill(2).await?[1]);
        assert!(len & 0x80 != 0, "a client must mask (RFC 6455 section 5.3)");
        let (head, len) = match len & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(self.fill(4).await?[2..4].try_into().unwrap()))),
            127 => (10, u64::from_be_bytes(self.fill(10).await?[2..10].try_into().unwrap()) as usize),
            n => (2, n),
        };
        let bytes = self.fill(head + 4 + len).await?;
        let (opcode, mask) = (bytes[0] & 0x0f, bytes[head..head + 4].to_vec());
        let payload =
            bytes[head + 4..head + 4 + len].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
        self.buffer.drain(..head + 4 + len);
        Some((opcode, payload))
    }

    async fn fill(&mut self, len: usize) -> Option<&[u8]> {
        while self.buffer.len() < len {
            // Never more than this frame needs: somebody else may read what follows.
            let mut part = vec![0; len - self.buffer.len()];
            let n = self.read.read(&mut part).await.ok().filter(|n| *n > 0)?;
            self.buffer.extend_from_slice(&part[..n]);
        }
        Some(&self.buffer)
    }
}

/// The bytes of an unmasked frame.
pub fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![(u8::from(fin) << 7) | opcode];
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}
