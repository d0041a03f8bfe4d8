//! A client that is sent from node to node, without sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use bytes::BytesMut;
use driftless_client::{
    ClientCore, Disconnect, Error, Options, Phase,
    proto::{code::CloseCode, session::Delivery, wire},
    transport::{Closed, DialError},
};
use prost::Message as _;
use std::time::Instant;

struct Knocking {
    core: ClientCore,
    now: Instant,
}

impl Knocking {
    fn new() -> Self {
        let now = Instant::now();
        Self { core: ClientCore::new(now, &Options::new("ws://balancer", "lobby")), now }
    }

    /// The server that the client has reached sends it to this one.
    fn sent_to(&mut self, url: &str) {
        let moved = wire::Moved { node: "x".into(), url: url.into(), quic: String::new() };
        let code = CloseCode::Moved.number().into();
        let goodbye = wire::Goodbye { code, moved: Some(moved), ..wire::Goodbye::default() };
        let body = Some(wire::server_message::Body::Goodbye(goodbye));
        self.core.handle_message(self.now, wire::ServerMessage { body }.encode_to_vec().into()).unwrap();
        self.core.handle_disconnected(self.now, Disconnect::from(Closed::Lost("closed".into())));
    }

    /// It gets there, and says what it wants.
    fn arrives(&mut self) -> wire::client_message::Body {
        assert!(self.core.handle_connected(self.now, Delivery::Ordered), "{:?}", self.core.phase());
        let mut out = BytesMut::new();
        assert!(self.core.poll_transmit(self.now, &mut out));
        wire::ClientMessage::decode(out.freeze()).unwrap().body.unwrap()
    }

    fn node(&self) -> Option<&str> {
        self.core.node().map(|node| node.url.as_str())
    }
}

#[test]
fn it_asks_the_other_node_for_the_same_at_once() {
    let mut client = Knocking::new();
    client.sent_to("ws://a");
    assert_eq!((client.core.phase(), client.node()), (&Phase::Waiting { until: client.now }, Some("ws://a")));
    assert!(matches!(client.arrives(), wire::client_message::Body::Join(join) if join.room == "lobby"));
    assert!(client.core.poll_event().is_none(), "nobody needs to know");
}

#[test]
fn it_follows_three_times_and_not_in_circles() {
    for (third, fourth) in [("ws://c", "ws://d"), ("ws://a", "")] {
        let mut client = Knocking::new();
        for url in ["ws://a", "ws://b", third] {
            client.sent_to(url);
            if let Phase::Ended(_) = client.core.phase() {
                break;
            }
            client.arrives();
        }
        if !fourth.is_empty() {
            client.sent_to(fourth);
        }
        let Phase::Ended(Error::Ended(error)) = client.core.phase() else {
            panic!("{:?}", client.core.phase())
        };
        assert!(matches!(error, Disconnect::SentInCircles { .. }), "{error}");
        assert_eq!(client.node(), None);
    }
}

#[test]
fn a_node_that_cannot_be_reached_is_left_for_the_address_that_was_given() {
    let mut client = Knocking::new();
    client.sent_to("ws://a");
    let unreachable = DialError::Unreachable { address: "a".into(), reason: "gone".into() };
    client.core.handle_dial_failed(client.now, unreachable);
    assert_eq!(client.node(), None);
}
