//! Where tickets lie: here, or for several servers together in Redis.

use super::{
    desk::{Assignment, Commit, Desk, NotTaken, Seen},
    queue::unix_ms,
    ticket::{Ticket, TicketId},
};
use parking_lot::Mutex;
use std::time::Duration;

/// The desk of this server, or of all.
pub(super) enum Desks {
    /// Of this one.
    Here(Mutex<Desk>),
}

/// The desk cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("the queue cannot be reached: {0}")]
pub(crate) struct DeskAway(pub(crate) String);

impl Desks {
    /// That of this server alone.
    pub(super) fn here() -> Self {
        Self::Here(Mutex::default())
    }

    /// How long to wait before the desk is asked again, if nobody says that it has changed.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Desks::Here(_) => Duration::from_secs(10),
        }
    }

    pub(super) async fn add(&self, ticket: Ticket, most: usize) -> Result<Result<(), NotTaken>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().add(unix_ms(), ticket, most)),
        }
    }

    pub(super) async fn look(&self, id: TicketId) -> Result<Option<Seen>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().look(unix_ms(), id)),
        }
    }

    pub(super) async fn cancel(&self, id: TicketId) -> Result<Option<Seen>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().cancel(unix_ms(), id)),
        }
    }

    pub(super) async fn lead(&self, who: &str, lasts: Duration) -> Result<Option<u64>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().lead(unix_ms(), who, lasts.as_millis() as u64)),
        }
    }

    pub(super) async fn waiting(&self, kind: &str) -> Result<Vec<Ticket>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().waiting(unix_ms(), kind)),
        }
    }

    pub(super) async fn commit(
        &self,
        epoch: u64,
        made: Vec<(TicketId, Assignment)>,
    ) -> Result<Commit, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().commit(unix_ms(), epoch, &made)),
        }
    }
}
