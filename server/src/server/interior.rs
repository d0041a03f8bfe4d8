//! The server behind its transports, all of it on the calling thread: door, rooms, presence and connections,
//! with nobody to carry their messages. For tests that are the network themselves, in virtual time; that is
//! why nothing here is documented for users.

use super::restore::{OpenedStore, restore};
use crate::{
    carry,
    clock::{self, Clock},
    config::Config,
    connection::{LocalConnections, PeerRef, SayGoodbye, Worker},
    door::{Authenticator, Denied, Door, Knock, OwnScheme},
    factory::{Factory, RoomServices, RoomSpec},
    ground::{
        durability::Durability, home::Home, identity::Identity, places::Places, source::Source,
        transport_kind::TransportKind,
    },
    health::Health,
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
    store::{self, Footing, Row, Store, Task},
    topics::Topics,
};
use actix::Actor;
use actix_rt::Arbiter;
use driftless_proto::{code::CloseCode, session::Delivery};
use driftless_sim::{GameKind, PlayerId, Setup};
use parking_lot::Mutex;
use std::{
    io,
    rc::Rc,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// How long the access of a revoked user is, at least.
const REVOKED: Duration = Duration::from_secs(3_600);

/// A server without sockets.
pub struct Interior {
    config: Config,
    /// The store, before the rooms in it go on, and since.
    opened: Mutex<Option<OpenedStore>>,
    store: Arc<OnceLock<Arc<Store>>>,
    health: Arc<Health>,
    registry: Arc<Registry>,
    factory: Arc<Factory>,
    door: Arc<Door>,
    connections: Rc<LocalConnections>,
    metrics: Arc<Metrics>,
}

impl Interior {
    /// Starts it, within an actix system. `watcher` hears of every change of presence, `who` finds out who
    /// clients are, if not by signed tokens, and a store stands on `footing`, if there is one.
    ///
    /// # Errors
    /// The store, or the folder of recordings, cannot be used; or a thread cannot be started.
    pub fn start(
        config: &Config,
        games: &[GameKind],
        watcher: impl Watcher + 'static,
        who: Option<fn(Knock) -> Result<Identity, Denied>>,
        footing: Footing,
    ) -> io::Result<Self> {
        let opened = config.store.as_ref().map(|folder| store::open(folder, footing));
        let opened = opened.transpose().map_err(io::Error::other)?;
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::new());
        let health = Health::new(metrics.clone(), Instant::now());
        let store = Arc::<OnceLock<_>>::default();
        let presence = Presence::new(clock).watched_by(watcher).start();
        let registry = Registry::new(metrics.clone());
        let connections = LocalConnections::start(Worker::start(clock, metrics.clone(), Duration::ZERO));
        let home = Home::new(Arbiter::current(), Some(connections.link()));
        connections.live_at(home.clone());
        let record = config.record.as_deref().map(RecordFolder::prepare).transpose()?;
        let record =
            record.map(|folder| RecordThread::start(folder, config.record_quota as u64, metrics.clone()));
        let recorder = record.transpose()?.map(Arc::new);
        let places = Places::new(config.max_connections, config.max_connections_per_address);
        let services = RoomServices {
            clock,
            metrics: metrics.clone(),
            presence: presence.recipient(),
            homes: Homes::only(home),
            work: JobPool::start(Jobs::new(), metrics.clone())?,
            events: Events::start(Vec::new(), metrics.clone())?,
            recorder,
            nodes: None,
            depot: None,
            store: store.clone(),
            places: places.clone(),
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
            Topics::start(config, usize::MAX, None, clock, metrics.clone())?,
            places,
            metrics.clone(),
        );
        let (config, opened) = (config.clone(), Mutex::new(opened));
        Ok(Self { config, opened, store, health, registry, factory, door, connections, metrics })
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
            durability: None, // as configured
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
        self.door.revocations().revoke(user.into(), REVOKED, clock::now());
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

    /// What the clock of its machine shows, as the time since 1970.
    pub fn time_of_day(&self) -> Duration {
        clock::time_of_day()
    }

    /// Does what is due of a task of the store.
    pub fn keep(&self, task: Task) {
        if let Some(store) = self.store.get() {
            store.turn(task);
        }
    }

    /// Stops all rooms after their next tick: those that the store keeps are left there, and the others in
    /// the file that is returned, for the next server.
    ///
    /// # Errors
    /// They cannot all be left.
    pub async fn carry(&self, most: Duration) -> (io::Result<()>, io::Result<Vec<u8>>) {
        let mut kept = Ok(());
        if let Some(store) = self.store.get() {
            let rooms =
                self.factory.carry(most, |listed| listed.made_with.durability != Durability::None).await;
            let sync = self.config.journal_sync;
            let rows = rooms.into_iter().map(|room| Row::now(room, true, sync).into()).collect();
            kept = store.finish(rows, most);
        }
        let is_kept = |durability| self.factory.is_stored(durability);
        let rooms = self.factory.carry(most, |listed| !is_kept(listed.made_with.durability)).await;
        (kept, carry::encode(&rooms))
    }

    /// Goes on with the rooms in the store, if there is one, and in a file.
    ///
    /// # Errors
    /// Why one of them cannot be read.
    pub fn go_on(&self, file: Option<&[u8]>) -> Result<(), String> {
        let carried = file.map(carry::decode).transpose()?.unwrap_or_default();
        if let Some(opened) = self.opened.lock().take() {
            self.factory.number_after(opened.0.newest_room());
            let Self { factory, config, metrics, health, store, .. } = self;
            restore(opened, Vec::new(), factory, config, metrics, health, store)
                .map_err(|error| error.to_string())?;
        }
        self.factory.go_on(carried, None);
        Ok(())
    }
}
