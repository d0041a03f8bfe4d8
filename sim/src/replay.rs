//! Recordings of a room and their replay with checksum verification (Promise 1).
//!
//! A recording is a header and one record a tick. The writer is plain `std::io::Write`: the caller decides where and on which thread.

use crate::{PlayerId, game::GameKind};
use bytes::Bytes;
use std::io::{Read, Write};

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingHeader {
    /// Kind of game.
    pub kind: String,
    /// The room's seed.
    pub seed: u64,
    /// Ticks a second.
    pub tick_rate: u32,
    /// Name of the room.
    pub room: String,
}

/// What happened before one step, in this order, and the checksum after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TickRecord {
    /// The tick (skipped ticks have no record).
    pub tick: u32,
    /// Joins, leaves and commands in the order they took effect.
    pub actions: Vec<Action>,
    /// Inputs in the order of the step.
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
    /// A command was taken.
    Command {
        /// From whom.
        player: PlayerId,
        /// The game's message.
        payload: Bytes,
    },
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
}

impl<W: Write> Recorder<W> {
    /// Writes the header.
    pub fn new(_out: W, _header: &RecordingHeader) -> std::io::Result<Self> {
        todo!()
    }
    /// Writes one tick.
    pub fn record(&mut self, _tick: &TickRecord) -> std::io::Result<()> {
        todo!()
    }
    /// Writes what is buffered.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every checksum is as recorded.
    Same {
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

/// Why a replay could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Reading failed.
    #[error("reading the recording: {0}")]
    Io(#[from] std::io::Error),
}

/// Replays a recording with the game of its kind among `kinds`.
pub fn replay(_recording: impl Read, _kinds: &[GameKind]) -> Result<(RecordingHeader, Verdict), ReplayError> {
    todo!()
}
