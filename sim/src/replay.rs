//! Recordings of a room and their replay with checksum verification (Promise 1).
//!
//! A recording contains everything that a room's state depends on: kind, setup, and for each step the joins,
//! leaves, losses and returns of connections, commands and inputs before it, with the checksum after it.
//! [`replay`] repeats it and compares. The writer is plain `std::io::Write`: the caller decides where to
//! write and on which thread. Readers and writers should be buffered.
//!
//! # File format, version 4
//!
//! All numbers are little-endian. A file begins with 12 bytes: the magic `DRIFTREC` and the version as a
//! `u32`. Then come records until the file ends:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of the body, 1 byte to 17 MiB |
//! | 4 | CRC-32C of the body |
//! | length | body: a `Record` of `schema/driftless/recording/v1/recording.proto`, in protobuf |
//!
//! The first record is a header, the last an end marker, and those in between are ticks; but if the recording
//! does not begin with the room, the second one is the room as it was. Ticks ascend; a tick
//! that the room skipped has no record, and one of more than a mebibyte has several. The end marker says why
//! the recording ends and, if it is complete, how many ticks it has. A file without one was cut off, within a
//! record or after it (or continues with zeros, which some file systems leave after a crash): it is replayed
//! as far as it goes, with [`Verdict::Cut`]. A new field in a message keeps the version; anything that an old
//! reader would misinterpret raises it.
//!
//! ```
//! use driftless_sim::{GameKind, Setup, games::cursors::Cursors, replay::*};
//!
//! let kind = GameKind::of::<Cursors>();
//! let header = RecordingHeader { kind: "cursors".into(), room: "lobby".into(), setup: Setup::new(7, 20) };
//! let mut recorder = Recorder::new(Vec::new(), &header)?;
//! let mut room = kind.start(&header.setup)?;
//! room.join(1, 1, "Ada");
//! room.step(1);
//! let actions = vec![Action::Join { player: 1, name: "Ada".into() }];
//! let checksum = Some(room.checksum());
//! recorder.record(&TickRecord { tick: 1, actions, inputs: vec![], checksum })?;
//! recorder.end(EndReason::RoomEnded)?;
//!
//! let (of, verdict) = replay(&recorder.into_inner()[..], &[kind])?;
//! assert_eq!((of, verdict), (header, Verdict::Same { ticks: 1 }));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod reader;
mod recorder;
mod scene;
mod start;
mod wire {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/driftless.recording.v1.rs"));
}

pub use reader::Recording;
pub use recorder::Recorder;
pub use scene::{Scene, SceneError, scene};
pub use start::{RecordedSeat, RoomState, Start};

use crate::{
    Away, PlayerId, PlayerInput, Setup, Snapshot, TICK_RATES,
    checksum::schema_checksum,
    game::{BadInput, CommandError, Game, GameKind, RestoreError, panic_message},
    job::Answer,
};
use bytes::Bytes;
use std::{
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The beginning of a file.
pub const MAGIC: &[u8; 8] = b"DRIFTREC";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 4;
/// Longest body of a record, bytes: one message of 16 MiB, the most that a server can be configured to
/// accept, and its surroundings. Longer ones are neither written nor read.
pub const MAX_RECORD: usize = 17 << 20;

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingHeader {
    /// Kind of game.
    pub kind: String,
    /// Name of the room.
    pub room: String,
    /// The setup that it was made with.
    pub setup: Setup<String>,
}

/// What happened before one step, in this order, and the checksum after it; or a part of that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TickRecord {
    /// The tick (skipped ticks have no record).
    pub tick: u32,
    /// Joins, leaves and commands, in the order in which they took effect. Commands that the game refused may
    /// be left out.
    pub actions: Vec<Action>,
    /// Inputs in the order of the step: by player, then by number. Only those that the step got, as it got
    /// them: validated, and perhaps clamped.
    pub inputs: Vec<PlayerInput<Bytes>>,
    /// `Game::checksum` after the step. None: more of this tick follows, or its step did not complete.
    pub checksum: Option<u32>,
}

impl TickRecord {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.inputs.is_empty()
    }

    /// Re-encodes each message with the types of `kind` where that is shorter: what the game does not decode,
    /// above all unknown fields, takes no space in a recording.
    pub fn shorten(&mut self, kind: &GameKind) {
        let shorter = |payload: &mut Bytes, anew: Option<Vec<u8>>| {
            if let Some(anew) = anew.filter(|anew| anew.len() < payload.len()) {
                *payload = anew.into();
            }
        };
        for action in &mut self.actions {
            if let Action::Command { payload, .. } = action {
                let anew = kind.reencode_command(payload);
                shorter(payload, anew);
            }
        }
        for PlayerInput { input, .. } in &mut self.inputs {
            let anew = kind.reencode_input(input);
            shorter(input, anew);
        }
    }
}

