//! Which threads have connections of a room.

use crate::ground::{
    close::Close,
    entrant::Entrant,
    fanout::Publish,
    id::{ConnectionId, RoomId},
    published::Published,
};
use actix::Recipient;
use std::{collections::HashMap, sync::Arc};

/// The connections of a room: how to close each, and which threads to publish to.
#[derive(Default)]
pub(super) struct Fanouts {
    connections: HashMap<ConnectionId, Member>,
    threads: Vec<Thread>,
}

struct Member {
    thread: usize,
    control: Recipient<Close>,
}

struct Thread {
    index: usize,
    fanout: Recipient<Publish>,
    members: usize,
}

impl Fanouts {
    /// A connection has a seat.
    pub(super) fn add(&mut self, entrant: Entrant) {
        let Entrant { connection, link, control, .. } = entrant;
        let thread = link.index;
        match self.threads.iter_mut().find(|t| t.index == thread) {
            Some(thread) => thread.members += 1,
            None => self.threads.push(Thread { index: thread, fanout: link.fanout, members: 1 }),
        }
        self.connections.insert(connection, Member { thread, control });
    }

    /// A connection is gone.
    pub(super) fn remove(&mut self, connection: ConnectionId) {
        if let Some(member) = self.connections.remove(&connection)
            && let Some(at) = self.threads.iter().position(|t| t.index == member.thread)
        {
            self.threads[at].members -= 1;
            if self.threads[at].members == 0 {
                self.threads.swap_remove(at);
            }
        }
    }

    /// Closes a connection.
    pub(super) fn close(&self, connection: ConnectionId, close: Close) {
        if let Some(member) = self.connections.get(&connection) {
            // At most a few a connection's life; it is stopping after the first.
            member.control.do_send(close);
        }
    }

    /// Closes all connections.
    pub(super) fn close_all(&self, close: &Close) {
        for member in self.connections.values() {
            member.control.do_send(close.clone());
        }
    }

    /// Publishes a state: one message a thread. Returns to how many threads it could not be handed: they are so far
    /// behind that a newer state will do.
    pub(super) fn publish(&self, room: RoomId, state: &Arc<Published>) -> usize {
        let send = |thread: &&Thread| thread.fanout.try_send(Publish { room, state: state.clone() }).is_err();
        self.threads.iter().filter(send).count()
    }
}
