//! Messages that must arrive once and in order, kept until acknowledged.
//!
//! One queue belongs to a seat, not to a connection: it lives on while the player is away.

use bytes::Bytes;

/// Reliable messages of one seat: numbered from 1, kept until acknowledged, bounded.
#[derive(Debug)]
pub struct ReliableQueue {}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{messages} reliable messages ({bytes} bytes) wait for acknowledgement: the peer is too slow")]
pub struct QueueFull {
    /// Messages kept.
    pub messages: usize,
    /// Bytes kept.
    pub bytes: usize,
}

impl ReliableQueue {
    /// An empty queue that keeps at most so many messages and bytes.
    pub fn new(_max_messages: usize, _max_bytes: usize) -> Self {
        todo!()
    }
    /// Queues a message: `body` are the encoded fields of `Reliable` but the sequence, so that the same bytes can be
    /// queued for many. Once full, the queue stays full: the connection is to be closed as a slow consumer.
    pub fn push(&mut self, _body: Bytes) -> Result<u64, QueueFull> {
        todo!()
    }
    /// The next message to send on this connection, if any, with its sequence.
    pub fn pop_unsent(&mut self) -> Option<(u64, Bytes)> {
        todo!()
    }
    /// Whether `pop_unsent` would give one.
    pub fn has_unsent(&self) -> bool {
        todo!()
    }
    /// Whether a push has failed.
    pub fn is_overflowed(&self) -> bool {
        todo!()
    }
    /// The peer has all up to `sequence`. False: that was never sent (the peer's fault; nothing changes).
    pub fn acked(&mut self, _sequence: u64) -> bool {
        todo!()
    }
    /// A new connection whose peer has all up to `received`: those after it will be sent again.
    /// False: `received` was never sent, or something after it is no longer kept (nothing changes).
    pub fn resume(&mut self, _received: u64) -> bool {
        todo!()
    }
}

/// Encodes what `push` takes: the body of an event, presence change, or refusal, without the sequence.
pub fn encode_body(_body: &crate::wire::reliable::Body) -> Bytes {
    todo!()
}
