//! Any bytes as a whole message of either side are refused or read, and a head that was read is written back
//! unchanged.
#![no_main]

use bytes::Bytes;
use driftless_proto::{
    schema::Schema,
    state::StateHead,
    wire::{ClientMessage, ServerMessage, server_message::Body},
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|data: &[u8]| {
    let message = Bytes::copy_from_slice(data);
    if let Ok(Some((head, shared))) = StateHead::split(&message) {
        let mut joined = Vec::new();
        head.write(shared.len(), &mut joined);
        joined.extend_from_slice(&shared);
        assert_eq!(joined.len(), head.message_len(shared.len()));
        assert_eq!(StateHead::split(&joined.into()), Ok(Some((head, shared))));
    }
    let _ = ClientMessage::decode(message.clone());
    if let Ok(ServerMessage { body: Some(Body::Welcome(welcome)) }) = ServerMessage::decode(message.clone())
        && let Some(wire) = welcome.schema
        && let Ok(schema) = Schema::from_wire(&wire)
    {
        assert_eq!(Schema::from_wire(&schema.to_wire()), Ok(schema));
    }
    if let Ok(wire) = driftless_proto::wire::Schema::decode(message) {
        let _ = Schema::from_wire(&wire);
    }
});
