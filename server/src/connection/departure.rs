//! A connection leaves its thread for another, where its room lives.
//!
//! Its actor decides so, and is no more; the transport, when it is called, takes the socket out of its thread and hands both over. On the other
//! thread a new actor goes on with what the old one wanted. Between the two, nobody has the connection: what its room wants of it
//! meanwhile waits with the room (see [`Moved`](crate::room::Moved)), and what it has read and not sent goes with the socket.

use super::{
    End, LocalConnections, Peer, PeerRef,
    actor::{Connection, Place, Rooms, Ticket, tell_end},
};
use crate::ground::home::Home;
use std::{rc::Rc, sync::Arc};

/// Where a connection goes, and what for.
pub struct Departure {
    pub(super) to: Home,
    pub(super) rooms: Arc<dyn Rooms>,
    pub(super) errand: Errand,
}

/// What a connection does when it has arrived.
pub(super) enum Errand {
    /// It takes a seat.
    Enter(Ticket),
    /// It goes on, in the seat that it has.
    Stay(Place),
}

impl Departure {
    /// The thread.
    pub fn to(&self) -> &Home {
        &self.to
    }

    /// The connection has arrived there, that is, on the calling thread.
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
