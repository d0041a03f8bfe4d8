//! The server behind its transports, all of it on the calling thread: door, rooms, presence and connections,
//! with nobody to carry their messages. For tests that are the network themselves, in virtual time; that is
//! why nothing here is documented for users.

use crate::{
    carry,
    clock::{self, Clock},
    config::Config,
    connection::{LocalConnections, PeerRef, SayGoodbye, Worker},
    door::{Authenticator, Denied, Door, Knock, OwnScheme},
    factory::{Factory, RoomServices, RoomSpec},
    ground::{home::Home, identity::Identity, source::Source, transport_kind::TransportKind},
    homes::Homes,
    jobs::{JobPool, Jobs},
    metrics::Metrics,
    presence::{Presence, Watcher},
    registry::Registry,
    room::{
        Kick,
        events::Events,
        inspect::{Inspect, Inspected},
        record::{RecordFolder, RecordThread},
        timetable::Timetable,
    },
};
use actix::Actor;
use actix_rt::Arbiter;
use driftless_proto::{code::CloseCode, session::Delivery};
use driftless_sim::{GameKind, PlayerId, Setup};
use std::{
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the access of a revoked user is, at least.
const REVOKED: Duration = Duration::from_secs(3_600);

/// A server without sockets.
pub struct Interior {
    registry: Arc<Registry>,
    factory: Arc<Factory>,
    door: Arc<Door>,
    connections: Rc<LocalConnections>,
    metrics: Arc<Metrics>,
}

impl Interior {
    /// Starts it, within an actix system. `watcher` hears of every change of presence, and `who` finds out
    /// who clients are, if not by signed tokens.
    ///
    /// # Errors
    /// If rooms are to be recorded: the folder cannot be used, or the thread cannot be started.
    pub fn start(
        config: &Config,
        games: &[GameKind],
        watcher: impl Watcher + 'static,
        who: Option<fn(Knock) -> Result<Identity, Denied>>,
    ) -> io::Result<Self> {
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::new());
        let presence = Presence::new(clock).watched_by(watcher).start();
        let registry = Registry::new(metrics.clone());
        let connections = LocalConnections::start(Worker::start(clock, metrics.clone(), Duration::ZERO));
        let home = Home::new(Arbiter::current(), Some(connections.link()));
        connections.live_at(home.clone());
        let record = config.record.as_deref().map(RecordFolder::prepare).transpose()?;
        let record =
            record.map(|folder| RecordThread::start(folder, config.record_quota as u64, metrics.clone()));
        let recorder = record.transpose()?.map(Arc::new);
        let services = RoomServices {
            clock,
            metrics: metrics.clone(),
            presence: presence.recipient(),
            homes: Homes::only(home),
            work: JobPool::start(Jobs::new(), metrics.clone())?,
            events: Events::start(Vec::new(), metrics.clone())?,
            recorder,
            nodes: None,
            store: Arc::default(),
        };
        let factory = Factory::new(config.clone(), registry.clone(), services, games);
        let scheme =
            who.map(|who| -> OwnScheme { Arc::new(move |knock| Box::pin(std::future::ready(who(knock)))) });
        let authenticator = Authenticator::open(config, scheme).map_err(io::Error::other)?;
        let rooms = factory.clone();
        let door = Door::new(
            config,
            usize::MAX,
            config.listen,
            registry.clone(),
            rooms,
            authenticator,
            metrics.clone(),
        );
        Ok(Self { registry, factory, door, connections, metrics })
    }

    /// A client has connected. Whoever is refused gets a peer that says so.
    pub fn connect(&self, source: Source, transport: TransportKind, delivery: Delivery) -> PeerRef {
        match self.door.admit(source, transport, None) {
            Ok(admission) => self.door.open(admission, delivery, self.connections.clone()),
            Err(refused) => self.door.turn_away(refused, source, transport, delivery),
        }
    }

    /// What its connections share.
    pub fn worker(&self) -> &Rc<Worker> {
        self.connections.worker()
    }

    /// When a room is due next.
    pub fn next_tick(&self) -> Option<Instant> {
        Timetable::here().next()
    }

    /// Runs the rooms that are due.
    pub fn run_rooms(&self) {
        Timetable::here().run(clock::now());
    }

    /// An operator makes a room.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn make_room(&self, name: &str, kind: &str, setup: &Setup<String>) -> Result<(), String> {
        let spec = RoomSpec {
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            tick_rate: Some(setup.tick_rate),
            max_players: Some(setup.max_players),
            seed: Some(setup.seed),
            durability: None,
            options: setup.options.clone(),
            ..RoomSpec::default()
        };
        self.factory.create(spec).await.map(drop).map_err(|e| e.to_string())
    }

    /// An operator ends a room. False: there is none with this name.
    pub fn close_room(&self, name: &str) -> bool {
        self.registry.close(name)
    }

    /// An operator removes a player.
    pub fn kick(&self, room: &str, player: PlayerId, reason: &str) {
        if let Some(listed) = self.registry.get(room) {
            listed.room.do_send(Kick { player, code: CloseCode::Kicked, reason: reason.to_owned() });
        }
    }

    /// An operator revokes the access of a user.
    pub fn revoke(&self, user: &str) {
        let now = self.door.now_unix();
        self.door.revocations().revoke(user.into(), now + REVOKED, now);
    }

    /// What is in a room. None: there is none with this name.
    pub async fn inspect(&self, room: &str) -> Option<Inspected> {
        self.registry.get(room)?.room.send(Inspect).await.ok()
    }

    /// Number of rooms.
    pub fn rooms(&self) -> usize {
        self.registry.len()
    }

    /// Number of open connections.
    pub fn open_connections(&self) -> usize {
        self.door.connections()
    }

    /// Number of seats that somebody may come back to.
    pub fn tokens(&self) -> usize {
        self.registry.seats()
    }

    /// How many inputs and commands wait for the next tick of a room.
    pub fn backlog(&self, room: &str) -> (usize, usize) {
        self.registry.get(room).map_or((0, 0), |listed| listed.shared.inbox.lock().len())
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Refuses newcomers and says goodbye to everybody.
    pub fn drain(&self, spread: Duration) {
        self.registry.drain();
        self.connections.fanout().do_send(SayGoodbye { most: usize::MAX, after: Duration::ZERO, spread });
    }

    /// Writes recordings to disk. Rooms record no more after this.
    pub fn finish_recordings(&self) {
        self.factory.finish_recordings();
    }

    /// Stops all rooms after their next tick, and returns the file that is left to the next server.
    ///
    /// # Errors
    /// If they are too large for a file.
    pub async fn carry(&self, most: Duration) -> io::Result<Vec<u8>> {
        carry::encode(&self.factory.carry(most, |_| true).await)
    }

    /// Goes on with the rooms in a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn go_on(&self, file: &[u8]) -> Result<(), String> {
        carry::decode(file).map(|rooms| self.factory.go_on(rooms, None))
    }
}
