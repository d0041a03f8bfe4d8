//! Traces of how players come in: a collector gets the spans, with the parents that they should have.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{limits::SUBPROTOCOL, wire};
use std::net::{SocketAddr, TcpStream};
use util::{
    Player, Socket, join, process,
    quic::{Kind, Link},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// A player on a WebSocket that is asked for with this query and this header.
fn player(address: SocketAddr, query: &str, header: &str, room: &str) -> Player {
    let headers = format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n{header}");
    let socket =
        Socket::upgrade_at(&format!("/v1/connect{query}"), TcpStream::connect(address).unwrap(), &headers);
    Player::on(socket.unwrap_or_else(|refused| panic!("{refused:?}")), address, join(room))
}

// Whatever exports them.
#[test]
fn the_log_of_a_connection_names_its_trace() {
    let mut server =
        process::Process::of(process::command(&["--listen", "127.0.0.1:0", "--drain-spread", "0s"]));
    let header = format!("traceparent: {}\r\n", traceparent());
    let mut known = player(server.address(), "", &header, "lobby");
    known.welcomed();
    known.leave();
    // A later span of the same trace, by way of the join.
    let link = Link::connect(Kind::Quic, server.address());
    let asked = wire::Join { traceparent: traceparent().replace(TRACE, &"7".repeat(32)), ..join("lobby") };
    let mut by_join = Player::on(link, server.address(), asked);
    by_join.welcomed();
    by_join.lose_connection();
    by_join.reconnect_on(Link::connect(Kind::Quic, server.address()));
    assert!(by_join.welcomed().resumed);
    by_join.leave();
    let mut unknown = player(server.address(), "?traceparent=00-nonsense", "", "lobby");
    unknown.welcomed();
    unknown.leave();
    server.signal(libc::SIGTERM);
    server.wait();
    let log = server.kill();
    let known = [TRACE.to_owned(), "7".repeat(32)].map(|trace| format!("trace=\"{trace}\""));
    assert!(known.iter().all(|trace| log.contains(trace)), "{log}");
    #[cfg(not(feature = "otlp"))]
    for line in log.lines().filter(|line| line.contains("trace=")) {
        assert!(known.iter().any(|trace| line.contains(trace)), "{log}");
    }
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_program_without_the_export_does_not_start_as_if_it_had_it() {
    let refused = process::run(&["serve", "--listen", "127.0.0.1:0", "--otlp", "http://127.0.0.1:4318"]);
    let line = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{line}");
    assert!(line.contains("--features otlp"), "{line}");
}

#[cfg(feature = "otlp")]
mod export {
    use super::*;
    use driftless_proto::code::CloseCode;
    use parking_lot::Mutex;
    use prost::Message;
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::Arc,
        thread,
    };
    use util::until;

    // Of OTLP, what is looked at here.
    #[derive(Clone, PartialEq, Message)]
    struct Export {
        #[prost(message, repeated, tag = "1")]
        of_resources: Vec<OfResource>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct OfResource {
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        of_scopes: Vec<OfScope>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Resource {
        #[prost(message, repeated, tag = "1")]
        attributes: Vec<KeyValue>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct OfScope {
        #[prost(message, repeated, tag = "2")]
        spans: Vec<Span>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Span {
        #[prost(bytes = "vec", tag = "1")]
        trace: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        parent: Vec<u8>,
        #[prost(string, tag = "5")]
        name: String,
        #[prost(message, repeated, tag = "9")]
        attributes: Vec<KeyValue>,
        #[prost(message, optional, tag = "15")]
        status: Option<Status>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Status {
        #[prost(string, tag = "2")]
        message: String,
        #[prost(int32, tag = "3")]
        code: i32,
    }
    #[derive(Clone, PartialEq, Message)]
    struct KeyValue {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(message, optional, tag = "2")]
        value: Option<AnyValue>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct AnyValue {
        #[prost(string, optional, tag = "1")]
        string: Option<String>,
    }

    /// Takes what is exported.
    struct Collector {
        address: SocketAddr,
        got: Arc<Mutex<Vec<OfResource>>>,
    }

    impl Collector {
        fn start() -> Self {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let (address, got) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
            let all = got.clone();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let (mut stream, all) = (stream.unwrap(), all.clone());
                    thread::spawn(move || {
                        while let Some(body) = request(&mut stream) {
                            all.lock().extend(Export::decode(&*body).unwrap().of_resources);
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                        }
                    });
                }
            });
            Self { address, got }
        }

        fn spans(&self) -> Vec<Span> {
            let got = self.got.lock();
            got.iter().flat_map(|of| &of.of_scopes).flat_map(|of| of.spans.clone()).collect()
        }

        fn server(&self, more: &[&str]) -> process::Process {
            let to = format!("http://{}", self.address);
            let args = ["--listen", "127.0.0.1:0", "--drain-spread", "0s", "--otlp", &to];
            let mut command = process::command(&args);
            command.args(more).env("OTEL_BSP_SCHEDULE_DELAY", "50");
            process::Process::of(command)
        }
    }

    /// The body of the next request for traces. None: there is none.
    fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.trim().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        Some(body)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    impl Span {
        fn attribute(&self, key: &str) -> Option<&str> {
            let found = self.attributes.iter().find(|of| of.key == key)?;
            found.value.as_ref()?.string.as_deref()
        }
    }

    /// The spans of one coming, by name, whose parents are as they should be; the parent of the first.
    #[track_caller]
    fn coming(spans: &[Span], transport: &str) -> (Span, Span) {
        let named = |name: &str, parent: Option<&Span>| {
            let is = |span: &&Span| {
                span.name == name
                    && parent.is_none_or(|parent| span.parent == parent.id && span.trace == parent.trace)
            };
            spans.iter().find(is).unwrap_or_else(|| panic!("no {name}: {spans:#?}")).clone()
        };
        let of_transport: Vec<_> =
            spans.iter().filter(|span| span.attribute("transport") == Some(transport)).collect();
        assert_eq!(of_transport.len(), 1, "{spans:#?}");
        let connect = of_transport[0].clone();
        assert_eq!(connect.name, "connect");
        named("authenticate", Some(&connect));
        let join = named("join", Some(&connect));
        assert_eq!(named("room.start", Some(&join)).attribute("kind"), Some("arena"));
        (connect, join)
    }

    #[test]
    fn a_collector_gets_the_spans_of_a_coming_with_their_parents() {
        let collector = Collector::start();
        let mut server = collector.server(&[]);
        let address = server.address();
        let mut in_header = player(address, "", &format!("traceparent: {}\r\n", traceparent()), "a");
        in_header.welcomed();
        let link = Link::connect(Kind::Quic, address);
        let in_join = wire::Join { traceparent: traceparent(), ..join("b") };
        let mut in_join = Player::on(link, address, in_join);
        in_join.welcomed();
        until("all spans are there", || collector.spans().len() == 8);
        in_join.lose_connection();
        in_join.reconnect_on(Link::connect(Kind::Quic, address));
        assert!(in_join.welcomed().resumed);
        until("those of the resume, too", || collector.spans().len() == 11);
        let resume = collector.spans().into_iter().find(|span| span.name == "resume").unwrap();
        assert_eq!((hex(&resume.trace), resume.attribute("room")), (TRACE.into(), Some("b")));
        in_header.leave();
        in_join.leave();
        server.signal(libc::SIGTERM);
        assert!(server.wait().0.success());
        let spans = collector.spans();
        assert_eq!(spans.len(), 11, "no more of them for all the ticks: {spans:#?}");
        let spans = &spans[..8];
        for (transport, room) in [("websocket", "a"), ("quic", "b")] {
            let (connect, join) = coming(spans, transport);
            assert_eq!((hex(&connect.trace), hex(&connect.parent)), (TRACE.into(), PARENT.into()));
            assert_eq!(join.attribute("room"), Some(room));
        }
        let resource = collector.got.lock()[0].resource.clone().unwrap();
        let name = resource.attributes.iter().find(|of| of.key == "service.name").unwrap();
        assert_eq!(name.value.as_ref().unwrap().string.as_deref(), Some("driftless"));
    }

    #[test]
    fn a_trace_begins_here_if_none_is_told_and_says_what_was_in_vain() {
        let collector = Collector::start();
        let server = collector.server(&["--max-rooms", "1"]);
        let mut first = player(server.address(), "?traceparent=00-nonsense", "", "a");
        first.welcomed();
        assert_eq!(player(server.address(), "", "", "b").ended(), CloseCode::ServerFull);
        until("all spans are there", || collector.spans().len() == 7);
        let spans = collector.spans();
        let connects: Vec<_> = spans.iter().filter(|span| span.name == "connect").collect();
        assert!(connects.iter().all(|connect| connect.parent.is_empty() && connect.trace.len() == 16));
        assert_ne!(connects[0].trace, connects[1].trace);
        let failed: Vec<_> =
            spans.iter().filter(|span| span.status.as_ref().is_some_and(|of| of.code == 2)).collect();
        assert_eq!((failed.len(), &*failed[0].name), (1, "join"), "{spans:#?}");
        assert_eq!(failed[0].status.as_ref().unwrap().message, "server_full");
    }

    // Strangers cannot have everything recorded, and what a client does not record is not recorded here.
    #[test]
    fn no_more_is_recorded_than_the_operator_and_the_client_want() {
        let collector = Collector::start();
        let none = collector.server(&["--otlp-percent", "0"]);
        let header = format!("traceparent: {}\r\n", traceparent());
        player(none.address(), "", &header, "a").welcomed();
        player(none.address(), "", "", "b").welcomed();
        let all = collector.server(&[]);
        player(all.address(), "", &header.replace("-01\r", "-00\r"), "c").welcomed();
        player(all.address(), "", &header, "d").welcomed();
        until("the last is there", || collector.spans().len() >= 4);
        let rooms: Vec<_> =
            collector.spans().iter().filter_map(|span| span.attribute("room").map(str::to_owned)).collect();
        assert_eq!(rooms, ["d"]);
    }
}
