//! Thousands of clients on one thread. Here: WebSockets, with one epoll, one read buffer, one write buffer
//! and one wheel. In [`tasks`]: transports with datagrams.
//!
//! A swarm must cost less than the server it measures, so it does little more than the kernel makes it do:
//! one read and one write per client per tick; no task, timer or allocation per message. What a client *is*
//! comes from a `Peer`: the bots of `loadtest run` and the mute clients of `loadtest floor` go through the
//! same code.
//!
//! Peers are told the time at which the swarm woke up: what is ready then has arrived by then, and the time a
//! bot waits for those before it in the same wake-up is the swarm's, not the server's.

mod conn;
mod frames;
mod tasks;
mod wheel;

use conn::Incoming;
pub use conn::{Conn, End, State, Target};
pub use frames::Frames;
pub use tasks::{Carrier, TaskSwarm};
pub use wheel::Wheel;

use crate::ws::Opcode;
use bytes::{Bytes, BytesMut};
use driftless_proto::wire;
use rustix::{
    event::{Timespec, epoll},
    fd::OwnedFd,
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// What a client does. `Shared` is what all clients of one thread share (settings, histograms).
pub trait Peer {
    /// See the trait.
    type Shared;
    /// The connection is open. `token` says whose it is, if the server has yet to be shown it.
    fn opened(&mut self, shared: &mut Self::Shared, now: Instant, token: String, out: &mut Frames);
    /// A message arrived, in a frame of `frame` bytes. Break hangs up.
    fn message(
        &mut self,
        shared: &mut Self::Shared,
        now: Instant,
        message: Bytes,
        frame: usize,
        out: &mut Frames,
    ) -> ControlFlow<End>;
    /// The tick's time to act has come: `due` is when it should have been. Break hangs up.
    fn due(
        &mut self,
        shared: &mut Self::Shared,
        due: Instant,
        now: Instant,
        out: &mut Frames,
    ) -> ControlFlow<End>;
    /// The connection is gone, or there was none. Not called after a Break. Returns when to connect again, if
    /// at all.
    fn ended(&mut self, shared: &mut Self::Shared, now: Instant, end: &End) -> Option<Instant>;
    /// The node to which it was sent, for its next connection.
    fn node(&self) -> Option<&wire::Moved> {
        None
    }
    /// When another connection is to be opened beside the one that it has, because nothing comes over that.
    fn doubt(&self, _shared: &Self::Shared) -> Option<Instant> {
        None
    }
}

/// A swarm, of whatever kind, as its leader sees it.
pub trait Drive<P: Peer> {
    /// Does something with what the peers share.
    fn with(&mut self, what: &mut dyn FnMut(&mut P::Shared));
    /// What went over the network so far.
    fn traffic(&mut self) -> Traffic;
    /// Does something with every peer, connected or not.
    fn each_peer(&mut self, what: &mut dyn FnMut(&mut P, &mut P::Shared));
    /// Lets every peer with an open connection say something.
    fn each(&mut self, now: Instant, say: &mut dyn FnMut(&mut P, &mut P::Shared, &mut Frames));
    /// Connects and acts for the peers that are due, then waits for the network (at most until `until`) and
    /// takes what came.
    fn turn(&mut self, until: Instant) -> std::io::Result<()>;
}

/// What went over the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages sent.
    pub messages_up: u64,
    /// Bytes that carried them: of WebSocket frames, or of UDP payloads.
    pub bytes_up: u64,
    /// Bytes received, where the peers are not told of them with each message.
    pub bytes_down: Option<u64>,
}

/// The clients of one thread.
pub struct Swarm<P: Peer> {
    /// What the peers share.
    pub shared: P::Shared,
    clients: Vec<Client<P>>,
    target: Target,
    /// Index of the first client among the swarms of all threads.
    first: usize,
    started: usize,
    /// Clients that connect again, and when.
    back: BinaryHeap<Reverse<(Instant, usize)>>,
    open: usize,
    start: Instant,
    ramp: Duration,
    wheel: Wheel,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    arena: BytesMut,
    frames: Frames,
}

/// When and where a swarm connects.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub target: Target,
    /// Index of the first client among the swarms of all threads.
    pub first: usize,
    /// When the first client connects.
    pub start: Instant,
    /// Time over which the clients connect, evenly.
    pub ramp: Duration,
    /// Time between two actions of a client.
    pub tick: Duration,
}

