//! What exists before the first connection, and how connections reach it.

use super::{
    BACKLOG, HEAD_TIMEOUT, HTTP_CONNECTIONS, Routes, StartError,
    neighbours::Joined,
    restore::{OpenedStore, restore},
};
use crate::{
    carry::{self, CarryFile},
    clock::{self, Clock},
    config::{AdminToken, Config},
    connection::{Fanout, LocalConnections, Worker},
    door::{self, Door},
    factory::Factory,
    feed::Feed,
    ground::{durability::Durability, places::Places},
    health::Health,
    homes::Homes,
    http::{self, Access, Costly, HttpState, LOBBY_READERS, LOBBY_READERS_OF_ADDRESS, Pages},
    jobs::JobPool,
    matching::{Matchmaker, Queue},
    metrics::Metrics,
    moving::Mover,
    nodes::{Hint, Users},
    presence::Presence,
    registry::Registry,
    room::events::Events,
    store::{self, Footing, RevokedUsers, Row, Store, StoreError, UsedTokens},
    tls::{self, Certificates},
    topics::Topics,
    transport::{self, quic::Quic, websocket::Hub},
    upgrade::{Abilities, Left, Predecessor},
    whereabouts::Finder,
};
use actix::Addr;
use actix_http::HttpService;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{App, dev::AppConfig, middleware::from_fn, web};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

/// How long the server before may take to close the store when it has stopped.
const FREE_LIMIT: Duration = Duration::from_secs(10);
/// Time between two looks whether it has.
const FREE_POLL: Duration = Duration::from_millis(20);

/// The fan-outs of all threads that serve connections.
pub(super) type Fanouts = Arc<Mutex<Vec<Addr<Fanout>>>>;

/// What exists before the first connection.
pub(super) struct Parts {
    pub clock: Clock,
    pub config: Config,
    pub address: SocketAddr,
    /// The socket that listens, for the process that follows this one.
    pub listener: TcpListener,
    pub quic: Option<Arc<Quic>>,
    pub registry: Arc<Registry>,
    pub factory: Arc<Factory>,
    pub matchmaker: Arc<Matchmaker>,
    pub queue: Arc<Queue>,
    /// This node among others, if there may be others.
    pub joined: Option<Joined>,
    /// Moves rooms to them.
    pub mover: Option<Arc<Mover>>,
    pub presence: Addr<Presence>,
    /// Finds users, at all nodes.
    pub finder: Arc<Finder>,
    /// Of whom something may have changed, until the server serves.
    pub hints: Mutex<Option<mpsc::UnboundedReceiver<Hint>>>,
    pub door: Arc<Door>,
    pub fanouts: Fanouts,
    pub homes: Arc<Homes>,
    pub work: Arc<JobPool>,
    pub events: Arc<Events>,
    /// Where rooms are left to the next server, if they are.
    pub carry: Option<CarryFile>,
    /// Rooms that the process before has left to this one, before they go on.
    pub left: Mutex<Vec<carry::Room>>,
    /// Rooms of recordings, which begin with the server.
    pub from: Mutex<Vec<carry::Room>>,
    /// The store, before the rooms in it go on, and since.
    pub opened: Mutex<Option<OpenedStore>>,
    pub store: Arc<OnceLock<Arc<Store>>>,
    /// The users in the store whose access was revoked.
    pub revoked: Option<Arc<RevokedUsers>>,
    /// What other nodes know of users, if there may be others.
    pub users: Option<Arc<Users>>,
    /// Why rooms could not be left to the next server.
    pub lost: Mutex<Option<io::Error>>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub certificates: tls::Pair,
    pub feed: Arc<Feed>,
    pub topics: Arc<Topics>,
    /// The games' names.
    pub games: Vec<&'static str>,
    /// Checksums of their schemas.
    pub schemas: BTreeMap<String, u32>,
    pub pages: Option<Pages>,
    pub routes: Vec<Routes>,
    pub drain_asked: Arc<Notify>,
    /// Set when the server has drained.
    pub drained: OnceCell<()>,
    /// Asks a drain not to wait for players and jobs any longer.
    pub hurry: Notify,
    pub token: AdminToken,
    /// The text of the token, if the server generated it.
    pub made_token: Option<String>,
}

