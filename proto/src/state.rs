//! The per-client head of a state message, and how head and shared bytes are joined.

use crate::delta::DeltaError;
use bytes::{BufMut, Bytes};

/// The fields of `State` that are written for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHead {
    /// Tick of the state.
    pub tick: u32,
    /// Tick of the baseline. None: full.
    pub baseline: Option<u32>,
    /// Tick of the prior, before the baseline. None: hold.
    pub prior: Option<u32>,
    /// The player's last input that the state contains. 0: none.
    pub input: u32,
}

impl StateHead {
    /// How many bytes a whole `ServerMessage` with this head and a shared part of `shared` bytes has.
    pub fn message_len(&self, _shared: usize) -> usize {
        todo!()
    }
    /// Writes the start of a `ServerMessage` up to where the `shared` bytes have to follow.
    pub fn write(&self, _shared: usize, _out: &mut impl BufMut) {
        todo!()
    }
    /// Splits a `ServerMessage` that is a state into head and shared part. None: it is not a state
    /// (decode it with prost). Allocates nothing.
    pub fn split(_message: &Bytes) -> Result<Option<(StateHead, Bytes)>, DeltaError> {
        todo!()
    }
}
