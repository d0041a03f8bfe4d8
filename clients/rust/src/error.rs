//! Why a connection ended, and what can be done about it.

use crate::transport::{Closed, DialError};
use driftless_proto::{
    code::{self, CloseCode},
    session::client::ServerError,
};
use std::time::Duration;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The server said goodbye.
    #[error("the server ended the connection with {code} ({name}): {reason}", name = code_name(*.code))]
    Goodbye {
        /// Close code; see [`CloseCode`].
        code: u16,
        /// For a person to read.
        reason: String,
        /// How long the server asks to wait before reconnecting.
        reconnect_after: Duration,
    },
    /// The transport ended without a goodbye.
    #[error(transparent)]
    Transport(#[from] Closed),
    /// The server's messages make no sense, or it fell silent.
    #[error("server error: {0}")]
    Server(#[from] ServerError),
    /// No connection could be made.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Nodes have sent the client from one to another, and none has the room.
    #[error("sent from node to node {hops} times, the last time to {last}, and none has the room")]
    SentInCircles {
        /// How often.
        hops: usize,
        /// Where to at last.
        last: String,
    },
    /// The player has left: [`leave`](crate::Client::leave).
    #[error("left")]
    Left,
}

impl Disconnect {
    /// Whether to try again. (After 4514 a client that was in the room asks for another token, too.)
    pub fn may_reconnect(&self) -> bool {
        match self {
            Disconnect::Goodbye { code, .. } => code::is_reconnect(*code),
            // 1005: closed without a code, as proxies do.
            Disconnect::Transport(Closed::ByPeer { code, .. }) => *code == 1005 || code::is_reconnect(*code),
            Disconnect::Transport(Closed::Lost(_)) => true,
            Disconnect::Transport(Closed::TooLarge { .. } | Closed::Violation(_)) => false,
            Disconnect::Server(ServerError::TimedOut(_)) => true,
            Disconnect::Server(_) => false,
            Disconnect::Dial(error) => error.may_retry(),
            Disconnect::SentInCircles { .. } => true,
            Disconnect::Left => false,
        }
    }

    /// The code under which disconnects are counted: the close code, or 1006 if there was none.
    pub fn code(&self) -> u16 {
        match self {
            Disconnect::Goodbye { code, .. } | Disconnect::Transport(Closed::ByPeer { code, .. }) => *code,
            Disconnect::Transport(Closed::TooLarge { .. }) => 1009,
            Disconnect::Transport(Closed::Violation(_)) => 1002,
            Disconnect::Transport(Closed::Lost(_)) => 1006,
            Disconnect::Dial(error) => error.denied().map_or(1006, CloseCode::number),
            Disconnect::Server(ServerError::TimedOut(_)) => CloseCode::TimedOut.number(),
            Disconnect::Server(_) => CloseCode::Malformed.number(),
            Disconnect::SentInCircles { .. } => CloseCode::Moved.number(),
            Disconnect::Left => CloseCode::Left.number(),
        }
    }

    /// The code as one of Driftless's own.
    pub fn close_code(&self) -> Option<CloseCode> {
        CloseCode::from_number(self.code())
    }
}

/// Why a client ended. It will not come back by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection ended in a way that forbids trying again (or it was the first attempt).
    #[error("{0}")]
    Ended(#[from] Disconnect),
    /// All attempts were used up.
    #[error("gave up after {attempts} attempts; the last one failed: {last}")]
    GaveUp {
        /// The limit, [`Options::max_attempts`](crate::Options::max_attempts).
        attempts: u32,
        /// Why the last one failed.
        last: Disconnect,
    },
}

fn code_name(code: u16) -> &'static str {
    CloseCode::from_number(code).map_or("unknown", CloseCode::name)
}
