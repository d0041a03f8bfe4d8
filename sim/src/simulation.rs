//! The trait that a game implements.

use crate::{PlayerInput, Schema, Setup, Snapshot, Step, Validation, View, job::Answer};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::RangeInclusive;

/// Number of a player in a room, never reused in it.
pub type PlayerId = u32;

/// Ticks per second that a room may have.
pub const TICK_RATES: RangeInclusive<u32> = 1..=128;

/// How a player lost its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It fell silent, most likely because of the network.
    TimedOut,
    /// The client's side closed it: a page was left or reloaded.
    Disconnected,
    /// The server closed it, because one of the two could not keep up with the other.
    Closed,
}

/// A game: its state is a function of its seed, its players' joins and leaves, its inputs and its commands
/// (Promise 1).
///
/// The whole state is what `Serialize` writes: it is used to checkpoint, restore and checksum a room. So keep
/// everything that the rules depend on in it, and use ordered maps (`BTreeMap`, not `HashMap`), integers or
/// fixed point rather than floats, and the `Rng` of this crate, kept in the state.
///
/// Numbers in inputs and commands come from clients: clamp them, never trust them. A panic ends the room.
pub trait Simulation: Serialize + DeserializeOwned + Send + Sized + 'static {
    /// Name of this kind of game, as clients ask for it.
    const KIND: &'static str;
    /// What a player does in a tick.
    type Input: prost::Message + Default;
    /// What a player requests reliably (chat, buy). `()` if there is nothing.
    type Command: prost::Message + Default;
    /// What the game announces reliably. `()` if there is nothing.
    type Event: prost::Message;
    /// What the maker of a room can choose: `()` if there is nothing. Parsed from JSON, with
    /// `#[serde(default)]` for what may be left out. Unknown fields are refused by name, and so is the room
    /// if [`new`](Self::new) finds a value out of range.
    type Options: DeserializeOwned + Default;
    /// How long a seat is kept for a player who lost the connection, milliseconds. None: as long as the
    /// server's configuration says. Choose a short time if an unplayed seat harms the others, a long one if
    /// the game waits for its players.
    const RESUME_WINDOW_MS: Option<u32> = None;
    /// Most inputs of one player that a step gets. With more than one, the game itself has to keep a player
    /// who sends many from moving faster than others.
    const INPUTS_PER_TICK: u32 = 1;
    /// How far back [`Step::past`] reaches at most, milliseconds; seldom more than 500. 0: not at all, at no
    /// cost. Otherwise each tick takes one more snapshot, and a room keeps, and [saves](crate::Game::save),
    /// the states of that time.
    const REWIND_MS: u32 = 0;
    /// How long ago what spectators are shown was, milliseconds, so that nobody plays by what a spectator
    /// sees. 0: as fresh as for players. None, the default: as long as the server's configuration says. A
    /// room's maker may choose another. The room keeps the states of that time.
    const SPECTATE_DELAY_MS: Option<u32> = None;
    /// The text of the `.proto` that inputs, commands and events are of, under the names of their Rust types:
    /// `include_str!("game.proto")`. `driftless types` writes the types of a page from it; nothing else needs
    /// it.
    const PROTO: &'static str = "";

    /// Schema of the snapshots. The same for every room of this kind.
    fn schema() -> Schema;
    /// Starts a new room. An error refuses it, and its text is sent to whoever requested the room.
    fn new(setup: &Setup<Self::Options>) -> Result<Self, String>;
    /// How far back [`Step::past`] reaches in this room, milliseconds, if that is for its options to say. At
    /// most [`REWIND_MS`](Self::REWIND_MS), which is the default. 0: not at all, and no states are kept.
    /// Asked when the room starts and when it is restored.
    fn rewind_ms(&self) -> u32 {
        Self::REWIND_MS
    }
    /// A player takes a seat. Ids ascend over a room's life. Who it is outside the room, if it is no guest,
    /// [`Step::user`] says.
    fn join(&mut self, player: PlayerId, name: &str, step: &mut Step<'_, Self::Event>);
    /// An NPC requested with [`Step::seat_npc`] takes a seat: from now on the game plays it. Its number comes
    /// from the same sequence as those of players. By default it joins like a player.
    fn join_npc(&mut self, player: PlayerId, name: &str, step: &mut Step<'_, Self::Event>) {
        self.join(player, name, step);
    }
    /// A player's seat ends.
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, Self::Event>);
    /// A player lost the connection; `why` says how. The seat is kept for the resume window, and nothing
    /// comes from the player meanwhile: a game may pause, or let a bot play. Then `back` or `leave` follows;
    /// a `leave` may also come without an `away` before it.
    fn away(&mut self, _player: PlayerId, _why: Away, _step: &mut Step<'_, Self::Event>) {}
    /// A player who was away has a connection again.
    fn back(&mut self, _player: PlayerId, _step: &mut Step<'_, Self::Event>) {}
    /// A player sends a command. An error's text is sent to that player; the state must not have changed, and
    /// what the call has sent and requested through `step` is dropped.
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
    /// Says what becomes of an input before the step gets it: by default it is accepted as it is. Asked for
    /// each input, in the order of the step, with the state as it is before the step. It must depend on
    /// nothing but the state and its arguments, and changes nothing. A replay does not ask: what the step got
    /// is recorded.
    ///
    /// For what no client of yours would send: a speed that the rules do not know, an item that the player
    /// does not have. Rules themselves belong into [`step`](Self::step).
    fn validate(&self, _player: PlayerId, _input: &Self::Input) -> Validation<Self::Input> {
        Validation::Accept
    }
    /// One tick, `1/tick_rate` seconds: applies `inputs`, in order of player, and advances the state.
    ///
    /// There is at most one input per player (but see [`INPUTS_PER_TICK`](Self::INPUTS_PER_TICK)), however
    /// many its client sends; if a player has none, nothing arrived in time. Inputs that arrive late and
    /// together are given one per tick; only a few ticks' worth may wait, and the oldest of more are dropped.
    /// So an input should be a state of the player's controls: use a command for what must not get lost.
    fn step(&mut self, inputs: &[PlayerInput<Self::Input>], step: &mut Step<'_, Self::Event>);
    /// Writes what players see into an empty snapshot: what all see into its tables, and what only some see
    /// into [zones](Snapshot::zone).
    fn snapshot(&self, out: &mut Snapshot);
    /// Says which zones of the newest snapshot a player sees, besides zone 0, which all see: by default none.
    /// Asked each tick, for each player, if the snapshot has zones.
    fn view(&self, _player: PlayerId, _view: &mut View<'_>) {}
    /// Says which zones of the newest snapshot spectators see, besides zone 0: by default none. All see the
    /// same. Asked each tick, once, if the snapshot has zones and there may be spectators.
    fn spectate(&self, _view: &mut View<'_>) {}
    /// Writes what [`Step::past`] is to know of this moment into an empty snapshot: by default all that the
    /// snapshot has. A game that judges only by some of it keeps less. Zones are not kept apart.
    fn past(&self, out: &mut Snapshot) {
        self.snapshot(out);
    }
}
