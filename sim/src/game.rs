//! A simulation behind bytes: what a room holds, whatever the game.
//!
//! [`GameKind::of`] turns a [`Simulation`] type into a value that a server can list and start. A [`Game`] is one
//! running room of it: inputs and commands come as the bytes of the game's own messages, events leave as such.
//!
//! The `tick` of `command` and `answer` is that of the step that follows. `join`, `join_npc`, `leave`, `away` and `back` come between steps, when it
//! is not known yet whether the room will skip ticks: theirs is the last step's tick plus 1 (before the first step, 1). A replay
//! counts in the same way.

use crate::{
    Away, Order, Output, PlayerId, PlayerInput, Recipient, Schema, Setup, Simulation, Snapshot, Step,
    checksum::checksum, job::Answer,
};
use bytes::{Bytes, BytesMut};
use prost::{DecodeError, Message};
use std::sync::{Arc, OnceLock};

/// A kind of game that a server offers. Cheap to clone.
///
/// ```
/// use driftless_sim::{GameKind, Setup, games::cursors::Cursors};
/// let kind = GameKind::of::<Cursors>();
/// let mut room = kind.start(&Setup::new(7, 20))?;
/// room.join(1, 1, "Ada");
/// room.step(1);
/// let saved = room.save();
/// assert_eq!(kind.restore(&saved)?.checksum(), room.checksum());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct GameKind {
    name: &'static str,
    resume_window_ms: Option<u32>,
    schema: fn() -> Schema,
    /// What it gave: one for all rooms.
    made: Arc<OnceLock<Arc<Schema>>>,
    start: Start,
    restore: Restore,
    reencode_input: Reencode,
    reencode_command: Reencode,
    messages: Messages,
}

/// The messages of a kind: the names that they have in its `.proto`. None: it has no such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Messages {
    /// [`Simulation::PROTO`].
    pub proto: &'static str,
    /// Of its inputs.
    pub input: Option<&'static str>,
    /// Of its commands.
    pub command: Option<&'static str>,
    /// Of its events.
    pub event: Option<&'static str>,
}

type Reencode = fn(&[u8]) -> Option<Vec<u8>>;
type Start = fn(&Setup<String>) -> Result<Box<dyn Game>, String>;
type Restore = fn(&[u8]) -> Result<Box<dyn Game>, RestoreError>;

impl GameKind {
    /// The kind of a simulation.
    pub fn of<S: Simulation>() -> Self {
        Self {
            name: S::KIND,
            resume_window_ms: S::RESUME_WINDOW_MS,
            schema: S::schema,
            made: Arc::default(),
            start: start::<S>,
            restore: restore::<S>,
            reencode_input: reencode::<S::Input>,
            reencode_command: reencode::<S::Command>,
            messages: Messages {
                proto: S::PROTO,
                input: message_name::<S::Input>(),
                command: message_name::<S::Command>(),
                event: message_name::<S::Event>(),
            },
        }
    }

