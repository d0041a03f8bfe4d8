//! A connection that asks for a seat.

use super::{close::Close, fanout::FanoutLink, id::ConnectionId, source::Source};
use actix::Recipient;
use std::{any::Any, sync::Arc};

/// What a room needs of a connection that asks for a seat.
#[derive(Clone)]
pub struct Entrant {
    /// The connection.
    pub connection: ConnectionId,
    /// Where it comes from.
    pub source: Source,
    /// Its place among the players, for the seat to keep. None: it comes back to a seat.
    pub place: Option<Arc<dyn Any + Send + Sync>>,
    /// The thread it is on.
    pub link: FanoutLink,
    /// How to close it.
    pub control: Recipient<Close>,
}
