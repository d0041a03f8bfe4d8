//! A reader of Server-Sent Events, over a plain socket.

use super::{PATIENCE, http};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// What was sent up to an empty line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    pub id: Option<String>,
    pub name: Option<String>,
    pub data: Option<String>,
    pub retry: Option<u64>,
    /// Who has published it: the id, and the display name.
    pub author: (Option<String>, Option<String>),
    pub comment: bool,
}

/// An open stream of events.
pub struct Sse {
    from: BufReader<TcpStream>,
    head: String,
    chunk: Vec<u8>,
}

impl Sse {
    /// Asks for a stream with these additional headers (each with its line end). An answer that is none is
    /// the error.
    pub fn ask(address: SocketAddr, path: &str, headers: &str) -> Result<Self, http::Response> {
        Self::request(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n"))
    }

    /// Sends this, and asks for a stream.
    #[track_caller]
    pub fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n{headers}\r\n");
        Self::request(address, &(head + body)).unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    fn request(address: SocketAddr, request: &str) -> Result<Self, http::Response> {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut from = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(from.read_line(&mut head).expect("a head") > 0, "{head:?}");
        }
        let head = head.to_lowercase();
        if head.contains("text/event-stream") {
            return Ok(Self { from, head, chunk: Vec::new() });
        }
        let length = http::parse(head.as_bytes()).header("content-length").map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        from.read_exact(&mut body).expect("a body");
        Err(http::parse(&[head.as_bytes(), &body].concat()))
    }

    #[track_caller]
    pub fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        Self::ask(address, path, headers).unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    /// The head of the answer.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The connection.
    pub fn stream(&self) -> &TcpStream {
        self.from.get_ref()
    }

    /// The next event, or comment. None: the stream has ended.
    pub fn next(&mut self) -> Option<SseEvent> {
        let mut event = SseEvent::default();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(event);
            }
            let (field, value) = line.split_once(": ").expect("a field and a value");
            let value = value.to_owned();
            match field {
                "id" => event.id = Some(value),
                "event" => event.name = Some(value),
                "retry" => event.retry = value.parse().ok(),
                "user" => event.author.0 = Some(value),
                "name" => event.author.1 = Some(value),
                "" => event.comment = true,
                "data" => match &mut event.data {
                    Some(data) => *data = format!("{data}\n{value}"),
                    none => *none = Some(value),
                },
                other => panic!("no such field: {other:?}"),
            }
        }
    }

    /// The data of the next event.
    #[track_caller]
    pub fn data(&mut self) -> String {
        self.event().data.expect("an event has data")
    }

    /// The next event that has data.
    #[track_caller]
    pub fn event(&mut self) -> SseEvent {
        loop {
            let event = self.next().expect("the stream goes on");
            if event.data.is_some() {
                return event;
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.chunk.iter().position(|b| *b == b'\n') {
                let line = self.chunk.drain(..=end).collect::<Vec<_>>();
                return Some(String::from_utf8(line[..end].to_vec()).expect("UTF-8"));
            }
            let mut length = String::new();
            if self.from.read_line(&mut length).ok()? == 0 {
                return None;
            }
            let length = usize::from_str_radix(length.trim(), 16).expect("the length of a chunk");
            let mut chunk = vec![0; length + 2];
            self.from.read_exact(&mut chunk).ok()?;
            if length == 0 {
                return None;
            }
            self.chunk.extend_from_slice(&chunk[..length]);
        }
    }
}
