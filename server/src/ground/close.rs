//! Ending a connection from outside.

use actix::Message;
use driftless_proto::code::CloseCode;

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
}

impl Close {
    /// For a connection whose player has come back with another one.
    pub fn replaced() -> Self {
        Self { code: CloseCode::Replaced, reason: "a newer connection has taken over the seat".to_owned() }
    }
}