/// What changes a room, apart from inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The player who joins next is a known user, not a guest.
    User {
        /// The player.
        player: PlayerId,
        /// The user.
        user: String,
    },
    /// A seat was taken.
    Join {
        /// The player.
        player: PlayerId,
        /// Display name.
        name: String,
    },
    /// An NPC took a seat.
    JoinNpc {
        /// The record.
        player: PlayerId,
        /// Display name.
        name: String,
    },
    /// A seat ended.
    Leave {
        /// The player.
        player: PlayerId,
    },
    /// A player lost its connection and keeps its seat.
    Away {
        /// The player.
        player: PlayerId,
        /// How the connection was lost.
        why: Away,
    },
    /// A player who was away has a connection again.
    Back {
        /// The player.
        player: PlayerId,
    },
    /// A command was taken.
    Command {
        /// The player.
        player: PlayerId,
        /// The game's message.
        payload: Bytes,
    },
    /// What came of a job that the game had asked for.
    Answer(Answer),
}

impl Action {
    /// Whether it is part of its tick, and did not happen before it.
    fn is_of_tick(&self) -> bool {
        matches!(self, Action::JoinNpc { .. } | Action::Command { .. } | Action::Answer(_))
    }
}

/// Why a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The room ended: the recording is complete.
    RoomEnded,
    /// The room's game panicked: the recording is complete, and the events before the panic are its last,
    /// unfinished tick.
    RoomFailed,
    /// The server stopped while the room existed: the recording is complete.
    ServerStopped,
    /// The disk was too slow: the recording was given up.
    Behind,
    /// The quota for recordings was used up: the recording was given up.
    Quota,
    /// Writing to the disk failed: the recording was given up.
    Unwritable,
    /// A message was longer than [`MAX_RECORD`]: the recording was given up.
    TooLong,
}

impl EndReason {
    /// All reasons.
    pub const ALL: [EndReason; 7] = [
        EndReason::RoomEnded,
        EndReason::RoomFailed,
        EndReason::ServerStopped,
        EndReason::Behind,
        EndReason::Quota,
        EndReason::Unwritable,
        EndReason::TooLong,
    ];

    /// Whether the recording contains everything that happened in the room, or until the server stopped.
    pub fn is_complete(self) -> bool {
        matches!(self, EndReason::RoomEnded | EndReason::RoomFailed | EndReason::ServerStopped)
    }

    /// Name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::RoomEnded => "room_ended",
            EndReason::RoomFailed => "room_failed",
            EndReason::ServerStopped => "server_stopped",
            EndReason::Behind => "behind",
            EndReason::Quota => "quota",
            EndReason::Unwritable => "unwritable",
            EndReason::TooLong => "too_long",
        }
    }
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The recording is complete, and every checksum matches.
    Same {
        /// Ticks replayed.
        ticks: u64,
    },
    /// Every checksum matches, but the room continued after the recording.
    Cut {
        /// Ticks replayed.
        ticks: u64,
        /// The last of them, 0 if there is none.
        tick: u32,
        /// Why the recording was given up. None: there is no end marker, because its writer was killed.
        why: Option<EndReason>,
    },
    /// The first tick whose checksum differs.
    Diverged {
        /// The tick.
        tick: u32,
        /// The recorded checksum.
        recorded: u32,
        /// The replayed checksum.
        replayed: u32,
    },
    /// Every checksum matches until the game panicked: in the room, in the replay, or in both, as it should.
    Panicked {
        /// The tick.
        tick: u32,
        /// Whether it panicked in the room.
        recorded: bool,
        /// The panic's message in the replay. None: it did not panic there.
        replayed: Option<String>,
    },
}

