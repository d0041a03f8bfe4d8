//! Which way a message takes where there are two: QUIC and WebTransport.
//!
//! | lane | on the wire | from the client | from the server |
//! | --- | --- | --- | --- |
//! | reliable | the reliable stream, see [`framing`](crate::framing) | Join, Resume, Command, Leave | Welcome, Reliable, Presence, Goodbye |
//! | unreliable | a datagram each; a state that fits none has a stream of its own | Input, Ack, Ping, Pong | State, Ping, Pong |
//!
//! A receiver takes any message from either.

/// How a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Surely, once, and in order with all others of this lane.
    Reliable,
    /// At once or never: a newer one makes it worthless.
    Unreliable,
}

/// Numbers of the fields of `ClientMessage` whose messages may be lost: Input, Ack, Ping, Pong.
const CLIENT_UNRELIABLE: [u8; 4] = [1, 2, 6, 7];

impl Lane {
    /// The lane of an encoded `ClientMessage` of this crate: by the field at its start.
    pub fn of_client_message(message: &[u8]) -> Self {
        match message.first() {
            Some(key) if CLIENT_UNRELIABLE.contains(&(key >> 3)) => Lane::Unreliable,
            _ => Lane::Reliable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, client_message::Body};
    use prost::Message as _;

    #[test]
    fn client_messages_take_their_lanes() {
        for (body, lane) in [
            (Body::Join(wire::Join::default()), Lane::Reliable),
            (Body::Resume(wire::Resume::default()), Lane::Reliable),
            (Body::Command(wire::Command::default()), Lane::Reliable),
            (Body::Leave(wire::Leave {}), Lane::Reliable),
            (Body::Input(wire::Input::default()), Lane::Unreliable),
            (Body::Ack(wire::Ack::default()), Lane::Unreliable),
            (Body::Ping(wire::Ping::default()), Lane::Unreliable),
            (Body::Pong(wire::Pong::default()), Lane::Unreliable),
        ] {
            let message = wire::ClientMessage { body: Some(body) }.encode_to_vec();
            assert_eq!(Lane::of_client_message(&message), lane, "{message:?}");
        }
        assert_eq!(Lane::of_client_message(&[]), Lane::Reliable);
    }
}
