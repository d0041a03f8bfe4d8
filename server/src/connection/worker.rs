//! A thread that serves connections: its fan-out actor and what its connections share.

use super::{ConnectionId, coalesce::Coalesce, peer::PeerRef};
use crate::{
    clock::Clock,
    metrics::{LocalCounters, Metrics, TransportKind},
    room::published::Published,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use bytes::{Bytes, BytesMut};
use driftless_proto::{code::CloseCode, delta::Encoder, wire::ColumnCoding};
use std::{
    cell::{RefCell, RefMut},
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Time between two looks at all connections of a thread: how late a timeout may be noticed.
const SWEEP: Duration = Duration::from_millis(100);
/// Published ticks that may wait for a thread. More than the rooms of a busy thread publish while it handles one batch;
/// a tick that finds no place is dropped, as a newer one follows.
const MAILBOX: usize = 4096;
/// Room for the deltas of a few ticks before the memory is used again.
const DELTA_BUFFER: usize = 64 * 1024;
/// Most bytes of one read.
const READ_BUFFER: usize = 16 * 1024;

/// What the connections of one thread share. Never leaves its thread.
pub struct Worker {
    clock: Clock,
    metrics: Arc<Metrics>,
    link: WorkerLink,
    coalesce: Rc<Coalesce>,
    peers: RefCell<Peers>,
    deltas: RefCell<Deltas>,
    /// By the number of the transport.
    counters: RefCell<[LocalCounters; TransportKind::ALL.len()]>,
    /// For transports to put one message together.
    scratch: RefCell<BytesMut>,
    /// For transports to put together what one write sends.
    write_buffer: RefCell<BytesMut>,
    /// For transports to read into.
    read_buffer: RefCell<Box<[u8]>>,
}

#[derive(Default)]
struct Peers {
    all: HashMap<ConnectionId, PeerRef>,
    by_room: HashMap<u64, Vec<(ConnectionId, PeerRef)>>,
}

struct Deltas {
    encoder: Encoder,
    buffer: BytesMut,
}

/// How rooms reach a thread's connections.
#[derive(Clone)]
pub struct WorkerLink {
    /// Number of the thread.
    pub index: usize,
    /// Its fan-out.
    pub fanout: Addr<Fanout>,
}

impl Worker {
    /// Starts the fan-out of the calling thread. `pause`: see `Config::coalesce`.
    pub fn start(clock: Clock, metrics: Arc<Metrics>, pause: Duration) -> Rc<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut worker = None;
        Fanout::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let link = WorkerLink { index: NEXT.fetch_add(1, Ordering::Relaxed), fanout: ctx.address() };
            let made = Rc::new(Self {
                clock,
                metrics,
                link,
                coalesce: Coalesce::start(pause),
                peers: RefCell::default(),
                deltas: RefCell::new(Deltas {
                    encoder: Encoder::default(),
                    buffer: BytesMut::with_capacity(DELTA_BUFFER),
                }),
                counters: RefCell::default(),
                scratch: RefCell::default(),
                write_buffer: RefCell::default(),
                read_buffer: RefCell::new(vec![0; READ_BUFFER].into()),
            });
            worker = Some(made.clone());
            Fanout { worker: made }
        });
        match worker {
            Some(worker) => worker,
            None => unreachable!("an actor's factory runs before create returns"),
        }
    }

    /// The server's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }
    /// How rooms reach this thread.
    pub fn link(&self) -> WorkerLink {
        self.link.clone()
    }
    /// Counts of this thread for one transport, added to the metrics a few times a second.
    pub fn counters(&self, transport: TransportKind) -> RefMut<'_, LocalCounters> {
        RefMut::map(self.counters.borrow_mut(), |all| &mut all[transport as usize])
    }
    /// A message has arrived.
    pub fn arrived(&self, transport: TransportKind, bytes: usize) {
        let mut counters = self.counters(transport);
        counters.messages_in += 1;
        counters.bytes_in += bytes as u64;
        self.coalesce.arrived();
    }
    /// A buffer to put messages together in.
    pub fn scratch(&self) -> RefMut<'_, BytesMut> {
        self.scratch.borrow_mut()
    }
    /// A buffer to put together what one write sends.
    pub fn write_buffer(&self) -> RefMut<'_, BytesMut> {
        self.write_buffer.borrow_mut()
    }
    /// A buffer to read into.
    pub fn read_buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.read_buffer.borrow_mut()
    }
    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Adds a connection that has no seat yet.
    pub fn add(&self, peer: PeerRef) {
        let id = peer.borrow().id;
        self.peers.borrow_mut().all.insert(id, peer);
    }

    /// Gives a connection the states of a room from now on.
    pub fn subscribe(&self, room: u64, peer: PeerRef) {
        let id = peer.borrow().id;
        self.peers.borrow_mut().by_room.entry(room).or_default().push((id, peer));
    }

    /// Forgets a connection.
    pub fn remove(&self, id: ConnectionId, room: Option<u64>) {
        let mut peers = self.peers.borrow_mut();
        peers.all.remove(&id);
        if let Some(room) = room
            && let Some(members) = peers.by_room.get_mut(&room)
        {
            members.retain(|(member, _)| *member != id);
            if members.is_empty() {
                peers.by_room.remove(&room);
            }
        }
    }

    /// The shared part of a state message, for a connection of this transport.
    pub fn delta(
        &self,
        transport: TransportKind,
        current: &Published,
        baseline: Option<&Published>,
        prior: Option<&Published>,
        coding: ColumnCoding,
    ) -> Bytes {
        let deltas = &mut *self.deltas.borrow_mut();
        let start = Instant::now();
        let delta = current.delta(&mut deltas.encoder, &mut deltas.buffer, baseline, prior, coding);
        let mut counters = self.counters(transport);
        if delta.encoded_now {
            counters.deltas_encoded += 1;
            self.metrics.encode.observe(start.elapsed());
        } else {
            counters.deltas_shared += 1;
        }
        delta.bytes
    }
}

/// The actor that hands a published tick to the connections of its thread, and looks after their timeouts.
pub struct Fanout {
    worker: Rc<Worker>,
}

impl Actor for Fanout {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP, |fanout, _| fanout.sweep());
    }
}

/// A room's newest state, once for each thread.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// The room.
    pub room: u64,
    /// The state.
    pub state: Arc<Published>,
}

impl Handler<Publish> for Fanout {
    type Result = ();

    fn handle(&mut self, publish: Publish, _: &mut Self::Context) {
        if let Some(members) = self.worker.peers.borrow().by_room.get(&publish.room) {
            for (_, peer) in members {
                peer.borrow_mut().offer(publish.state.clone());
            }
        }
    }
}

/// The server is going down: say goodbye to all.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct Drain {
    /// Clients are told to reconnect after up to this long, evenly spread.
    pub spread: Duration,
}

impl Handler<Drain> for Fanout {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) {
        let peers = self.worker.peers.borrow();
        for (n, peer) in peers.all.values().enumerate() {
            let share = n as f64 / peers.all.len() as f64;
            peer.borrow_mut().close(
                CloseCode::Draining,
                "the server is going down",
                drain.spread.mul_f64(share),
            );
        }
    }
}

impl Fanout {
    fn sweep(&mut self) {
        let now = Instant::now();
        for peer in self.worker.peers.borrow().all.values() {
            peer.borrow_mut().sweep(&self.worker, now);
        }
        self.worker.coalesce.measure(SWEEP);
        for transport in TransportKind::ALL {
            let counted = self.worker.counters(transport).take();
            self.worker.metrics.add(transport, &counted);
        }
    }
}
