//! Games that misbehave on request.

use driftless_sim::{PlayerId, Schema, Simulation, Snapshot, Step};
use serde::{Deserialize, Serialize};
use std::{thread, time::Duration};

/// What a player of a test game asks for.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Ask {
    /// Panic in the next step.
    #[prost(bool, tag = "1")]
    pub panic: bool,
    /// Block every step from now on for so many milliseconds.
    #[prost(uint32, tag = "2")]
    pub block_ms: u32,
    /// Tell everybody so many times...
    #[prost(uint32, tag = "3")]
    pub tell: u32,
    /// ...so many bytes.
    #[prost(uint32, tag = "4")]
    pub bytes: u32,
}

/// Told to everybody.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Told {
    /// Number in the room, from 1.
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub filler: Vec<u8>,
}

/// A game that does what it is asked. Shows one number: how many steps it has run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Obedient {
    steps: u32,
    told: u32,
    panic: bool,
    block_ms: u32,
}

impl Simulation for Obedient {
    const KIND: &'static str = "obedient";
    type Input = ();
    type Command = Ask;
    type Event = Told;

    fn schema() -> Schema {
        Schema::new().kind("room", |kind| kind.hold("steps", &["steps"], 1))
    }
    fn new(_seed: u64, _tick_rate: u32) -> Self {
        Self::default()
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, Told>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, Told>) {}
    fn command(&mut self, _player: PlayerId, ask: Ask, step: &mut Step<'_, Told>) -> Result<(), String> {
        self.panic |= ask.panic;
        self.block_ms = self.block_ms.max(ask.block_ms);
        for _ in 0..ask.tell {
            self.told += 1;
            step.broadcast(Told { number: self.told, filler: vec![7; ask.bytes as usize] });
        }
        Ok(())
    }
    fn step(&mut self, _inputs: &[(PlayerId, ())], _step: &mut Step<'_, Told>) {
        assert!(!self.panic, "a fault in the game, as asked");
        self.steps += 1;
        thread::sleep(Duration::from_millis(self.block_ms.into()));
    }
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.steps as i32]);
    }
}
