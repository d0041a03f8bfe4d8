//! A connection that asks for a seat.

use super::{close::Close, fanout::FanoutLink, id::ConnectionId};
use actix::Recipient;

/// What a room needs of a connection that asks for a seat.
#[derive(Clone)]
pub struct Entrant {
    /// The connection.
    pub connection: ConnectionId,
    /// The thread it is on.
    pub link: FanoutLink,
    /// How to close it.
    pub control: Recipient<Close>,
}