#[derive(Debug)]
struct Client<P> {
    peer: P,
    conn: Option<Conn>,
    /// The node to which it was sent.
    target: Option<Box<Target>>,
    /// What epoll was told to wait for.
    armed: epoll::EventFlags,
    reading: bool,
}

impl<P: Peer> Swarm<P> {
    /// A swarm of these peers; none is connected yet.
    pub fn new(plan: Plan, shared: P::Shared, peers: Vec<P>) -> std::io::Result<Self> {
        let mut random = fastrand::Rng::new();
        let mut wheel = Wheel::new(plan.start, plan.tick);
        (0..peers.len() as u32).for_each(|client| wheel.add(client, &mut random));
        Ok(Self {
            shared,
            clients: peers
                .into_iter()
                .map(|peer| Client {
                    peer,
                    conn: None,
                    target: None,
                    armed: epoll::EventFlags::empty(),
                    reading: true,
                })
                .collect(),
            target: plan.target,
            first: plan.first,
            started: 0,
            back: BinaryHeap::new(),
            open: 0,
            start: plan.start,
            ramp: plan.ramp,
            wheel,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            // As many as can be ready at once in a large swarm: one that is late must not read less than it
            // sends.
            events: Vec::with_capacity(4096),
            buffer: vec![0; 64 * 1024].into(),
            arena: BytesMut::with_capacity(256 * 1024),
            frames: Frames::framed(),
        })
    }
    /// Clients whose connection is open.
    pub fn open(&self) -> usize {
        self.open
    }
    /// One of the peers.
    pub fn peer(&self, client: usize) -> &P {
        &self.clients[client].peer
    }
    /// One of the peers.
    pub fn peer_mut(&mut self, client: usize) -> &mut P {
        &mut self.clients[client].peer
    }
    /// The connection of a client.
    pub fn conn(&self, client: usize) -> Option<&Conn> {
        self.clients[client].conn.as_ref()
    }
    /// Stops reading a client's socket, or resumes.
    pub fn set_reading(&mut self, client: usize, reading: bool) {
        self.clients[client].reading = reading;
        self.settle(client, Instant::now(), Ok(()));
    }
    /// Works until `until`.
    pub fn run_until(&mut self, until: Instant) -> std::io::Result<()> {
        while Instant::now() < until {
            self.turn(until)?;
        }
        Ok(())
    }
    /// When the next client connects for the first time.
    fn next_start(&self) -> Option<Instant> {
        let count = self.clients.len();
        (self.started < count).then(|| self.start + self.ramp.mul_f64(self.started as f64 / count as f64))
    }
    fn next_connect(&self) -> Option<Instant> {
        self.next_start().into_iter().chain(self.back.peek().map(|Reverse((at, _))| *at)).min()
    }
    fn connect_due(&mut self, now: Instant) {
        // A few at a time, so that a short ramp does not delay those already playing.
        for _ in 0..16 {
            let index = if self.next_start().is_some_and(|due| due <= now) {
                self.started += 1;
                self.started - 1
            } else if self.back.peek().is_some_and(|Reverse((at, _))| *at <= now)
                && let Some(Reverse((_, index))) = self.back.pop()
            {
                index
            } else {
                return;
            };
            let client = &mut self.clients[index];
            let sent = client.peer.node().map(|node| self.target.at(node)).transpose();
            let started = sent.and_then(|sent| {
                client.target = sent.map(Box::new);
                Conn::start(client.target.as_deref().unwrap_or(&self.target), self.first + index)
            });
            let started = started.and_then(|conn| {
                client.armed = conn.interest(true);
                epoll::add(&self.epoll, &conn, epoll::EventData::new_u64(index as u64), client.armed)?;
                Ok(conn)
            });
            match started {
                Ok(conn) => client.conn = Some(conn),
                Err(error) => {
                    let again = client.peer.ended(&mut self.shared, now, &End::Refused(error.to_string()));
                    self.back.extend(again.map(|at| Reverse((at, index))));
                }
            }
        }
    }
    fn act_due(&mut self, now: Instant) {
        while let Some((due, slot)) = self.wheel.turn(now) {
            for place in 0..self.wheel.slot(slot).len() {
                self.act(self.wheel.slot(slot)[place] as usize, due, now);
            }
        }
    }
    fn act(&mut self, index: usize, due: Instant, now: Instant) {
        let client = &mut self.clients[index];
        if client.conn.as_ref().is_none_or(|conn| conn.state() != State::Open) {
            return;
        }
        let verdict = client.peer.due(&mut self.shared, due, now, &mut self.frames);
        let sent = self.flush(index).and(hang_up(verdict));
        self.settle(index, now, sent);
    }
    fn ready(&mut self, index: usize, flags: epoll::EventFlags, now: Instant) {
        let client = &mut self.clients[index];
        let Some(conn) = &mut client.conn else { return };
        let mut result = Ok(());
        if flags.contains(epoll::EventFlags::OUT) {
            let target = client.target.as_deref().unwrap_or(&self.target);
            result = conn.writable(target, self.first + index);
        }
        let hung = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
        if result.is_ok() && (hung || flags.contains(epoll::EventFlags::IN)) {
            let (peer, shared, frames, open) =
                (&mut client.peer, &mut self.shared, &mut self.frames, &mut self.open);
            result = conn.readable(&mut self.buffer, &mut self.arena, &mut |incoming| {
                match incoming {
                    Incoming::Opened => {
                        *open += 1;
                        peer.opened(shared, now, String::new(), frames); // the request has shown it
                    }
                    Incoming::Message(message, frame) => {
                        return hang_up(peer.message(shared, now, message, frame, frames));
                    }
                    Incoming::Ping(payload) => frames.push_frame(Opcode::Pong, &payload),
                }
                Ok(())
            });
            result = result.and(self.flush(index));
        }
        self.settle(index, now, result);
    }
    /// Gives the kernel what was said for this client.
    fn flush(&mut self, index: usize) -> Result<(), End> {
        if self.frames.wire().is_empty() {
            return Ok(());
        }
        let sent = match &mut self.clients[index].conn {
            Some(conn) => conn.send(self.frames.wire()),
            None => Ok(()),
        };
        self.frames.clear();
        sent
    }
    /// Waits for what the connection needs now, or ends it.
    fn settle(&mut self, index: usize, now: Instant, result: Result<(), End>) {
        let client = &mut self.clients[index];
        let Some(conn) = &client.conn else { return };
        match result {
            Ok(()) => {
                let interest = conn.interest(client.reading);
                if interest != client.armed {
                    client.armed = interest;
                    let data = epoll::EventData::new_u64(index as u64);
                    // Fails only for a descriptor that is not in the set: this one is, from its start to its
                    // drop.
                    let _ = epoll::modify(&self.epoll, conn, data, interest);
                }
            }
            Err(end) => {
                self.open -= usize::from(conn.state() == State::Open);
                client.conn = None;
                if end != End::HungUp {
                    let again = client.peer.ended(&mut self.shared, now, &end);
                    self.back.extend(again.map(|at| Reverse((at, index))));
                }
            }
        }
    }
}

