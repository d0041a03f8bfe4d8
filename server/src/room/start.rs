//! Starting a game: a fault in that, too, stays within its room.

use super::shell::panic_message;
use bytes::Bytes;
use driftless_proto::{schema::Schema, snapshot::Snapshot};
use driftless_sim::{
    PlayerId,
    game::{BadInput, CommandError, Game, GameKind},
    simulation::Recipient,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

/// A new game and the shape of its snapshots. If its start panics, the panic goes on in the first call of the room, which
/// ends the room as any other fault of its game does.
pub fn start(kind: &GameKind, seed: u64, tick_rate: u32) -> (Box<dyn Game>, Arc<Schema>) {
    let started = catch_unwind(AssertUnwindSafe(|| (kind.start(seed, tick_rate), kind.schema())));
    started.unwrap_or_else(|panic| {
        (Box::new(NotStarted { panic: panic_message(&*panic).to_owned() }), Arc::default())
    })
}

/// In place of a game whose start panicked.
struct NotStarted {
    panic: String,
}

impl NotStarted {
    fn go_on(&self) -> ! {
        resume_unwind(Box::new(self.panic.clone()))
    }
}

impl Game for NotStarted {
    fn join(&mut self, _: u32, _: PlayerId, _: &str) {
        self.go_on()
    }
    fn leave(&mut self, _: u32, _: PlayerId) {
        self.go_on()
    }
    fn away(&mut self, _: u32, _: PlayerId) {
        self.go_on()
    }
    fn back(&mut self, _: u32, _: PlayerId) {
        self.go_on()
    }
    fn input(&mut self, _: PlayerId, _: &[u8]) -> Result<(), BadInput> {
        self.go_on()
    }
    fn command(&mut self, _: u32, _: PlayerId, _: &[u8]) -> Result<(), CommandError> {
        self.go_on()
    }
    fn step(&mut self, _: u32) {
        self.go_on()
    }
    fn take_events(&mut self, _: &mut Vec<(Recipient, Bytes)>) {
        self.go_on()
    }
    fn snapshot(&self, _: u32, _: &mut Snapshot) {
        self.go_on()
    }
    fn save(&self) -> Vec<u8> {
        self.go_on()
    }
    fn checksum(&self) -> u32 {
        self.go_on()
    }
}