/// Opens the store, if there is to be one.
pub(super) fn open_store(config: &Config) -> Result<Option<OpenedStore>, StoreError> {
    config.store.as_deref().map(|folder| store::open(folder, Footing::default())).transpose()
}

impl Parts {
    fn http_state(&self) -> HttpState {
        HttpState {
            registry: self.registry.clone(),
            factory: self.factory.clone(),
            matchmaker: self.matchmaker.clone(),
            queue: self.queue.clone(),
            lobby_readers: Places::new(LOBBY_READERS, LOBBY_READERS_OF_ADDRESS),
            // One for each who may play.
            queue_readers: Places::new(self.config.max_connections, self.config.max_connections_per_address),
            nodes: self.joined.as_ref().map(|joined| joined.nodes.clone()),
            overview: self.joined.as_ref().map(|joined| joined.overview.clone()),
            mover: self.mover.clone(),
            presence: self.presence.clone(),
            finder: self.finder.clone(),
            metrics: self.metrics.clone(),
            feed: self.feed.clone(),
            topics: self.topics.clone(),
            health: self.health.clone(),
            access: Access::new(self.token.clone(), self.metrics.requests_refused.clone()),
            door: self.door.clone(),
            revoked: self.revoked.clone(),
            users: self.users.clone(),
            costly: Costly::default(),
            open_rooms: self.config.open_rooms,
            request_timeout: self.config.request_timeout,
            // The lease of a connection is for both, the answer and the wait for a request.
            answer_timeout: self.config.answer_timeout.max(self.config.keep_alive),
            drain: self.drain_asked.clone(),
            certificates: self.certificates.clone(),
            quic: self.quic.as_ref().map(|quic| quic.address()),
            demos: if self.pages.is_some() { Vec::new() } else { http::demos(&self.games) },
            pages: self.pages.clone(),
            description: http::description(&self.games),
            config: self.config.clone(),
        }
    }

    /// Waits until the server before has stopped, and takes what it leaves. (It has told this one of revoked
    /// users, too.)
    pub(super) fn take_over(&self, before: &Predecessor) -> Result<(), StartError> {
        let store = self.config.store.as_deref().map(store::probe).transpose();
        let abilities = Abilities {
            carried: carry::LAYOUT,
            journal: Some(store::VERSION),
            store: store.map_err(|error| self.store_fails(error))?,
            schemas: self.schemas.clone(),
        };
        let Left { rooms, revoked, used } = before.take_over(abilities).map_err(StartError::Upgrade)?;
        *self.left.lock() = rooms;
        for (user, left) in revoked {
            self.door.revocations().revoke(user.into(), Duration::from_millis(left), clock::now());
            self.revoked.iter().for_each(|users| users.have_changed());
        }
        if let Some(once) = self.door.once() {
            used.iter().for_each(|(id, expires)| {
                once.remember(*id, Duration::from_secs(*expires), door::now());
            });
        }
        let until = Instant::now() + FREE_LIMIT;
        *self.opened.lock() = loop {
            match open_store(&self.config) {
                // It is still writing.
                Err(StoreError::Locked) if Instant::now() < until => thread::sleep(FREE_POLL),
                opened => break opened.map_err(|error| self.store_fails(error))?,
            }
        };
        Ok(())
    }

    /// Learns whose access was revoked when the server before ended.
    pub(super) fn know_revoked(&self) -> Result<(), StartError> {
        let known = |users: &Arc<RevokedUsers>| users.read(self.door.revocations(), clock::now());
        let known = self.revoked.as_ref().map(known).transpose();
        known.map(drop).map_err(|error| self.store_fails(StoreError::Io(error)))
    }

    /// Has the tokens that were used kept in the store, if there is one, and learns those that are there.
    pub(super) fn keep_used(&self) -> Result<(), StartError> {
        let Some((folder, once)) = self.config.store.as_ref().zip(self.door.once()) else { return Ok(()) };
        let kept = UsedTokens::open(folder, once, door::now());
        once.keep_in(kept.map_err(|error| self.store_fails(StoreError::Io(error)))?);
        Ok(())
    }

    fn store_fails(&self, error: StoreError) -> StartError {
        StartError::Store { folder: self.store_folder(), error: Box::new(error) }
    }

