//! A thread on which rooms and their players' connections live.

use super::fanout::FanoutLink;
use actix::{ArbiterHandle, Message};
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};

/// A thread on which rooms live. Clones refer to the same thread.
#[derive(Clone)]
pub struct Home(Arc<Inner>);

struct Inner {
    arbiter: ArbiterHandle,
    link: Option<FanoutLink>,
    rooms: AtomicUsize,
    players: AtomicUsize,
    /// Share of its time that the thread is working, thousandths.
    load: AtomicU32,
}

impl Home {
    /// The thread of this arbiter. `link` reaches its connections, if it serves any.
    pub fn new(arbiter: ArbiterHandle, link: Option<FanoutLink>) -> Self {
        let (rooms, players, load) = Default::default();
        Self(Arc::new(Inner { arbiter, link, rooms, players, load }))
    }

    /// The thread's arbiter.
    pub fn arbiter(&self) -> &ArbiterHandle {
        &self.0.arbiter
    }

    /// How its connections are reached. None: it has none.
    pub fn link(&self) -> Option<&FanoutLink> {
        self.0.link.as_ref()
    }

    /// Whether both are the same thread.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Number of rooms that live there.
    pub fn rooms(&self) -> usize {
        self.0.rooms.load(Relaxed)
    }

    /// Number of players whose connections live there.
    pub fn players(&self) -> usize {
        self.0.players.load(Relaxed)
    }

    /// Share of its time that the thread has recently been working, thousandths.
    pub fn load(&self) -> u32 {
        self.0.load.load(Relaxed)
    }

    /// Sets the share of its time that the thread is working, thousandths.
    pub fn set_load(&self, thousandths: u32) {
        self.0.load.store(thousandths, Relaxed);
    }

    /// Counts a room on this thread until the result is dropped.
    pub fn house_room(&self) -> Resident {
        self.house(|inner| &inner.rooms)
    }

    /// Counts a player's connection on this thread until the result is dropped.
    pub fn house_player(&self) -> Resident {
        self.house(|inner| &inner.players)
    }

    fn house(&self, count: fn(&Inner) -> &AtomicUsize) -> Resident {
        count(&self.0).fetch_add(1, Relaxed);
        Resident { home: self.clone(), count }
    }
}

/// A room or player counted on a thread.
pub struct Resident {
    home: Home,
    count: fn(&Inner) -> &AtomicUsize,
}

impl Resident {
    /// The thread.
    pub fn home(&self) -> &Home {
        &self.home
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        (self.count)(&self.home.0).fetch_sub(1, Relaxed);
    }
}

/// Asks a room or a connection to move to another thread.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct MoveTo {
    /// The destination.
    pub home: Home,
    /// Moves only if it still lives there. None: wherever it lives.
    pub from: Option<Home>,
}
