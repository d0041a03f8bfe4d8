//! A reader of Server-Sent Events.

use super::{PATIENCE, TestServer, http};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Instant,
};

/// An open stream of events.
pub struct Events {
    body: BufReader<TcpStream>,
    text: String,
    pub head: String,
}

/// One event.
#[derive(Debug)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl Events {
    /// Reads `/v1/stream` as an operator, with these additional headers (each with its line end).
    #[track_caller]
    pub fn open(server: &TestServer, headers: &str) -> Result<Self, http::Response> {
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        Self::on(stream, &(server.authorization() + headers))
    }

    #[track_caller]
    pub fn on(mut stream: TcpStream, headers: &str) -> Result<Self, http::Response> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = stream.peer_addr().unwrap();
        let request = format!("GET /v1/stream HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut body = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(body.read_line(&mut head).expect("an answer") > 0, "no answer: {head:?}");
        }
        if !head.starts_with("HTTP/1.1 200") {
            let length = head.to_lowercase().split("content-length: ").nth(1).map(str::to_owned);
            let length = length.and_then(|l| l.lines().next().and_then(|l| l.parse().ok())).unwrap_or(0);
            let mut rest = vec![0; length];
            body.read_exact(&mut rest).expect("the whole answer");
            return Err(http::parse(&[head.as_bytes(), &rest].concat()));
        }
        Ok(Self { body, text: String::new(), head: head.to_lowercase() })
    }

    /// The next event, skipping comments.
    #[track_caller]
    pub fn next(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no event");
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(str::to_owned);
                if let Some(name) = field("event: ") {
                    let data = serde_json::from_str(&field("data: ").expect("data")).expect("JSON");
                    return Event { id: field("id: ").unwrap_or_default(), name, data };
                }
            } else {
                self.chunk();
            }
        }
    }

    /// The next event of this name.
    #[track_caller]
    pub fn wait(&mut self, name: &str) -> Event {
        self.find(name, |_| true)
    }

    /// The next event of this name for which `so` holds.
    #[track_caller]
    pub fn find(&mut self, name: &str, mut so: impl FnMut(&Value) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no such event: {name}");
            let event = self.next();
            if event.name == name && so(&event.data) {
                return event;
            }
        }
    }

    fn chunk(&mut self) {
        let mut size = String::new();
        self.body.read_line(&mut size).expect("a chunk");
        let size = usize::from_str_radix(size.trim(), 16).expect("its size");
        assert!(size > 0, "the stream ended");
        let mut bytes = vec![0; size + 2];
        self.body.read_exact(&mut bytes).expect("the whole chunk");
        self.text.push_str(std::str::from_utf8(&bytes[..size]).expect("UTF-8"));
    }
}