    /// Has the rooms go on that the server before has left.
    pub(super) fn go_on(&self) -> Result<(), StartError> {
        let opened = self.opened.lock().take();
        let carried = self.carry.as_ref().map(CarryFile::take).transpose().map_err(StartError::Carry)?;
        let mut carried = carried.unwrap_or_default();
        carried.append(&mut self.left.lock());
        let stored = opened.as_ref().map_or(0, |(store, _)| store.newest_room());
        self.factory.number_after(carried.iter().map(|room| room.carried.id.0).fold(stored, u64::max));
        if let Some(mut opened) = opened {
            if let Some(users) = self.revoked.clone() {
                let door = self.door.clone();
                opened.0.keep_revoked(move || users.write_again(door.revocations(), clock::now()));
            }
            // Of these, the store has something older: the server before could not write them.
            let (newer, others) =
                carried.into_iter().partition(|room| room.made_with.durability != Durability::None);
            let Self { factory, config, metrics, health, store, .. } = self;
            let restored = restore(opened, newer, factory, config, metrics, health, store);
            restored.map_err(|error| self.store_fails(error))?;
            carried = others;
        }
        self.factory.go_on(carried, None);
        let from = std::mem::take(&mut *self.from.lock());
        from.into_iter().try_for_each(|room| self.factory.go_on_from(room)).map_err(StartError::From)
    }

    fn store_folder(&self) -> PathBuf {
        self.config.store.clone().unwrap_or_default()
    }

    /// They go on, and the server listens.
    pub(super) fn gone_on(&self) {
        self.carry.iter().for_each(CarryFile::remove_taken);
    }

    /// Leaves the rooms to the next server, if there is to be one. Returns the rooms' names.
    pub(super) async fn leave(&self, most: Duration) -> HashSet<String> {
        let mut left = HashSet::new();
        if self.store.get().is_some() || self.joined.is_some() {
            left.extend(self.leave_in_store(most).await);
        }
        left.extend(self.leave_in_file(most).await);
        left
    }

    async fn leave_in_store(&self, most: Duration) -> Vec<String> {
        let rooms =
            self.factory.carry(most, |listed| self.factory.is_stored(listed.made_with.durability)).await;
        let names: Vec<_> = rooms.iter().map(|room| room.carried.name.clone()).collect();
        let sync = self.config.journal_sync;
        let rows: Vec<_> = rooms.into_iter().map(|room| Row::now(room, true, sync).into()).collect();
        if let Err(error) = self.put_in_store(&rows, store::FINISH).await {
            let count = names.len();
            error!(rooms = count, %error, "rooms cannot be left in the store");
            let line = format!("rooms may be lost ({count}): {error}");
            *self.lost.lock() = Some(io::Error::new(error.kind(), line));
        }
        names
    }

    /// Puts rooms that have stopped into the store, if there is one, and closes it.
    pub(super) async fn put_in_store(&self, rows: &[Arc<Row>], most: Duration) -> io::Result<()> {
        let depot = self.joined.as_ref().map(|joined| joined.depot.clone());
        let (store, rows) = (self.store.clone(), rows.to_vec());
        let put = move || match (depot, store.get()) {
            (Some(depot), _) => depot.finish(rows, most),
            (None, Some(store)) => store.finish(rows, most),
            (None, None) => Ok(()),
        };
        tokio::task::spawn_blocking(put).await.map_err(io::Error::other)?
    }

    async fn leave_in_file(&self, most: Duration) -> HashSet<String> {
        let Some(file) = &self.carry else { return HashSet::new() };
        let rooms =
            self.factory.carry(most, |listed| !self.factory.is_stored(listed.made_with.durability)).await;
        let (count, path) = (rooms.len(), file.path().display());
        match file.write(&rooms) {
            Ok(()) => info!(rooms = count, file = %path, "rooms are left to the next server"),
            Err(error) => {
                error!(rooms = count, file = %path, %error, "rooms cannot be left to the next server");
                if count > 0 {
                    let line = format!("rooms are lost ({count}): they cannot be written to {path}: {error}");
                    *self.lost.lock() = Some(io::Error::new(error.kind(), line));
                }
                return HashSet::new();
            }
        }
        rooms.into_iter().map(|room| room.carried.name).collect()
    }

