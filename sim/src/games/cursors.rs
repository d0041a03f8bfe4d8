//! Shared cursors: everybody sees where everybody points. The smallest whole game.

use driftless_sim::{PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a player points, pixels.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Pointer {
    /// To the right.
    #[prost(sint32, tag = "1")]
    pub x: i32,
    /// Down.
    #[prost(sint32, tag = "2")]
    pub y: i32,
}

/// All cursors of a room.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Cursors(BTreeMap<PlayerId, Pointer>);

impl Simulation for Cursors {
    const KIND: &'static str = "cursors";
    type Input = Pointer;
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("cursor", |kind| kind.linear("position", &["x", "y"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
        self.0.insert(player, Pointer::default());
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        self.0.remove(&player);
    }
    fn step(&mut self, inputs: &[PlayerInput<Pointer>], _step: &mut Step<'_, ()>) {
        for PlayerInput { player, input, .. } in inputs {
            self.0.entry(*player).and_modify(|cursor| *cursor = *input);
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        self.0.iter().for_each(|(&player, at)| out.table_mut(0).push(player, &[at.x, at.y]));
    }
}
