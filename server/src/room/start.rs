//! Starting a game: a fault in that, too, stays within its room.

use bytes::Bytes;
use driftless_proto::{schema::Schema, snapshot::Snapshot};
use driftless_sim::{
    Answer, Away, InView, Order, PlayerId, PlayerInput, Recipient, Setup,
    game::{BadInput, CommandError, Game, GameKind, Taken, panic_message},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

/// A game, and the schema of its snapshots.
pub struct Started {
    /// The game.
    pub game: Box<dyn Game>,
    /// The schema.
    pub schema: Arc<Schema>,
    /// The game has not started, and must not be called.
    pub refused: Option<RefusedOptions>,
}

/// A game refuses the options of its room.
#[derive(Debug, Clone)]
pub struct RefusedOptions {
    /// The options.
    pub options: String,
    /// What is wrong with them, in the game's words.
    pub reason: String,
}

/// A new game. If its start panics, the panic continues in the first call by the room, which ends the room
/// like any other fault of its game.
pub fn start(kind: &GameKind, setup: Setup<String>) -> Started {
    match catch_unwind(AssertUnwindSafe(|| (kind.start(&setup), kind.schema()))) {
        Ok((Ok(game), schema)) => Started { game, schema, refused: None },
        Ok((Err(reason), _)) => {
            let refused = RefusedOptions { options: setup.options, reason };
            Started { refused: Some(refused.clone()), ..not_started(refused.reason) }
        }
        Err(panic) => not_started(panic_message(&*panic).to_owned()),
    }
}

/// A game as another process has saved it.
///
/// # Errors
/// Why it is none of this kind, or not any more.
pub fn restore(kind: &GameKind, state: &[u8]) -> Result<Box<dyn Game>, String> {
    match catch_unwind(AssertUnwindSafe(|| kind.restore(state))) {
        Ok(restored) => restored.map_err(|e| e.to_string()),
        Err(panic) => Err(format!("its game panicked: {}", panic_message(&*panic))),
    }
}

fn not_started(panic: String) -> Started {
    Started { game: Box::new(NotStarted { panic }), schema: Arc::default(), refused: None }
}

/// A placeholder for a game that has not started.
struct NotStarted {
    panic: String,
}

impl NotStarted {
    fn go_on(&self) -> ! {
        resume_unwind(Box::new(self.panic.clone()))
    }
}

impl Game for NotStarted {
    fn inputs_per_tick(&self) -> u32 {
        1
    }
    fn identify(&mut self, _: PlayerId, _: &str) {
        self.go_on()
    }
    fn join(&mut self, _: u32, _: PlayerId, _: &str) {
        self.go_on()
    }
    fn join_npc(&mut self, _: u32, _: PlayerId, _: &str) {
        self.go_on()
    }
    fn leave(&mut self, _: u32, _: PlayerId) {
        self.go_on()
    }
    fn away(&mut self, _: u32, _: PlayerId, _: Away) {
        self.go_on()
    }
    fn back(&mut self, _: u32, _: PlayerId) {
        self.go_on()
    }
    fn take_input(&mut self, _: PlayerInput<&[u8]>) -> Result<Taken, BadInput> {
        self.go_on()
    }
    fn input(&mut self, _: PlayerInput<&[u8]>) -> Result<(), BadInput> {
        self.go_on()
    }
    fn own_command(&self, _: &[u8]) -> Option<Bytes> {
        self.go_on()
    }
    fn command(&mut self, _: u32, _: PlayerId, _: &[u8]) -> Result<(), CommandError> {
        self.go_on()
    }
    fn answer(&mut self, _: u32, _: &Answer) {
        self.go_on()
    }
    fn step(&mut self, _: u32) {
        self.go_on()
    }
    fn take_events(&mut self, _: &mut Vec<(Recipient, Bytes)>) {
        self.go_on()
    }
    fn take_orders(&mut self, _: &mut Vec<Order>) {
        self.go_on()
    }
    fn snapshot(&self, _: u32, _: &mut Snapshot) {
        self.go_on()
    }
    fn view(&self, _: PlayerId, _: &[InView], _: &mut Vec<InView>) {
        self.go_on()
    }
    fn spectate(&self, _: &[InView], _: &mut Vec<InView>) {
        self.go_on()
    }
    fn save(&self) -> Vec<u8> {
        self.go_on()
    }
    fn checksum(&self) -> u32 {
        self.go_on()
    }
}
