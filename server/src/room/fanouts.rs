//! The threads that have connections of a room.

use crate::ground::{
    close::Close,
    entrant::Reach,
    fanout::FanoutLink,
    home::{Home, MoveTo},
    id::{ConnectionId, RoomId},
    published::Published,
    tight,
};
use smallvec::SmallVec;
use std::{mem, sync::Arc};

/// The connections of a room: how to reach each, and which threads to publish to.
#[derive(Default)]
pub(super) struct Fanouts {
    /// In order of their numbers.
    connections: Vec<(ConnectionId, Member)>,
    threads: SmallVec<[Thread; 1]>,
}

struct Member {
    reach: Reach,
    moving: Moving,
}

/// Whether a connection is between two threads, where nothing reaches it.
enum Moving {
    No,
    /// It was told to move, and has not reported from its new thread yet.
    Told,
    /// It has to be closed when it reports.
    Closing(Close),
}

struct Thread {
    link: FanoutLink,
    members: usize,
}

impl Fanouts {
    /// A connection has a seat.
    pub(super) fn add(&mut self, connection: ConnectionId, reach: Reach) {
        self.remove(connection);
        self.count(&reach.link);
        let at = self.connections.partition_point(|(id, _)| *id < connection);
        tight::insert(&mut self.connections, at, (connection, Member { reach, moving: Moving::No }));
    }

    /// Number of connections.
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// A connection has gone.
    pub(super) fn remove(&mut self, connection: ConnectionId) {
        if let Ok(at) = self.connections.binary_search_by_key(&connection, |(id, _)| *id) {
            let (_, member) = self.connections.remove(at);
            self.discount(&member.reach.link);
        }
    }

    /// A connection has moved. Some: it was closed while moving.
    pub(super) fn moved(&mut self, connection: ConnectionId, reach: Reach) -> Option<Close> {
        let Some(member) = self.member(connection) else { return Some(Close::replaced()) };
        let link = reach.link.clone();
        let old = mem::replace(member, Member { reach, moving: Moving::No });
        self.discount(&old.reach.link);
        self.count(&link);
        match old.moving {
            Moving::Closing(close) => Some(close),
            Moving::No | Moving::Told => None,
        }
    }

    /// Makes connections on other threads come to this one, if they can.
    pub(super) fn gather(&mut self, home: &Home) {
        let Some(link) = home.link() else { return };
        for (_, member) in &mut self.connections {
            if let Some(moves) = &member.reach.moves
                && member.reach.link.index != link.index
                && matches!(member.moving, Moving::No)
            {
                moves.do_send(MoveTo { home: home.clone(), from: None });
                member.moving = Moving::Told;
            }
        }
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, connection: ConnectionId, close: Close) {
        if let Some(member) = self.member(connection) {
            member.close(close);
        }
    }

    /// Closes all connections.
    pub(super) fn close_all(&mut self, close: &Close) {
        self.connections.iter_mut().for_each(|(_, member)| member.close(close.clone()));
    }

    /// Publishes a state, once to each thread. Returns how many threads did not take it because they are too
    /// far behind: a newer state will replace it.
    pub(super) fn publish(&self, room: RoomId, state: &Arc<Published>) -> usize {
        self.threads.iter().filter(|thread| !thread.link.publish(room, state)).count()
    }

    fn member(&mut self, connection: ConnectionId) -> Option<&mut Member> {
        let at = self.connections.binary_search_by_key(&connection, |(id, _)| *id).ok()?;
        Some(&mut self.connections[at].1)
    }

    fn count(&mut self, link: &FanoutLink) {
        match self.threads.iter_mut().find(|t| t.link.index == link.index) {
            Some(thread) => thread.members += 1,
            None => self.threads.push(Thread { link: link.clone(), members: 1 }),
        }
    }

    fn discount(&mut self, link: &FanoutLink) {
        if let Some(at) = self.threads.iter().position(|t| t.link.index == link.index) {
            self.threads[at].members -= 1;
            if self.threads[at].members == 0 {
                self.threads.swap_remove(at);
            }
        }
    }
}

impl Member {
    fn close(&mut self, close: Close) {
        match self.moving {
            // At most a few in a connection's life; it is stopping after the first.
            Moving::No => self.reach.control.do_send(close),
            Moving::Told => self.moving = Moving::Closing(close),
            Moving::Closing(_) => {}
        }
    }
}
