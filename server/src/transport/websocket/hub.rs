//! All WebSockets of a thread, served by one task.
//!
//! A task for each would cost what lies between a task and its socket: a waker, a slot in the runtime's
//! queue, and the runtime's own bookkeeping of readiness. Here a socket is an entry in a slab: a socket that
//! was [woken](crate::connection::Calls) or has kernel events is read and written in one go.

mod drive;
#[cfg(test)]
mod tests;

use super::socket::{Served, Socket};
use crate::{
    connection::{End, LocalConnections, PeerRef, Worker},
    prefetch::prefetch,
};
use driftless_proto::code::CloseCode;
use mio::{Interest, Registry, Token, event::Event, unix::SourceFd};
use slab::Slab;
use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Instant,
};
use tracing::error;

/// The WebSockets of one thread.
pub(crate) struct Hub {
    /// Boxed, so that a socket's memory is given back when it goes.
    sockets: RefCell<Slab<Box<Entry>>>,
    /// When to cut short closes that do not complete, and the sockets' keys. (Some sockets may have gone
    /// since.)
    limits: RefCell<BinaryHeap<Reverse<(Instant, usize)>>>,
    registry: Registry,
    worker: Rc<Worker>,
}

struct Entry {
    socket: Socket,
    peer: PeerRef,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Hub>>> = const { RefCell::new(None) };
}