/// Why a replay could not be made. Records are counted from the header, which is record 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Reading failed.
    #[error("reading the recording: {0}")]
    Io(#[from] std::io::Error),
    /// The file does not begin like a recording.
    #[error("this is not a recording: it does not begin with DRIFTREC")]
    NotARecording,
    /// The file is of a version that this program does not know.
    #[error("the recording has format version {found}; this program reads version {VERSION} only")]
    UnknownVersion {
        /// Its version.
        found: u32,
    },
    /// The file ends before its header does.
    #[error("the recording ends within its header")]
    HeaderCut,
    /// This program does not have the recorded game.
    #[error("the recording is of the game {0:?}, which this program does not have")]
    UnknownKind(String),
    /// The header's tick rate is not one of [`TICK_RATES`].
    #[error("the recording has a tick rate of {0}, outside {TICK_RATES:?}")]
    TickRate(u32),
    /// The recording begins with a state of a game with another schema.
    #[error("the schema of the game has changed since the recording")]
    Schema,
    /// The recording begins with a state that the game cannot read.
    #[error("the recording begins with what is {0}")]
    State(#[from] RestoreError),
    /// The game refuses the options of the header: the recording is of another version of the game.
    #[error("the game refuses the recorded options: {0}")]
    Options(String),
    /// A record announces a length that no recorder writes.
    #[error("record {record} announces {bytes} bytes, outside 1..={MAX_RECORD}")]
    RecordLength {
        /// The record.
        record: u64,
        /// Its length.
        bytes: u32,
    },
    /// A record has been damaged.
    #[error("record {record} is damaged: its CRC does not match")]
    Damaged {
        /// The record.
        record: u64,
    },
    /// A record does not follow the recording's schema.
    #[error("record {record} is malformed: {reason}")]
    Malformed {
        /// The record.
        record: u64,
        /// What is wrong.
        reason: String,
    },
    /// A tick is not above the previous one.
    #[error("tick {tick} comes after tick {after}")]
    TickBackwards {
        /// The tick.
        tick: u32,
        /// The previous tick.
        after: u32,
    },
    /// A tick follows one that was not finished.
    #[error("tick {tick} follows the unfinished tick {after}")]
    Unfinished {
        /// The tick.
        tick: u32,
        /// The previous tick.
        after: u32,
    },
    /// Something follows the end marker.
    #[error("record {record} follows the end marker")]
    AfterEnd {
        /// The record.
        record: u64,
    },
    /// The end marker's number of ticks is wrong: some are missing.
    #[error("the end marker counts {counted} ticks, but there are {found}")]
    TicksMissing {
        /// According to the end marker.
        counted: u64,
        /// The number found.
        found: u64,
    },
    /// Inputs of a tick are not in the order of their players, or come before its commands.
    #[error("the inputs of tick {tick} are not in the order of their players after all commands")]
    InputOrder {
        /// The tick.
        tick: u32,
    },
    /// The game cannot read an input: the recording is of another version of the game.
    #[error("tick {tick}: {error}")]
    Input {
        /// The tick.
        tick: u32,
        /// The game's error.
        error: BadInput,
    },
    /// The game cannot read a command: the recording is of another version of the game.
    #[error("tick {tick}: command of player {player}: {reason}")]
    Command {
        /// The tick.
        tick: u32,
        /// The player.
        player: PlayerId,
        /// The game's error.
        reason: String,
    },
}

/// Replays a recording with the game of its kind among `kinds`. Uses the memory of one tick and one room.
pub fn replay(recording: impl Read, kinds: &[GameKind]) -> Result<(RecordingHeader, Verdict), ReplayError> {
    let mut recording = Recording::open(recording)?;
    let header = recording.header().clone();
    let kind = kind_of(&header, kinds)?;
    let verdict = Replay::new(kind, &header, recording.start())?.run(&mut recording)?;
    Ok((header, verdict))
}

fn kind_of<'a>(header: &RecordingHeader, kinds: &'a [GameKind]) -> Result<&'a GameKind, ReplayError> {
    let kind = kinds.iter().find(|kind| kind.name() == header.kind);
    kind.ok_or_else(|| ReplayError::UnknownKind(header.kind.clone()))
}

struct Replay<'a> {
    kind: &'a GameKind,
    /// Err: it panicked at the start.
    game: Result<Box<dyn Game>, String>,
    room: RoomState,
    /// The user who joins next.
    user: String,
    /// The next tick has begun.
    begun: bool,
    /// How many NPCs a game can have asked for.
    max_npcs: usize,
    ticks: u64,
    /// The last tick that was stepped.
    last: u32,
    /// The unfinished tick.
    open: Option<u32>,
}

/// The result of one record.
enum Redone {
    /// The checksum, if the tick was stepped.
    Checksum(Option<u32>),
    Panicked(String),
}

impl<'a> Replay<'a> {
    fn new(kind: &'a GameKind, header: &RecordingHeader, start: Option<&Start>) -> Result<Self, ReplayError> {
        if start.is_some_and(|start| start.schema != schema_checksum(&kind.schema())) {
            return Err(ReplayError::Schema);
        }
        let begin = || match start {
            None => kind.start(&header.setup).map_err(ReplayError::Options),
            Some(start) => kind.restore(&start.state).map_err(ReplayError::State),
        };
        let game = match catch_unwind(begin) {
            Ok(started) => Ok(started?),
            Err(panic) => Err(panic_message(&*panic).to_owned()),
        };
        let (last, room) = start.map(|start| (start.tick, start.room.clone())).unwrap_or_default();
        let (user, max_npcs) = (String::new(), header.setup.max_players as usize);
        Ok(Self { kind, game, room, user, begun: false, max_npcs, ticks: 0, last, open: None })
    }

