//! A simulation behind a byte interface: what a room holds, whatever the game.
//!
//! [`GameKind::of`] turns a [`Simulation`] type into a value that a server can list and start. A [`Game`] is
//! one running room of it: inputs and commands arrive as the bytes of the game's own messages, and events
//! leave as such.
//!
//! The `tick` of `command` is that of the step that follows. `join`, `join_npc`, `leave`, `away` and `back`
//! happen between steps, when it is not known yet whether the room will skip ticks: their tick is the last
//! step's plus 1 (before the first step, 1). A replay numbers them in the same way.

use crate::{
    Away, InView, Order, Output, PlayerId, PlayerInput, Recipient, Schema, Setup, Simulation, Snapshot, Step,
    Validation, View,
    checksum::checksum,
    job::Answer,
    past::History,
    step::{MAX_REASON, bounded},
    users::Users,
};
use bytes::{Bytes, BytesMut};
use prost::{DecodeError, Message};
use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

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
    spectate_delay_ms: Option<u32>,
    schema: fn() -> Schema,
    /// The schema, one for all rooms.
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
            spectate_delay_ms: S::SPECTATE_DELAY_MS,
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

    /// How long seats are kept for players who lost their connection, milliseconds. None: as long as the
    /// server's configuration says.
    pub fn resume_window_ms(&self) -> Option<u32> {
        self.resume_window_ms
    }

    /// How long ago what spectators are shown was, milliseconds. None: as long as the server's configuration
    /// says.
    pub fn spectate_delay_ms(&self) -> Option<u32> {
        self.spectate_delay_ms
    }

    /// Schema of its snapshots.
    pub fn schema(&self) -> Arc<Schema> {
        self.made.get_or_init(|| Arc::new((self.schema)())).clone()
    }

    /// Starts a new room of this kind.
    ///
    /// # Errors
    /// What is wrong with the options, in the game's words.
    pub fn start(&self, setup: &Setup<String>) -> Result<Box<dyn Game>, String> {
        (self.start)(setup)
    }

    /// The simulation in a room that `Game::save` wrote.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn simulation<S: Simulation>(saved: &[u8]) -> Result<S, RestoreError> {
        read(saved).map(|(_, _, simulation)| simulation)
    }

    /// Restores a room that `Game::save` wrote.
    pub fn restore(&self, saved: &[u8]) -> Result<Box<dyn Game>, RestoreError> {
        (self.restore)(saved)
    }

    /// Re-encodes an input with the kind's own type. None: it is not an input of this kind.
    pub fn reencode_input(&self, payload: &[u8]) -> Option<Vec<u8>> {
        (self.reencode_input)(payload)
    }

    /// Re-encodes a command with the kind's own type. None: it is not a command of this kind.
    pub fn reencode_command(&self, payload: &[u8]) -> Option<Vec<u8>> {
        (self.reencode_command)(payload)
    }
}

