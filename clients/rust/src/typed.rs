//! A game's own messages: from prost types to payloads and back.

use bytes::{Bytes, BytesMut};
use driftless_proto::wire;
use driftless_sim::Simulation;
use prost::{DecodeError, Message};

/// The messages of a game. Every [`Simulation`] has them; a game that is not written in Rust can implement
/// this by hand.
pub trait Messages {
    /// What a player does in a tick.
    type Input: Message + Default;
    /// What a player requests reliably.
    type Command: Message + Default;
    /// What the game announces reliably.
    type Event: Message;
}

impl<S: Simulation> Messages for S {
    type Input = S::Input;
    type Command = S::Command;
    type Event = S::Event;
}

/// Encodes payloads. Keeps its memory: once the last payload has been sent, the next one reuses its space.
#[derive(Debug, Default)]
pub struct Payloads {
    buffer: BytesMut,
}

impl Payloads {
    /// The bytes of a message.
    pub fn encode(&mut self, message: &impl Message) -> Bytes {
        let len = message.encoded_len();
        self.buffer.reserve(len);
        if message.encode(&mut self.buffer).is_err() {
            self.buffer.clear(); // cannot happen: BytesMut grows
        }
        self.buffer.split().freeze()
    }
    /// The bytes of an input of game `G`.
    pub fn input<G: Messages>(&mut self, input: &G::Input) -> Bytes {
        self.encode(input)
    }
    /// The bytes of a command of game `G`.
    pub fn command<G: Messages>(&mut self, command: &G::Command) -> Bytes {
        self.encode(command)
    }
}

/// Decodes the game's message in an event.
///
/// # Errors
/// The payload is not an `E`: this client was built for another game, or another version of it.
pub fn decode_event<E: Message + Default>(event: &wire::Event) -> Result<E, DecodeError> {
    E::decode(event.payload.clone())
}
