//! The trait a game implements.

use crate::{PlayerInput, Schema, Setup, Snapshot, Step, job::Answer};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::RangeInclusive;

/// Number of a player in a room, never used again in it.
pub type PlayerId = u32;

/// Ticks a second that a room may have.
pub const TICK_RATES: RangeInclusive<u32> = 1..=128;

/// How a player lost its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It fell silent: the network, most likely.
    TimedOut,
    /// It was closed by its own side: a page that was left or loaded again.
    Disconnected,
    /// It was closed by the server, which could not keep up with it, or it with the server.
    Closed,
}

/// A game: its state is a function of its seed, its players' comings and goings, its inputs and its commands (Promise 1).
///
/// The whole state is what `Serialize` writes: a room is checkpointed, restored and checksummed by it. So keep
/// everything the rules depend on in it, use ordered maps (`BTreeMap`, not `HashMap`), integers or fixed point rather
/// than floats, and the `Rng` of this crate, kept in the state.
///
/// Numbers in inputs and commands come from clients: clamp them, never trust them. A panic ends the room.
pub trait Simulation: Serialize + DeserializeOwned + Send + Sized + 'static {
    /// Name of this kind of game, as clients ask for it.
    const KIND: &'static str;
    /// What a player does in a tick.
    type Input: prost::Message + Default;
    /// What a player asks reliably (chat, buy). `()` where there is none.
    type Command: prost::Message + Default;
    /// What the game tells reliably. `()` where there is nothing.
    type Event: prost::Message;
    /// What the maker of a room can choose: `()` where there is nothing. Read from JSON, with `#[serde(default)]` for what may be
    /// left out. What is no field of it is refused by name, and so is the room if [`new`](Self::new) finds a value out of range.
    type Options: DeserializeOwned + Default;
    /// How long a seat is kept for a player who lost its connection, milliseconds. None: as long as the server keeps
    /// seats. Short where a seat that nobody plays hurts the others, long where a game waits for its players.
    const RESUME_WINDOW_MS: Option<u32> = None;
    /// Most inputs that a step gets of one player. With more than one, it is the game that has to keep a player who sends many from
    /// moving faster than others.
    const INPUTS_PER_TICK: u32 = 1;
    /// The text of the `.proto` that inputs, commands and events are of, under the names of their Rust types:
    /// `include_str!("game.proto")`. `driftless types` writes the types of a page from it; nothing else needs it.
    const PROTO: &'static str = "";

    /// Shape of the snapshots. The same for every room of this kind.
    fn schema() -> Schema;
    /// A new room. An error refuses it: who asked for it is told the text.
    fn new(setup: &Setup<Self::Options>) -> Result<Self, String>;
    /// A player takes a seat. Ids ascend over a room's life.
    fn join(&mut self, player: PlayerId, name: &str, step: &mut Step<'_, Self::Event>);
    /// An NPC for whom [`Step::seat_npc`] asked takes a seat: from now on the game plays it. Its number is of the same row
    /// as those of the others. As far as the game does not say otherwise, it joins like everybody.
    fn join_npc(&mut self, player: PlayerId, name: &str, step: &mut Step<'_, Self::Event>) {
        self.join(player, name, step);
    }
    /// A player's seat ends.
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, Self::Event>);
    /// A player lost its connection, and how. Its seat is kept for the resume window, and nothing comes from it meanwhile: a game
    /// may pause, or let a bot play. Then follows `back` or `leave`; a `leave` may also come without `away` before it.
    fn away(&mut self, _player: PlayerId, _why: Away, _step: &mut Step<'_, Self::Event>) {}
    /// A player who was away has a connection again.
    fn back(&mut self, _player: PlayerId, _step: &mut Step<'_, Self::Event>) {}
    /// A player asks for something. An error's text is sent to that player; the state must not have changed.
    fn command(
        &mut self,
        _player: PlayerId,
        _command: Self::Command,
        _step: &mut Step<'_, Self::Event>,
    ) -> Result<(), String> {
        Err("this game takes no commands".into())
    }
    /// What came of a job that was [asked](Step::ask) for. Which it was, `answer.id` and [`Answer::of`] say.
    fn answer(&mut self, _answer: &Answer, _step: &mut Step<'_, Self::Event>) {}
    /// One tick, `1/tick_rate` seconds: applies `inputs`, in order of player, and moves on.
    ///
    /// A player has at most one (but see [`INPUTS_PER_TICK`](Self::INPUTS_PER_TICK)), however many its client sends; one who has
    /// none has sent nothing in time. Inputs that come late and together are given one a tick; only a few ticks' may wait, and the
    /// oldest of more are dropped. So an input is a state of the player's controls: what must not get lost is a command.
    fn step(&mut self, inputs: &[PlayerInput<Self::Input>], step: &mut Step<'_, Self::Event>);
    /// Writes what players see into an empty snapshot.
    fn snapshot(&self, out: &mut Snapshot);
}