/// A running simulation of any kind. Order within a tick: `join`, `join_npc`, `leave`, `away`, `back`,
/// `command` and `input` in the order in which they take effect, then `step`, then `snapshot`.
pub trait Game: Send {
    /// Most inputs of one player that a step gets.
    fn inputs_per_tick(&self) -> u32;
    /// The player who joins next is this user. Not called for guests and NPCs.
    fn identify(&mut self, player: PlayerId, user: &str);
    /// A player takes a seat.
    fn join(&mut self, tick: u32, player: PlayerId, name: &str);
    /// An NPC that the game has asked for takes a seat.
    fn join_npc(&mut self, tick: u32, player: PlayerId, name: &str);
    /// A player's seat ends. Its queued inputs are dropped.
    fn leave(&mut self, tick: u32, player: PlayerId);
    /// A player lost its connection and keeps its seat.
    fn away(&mut self, tick: u32, player: PlayerId, why: Away);
    /// A player who was away has a connection again.
    fn back(&mut self, tick: u32, player: PlayerId);
    /// Queues an input for the next step, if the game validates it. Inputs must come in order of player, then
    /// of number, with at most `inputs_per_tick` per player.
    fn take_input(&mut self, input: PlayerInput<&[u8]>) -> Result<Taken, BadInput>;
    /// Queues an input that was validated before, as `take_input` does: for replays.
    fn input(&mut self, input: PlayerInput<&[u8]>) -> Result<(), BadInput>;
    /// A command without what the game does not know, for a record, which nobody may fill with that. None: it
    /// has nothing of that, or is none.
    fn own_command(&self, payload: &[u8]) -> Option<Bytes>;
    /// A player sends a command. If it is refused, what the game has sent and requested meanwhile is dropped.
    fn command(&mut self, tick: u32, player: PlayerId, payload: &[u8]) -> Result<(), CommandError>;
    /// What came of a job that it has asked for.
    fn answer(&mut self, tick: u32, answer: &Answer);
    /// One tick, with the inputs queued since the last one.
    fn step(&mut self, tick: u32);
    /// Takes the events since the last call, encoded, and appends them to `out`.
    fn take_events(&mut self, out: &mut Vec<(Recipient, Bytes)>);
    /// Takes what the game has asked of its room since the last call, and appends it to `out`.
    fn take_orders(&mut self, out: &mut Vec<Order>);
    /// Writes what players see to `out`, which is cleared and gets the tick.
    fn snapshot(&self, tick: u32, out: &mut Snapshot);
    /// Writes to `out` which zones a player sees besides zone 0, in ascending order, at most
    /// [`MAX_ZONES_IN_VIEW`](driftless_proto::limits::MAX_ZONES_IN_VIEW). `had` is what this wrote for the
    /// player the tick before (nothing, the first time). Those that the snapshot does not have are empty.
    fn view(&self, player: PlayerId, had: &[InView], out: &mut Vec<InView>);
    /// The same for spectators.
    fn spectate(&self, had: &[InView], out: &mut Vec<InView>);
    /// The whole state, for `GameKind::restore`: postcard, then its CRC-32C (little-endian), which is
    /// `checksum`. Inputs that wait for a step and events not taken yet are not part of it: save after a
    /// step. Before it come the past states of a game that rewinds, and which players are known users, each
    /// with a CRC of its own; they follow from what happened, and are not in the checksum.
    fn save(&self) -> Vec<u8>;
    /// CRC-32C of the whole state in postcard's format, without making a copy of it.
    fn checksum(&self) -> u32;
}

/// What became of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The step gets it as it was sent.
    AsSent,
    /// The step gets this one instead: the game's message, or the client's without what the game does not
    /// know.
    Other(Bytes),
    /// The step does not get it.
    Rejected,
    /// The step does not get it, and the game reports the player, for this reason.
    Reported(String),
}

/// An input that cannot be decoded as the game's input type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("input of player {player}: {reason}")]
pub struct BadInput {
    /// The player.
    pub player: PlayerId,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It cannot be decoded as the game's command type: the client's fault.
    #[error("malformed command: {0}")]
    Malformed(String),
    /// The rules refuse it.
    #[error("{0}")]
    Refused(String),
}

/// Bytes that are not a saved state of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a saved state of kind {kind}: {reason}")]
pub struct RestoreError {
    /// The kind that tried to restore it.
    pub kind: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// A simulation with its queued inputs and outputs. The queues keep their memory.
struct Running<S: Simulation> {
    simulation: S,
    inputs: Vec<PlayerInput<S::Input>>,
    room: Surroundings<S::Event>,
    encoded: BytesMut,
}

/// What a game has around it during a call.
struct Surroundings<E> {
    output: Output<E>,
    /// Only for games that rewind.
    history: Option<History>,
    users: Users,
}

impl<E> Surroundings<E> {
    fn step(&mut self, tick: u32) -> Step<'_, E> {
        Step::of(tick, &mut self.output, self.history.as_ref(), &self.users)
    }
}

