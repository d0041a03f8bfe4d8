//! What the clients of games are told of topics, on the wire.

use bytes::Bytes;
use driftless_proto::wire::{ServerMessage, TopicMessage, server_message::Body};
use prost::Message as _;

/// A message of this topic, which says nothing yet.
pub(super) fn topic(name: &str) -> TopicMessage {
    TopicMessage { topic: name.to_owned(), ..TopicMessage::default() }
}

pub(super) fn encode(message: TopicMessage) -> Bytes {
    ServerMessage { body: Some(Body::Topic(message)) }.encode_to_vec().into()
}
