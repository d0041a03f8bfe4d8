//! The actor that hands a published tick to the connections of its thread and checks their timeouts.

use super::{peer::PeerRef, worker::Worker};
use crate::{
    clock,
    ground::{
        close::GOING_DOWN,
        drain::comes_back,
        fanout::{Audience, FanoutLink, Publish},
        home::Home,
        id::{ConnectionId, RoomId},
        published::Published,
        shrink::give_back,
    },
    prefetch::prefetch,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use driftless_proto::code::CloseCode;
use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, HashMap},
    mem,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Time between two checks of all connections of a thread: how late a timeout may be noticed.
const SWEEP: Duration = Duration::from_millis(100);
/// A check that is later than this follows a stall of the thread, the process or the machine.
const LATE: Duration = Duration::from_millis(100);
/// Connections checked before looking whether a room is due.
const SWEPT_TOGETHER: usize = 64;
/// How many connections ahead of an offer are prefetched.
const AHEAD: usize = 2;
/// Published ticks that may wait for a thread: more than the rooms of a busy thread publish while it handles
/// one batch. A tick that does not fit is dropped, because a newer one follows.
const MAILBOX: usize = 4096;

/// The actor, one per thread.
pub struct Fanout {
    connections: Rc<LocalConnections>,
    swept: Instant,
}

/// The connections of one thread. Never leaves it.
pub struct LocalConnections {
    worker: Rc<Worker>,
    link: FanoutLink,
    /// None: connections stay here only until they have a room.
    home: OnceCell<Home>,
    fanout: Addr<Fanout>,
    peers: RefCell<Peers>,
    /// The server is shutting down, and those who come from another thread are told to go, too.
    draining: Cell<bool>,
    /// Those who have not been told yet.
    untold: RefCell<Vec<ConnectionId>>,
    /// How many were told.
    told: Cell<usize>,
}

#[derive(Default)]
struct Peers {
    /// In order, so that what a sweep does is the same each time.
    all: BTreeMap<ConnectionId, PeerRef>,
    by_room: HashMap<RoomId, Vec<(ConnectionId, PeerRef)>>,
}

thread_local! {
    static HERE: RefCell<Option<Rc<LocalConnections>>> = const { RefCell::new(None) };
}

impl LocalConnections {
    /// The connections of the calling thread, if it has any.
    pub fn here() -> Option<Rc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// Starts the fan-out of the calling thread, which has no connections yet.
    pub fn start(worker: Rc<Worker>) -> Rc<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut started = None;
        Fanout::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let fanout = ctx.address();
            let index = NEXT.fetch_add(1, Ordering::Relaxed);
            let link = FanoutLink { index, fanout: fanout.clone().recipient() };
            let connections = Rc::new(Self {
                worker,
                link,
                home: OnceCell::new(),
                fanout,
                peers: RefCell::default(),
                draining: Cell::new(false),
                untold: RefCell::default(),
                told: Cell::new(0),
            });
            connections.link.lead_to(connections.clone());
            HERE.set(Some(connections.clone()));
            started = Some(connections.clone());
            Fanout { connections, swept: clock::now() }
        });
        match started {
            Some(connections) => connections,
            None => unreachable!("an actor's factory runs before create returns"),
        }
    }

    /// What the connections share.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// How rooms reach these connections.
    pub fn link(&self) -> FanoutLink {
        self.link.clone()
    }

    /// Rooms and players live here from now on.
    pub fn live_at(&self, home: Home) {
        drop(self.home.set(home));
    }

    /// The thread, if rooms and players live here.
    pub fn home(&self) -> Option<&Home> {
        self.home.get()
    }

    /// Whether `home` is this thread.
    pub fn is_at(&self, home: &Home) -> bool {
        home.link().is_some_and(|link| link.index == self.link.index)
    }

    /// The actor that serves the connections.
    pub fn fanout(&self) -> &Addr<Fanout> {
        &self.fanout
    }

    /// Adds a connection that has no seat yet.
    pub fn add(&self, peer: PeerRef) {
        let id = peer.borrow().id;
        self.peers.borrow_mut().all.insert(id, peer);
        if self.draining.get() {
            // It was between two threads when the others were counted.
            self.untold.borrow_mut().push(id);
        }
    }

    /// Tells so many connections to go. Returns how many there were.
    fn say_goodbye(&self, most: usize, after: Duration, spread: Duration) -> usize {
        let peers = self.peers.borrow();
        let mut untold = self.untold.borrow_mut();
        if !self.draining.replace(true) {
            untold.extend(peers.all.keys());
        }
        let before = self.told.get();
        while self.told.get() - before < most
            && let Some(id) = untold.pop()
        {
            if let Some(peer) = peers.all.get(&id) {
                let wait = after + comes_back(self.told.get(), spread);
                self.told.set(self.told.get() + 1);
                peer.borrow_mut().close(CloseCode::Draining, GOING_DOWN, wait);
            }
        }
        self.told.get() - before
    }

    /// Offers a connection the states of a room from now on.
    pub fn subscribe(&self, room: RoomId, peer: PeerRef) {
        let id = peer.borrow().id;
        self.peers.borrow_mut().by_room.entry(room).or_default().push((id, peer));
    }

    /// Forgets a connection.
    pub fn remove(&self, id: ConnectionId, room: Option<RoomId>) {
        let mut peers = self.peers.borrow_mut();
        peers.all.remove(&id);
        if let Some(room) = room
            && let Some(members) = peers.by_room.get_mut(&room)
        {
            members.retain(|(member, _)| *member != id);
            if members.is_empty() {
                peers.by_room.remove(&room);
                give_back(&mut peers.by_room);
            }
        }
    }
}