impl<S: Simulation> Running<S> {
    fn new(simulation: S, history: Option<History>, users: Users) -> Self {
        let room = Surroundings { output: Output::new(), history, users };
        Self { simulation, inputs: Vec::new(), room, encoded: BytesMut::new() }
    }

    /// Queues another input than was sent.
    fn queue_other(&mut self, sent: PlayerInput<&[u8]>, other: Bytes) -> Result<Taken, BadInput> {
        // Decoded again: the step gets exactly what it will get in a replay.
        self.queue(decode(sent.with(&other[..]))?);
        Ok(Taken::Other(other))
    }

    fn queue(&mut self, input: PlayerInput<S::Input>) {
        debug_assert!(
            self.inputs.last().is_none_or(|before| before.player <= input.player),
            "inputs must come in order of player"
        );
        if self.inputs.len() == self.inputs.capacity() {
            self.inputs.reserve_exact(self.inputs.len() / 2 + 1); // most rooms are small
        }
        self.inputs.push(input);
    }
}

/// A message in its own form, if it was sent with something that it has no fields for.
fn own(message: &impl Message, sent: &[u8]) -> Option<Bytes> {
    (message.encoded_len() < sent.len()).then(|| message.encode_to_vec().into())
}

fn decode<I: Message + Default>(input: PlayerInput<&[u8]>) -> Result<PlayerInput<I>, BadInput> {
    let bad = |error: DecodeError| BadInput { player: input.player, reason: error.to_string() };
    Ok(input.with(I::decode(input.input).map_err(bad)?))
}

impl<S: Simulation> Game for Running<S> {
    fn inputs_per_tick(&self) -> u32 {
        S::INPUTS_PER_TICK
    }

    fn identify(&mut self, player: PlayerId, user: &str) {
        self.room.users.add(player, user);
    }

    fn join(&mut self, tick: u32, player: PlayerId, name: &str) {
        self.simulation.join(player, name, &mut self.room.step(tick));
    }

    fn join_npc(&mut self, tick: u32, player: PlayerId, name: &str) {
        self.simulation.join_npc(player, name, &mut self.room.step(tick));
    }

    fn leave(&mut self, tick: u32, player: PlayerId) {
        self.inputs.retain(|input| input.player != player);
        self.simulation.leave(player, &mut self.room.step(tick));
        self.room.users.remove(player);
    }

    fn away(&mut self, tick: u32, player: PlayerId, why: Away) {
        self.simulation.away(player, why, &mut self.room.step(tick));
    }

    fn back(&mut self, tick: u32, player: PlayerId) {
        self.simulation.back(player, &mut self.room.step(tick));
    }

    fn take_input(&mut self, input: PlayerInput<&[u8]>) -> Result<Taken, BadInput> {
        let decoded = decode::<S::Input>(input)?;
        Ok(match self.simulation.validate(input.player, &decoded.input) {
            Validation::Accept => match own(&decoded.input, input.input) {
                None => {
                    self.queue(decoded);
                    Taken::AsSent
                }
                Some(bytes) => self.queue_other(input, bytes)?,
            },
            Validation::Clamp(clamped) => self.queue_other(input, clamped.encode_to_vec().into())?,
            Validation::Reject => Taken::Rejected,
            Validation::Report(reason) => Taken::Reported(bounded(&reason, MAX_REASON)),
        })
    }

    fn input(&mut self, input: PlayerInput<&[u8]>) -> Result<(), BadInput> {
        let decoded = decode(input)?;
        self.queue(decoded);
        Ok(())
    }

    fn own_command(&self, payload: &[u8]) -> Option<Bytes> {
        own(&S::Command::decode(payload).ok()?, payload)
    }

    fn command(&mut self, tick: u32, player: PlayerId, payload: &[u8]) -> Result<(), CommandError> {
        let command = S::Command::decode(payload).map_err(|e| CommandError::Malformed(e.to_string()))?;
        let before = self.room.output.mark();
        self.simulation.command(player, command, &mut self.room.step(tick)).map_err(|refusal| {
            // A refused command is not recorded, so nothing may come of it that the next one would notice.
            self.room.output.undo(before);
            CommandError::Refused(refusal)
        })
    }

