//! A connection that asks for a seat.

use super::{
    close::Close, fanout::FanoutLink, home::MoveTo, id::ConnectionId, identity::Identity, places::Place,
    source::Source,
};
use actix::Recipient;
use std::sync::Arc;

/// What a room needs to know about a connection that asks for a seat.
#[derive(Clone)]
pub struct Entrant {
    /// The connection.
    pub connection: ConnectionId,
    /// Where it comes from.
    pub source: Source,
    /// Who its client is.
    pub identity: Arc<Identity>,
    /// Its player slot, for the seat to keep. None: it comes back to a seat.
    pub place: Option<Arc<Place>>,
    /// How it is reached.
    pub reach: Reach,
}

/// How a room reaches a connection.
#[derive(Clone)]
pub struct Reach {
    /// The thread it is on.
    pub link: FanoutLink,
    /// How to close it.
    pub control: Recipient<Close>,
    /// How to have it move to another thread. None: it cannot.
    pub moves: Option<Recipient<MoveTo>>,
}
