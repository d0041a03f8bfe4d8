//! A simulation behind bytes: what a room holds, whatever the game.

use crate::{PlayerId, Schema, Simulation, Snapshot, simulation::Recipient};
use bytes::Bytes;

/// A kind of game that a server offers. Cheap to clone.
#[derive(Clone)]
pub struct GameKind {
    name: &'static str,
}

impl GameKind {
    /// The kind of a simulation.
    pub fn of<S: Simulation>() -> Self {
        todo!()
    }
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
    /// Shape of its snapshots.
    pub fn schema(&self) -> Schema {
        todo!()
    }
    /// A new room of it.
    pub fn start(&self, _seed: u64, _tick_rate: u32) -> Box<dyn Game> {
        todo!()
    }
    /// A room of it as `Game::save` wrote it.
    pub fn restore(&self, _saved: &[u8]) -> Result<Box<dyn Game>, RestoreError> {
        todo!()
    }
}

/// A running simulation of any kind. Order within a tick: `join`/`leave`/`command`/`input` in the order they are to
/// take effect, then `step`, then `snapshot`.
pub trait Game: Send {
    /// A player takes a seat.
    fn join(&mut self, tick: u32, player: PlayerId, name: &str);
    /// A player's seat ends.
    fn leave(&mut self, tick: u32, player: PlayerId);
    /// Queues an input for the next step. Inputs must come in order of player, then of sequence.
    fn input(&mut self, player: PlayerId, payload: &[u8]) -> Result<(), BadInput>;
    /// A player asks for something.
    fn command(&mut self, tick: u32, player: PlayerId, payload: &[u8]) -> Result<(), CommandError>;
    /// One tick, with the inputs queued since the last.
    fn step(&mut self, tick: u32);
    /// Takes the events since the last call, encoded, into `out`.
    fn take_events(&mut self, out: &mut Vec<(Recipient, Bytes)>);
    /// Writes what players see. `out` is cleared and gets the tick.
    fn snapshot(&self, tick: u32, out: &mut Snapshot);
    /// The whole state.
    fn save(&self) -> Vec<u8>;
    /// CRC-32C of the whole state, without keeping a copy of it.
    fn checksum(&self) -> u32;
}

/// An input that is no message of the game's input type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("input of player {player}: {reason}")]
pub struct BadInput {
    /// Whose.
    pub player: PlayerId,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It is no message of the game's command type: the client's fault.
    #[error("malformed command: {0}")]
    Malformed(String),
    /// The rules say no.
    #[error("{0}")]
    Refused(String),
}

/// Bytes that are no saved state of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no saved state of kind {kind}: {reason}")]
pub struct RestoreError {
    /// The kind that was asked to read it.
    pub kind: &'static str,
    /// What is wrong.
    pub reason: String,
}