    /// What its messages are.
    pub fn messages(&self) -> Messages {
        self.messages
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How long it wants seats kept for players who lost their connection, milliseconds. None: as the server does.
    pub fn resume_window_ms(&self) -> Option<u32> {
        self.resume_window_ms
    }

    /// Shape of its snapshots.
    pub fn schema(&self) -> Arc<Schema> {
        self.made.get_or_init(|| Arc::new((self.schema)())).clone()
    }

    /// A new room of it.
    ///
    /// # Errors
    /// In the game's words, what is wrong with the options.
    pub fn start(&self, setup: &Setup<String>) -> Result<Box<dyn Game>, String> {
        (self.start)(setup)
    }

    /// A room of it as `Game::save` wrote it.
    pub fn restore(&self, saved: &[u8]) -> Result<Box<dyn Game>, RestoreError> {
        (self.restore)(saved)
    }

    /// An input as the kind's own type writes it. None: it is no input of this kind.
    pub fn reencode_input(&self, payload: &[u8]) -> Option<Vec<u8>> {
        (self.reencode_input)(payload)
    }

    /// A command as the kind's own type writes it. None: it is no command of this kind.
    pub fn reencode_command(&self, payload: &[u8]) -> Option<Vec<u8>> {
        (self.reencode_command)(payload)
    }
}

/// A running simulation of any kind. Order within a tick: `join`, `join_npc`, `leave`, `away`, `back`, `command` and `input` in the order
/// they are to take effect, then `step`, then `snapshot`.
pub trait Game: Send {
    /// Most inputs that a step is to get of one player.
    fn inputs_per_tick(&self) -> u32;
    /// A player takes a seat.
    fn join(&mut self, tick: u32, player: PlayerId, name: &str);
    /// An NPC takes a seat that the game has asked for.
    fn join_npc(&mut self, tick: u32, player: PlayerId, name: &str);
    /// A player's seat ends. Inputs that it has queued are dropped.
    fn leave(&mut self, tick: u32, player: PlayerId);
    /// A player lost its connection and keeps its seat.
    fn away(&mut self, tick: u32, player: PlayerId, why: Away);
    /// A player who was away has a connection again.
    fn back(&mut self, tick: u32, player: PlayerId);
    /// Queues an input for the next step. Inputs must come in order of player, then of number, and no more of a player than
    /// `inputs_per_tick`.
    fn input(&mut self, input: PlayerInput<&[u8]>) -> Result<(), BadInput>;
    /// A player asks for something.
    fn command(&mut self, tick: u32, player: PlayerId, payload: &[u8]) -> Result<(), CommandError>;
    /// What came of a job that it has asked for.
    fn answer(&mut self, tick: u32, answer: &Answer);
    /// One tick, with the inputs queued since the last.
    fn step(&mut self, tick: u32);
    /// Takes the events since the last call, encoded, and appends them to `out`.
    fn take_events(&mut self, out: &mut Vec<(Recipient, Bytes)>);
    /// Takes what the game has asked of its room since the last call, and appends it to `out`.
    fn take_orders(&mut self, out: &mut Vec<Order>);
    /// Writes what players see. `out` is cleared and gets the tick.
    fn snapshot(&self, tick: u32, out: &mut Snapshot);
    /// The whole state as `GameKind::restore` reads it: postcard, then its CRC-32C (little-endian), which is
    /// `checksum`. Inputs that wait for a step and events not taken are not part of it: save after a step.
    fn save(&self) -> Vec<u8>;
    /// CRC-32C of the whole state as postcard writes it, without making a copy of it.
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

/// A simulation with what waits to go in and out of it. Queues keep their memory.
struct Running<S: Simulation> {
    simulation: S,
    inputs: Vec<PlayerInput<S::Input>>,
    output: Output<S::Event>,
    encoded: BytesMut,
}

impl<S: Simulation> Running<S> {
    fn new(simulation: S) -> Self {
        Self { simulation, inputs: Vec::new(), output: Output::new(), encoded: BytesMut::new() }
    }
}

impl<S: Simulation> Game for Running<S> {
    fn inputs_per_tick(&self) -> u32 {
        S::INPUTS_PER_TICK
    }

    fn join(&mut self, tick: u32, player: PlayerId, name: &str) {
        self.simulation.join(player, name, &mut Step::new(tick, &mut self.output));
    }

    fn join_npc(&mut self, tick: u32, player: PlayerId, name: &str) {
        self.simulation.join_npc(player, name, &mut Step::new(tick, &mut self.output));
    }

    fn leave(&mut self, tick: u32, player: PlayerId) {
        self.inputs.retain(|input| input.player != player);
        self.simulation.leave(player, &mut Step::new(tick, &mut self.output));
    }

    fn away(&mut self, tick: u32, player: PlayerId, why: Away) {
        self.simulation.away(player, why, &mut Step::new(tick, &mut self.output));
    }