    fn run(mut self, recording: &mut Recording<impl Read>) -> Result<Verdict, ReplayError> {
        while let Some(record) = recording.next_record()? {
            let tick = record.tick;
            let replayed = match self.redo(&record)? {
                Redone::Checksum(replayed) => replayed,
                Redone::Panicked(panic) => {
                    // In the room, nothing came after it.
                    let recorded = recording.next_record()?.is_none()
                        && recording.end() == Some(EndReason::RoomFailed)
                        && record.checksum.is_none();
                    return Ok(Verdict::Panicked { tick, recorded, replayed: Some(panic) });
                }
            };
            match (record.checksum, replayed) {
                (Some(recorded), Some(replayed)) if recorded != replayed => {
                    return Ok(Verdict::Diverged { tick, recorded, replayed });
                }
                (Some(_), _) => (self.ticks, self.last, self.open) = (self.ticks + 1, tick, None),
                (None, _) => self.open = Some(tick),
            }
        }
        let Self { ticks, last, open, .. } = self;
        Ok(match (recording.end(), open) {
            (Some(EndReason::RoomFailed), open) => {
                let tick = open.unwrap_or(last.saturating_add(1));
                let replayed = self.step(tick).and_then(|_| self.look(tick)).err();
                Verdict::Panicked { tick, recorded: true, replayed }
            }
            (Some(end), _) if end.is_complete() => Verdict::Same { ticks },
            (why, _) => Verdict::Cut { ticks, tick: last, why },
        })
    }

    /// Repeats what a record says. Joins and leaves happened right after the last tick, before it was known
    /// whether the room would skip some.
    fn redo(&mut self, record: &TickRecord) -> Result<Redone, ReplayError> {
        let (between, tick) = (self.last.saturating_add(1), record.tick);
        let Self { game, room, user, begun, max_npcs, .. } = self;
        let game = match game {
            Ok(game) => game,
            Err(panic) => return Ok(Redone::Panicked(panic.clone())),
        };
        let prepare = || prepare(&mut **game, room, user, begun, *max_npcs, between, record);
        let done = catch_unwind(AssertUnwindSafe(prepare));
        match done {
            Ok(done) => done?,
            Err(panic) => return Ok(Redone::Panicked(panic_message(&*panic).to_owned())),
        }
        if record.checksum.is_none() {
            return Ok(Redone::Checksum(None));
        }
        Ok(self.step(tick).map_or_else(Redone::Panicked, |checksum| Redone::Checksum(Some(checksum))))
    }

    fn step(&mut self, tick: u32) -> Result<u32, String> {
        let game = self.game.as_mut().map_err(|panic| panic.clone())?;
        if !std::mem::take(&mut self.begun) {
            self.room.begin_tick();
        }
        let mut orders = Vec::new();
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            game.step(tick);
            // Nobody reads the events, but they must not pile up.
            game.take_events(&mut Vec::new());
            game.take_orders(&mut orders);
            game.checksum()
        }));
        orders.into_iter().for_each(|order| self.room.obey(order, self.max_npcs));
        stepped.map_err(|panic| panic_message(&*panic).to_owned())
    }

    /// Does what a room does after a step.
    fn look(&mut self, tick: u32) -> Result<(), String> {
        let game = self.game.as_ref().map_err(|panic| panic.clone())?;
        let look = || game.snapshot(tick, &mut Snapshot::new(&self.kind.schema()));
        catch_unwind(AssertUnwindSafe(look)).map_err(|panic| panic_message(&*panic).to_owned())
    }
}

/// Does everything in a record that comes before the step. `begun`: its tick has begun.
fn prepare(
    game: &mut dyn Game,
    room: &mut RoomState,
    user: &mut String,
    begun: &mut bool,
    max_npcs: usize,
    between: u32,
    record: &TickRecord,
) -> Result<(), ReplayError> {
    let (tick, mut orders) = (record.tick, Vec::new());
    for action in &record.actions {
        if action.is_of_tick() && !std::mem::replace(begun, true) {
            room.begin_tick();
        }
        room.act(action, user);
        match action {
            Action::User { player, user } => game.identify(*player, user),
            Action::Join { player, name } => game.join(between, *player, name),
            Action::JoinNpc { player, name } => game.join_npc(between, *player, name),
            Action::Answer(answer) => game.answer(tick, answer),
            Action::Leave { player } => game.leave(between, *player),
            Action::Away { player, why } => game.away(between, *player, *why),
            Action::Back { player } => game.back(between, *player),
            Action::Command { player, payload } => match game.command(tick, *player, payload) {
                Ok(()) | Err(CommandError::Refused(_)) => {}
                Err(CommandError::Malformed(reason)) => {
                    return Err(ReplayError::Command { tick, player: *player, reason });
                }
            },
        }
        game.take_orders(&mut orders);
        orders.drain(..).for_each(|order| room.obey(order, max_npcs));
    }
    for input in &record.inputs {
        game.input(input.as_bytes()).map_err(|error| ReplayError::Input { tick, error })?;
    }
    Ok(())
}
