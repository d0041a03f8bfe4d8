//! Recordings of a room and their replay with checksum verification (Promise 1).
//!
//! A recording holds everything a room's state is a function of: kind, seed, tick rate, and for each step the joins,
//! leaves, losses and returns of connections, commands and inputs before it, with the checksum after it. [`replay`] does the same again and compares.
//! The writer is plain `std::io::Write`: the caller decides where and on which thread. Readers and writers should be
//! buffered.
//!
//! # File format, version 1
//!
//! All numbers are little-endian. A file begins with 12 bytes: the magic `DRIFTREC` and the version as a `u32`. Then
//! come records until the file ends:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of the body, 1 to 8 MiB |
//! | 4 | CRC-32C of the body |
//! | length | body: a protobuf message of `schema/driftless/recording/v1/recording.proto` |
//!
//! The first record is a `Header`, each other one a `Tick`. Ticks ascend; a tick that the room skipped has no record.
//! A file that ends within a record was cut by a crash (so was one that goes on with zeros, which some file systems
//! leave): it is replayed up to its last whole record, with [`Verdict::Cut`]. A new field in a message keeps the
//! version; anything that an old reader would get wrong raises it.
//!
//! ```
//! use driftless_sim::{GameKind, games::cursors::Cursors, replay::*};
//!
//! let kind = GameKind::of::<Cursors>();
//! let header = RecordingHeader { kind: "cursors".into(), seed: 7, tick_rate: 20, room: "lobby".into() };
//! let mut recorder = Recorder::new(Vec::new(), &header)?;
//! let mut room = kind.start(header.seed, header.tick_rate);
//! room.join(1, 1, "Ada");
//! room.step(1);
//! let actions = vec![Action::Join { player: 1, name: "Ada".into() }];
//! recorder.record(&TickRecord { tick: 1, actions, inputs: vec![], checksum: room.checksum() })?;
//!
//! let (of, verdict) = replay(&recorder.into_inner()[..], &[kind])?;
//! assert_eq!((of, verdict), (header, Verdict::Same { ticks: 1 }));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod reader;
mod recorder;
mod wire {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/driftless.recording.v1.rs"));
}

pub use reader::Recording;
pub use recorder::Recorder;

use crate::{
    PlayerId, TICK_RATES,
    game::{BadInput, CommandError, Game, GameKind},
};
use bytes::Bytes;
use std::io::Read;

/// What a file begins with.
pub const MAGIC: &[u8; 8] = b"DRIFTREC";
/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;
/// Longest body of a record, bytes. Longer ones are neither written nor read.
pub const MAX_RECORD: usize = 8 << 20;

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingHeader {
    /// Kind of game.
    pub kind: String,
    /// The room's seed.
    pub seed: u64,
    /// Ticks a second, 1 to 128.
    pub tick_rate: u32,
    /// Name of the room.
    pub room: String,
}

/// What happened before one step, in this order, and the checksum after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TickRecord {
    /// The tick (skipped ticks have no record).
    pub tick: u32,
    /// Comings, goings and commands in the order they took effect. Commands that the game refused may be left out.
    pub actions: Vec<Action>,
    /// Inputs in the order of the step: of player, then of sequence. Only those that the game could read.
    pub inputs: Vec<(PlayerId, Bytes)>,
    /// `Game::checksum` after the step.
    pub checksum: u32,
}

/// What changes a room besides inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A seat was taken.
    Join {
        /// By whom.
        player: PlayerId,
        /// Name shown.
        name: String,
    },
    /// A seat ended.
    Leave {
        /// Whose.
        player: PlayerId,
    },
    /// A player lost its connection and keeps its seat.
    Away {
        /// Who.
        player: PlayerId,
    },
    /// A player who was away has a connection again.
    Back {
        /// Who.
        player: PlayerId,
    },
    /// A command was taken.
    Command {
        /// From whom.
        player: PlayerId,
        /// The game's message.
        payload: Bytes,
    },
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every checksum is as recorded.
    Same {
        /// Ticks replayed.
        ticks: u64,
    },
    /// Every checksum is as recorded, but the recording ends within a record: its writer did not end well.
    Cut {
        /// Ticks replayed.
        ticks: u64,
    },
    /// The first tick whose checksum differs.
    Diverged {
        /// The tick.
        tick: u32,
        /// As recorded.
        recorded: u32,
        /// As replayed.
        replayed: u32,
    },
}