    fn back(&mut self, tick: u32, player: PlayerId) {
        self.simulation.back(player, &mut Step::new(tick, &mut self.output));
    }

    fn input(&mut self, input: PlayerInput<&[u8]>) -> Result<(), BadInput> {
        let player = input.player;
        let bad = |error: DecodeError| BadInput { player, reason: error.to_string() };
        let decoded = S::Input::decode(input.input).map_err(bad)?;
        debug_assert!(
            self.inputs.last().is_none_or(|before| before.player <= player),
            "inputs must come in order of player"
        );
        if self.inputs.len() == self.inputs.capacity() {
            self.inputs.reserve_exact(self.inputs.len() / 2 + 1); // most rooms are small
        }
        self.inputs.push(input.with(decoded));
        Ok(())
    }

    fn command(&mut self, tick: u32, player: PlayerId, payload: &[u8]) -> Result<(), CommandError> {
        let command = S::Command::decode(payload).map_err(|e| CommandError::Malformed(e.to_string()))?;
        let mut step = Step::new(tick, &mut self.output);
        self.simulation.command(player, command, &mut step).map_err(CommandError::Refused)
    }

    fn answer(&mut self, tick: u32, answer: &Answer) {
        self.simulation.answer(answer, &mut Step::new(tick, &mut self.output));
    }

    fn step(&mut self, tick: u32) {
        self.simulation.step(&self.inputs, &mut Step::new(tick, &mut self.output));
        self.inputs.clear();
    }

    fn take_events(&mut self, out: &mut Vec<(Recipient, Bytes)>) {
        for (recipient, event) in self.output.events.drain(..) {
            self.encoded.reserve(event.encoded_len());
            // Encoding fails only for want of room, which `BytesMut` makes.
            let _ = event.encode(&mut self.encoded);
            out.push((recipient, self.encoded.split().freeze()));
        }
    }

    fn take_orders(&mut self, out: &mut Vec<Order>) {
        self.output.take_orders(out);
    }

    fn snapshot(&self, tick: u32, out: &mut Snapshot) {
        out.clear(tick);
        self.simulation.snapshot(out);
    }

    fn save(&self) -> Vec<u8> {
        match postcard::to_stdvec(&self.simulation) {
            Ok(mut bytes) => {
                let crc = crc32c::crc32c(&bytes);
                bytes.extend(crc.to_le_bytes());
                bytes
            }
            Err(error) => panic!("the state of {} must be serialisable: {error}", S::KIND),
        }
    }

    fn checksum(&self) -> u32 {
        checksum(&self.simulation)
    }
}

/// The last part of a type's path; `()` is no message.
fn message_name<M>() -> Option<&'static str> {
    let path = std::any::type_name::<M>();
    (path != "()").then(|| path.rsplit("::").next().unwrap_or(path))
}

fn reencode<M: Message + Default>(payload: &[u8]) -> Option<Vec<u8>> {
    M::decode(payload).ok().map(|message| message.encode_to_vec())
}

fn start<S: Simulation>(setup: &Setup<String>) -> Result<Box<dyn Game>, String> {
    let simulation = S::new(&setup.read()?)?;
    Ok(Box::new(Running::new(simulation)))
}

fn restore<S: Simulation>(saved: &[u8]) -> Result<Box<dyn Game>, RestoreError> {
    let refuse = |reason: &str| RestoreError { kind: S::KIND, reason: reason.to_owned() };
    let (state, crc) = saved.split_last_chunk::<4>().ok_or_else(|| refuse("it ends too early"))?;
    if crc32c::crc32c(state) != u32::from_le_bytes(*crc) {
        return Err(refuse("its CRC does not match: it is damaged"));
    }
    match postcard::take_from_bytes::<S>(state) {
        Ok((simulation, [])) => Ok(Box::new(Running::new(simulation))),
        Ok((_, rest)) => Err(refuse(&format!("{} bytes too many", rest.len()))),
        Err(error) => Err(refuse(&error.to_string())),
    }
}
