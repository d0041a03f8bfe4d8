//! Ending a connection from outside.

use actix::Message;
use driftless_proto::code::CloseCode;

/// What everybody is told when the server stops, whether he is inside or comes.
pub const GOING_DOWN: &str = "the server is going down";

/// A room or an operator ends the connection.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Close {
    /// With what code.
    pub code: CloseCode,
    /// Why.
    pub reason: String,
}

impl Close {
    /// Of a connection whose player has come back with another.
    pub fn replaced() -> Self {
        Self { code: CloseCode::Replaced, reason: "the seat has a newer connection".to_owned() }
    }
}
