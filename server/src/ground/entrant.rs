//! A connection that asks for a seat.

use super::{close::Close, fanout::FanoutLink, id::ConnectionId, source::Source};
use actix::Recipient;

/// What a room needs of a connection that asks for a seat.
#[derive(Clone)]
pub struct Entrant {
    /// The connection.
    pub connection: ConnectionId,
    /// Where it comes from.
    pub source: Source,
    /// The thread it is on.
    pub link: FanoutLink,
    /// How to close it.
    pub control: Recipient<Close>,
}
