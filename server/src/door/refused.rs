//! Why a connection is refused.

use crate::ground::{close::GOING_DOWN, places::NoPlace, refusal::Refusal, source::Source};
use driftless_proto::code::CloseCode;
use std::time::Duration;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server is shutting down.
    #[error("{GOING_DOWN}")]
    Draining,
    /// The server has as many players or connections as it takes.
    #[error("the server is full: {0} is its limit")]
    ServerFull(usize),
    /// The source has as many players or connections as one source may have.
    #[error("{of} has reached the limit of {max} for one address")]
    AddressFull {
        /// Its source.
        of: Source,
        /// The limit.
        max: usize,
    },
    /// The source made too many connections in too short a time.
    #[error("too many new connections from {of}: wait {} ms", wait.as_millis())]
    TooFast {
        /// Its source.
        of: Source,
        /// How long to wait.
        wait: Duration,
    },
}

impl Refused {
    /// Name in metrics and in HTTP answers.
    pub fn name(self) -> &'static str {
        match self {
            Refused::Draining => "draining",
            Refused::ServerFull(_) => "server_full",
            Refused::AddressFull { .. } => "address_full",
            Refused::TooFast { .. } => "too_fast",
        }
    }

    /// The close code.
    pub fn code(self) -> CloseCode {
        match self {
            Refused::Draining => CloseCode::Draining,
            Refused::ServerFull(_) => CloseCode::ServerFull,
            Refused::AddressFull { .. } | Refused::TooFast { .. } => CloseCode::AddressLimit,
        }
    }

    /// How long to wait before the next try, if the server can tell.
    pub(super) fn wait(self) -> Duration {
        match self {
            Refused::TooFast { wait, .. } => wait,
            Refused::Draining | Refused::ServerFull(_) | Refused::AddressFull { .. } => Duration::ZERO,
        }
    }
}

impl From<NoPlace> for Refused {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Full(max) => Refused::ServerFull(max),
            NoPlace::SourceFull { of, max } => Refused::AddressFull { of, max },
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { wait: refused.wait(), ..Self::new(refused.code(), &refused) }
    }
}