impl<P: Peer> Drive<P> for Swarm<P> {
    fn with(&mut self, what: &mut dyn FnMut(&mut P::Shared)) {
        what(&mut self.shared);
    }
    fn traffic(&mut self) -> Traffic {
        let (messages_up, bytes_up) = self.frames.sent();
        Traffic { messages_up, bytes_up, bytes_down: None }
    }
    fn each_peer(&mut self, what: &mut dyn FnMut(&mut P, &mut P::Shared)) {
        for client in &mut self.clients {
            what(&mut client.peer, &mut self.shared);
        }
    }
    fn each(&mut self, now: Instant, say: &mut dyn FnMut(&mut P, &mut P::Shared, &mut Frames)) {
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if client.conn.as_ref().is_some_and(|conn| conn.state() == State::Open) {
                say(&mut client.peer, &mut self.shared, &mut self.frames);
                let sent = self.flush(index);
                self.settle(index, now, sent);
            }
        }
    }
    fn turn(&mut self, until: Instant) -> std::io::Result<()> {
        let now = Instant::now();
        self.connect_due(now);
        self.act_due(now);
        let wake = self.next_connect().into_iter().fold(self.wheel.next().min(until), Instant::min);
        let wait = wake.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        for event in &events {
            self.ready(event.data.u64() as usize, event.flags, now);
        }
        self.events = events;
        Ok(())
    }
}

fn hang_up(verdict: ControlFlow<End>) -> Result<(), End> {
    match verdict {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(end) => Err(end),
    }
}