impl Actor for Fanout {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        Self::sweep_later(ctx);
    }
}

impl Fanout {
    /// Scheduled one at a time, not at an interval, which would catch up on all sweeps that a stall has
    /// missed.
    fn sweep_later(ctx: &mut Context<Self>) {
        ctx.run_later(SWEEP, |fanout, ctx| {
            fanout.sweep(clock::now());
            Self::sweep_later(ctx);
        });
    }

    fn sweep(&mut self, now: Instant) {
        let LocalConnections { worker, peers, .. } = &*self.connections;
        let passed = now.saturating_duration_since(mem::replace(&mut self.swept, now));
        // What came during the stall still waits in the sockets.
        let stall = passed.checked_sub(SWEEP).filter(|late| *late > LATE).unwrap_or_default();
        for (n, peer) in peers.borrow().all.values().enumerate() {
            if n % SWEPT_TOGETHER == 0 {
                worker.interlude(clock::now());
            }
            peer.borrow_mut().sweep(worker, now, passed, stall);
        }
        worker.sweep(passed);
    }
}

impl Audience for LocalConnections {
    fn publish(&self, room: RoomId, state: &Arc<Published>) {
        if let Some(members) = self.peers.borrow().by_room.get(&room) {
            for (n, (_, peer)) in members.iter().enumerate() {
                if let Some((_, soon)) = members.get(n + AHEAD) {
                    prefetch(&**soon);
                }
                peer.borrow_mut().offer(state.clone());
            }
        }
    }
}

impl Handler<Publish> for Fanout {
    type Result = ();

    fn handle(&mut self, publish: Publish, _: &mut Self::Context) {
        self.connections.publish(publish.room, &publish.state);
    }
}

/// The server is shutting down: say goodbye to some connections of the thread. The answer is to how many.
#[derive(Message, Clone)]
#[rtype(usize)]
pub struct SayGoodbye {
    /// To how many, at most.
    pub most: usize,
    /// Clients are told not to reconnect earlier than this.
    pub after: Duration,
    /// Their times to reconnect are spread evenly over this time.
    pub spread: Duration,
}

impl Handler<SayGoodbye> for Fanout {
    type Result = usize;

    fn handle(&mut self, say: SayGoodbye, _: &mut Self::Context) -> usize {
        let SayGoodbye { most, after, spread } = say;
        self.connections.say_goodbye(most, after, spread)
    }
}