impl Hub {
    /// The hub of the calling thread, if it has one.
    pub(crate) fn here() -> Option<Rc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// Starts the hub of the calling thread, which has no sockets yet.
    pub(crate) fn start(worker: Rc<Worker>) -> io::Result<Rc<Self>> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let hub = Rc::new(Self { sockets: RefCell::default(), limits: RefCell::default(), registry, worker });
        actix_rt::spawn(drive::Drive::new(hub.clone(), poll)?);
        HERE.set(Some(hub.clone()));
        Ok(hub)
    }

    /// Serves a socket for this peer from now on, including what it already holds. Returns its key. None: it
    /// cannot be watched, and has ended.
    pub(crate) fn insert(&self, socket: Socket, peer: PeerRef) -> Option<usize> {
        let mut sockets = self.sockets.borrow_mut();
        let place = sockets.vacant_entry();
        let key = place.key();
        let (fd, interest) = (socket.tcp().as_raw_fd(), Interest::READABLE | Interest::WRITABLE);
        if let Err(e) = self.registry.register(&mut SourceFd(&fd), Token(key), interest) {
            peer.borrow_mut().end(End::Lost(e.to_string()));
            return None;
        }
        if let Some(limit) = socket.limit() {
            self.limits.borrow_mut().push(Reverse((limit, key)));
        }
        place.insert(Box::new(Entry { socket, peer: peer.clone() }));
        peer.borrow_mut().attach(key);
        Some(key)
    }

    /// Removes a socket with everything that it holds. Its peer no longer wakes anybody, and has not ended.
    fn remove(&self, key: usize) -> Option<(Socket, PeerRef)> {
        let Entry { socket, peer } = *self.take(key)?;
        peer.borrow_mut().detach();
        // It cannot fail, because the socket is registered. If it did, some events would belong to no socket.
        let _ = self.registry.deregister(&mut SourceFd(&socket.tcp().as_raw_fd()));
        Some((socket, peer))
    }

    /// Moves a connection to another thread.
    fn depart(&self, key: usize) {
        let Some((socket, peer)) = self.remove(key) else { return };
        // The actor, which had the only other reference, has stopped.
        let mut peer = match Rc::try_unwrap(peer) {
            Ok(peer) => peer.into_inner(),
            Err(peer) => {
                error!("a connection could not leave its thread, because it is still in use: ending it");
                return end_of(&peer, End::Lost("the connection could not leave its thread".to_owned()));
            }
        };
        let Some(departure) = peer.take_departure() else { return };
        departure.to().arbiter().clone().spawn_fn(move || {
            let (Some(hub), Some(connections)) = (Self::here(), LocalConnections::here()) else { return };
            let peer = departure.arrive(peer, connections);
            hub.insert(socket, peer);
        });
    }

    fn take(&self, key: usize) -> Option<Box<Entry>> {
        let mut sockets = self.sockets.borrow_mut();
        let entry = sockets.try_remove(key);
        if sockets.is_empty() {
            sockets.shrink_to_fit();
        }
        entry
    }

    /// Prefetches a socket: first its own part, and a turn later that of its peer.
    fn prefetch(&self, next: Option<usize>, after: Option<usize>) {
        let sockets = self.sockets.borrow();
        if let Some(entry) = after.and_then(|key| sockets.get(key)) {
            prefetch(&**entry);
        }
        if let Some(entry) = next.and_then(|key| sockets.get(key)) {
            prefetch(&*entry.peer);
        }
    }

    /// Serves a socket. If it has gone, another socket may have its key, and has nothing to do.
    fn serve(&self, key: usize, now: Instant) {
        self.serve_with(key, None, now);
    }

    /// Serves a socket that has a kernel event.
    fn serve_event(&self, event: &Event, now: Instant) {
        self.serve_with(event.token().0, Some(event), now);
    }

    fn serve_with(&self, key: usize, event: Option<&Event>, now: Instant) {
        let end = {
            let mut sockets = self.sockets.borrow_mut();
            let Some(entry) = sockets.get_mut(key) else { return };
            let Entry { socket, peer } = &mut **entry;
            if event.is_some_and(|event| !hear(socket, event)) {
                return;
            }
            let closing = socket.limit().is_some();
            let mut peer = peer.borrow_mut();
            peer.heard();
            if peer.is_leaving() {
                drop(peer);
                drop(sockets);
                return self.depart(key);
            }
            // A panic ends this connection and no other.
            let served = catch_unwind(AssertUnwindSafe(|| socket.serve(&mut peer, &self.worker, now)));
            if !closing && let Some(limit) = socket.limit() {
                self.limits.borrow_mut().push(Reverse((limit, key)));
            }
            match served {
                Ok(Served::Waits) => return,
                Ok(Served::HasMore) => return peer.call(),
                Ok(Served::Ended(end)) => end,
                Err(_) => {
                    error!(connection = %peer.id, "serving a connection panicked: ending it");
                    End::Closed { code: CloseCode::Internal, reason: "the server failed".to_owned() }
                }
            }
        };
        self.end(key, end);
    }

    /// Notes a kernel event, to be handled later.
    fn defer_event(&self, event: &Event) {
        if let Some(entry) = self.sockets.borrow_mut().get_mut(event.token().0)
            && hear(&mut entry.socket, event)
        {
            entry.peer.borrow_mut().call();
        }
    }

    fn end(&self, key: usize, end: End) {
        if let Some(entry) = self.take(key) {
            end_of(&entry.peer, end);
        }
    }

    /// When the first close is cut short.
    fn next_limit(&self) -> Option<Instant> {
        self.limits.borrow().peek().map(|Reverse((at, _))| *at)
    }

    /// The socket whose close is to be cut short now, unless it has completed since.
    fn poll_limit(&self, now: Instant) -> Option<usize> {
        let mut limits = self.limits.borrow_mut();
        let Reverse((at, key)) = *limits.peek()?;
        if at > now {
            return None;
        }
        limits.pop();
        if limits.is_empty() {
            *limits = BinaryHeap::new(); // most of the time there are none
        }
        Some(key)
    }

    /// The server stops: the actors must be told all the same.
    fn stop(&self) {
        let sockets = std::mem::take(&mut *self.sockets.borrow_mut());
        for (_, entry) in sockets {
            end_of(&entry.peer, End::Lost("the server stopped".to_owned()));
        }
    }
}

/// After the task has stopped, some more may have come.
impl Drop for Hub {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Nobody serves this connection any more.
fn end_of(peer: &PeerRef, end: End) {
    let mut peer = peer.borrow_mut();
    peer.detach();
    let departure = peer.take_departure();
    peer.end(end.clone());
    // Looked up only if needed: when the thread ends, its connections may be gone.
    if let Some(departure) = departure
        && let Some(connections) = LocalConnections::here()
    {
        departure.abandon(&peer, peer.ended().unwrap_or(&end), &connections);
    }
}

/// Whether the event is news to the socket.
fn hear(socket: &mut Socket, event: &Event) -> bool {
    let ends = event.is_read_closed() || event.is_error();
    socket.hear(event.is_readable() || ends, event.is_writable(), ends)
}
