//! Which lane a message takes on transports that have two: QUIC and WebTransport.
//!
//! | lane | on the wire | from the client | from the server |
//! | --- | --- | --- | --- |
//! | reliable | the reliable stream, see [`framing`](crate::framing) | Join, Resume, Command, Renew, Leave | Welcome, Reliable, Presence, TokenExpires, Goodbye |
//! | unreliable | one datagram each; a state too large for one has a stream of its own | Input, Ack, Ping, Pong | State, Ping, Pong |
//!
//! A receiver accepts any message on either lane.

/// How a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Exactly once, in order with all others of this lane.
    Reliable,
    /// At once or not at all: a newer message makes it worthless.
    Unreliable,
}

/// Field numbers of the `ClientMessage` bodies that may be lost: Input, Ack, Ping, Pong.
const CLIENT_UNRELIABLE: [u8; 4] = [1, 2, 6, 7];

impl Lane {
    /// The lane of a `ClientMessage` encoded by this crate, judged by its first field.
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
            (Body::Renew(wire::Renew::default()), Lane::Reliable),
            (Body::ReadTopic(wire::ReadTopic::default()), Lane::Reliable),
            (Body::Publish(wire::Publish::default()), Lane::Reliable),
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