/// Why a replay could not be made. Records are counted from the header, which is record 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Reading failed.
    #[error("reading the recording: {0}")]
    Io(#[from] std::io::Error),
    /// The file does not begin as a recording does.
    #[error("this is no recording: it does not begin with DRIFTREC")]
    NotARecording,
    /// The file is of a version that this program does not know.
    #[error("the recording has format version {found}; this program reads up to {VERSION}: use a newer one")]
    UnknownVersion {
        /// Its version.
        found: u32,
    },
    /// The file ends before its header does.
    #[error("the recording ends within its header")]
    HeaderCut,
    /// The recorded game is none that this program has.
    #[error("the recording is of the game {0:?}, which this program does not have")]
    UnknownKind(String),
    /// The header's tick rate is none of [`TICK_RATES`].
    #[error("the recording has a tick rate of {0}, outside {TICK_RATES:?}")]
    TickRate(u32),
    /// A record announces a length that no recorder writes.
    #[error("record {record} announces {bytes} bytes, outside 1..={MAX_RECORD}")]
    RecordLength {
        /// Which.
        record: u64,
        /// Its length.
        bytes: u32,
    },
    /// A record is not what was written.
    #[error("record {record} is damaged: its CRC does not match")]
    Damaged {
        /// Which.
        record: u64,
    },
    /// A record is no message of the recording's schema.
    #[error("record {record} is malformed: {reason}")]
    Malformed {
        /// Which.
        record: u64,
        /// What is wrong.
        reason: String,
    },
    /// A tick is not above the one before.
    #[error("tick {tick} comes after tick {after}")]
    TickBackwards {
        /// The tick.
        tick: u32,
        /// The one before.
        after: u32,
    },
    /// Inputs of a tick are not in the order of their players.
    #[error("the inputs of tick {tick} are not in the order of their players")]
    InputOrder {
        /// The tick.
        tick: u32,
    },
    /// The game cannot read an input: the recording is of another version of the game.
    #[error("tick {tick}: {error}")]
    Input {
        /// The tick.
        tick: u32,
        /// What the game says.
        error: BadInput,
    },
    /// The game cannot read a command: the recording is of another version of the game.
    #[error("tick {tick}: command of player {player}: {reason}")]
    Command {
        /// The tick.
        tick: u32,
        /// Whose.
        player: PlayerId,
        /// What the game says.
        reason: String,
    },
}

/// Replays a recording with the game of its kind among `kinds`. Takes the memory of one record and one room.
pub fn replay(recording: impl Read, kinds: &[GameKind]) -> Result<(RecordingHeader, Verdict), ReplayError> {
    let mut recording = Recording::open(recording)?;
    let header = recording.header().clone();
    let kind = kinds.iter().find(|kind| kind.name() == header.kind);
    let kind = kind.ok_or_else(|| ReplayError::UnknownKind(header.kind.clone()))?;
    let mut game = kind.start(header.seed, header.tick_rate);
    let mut events = Vec::new();
    let (mut ticks, mut last) = (0, 0);
    while let Some(record) = recording.next_tick()? {
        let replayed = redo(&mut *game, last, &record)?;
        last = record.tick;
        // Nobody reads them, but they must not pile up.
        game.take_events(&mut events);
        events.clear();
        if replayed != record.checksum {
            let verdict = Verdict::Diverged { tick: record.tick, recorded: record.checksum, replayed };
            return Ok((header, verdict));
        }
        ticks += 1;
    }
    let verdict = if recording.is_cut() { Verdict::Cut { ticks } } else { Verdict::Same { ticks } };
    Ok((header, verdict))
}

/// Does one tick again. Its checksum. Comings and goings happened right after the `last` tick, before it was known
/// whether the room would skip some.
fn redo(game: &mut dyn Game, last: u32, record: &TickRecord) -> Result<u32, ReplayError> {
    let (between, tick) = (last.saturating_add(1), record.tick);
    for action in &record.actions {
        match action {
            Action::Join { player, name } => game.join(between, *player, name),
            Action::Leave { player } => game.leave(between, *player),
            Action::Away { player } => game.away(between, *player),
            Action::Back { player } => game.back(between, *player),
            Action::Command { player, payload } => match game.command(tick, *player, payload) {
                Ok(()) | Err(CommandError::Refused(_)) => {}
                Err(CommandError::Malformed(reason)) => {
                    return Err(ReplayError::Command { tick, player: *player, reason });
                }
            },
        }
    }
    for (player, payload) in &record.inputs {
        game.input(*player, payload).map_err(|error| ReplayError::Input { tick, error })?;
    }
    game.step(tick);
    Ok(game.checksum())
}
