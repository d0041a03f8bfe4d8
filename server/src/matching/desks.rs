//! Where tickets lie: here, or for several servers together in Redis.

use super::{
    desk::{Commit, Decision, Desk, Most, NotTaken, Seen},
    queue::unix_ms,
    remote::Remote,
    ticket::{Ticket, TicketId},
};
use crate::nodes::Way;
use parking_lot::Mutex;
use std::time::Duration;

/// The desk of this server, or of all.
pub(super) enum Desks {
    /// Of this one.
    Here(Mutex<Desk>),
    /// Of all.
    Remote(Box<Remote>),
}

/// The desk cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DeskAway(pub(crate) String);

impl Desks {
    /// That of this server alone, or the one in Redis.
    pub(super) fn new(way: Option<Way>) -> Self {
        match way {
            None => Self::Here(Mutex::default()),
            Some(way) => Self::Remote(Box::new(Remote::new(way))),
        }
    }

    /// Whether other servers make matches of the tickets when this one does not.
    pub(super) fn are_shared(&self) -> bool {
        matches!(self, Desks::Remote(_))
    }

    pub(super) async fn add(&self, ticket: Ticket, most: Most) -> Result<Result<(), NotTaken>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().add(unix_ms(), ticket, most)),
            Desks::Remote(remote) => remote.add(&ticket, most).await,
        }
    }

    pub(super) async fn look(&self, id: TicketId, life_ms: u64) -> Result<Option<Seen>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().look(unix_ms(), id, life_ms)),
            Desks::Remote(remote) => remote.look(id, life_ms).await,
        }
    }

    pub(super) async fn away(&self, id: TicketId) -> Result<(), DeskAway> {
        match self {
            Desks::Here(desk) => {
                desk.lock().away(unix_ms(), id);
                Ok(())
            }
            Desks::Remote(remote) => remote.away(id).await,
        }
    }

    /// The same for many. Returns those that wait no longer.
    pub(super) async fn decided(&self, ids: &[TicketId]) -> Result<Vec<TicketId>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().decided(unix_ms(), ids)),
            Desks::Remote(remote) => remote.decided(ids).await,
        }
    }

    pub(super) async fn cancel(&self, id: TicketId) -> Result<Option<Seen>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().cancel(unix_ms(), id)),
            Desks::Remote(remote) => remote.cancel(id).await,
        }
    }

    pub(super) async fn lead(&self, who: &str, lasts: Duration) -> Result<Option<u64>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().lead(unix_ms(), who, lasts.as_millis() as u64)),
            Desks::Remote(remote) => remote.lead(who, lasts).await,
        }
    }

    /// Lets another server make the next matches: rooms are made where matches are.
    pub(super) async fn give_way(&self, who: &str) -> Result<(), DeskAway> {
        match self {
            Desks::Here(desk) => {
                desk.lock().give_way(who);
                Ok(())
            }
            Desks::Remote(remote) => remote.give_way(who).await,
        }
    }

    pub(super) async fn waiting(&self, kind: &str) -> Result<Vec<Ticket>, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().waiting(unix_ms(), kind)),
            Desks::Remote(remote) => remote.waiting(kind).await,
        }
    }

    pub(super) async fn commit(&self, epoch: u64, made: &[(TicketId, Decision)]) -> Result<Commit, DeskAway> {
        match self {
            Desks::Here(desk) => Ok(desk.lock().commit(unix_ms(), epoch, made)),
            Desks::Remote(remote) => remote.commit(epoch, made).await,
        }
    }
}