    /// More than the players need, so that a full server can still say that it is full, and answer operators.
    fn most_connections(&self) -> usize {
        let Config { max_topic_readers, .. } = self.config;
        door::max_open(&self.config).saturating_add(max_topic_readers).saturating_add(HTTP_CONNECTIONS)
    }

    fn accept(&self) -> io::Result<transport::Accept> {
        // Without files HTTP stays plain: a browser's warning about a self-signed certificate would be no
        // help.
        let config =
            |of: &Arc<Certificates>| of.server_config(&[transport::HTTP2, b"http/1.1"]).map(Arc::new);
        let tls = self.certificates.http.as_ref().map(config).transpose()?;
        Ok(transport::Accept {
            user_timeout: self.config.limits.timeout + transport::LAST_WORD,
            handshake: self.config.limits.handshake,
            request: self.config.request_timeout,
            tls: tls.map(TlsAcceptor::from),
            proxy_protocol: self.config.proxy_protocol,
            door: self.door.clone(),
            metrics: self.metrics.clone(),
        })
    }

    fn connections(&self) -> io::Result<Rc<LocalConnections>> {
        local_connections(&self.fanouts, self.clock, &self.metrics, self.config.coalesce)
    }

    /// Makes the threads of rooms and players serve QUIC, if it is configured.
    fn serve_quic(self: &Arc<Self>) {
        let Some(quic) = &self.quic else { return };
        for home in self.homes.all_common() {
            let (quic, door) = (quic.clone(), self.door.clone());
            home.arbiter().spawn_fn(move || {
                let Some(connections) = LocalConnections::here() else { return };
                if let Err(error) = quic.serve(connections, door) {
                    error!(%error, "cannot serve QUIC on a thread");
                }
            });
        }
    }

    /// Starts the threads that accept connections.
    pub(super) fn serve(self: &Arc<Self>, listener: TcpListener) -> io::Result<actix_server::Server> {
        self.serve_quic();
        let (parts, accept) = (self.clone(), self.accept()?);
        let state = web::Data::new(self.http_state());
        let Config { request_timeout, answer_timeout, keep_alive, .. } = self.config;
        let handshake = self.config.limits.handshake;
        // Over HTTP/2, this begins while answers may still be read.
        let idle = answer_timeout.max(keep_alive);
        let patience = transport::Patience { handshake, request: request_timeout, idle };
        // Called once on each thread.
        let thread = move || {
            let connections = parts
                .connections()
                .inspect_err(|error| error!(%error, "cannot serve WebSockets on a thread"))
                .ok();
            let app = || {
                let app = App::new()
                    .app_data(connections.clone())
                    .app_data(parts.door.clone())
                    .app_data(state.clone())
                    .configure(|app| http::routes(app, &state))
                    .configure(|app| parts.routes.iter().for_each(|add| add(app)))
                    .default_service(http::everything_else())
                    .wrap(from_fn(http::front))
                    .into_factory()
                    .map_err(|e: actix_web::Error| e.error_response());
                map_config(app, |()| AppConfig::default())
            };
            accept.clone().then(
                HttpService::build()
                    .local_addr(parts.address)
                    .client_request_timeout(HEAD_TIMEOUT)
                    .keep_alive(keep_alive)
                    .upgrade(transport::websocket::Upgrade::new(app()))
                    .finish(app()),
                transport::Http2::new(app(), patience, parts.door.clone()),
            )
        };
        let config = &self.config;
        let server = actix_server::Server::build()
            .workers(config.workers)
            .worker_max_blocking_threads(1)
            .max_concurrent_connections(self.most_connections())
            .backlog(BACKLOG)
            .disable_signals()
            .shutdown_timeout(1)
            .listen("http", listener, thread)?;
        Ok(server.run())
    }
}

/// The connections of the calling thread.
pub(super) fn local_connections(
    fanouts: &Fanouts,
    clock: Clock,
    metrics: &Arc<Metrics>,
    coalesce: Duration,
) -> io::Result<Rc<LocalConnections>> {
    let worker = Worker::start(clock, metrics.clone(), coalesce);
    Hub::start(worker.clone())?;
    let connections = LocalConnections::start(worker);
    fanouts.lock().push(connections.fanout().clone());
    Ok(connections)
}
