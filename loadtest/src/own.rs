//! A game's own bots.

use crate::behaviour::encode;
use bytes::{Bytes, BytesMut};
use driftless_client::ClientCore;
use driftless_links::Player;
use driftless_sim::{Bot, Rng, Seen};

/// One bot of a game with its own [`Bot`].
pub struct Own<G: Bot> {
    memory: G::Memory,
    rng: Rng,
}

impl<G: Bot> Own<G> {
    /// Bot number `index`. Shown the same states, it plays the same in every run.
    pub fn new(index: usize) -> Self {
        Self { memory: G::Memory::default(), rng: Rng::new(index as u64) }
    }
}

impl<G: Bot> Player for Own<G> {
    fn welcomed(&mut self, client: &ClientCore) -> Result<(), String> {
        match client.schema() {
            Some(schema) if *schema != G::schema() => Err(format!(
                "the server's {} has different kinds or fields from the one these bots were built with",
                G::KIND
            )),
            _ => Ok(()),
        }
    }
    fn act(&mut self, client: &ClientCore, memory: &mut BytesMut) -> Bytes {
        // Before the first state there is nothing to go by.
        let (Some(state), Some(welcome)) = (client.snapshot(), client.welcome()) else { return Bytes::new() };
        let seen = Seen { state, player: welcome.player, tick_rate: welcome.tick_rate };
        encode(&G::act(&mut self.memory, &seen, &mut self.rng), memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_client::Options;
    use driftless_proto::{
        session::Delivery,
        wire::{ServerMessage, Welcome, server_message::Body},
    };
    use driftless_sim::{Schema, Simulation, games::cursors::Cursors};
    use prost::Message;
    use std::time::Instant;

    fn welcomed(schema: &Schema) -> ClientCore {
        let now = Instant::now();
        let mut client = ClientCore::over(now, &Options::new("ws://test", "room"), Delivery::Ordered);
        assert!(client.poll_transmit(now, &mut BytesMut::new()), "the join");
        let welcome = Welcome {
            protocol: 1,
            player: 1,
            resume_token: vec![1; 16].into(),
            tick_rate: 20,
            schema: Some(schema.to_wire()),
            timeout_ms: 10_000,
            ..Welcome::default()
        };
        let message = ServerMessage { body: Some(Body::Welcome(welcome)) };
        client.handle_message(now, message.encode_to_vec().into()).unwrap();
        client
    }

    #[test]
    fn a_server_with_other_kinds_is_not_played_on() {
        let mut bot = Own::<Cursors>::new(0);
        assert_eq!(bot.welcomed(&welcomed(&Cursors::schema())), Ok(()));
        let other = Schema::new().kind("cursor", |kind| kind.hold("position", &["x", "y"], 1));
        let error = bot.welcomed(&welcomed(&other)).unwrap_err();
        assert_eq!(
            error,
            "the server's cursors has different kinds or fields from the one these bots were built with"
        );
    }

    #[test]
    fn before_the_first_state_the_input_is_empty() {
        let mut bot = Own::<Cursors>::new(0);
        assert!(bot.act(&welcomed(&Cursors::schema()), &mut BytesMut::new()).is_empty());
    }
}
