//! Deltas between snapshots. Becomes a folder: encode, apply, column codings.

use crate::{schema::Schema, snapshot::Snapshot, wire::ColumnCoding};
use bytes::BufMut;

/// How far back a baseline or a prior may lie, ticks: also how many snapshots a datagram receiver keeps.
pub const MAX_AGE: u32 = 64;

/// The states that both ends have, against which a delta is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct References<'a> {
    /// The state that the receiver has. None: everything is sent.
    pub baseline: Option<&'a Snapshot>,
    /// A state before the baseline that the receiver has, to predict from. None: predicted to stay.
    pub prior: Option<&'a Snapshot>,
}

/// Writes deltas. Keeps its scratch memory, so that it allocates nothing in steady state.
#[derive(Debug, Default)]
pub struct Encoder {}

impl Encoder {
    /// Writes the shared fields of a `State` message (8 checksum if `checksum` is given, 9 tables) that
    /// turn `references` into `current`.
    pub fn encode(
        &mut self,
        _schema: &Schema,
        _references: References<'_>,
        _current: &Snapshot,
        _coding: ColumnCoding,
        _checksum: Option<u32>,
        _out: &mut impl BufMut,
    ) {
        todo!()
    }
}

/// Reads deltas. Keeps its scratch memory.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Applies the shared fields of a `State` message, as `Encoder` wrote them, and makes `out` the state of
    /// `tick`. On error `out` is left in an unspecified but valid state. Returns the checksum that the message carried, already verified.
    pub fn apply(
        &mut self,
        _schema: &Schema,
        _references: References<'_>,
        _tick: u32,
        _body: &[u8],
        _out: &mut Snapshot,
    ) -> Result<Option<u32>, DeltaError> {
        todo!()
    }
}

/// Why a delta was refused. All are the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The message ends within a field, or a length runs past its end.
    #[error("truncated")]
    Truncated,
}
