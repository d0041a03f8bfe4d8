//! A thread that rooms live on, and the connections of their players.

use super::fanout::FanoutLink;
use actix::{ArbiterHandle, Message};
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};

/// A thread that rooms live on. Copies are the same.
#[derive(Clone)]
pub struct Home(Arc<Inner>);

struct Inner {
    arbiter: ArbiterHandle,
    link: Option<FanoutLink>,
    rooms: AtomicUsize,
    players: AtomicUsize,
    /// How busy it is, thousandths.
    load: AtomicU32,
}

impl Home {
    /// The thread of this arbiter. `link`: how its connections are reached, if it is for connections.
    pub fn new(arbiter: ArbiterHandle, link: Option<FanoutLink>) -> Self {
        let (rooms, players, load) = Default::default();
        Self(Arc::new(Inner { arbiter, link, rooms, players, load }))
    }

    /// What runs there.
    pub fn arbiter(&self) -> &ArbiterHandle {
        &self.0.arbiter
    }

    /// How its connections are reached. None: it has none.
    pub fn link(&self) -> Option<&FanoutLink> {
        self.0.link.as_ref()
    }

    /// Whether it is that thread.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Rooms that live there.
    pub fn rooms(&self) -> usize {
        self.0.rooms.load(Relaxed)
    }

    /// Players whose connections live there.
    pub fn players(&self) -> usize {
        self.0.players.load(Relaxed)
    }

    /// How much of its time the thread worked of late, thousandths.
    pub fn load(&self) -> u32 {
        self.0.load.load(Relaxed)
    }

    /// The thread says how much of its time it works.
    pub fn set_load(&self, thousandths: u32) {
        self.0.load.store(thousandths, Relaxed);
    }

    /// A room lives there, until this is dropped.
    pub fn house_room(&self) -> Resident {
        self.house(|inner| &inner.rooms)
    }

    /// A player's connection lives there, until this is dropped.
    pub fn house_player(&self) -> Resident {
        self.house(|inner| &inner.players)
    }

    fn house(&self, count: fn(&Inner) -> &AtomicUsize) -> Resident {
        count(&self.0).fetch_add(1, Relaxed);
        Resident { home: self.clone(), count }
    }
}

/// Somebody who lives on a thread.
pub struct Resident {
    home: Home,
    count: fn(&Inner) -> &AtomicUsize,
}

impl Resident {
    /// Where.
    pub fn home(&self) -> &Home {
        &self.home
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        (self.count)(&self.home.0).fetch_sub(1, Relaxed);
    }
}

/// A room, or a connection, is to move to another thread.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct MoveTo {
    /// Which.
    pub home: Home,
    /// Only if it lives there still. None: wherever it lives.
    pub from: Option<Home>,
}
