//! A connection moves from its thread to the one where its room lives.
//!
//! Its actor decides to move and then stops. The transport, when it is woken, removes the socket from its
//! thread and hands both over. On the other thread a new actor continues with what the old one wanted. In
//! between, nobody serves the connection: what its room wants of it waits with the room (see
//! [`Moved`](crate::room::Moved)), and what it has read and not sent travels with the socket.

use super::{
    End, LocalConnections, Peer, PeerRef,
    actor::{Connection, Entrance, Seating, Ticket, tell_end},
};
use crate::ground::home::Home;
use std::{rc::Rc, sync::Arc};

/// Where a connection goes, and why.
pub struct Departure {
    pub(super) to: Home,
    pub(super) rooms: Arc<dyn Entrance>,
    pub(super) errand: Errand,
}

/// What a connection does after it has arrived.
pub(super) enum Errand {
    /// It takes a seat.
    Enter(Box<Ticket>),
    /// It keeps the seat that it has.
    Stay(Seating),
}

impl Departure {
    /// The destination.
    pub fn to(&self) -> &Home {
        &self.to
    }

    /// The connection has arrived, and is now on the calling thread.
    pub fn arrive(self, peer: Peer, connections: Rc<LocalConnections>) -> PeerRef {
        Connection::arrive(peer, self, connections)
    }

    /// The connection has ended before it could leave.
    pub fn abandon(self, peer: &Peer, end: &End, connections: &LocalConnections) {
        let place = match self.errand {
            Errand::Enter(_) => None,
            Errand::Stay(place) => Some(place),
        };
        tell_end(peer, end, place, connections);
    }
}
