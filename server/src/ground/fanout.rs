//! How a room's ticks reach the threads of its connections.

use super::{id::RoomId, published::Published};
use actix::{Message, Recipient};
use std::sync::Arc;

/// A room's newest state, once for each thread.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// The room.
    pub room: RoomId,
    /// The state.
    pub state: Arc<Published>,
}

/// How rooms reach a thread's connections.
#[derive(Clone)]
pub struct FanoutLink {
    /// Number of the thread.
    pub index: usize,
    /// Its fan-out.
    pub fanout: Recipient<Publish>,
}
