//! Ending a connection from outside.

use actix::Message;
use driftless_proto::code::CloseCode;

/// A room or an operator ends the connection.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Close {
    /// With what code.
    pub code: CloseCode,
    /// Why.
    pub reason: String,
}
