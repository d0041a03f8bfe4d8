//! Ending a connection from outside.

use actix::Message;
use driftless_proto::{code::CloseCode, wire};
use std::sync::Arc;

/// The reason given to every client, connected or new, when the server stops.
pub const GOING_DOWN: &str = "the server is shutting down";

/// A room or an operator ends the connection.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Close {
    /// The close code.
    pub code: CloseCode,
    /// The reason.
    pub reason: String,
    /// Where the room goes on, if it does.
    pub moved: Option<Arc<wire::Moved>>,
}

impl Close {
    /// For a room that is here no more.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), moved: None }
    }

    /// The room goes on there.
    pub fn moved(to: Arc<wire::Moved>) -> Self {
        let reason = format!("the room goes on at node {}", to.node);
        Self { code: CloseCode::Moved, reason, moved: Some(to) }
    }

    /// For a connection whose player has come back with another one.
    pub fn replaced() -> Self {
        Self::new(CloseCode::Replaced, "a newer connection has taken over the seat")
    }
}