    fn answer(&mut self, tick: u32, answer: &Answer) {
        self.simulation.answer(answer, &mut self.room.step(tick));
    }

    fn step(&mut self, tick: u32) {
        self.simulation.step(&self.inputs, &mut self.room.step(tick));
        self.inputs.clear();
        if let Some(history) = &mut self.room.history {
            history.push(tick, |state| self.simulation.past(state));
        }
    }

    fn take_events(&mut self, out: &mut Vec<(Recipient, Bytes)>) {
        for (recipient, event) in self.room.output.events.drain(..) {
            self.encoded.reserve(event.encoded_len());
            // Encoding fails only for lack of space, and `BytesMut` grows.
            let _ = event.encode(&mut self.encoded);
            out.push((recipient, self.encoded.split().freeze()));
        }
    }

    fn take_orders(&mut self, out: &mut Vec<Order>) {
        self.room.output.take_orders(out);
    }

    fn snapshot(&self, tick: u32, out: &mut Snapshot) {
        out.clear(tick);
        self.simulation.snapshot(out);
    }

    fn view(&self, player: PlayerId, had: &[InView], out: &mut Vec<InView>) {
        self.simulation.view(player, &mut View::new(had, out));
    }

    fn spectate(&self, had: &[InView], out: &mut Vec<InView>) {
        self.simulation.spectate(&mut View::new(had, out));
    }

    fn save(&self) -> Vec<u8> {
        match postcard::to_stdvec(&self.simulation) {
            Ok(state) => {
                let past = self.room.history.as_ref().map(|history| with_crc(history.save()));
                [past.unwrap_or_default(), with_crc(self.room.users.save()), with_crc(state)].concat()
            }
            Err(error) => panic!("the state of {} must be serialisable: {error}", S::KIND),
        }
    }

    fn checksum(&self) -> u32 {
        checksum(&self.simulation)
    }
}

/// The bytes, then their CRC-32C.
fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
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
    let rewind_ms = simulation.rewind_ms().min(S::REWIND_MS);
    let history = (S::REWIND_MS > 0).then(|| History::new(&S::schema(), rewind_ms, setup.tick_rate));
    Ok(Box::new(Running::new(simulation, history, Users::default())))
}

fn restore<S: Simulation>(saved: &[u8]) -> Result<Box<dyn Game>, RestoreError> {
    let (mut history, users, simulation) = read::<S>(saved)?;
    if let Some(history) = &mut history {
        history.keep(simulation.rewind_ms().min(S::REWIND_MS));
    }
    Ok(Box::new(Running::new(simulation, history, users)))
}

/// The parts of what `Game::save` wrote.
fn read<S: Simulation>(saved: &[u8]) -> Result<(Option<History>, Users, S), RestoreError> {
    let refuse = |reason: &str| RestoreError { kind: S::KIND, reason: reason.to_owned() };
    let (history, saved) = match S::REWIND_MS {
        0 => (None, saved),
        rewind_ms => {
            let (history, rest) =
                History::restore(&S::schema(), rewind_ms, saved).map_err(|why| refuse(&why))?;
            (Some(history), rest)
        }
    };
    let (users, saved) = Users::restore(saved).map_err(|why| refuse(&why))?;
    let (state, crc) = saved.split_last_chunk::<4>().ok_or_else(|| refuse("it ends too early"))?;
    if crc32c::crc32c(state) != u32::from_le_bytes(*crc) {
        return Err(refuse("its CRC does not match: it is damaged"));
    }
    match postcard::take_from_bytes::<S>(state) {
        Ok((simulation, [])) => Ok((history, users, simulation)),
        Ok((_, rest)) => Err(refuse(&format!("{} bytes too many", rest.len()))),
        Err(error) => Err(refuse(&error.to_string())),
    }
}

/// The message of a panic that was caught, such as a game's.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
