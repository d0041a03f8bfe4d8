//! Puts the server together and runs it.

use crate::{
    clock::Clock,
    config::{AdminToken, Config},
    connection::{Drain, Fanout, LocalConnections, Worker},
    door::{self, Door},
    factory::{Factory, RoomServices},
    feed::{Feed, Watched, produce},
    ground::home::{Home, MoveTo},
    homes::{Homes, keep_balance},
    http::{self, Access, Costly, HttpState},
    metrics::Metrics,
    presence::Presence,
    registry::Registry,
    room::{RoomAddr, record::RecordThread},
    shutdown, telemetry,
    tls::{Certificates, TlsConfig},
    transport::{self, quic::Quic, websocket::Hub},
};
use actix::{Actor, Addr};
use actix_http::HttpService;
use actix_server::ServerHandle;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{App, dev::AppConfig, middleware::from_fn, web};
use driftless_sim::{game::GameKind, games};
use parking_lot::Mutex;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

/// Longest time from the signal to the exit.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);
/// Time for the answer to whoever asked for the drain: with no players, the server is gone right after.
const DRAIN_ANSWER: Duration = Duration::from_millis(100);
/// Time between two looks at whether all connections are gone.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// Connections of a thread that are no players': requests of operators, and upgrades that are refused.
const HTTP_CONNECTIONS: usize = 1024;
/// For the head of a connection's first request. (For all of it, and all later ones: see [`lease`](transport::lease).)
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be idle between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Ports that are tried where any will do.
const FREE_PORT_TRIES: u32 = 16;

/// Those of all threads that serve connections.
type Fanouts = Arc<Mutex<Vec<Addr<Fanout>>>>;

/// A server that is being put together: which games it offers, and its configuration.
pub struct Server {
    config: Config,
    kinds: Vec<GameKind>,
}

/// A server that accepts connections. Stops when asked to, not when dropped.
#[derive(Clone)]
pub struct Running {
    parts: Arc<Parts>,
    http: ServerHandle,
}

/// What is there before the first connection is.
struct Parts {
    clock: Clock,
    config: Config,
    address: SocketAddr,
    quic: Option<Arc<Quic>>,
    registry: Arc<Registry>,
    factory: Arc<Factory>,
    presence: Addr<Presence>,
    door: Arc<Door>,
    fanouts: Fanouts,
    homes: Arc<Homes>,
    metrics: Arc<Metrics>,
    certificates: Arc<Certificates>,
    feed: Arc<Feed>,
    drain_asked: Arc<Notify>,
    token: AdminToken,
    /// The text of the token, if the server made it itself.
    made_token: Option<String>,
}

impl Server {
    /// A server that offers the games that come with Driftless.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            kinds: vec![GameKind::of::<games::arena::Arena>(), GameKind::of::<games::cursors::Cursors>()],
        }
    }

    /// Offers one more kind of game.
    #[must_use]
    pub fn game(mut self, kind: GameKind) -> Self {
        self.kinds.retain(|k| k.name() != kind.name());
        self.kinds.push(kind);
        self
    }

    /// Starts everything, within an actix system. The future ends when the server has stopped.
    ///
    /// # Errors
    /// If the address cannot be listened at, there is no certificate, a thread cannot be started, or the recording folder cannot be written.
    pub fn start(self) -> io::Result<(Running, impl Future<Output = io::Result<()>>)> {
        let (parts, listener) = self.parts()?;
        let serving = parts.serve(listener)?;
        let running = Running { parts: parts.clone(), http: serving.handle() };
        let watched =
            Watched { clock: parts.clock, metrics: parts.metrics.clone(), registry: parts.registry.clone() };
        let registry = parts.registry.clone();
        actix_rt::spawn(keep_balance(parts.homes.clone(), move |home| registry.at(home)));
        actix_rt::spawn(produce(Arc::downgrade(&parts.feed), watched));
        actix_rt::spawn({
            let running = running.clone();
            async move {
                parts.drain_asked.notified().await;
                actix_rt::time::sleep(DRAIN_ANSWER).await;
                running.drain().await;
            }
        });
        Ok((running, serving))
    }

    fn parts(self) -> io::Result<(Arc<Parts>, TcpListener)> {
        let config = self.config;
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::new());
        // First: what cannot be recorded is not to be played.
        let record = |folder| RecordThread::start(folder, config.record_quota as u64, metrics.clone());
        let recorder = config.record.as_deref().map(record).transpose()?.map(Arc::new);
        let certificates = Certificates::start(&match config.tls() {
            Some(files) => TlsConfig::Files(files),
            None => TlsConfig::SelfSigned { addresses: vec![config.listen.ip()] },
        })?;
        let (listener, quic) = listen(&config, &certificates)?;
        let feed = Feed::new(getrandom::u64().unwrap_or_else(|_| clock.unix_ms(0)));
        let presence = Presence::new(clock).watched_by(feed.clone()).start();
        let registry = Registry::new(metrics.clone());
        let address = listener.local_addr()?;
        let fanouts = Fanouts::default();
        let connections = {
            let (fanouts, metrics, coalesce) = (fanouts.clone(), metrics.clone(), config.coalesce);
            move || local_connections(&fanouts, clock, &metrics, coalesce)
        };
        let homes = Homes::start(config.threads, config.pin_threads, connections)?;
        let services = RoomServices {
            clock,
            metrics: metrics.clone(),
            presence: presence.clone().recipient(),
            homes: homes.clone(),
            recorder,
        };
        let (token, made_token) = match config.admin_token.clone() {
            Some(token) => (token, None),
            None => AdminToken::random().map(|(token, text)| (token, Some(text)))?,
        };
        let factory = Factory::new(config.clone(), registry.clone(), services, &self.kinds);
        let parts = Parts {
            clock,
            address,
            token,
            made_token,
            door: Door::new(&config, address, registry.clone(), factory.clone(), metrics.clone()),
            quic,
            factory,
            registry,
            presence,
            fanouts,
            homes,
            metrics,
            certificates,
            feed,
            drain_asked: Arc::default(),
            config,
        };
        Ok((Arc::new(parts), listener))
    }
}

impl Parts {
    fn http_state(&self) -> HttpState {
        HttpState {
            registry: self.registry.clone(),
            factory: self.factory.clone(),
            presence: self.presence.clone(),
            metrics: self.metrics.clone(),
            feed: self.feed.clone(),
            access: Access::new(self.token.clone(), self.metrics.requests_refused.clone()),
            door: self.door.clone(),
            costly: Costly::default(),
            open_rooms: self.config.open_rooms,
            request_timeout: self.config.request_timeout,
            answer_timeout: self.config.answer_timeout,
            drain: self.drain_asked.clone(),
            certificates: self.certificates.clone(),
            quic: self.quic.as_ref().map(|quic| quic.address()),
            config: self.config.clone(),
        }
    }

    fn accept(&self) -> io::Result<transport::Accept> {
        // A browser that warns of a self-signed certificate is no help in development: then HTTP stays as it is.
        let tls = match self.certificates.is_self_signed() {
            false => Some(Arc::new(self.certificates.server_config(&[b"http/1.1"])?)),
            true => None,
        };
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

    /// Has the threads of rooms and players serve QUIC, if it is listened to.
    fn serve_quic(self: &Arc<Self>) {
        let Some(quic) = &self.quic else { return };
        for home in self.homes.all_common() {
            let (quic, door) = (quic.clone(), self.door.clone());
            home.arbiter().spawn_fn(move || {
                let Some(connections) = LocalConnections::here() else { return };
                if let Err(error) = quic.serve(connections, door) {
                    error!(%error, "a thread cannot serve QUIC");
                }
            });
        }
    }

    /// Starts the threads that take connections in.
    fn serve(self: &Arc<Self>, listener: TcpListener) -> io::Result<actix_server::Server> {
        self.serve_quic();
        let (parts, accept) = (self.clone(), self.accept()?);
        let state = web::Data::new(self.http_state());
        // Called once on each thread.
        let thread = move || {
            let connections = parts
                .connections()
                .inspect_err(|error| error!(%error, "a thread cannot serve WebSockets"))
                .ok();
            let app = || {
                let app = App::new()
                    .app_data(connections.clone())
                    .app_data(parts.door.clone())
                    .app_data(state.clone())
                    .configure(http::routes)
                    .wrap(from_fn(http::front))
                    .into_factory()
                    .map_err(|e: actix_web::Error| e.error_response());
                map_config(app, |()| AppConfig::default())
            };
            accept.clone().then(
                HttpService::build()
                    .local_addr(parts.address)
                    .client_request_timeout(HEAD_TIMEOUT)
                    .keep_alive(KEEP_ALIVE)
                    .upgrade(transport::websocket::Upgrade::new(app()))
                    .finish(app()),
            )
        };
        let config = &self.config;
        let server = actix_server::Server::build()
            .workers(config.workers)
            .worker_max_blocking_threads(1)
            // Beyond the players', so that a full server can still say that it is, and how it fares.
            .max_concurrent_connections(door::max_open(config).saturating_add(HTTP_CONNECTIONS))
            .backlog(BACKLOG)
            .disable_signals()
            .shutdown_timeout(1)
            .listen("http", listener, thread)?;
        Ok(server.run())
    }
}

impl Running {
    /// Where the server listens: with the port that the kernel chose, if it was to.
    pub fn address(&self) -> SocketAddr {
        self.parts.address
    }
    /// Where QUIC and WebTransport listen, if they do.
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.parts.quic.as_ref().map(|quic| quic.address())
    }
    /// The rooms.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.parts.registry
    }
    /// Makes rooms.
    pub fn factory(&self) -> &Arc<Factory> {
        &self.parts.factory
    }
    /// Moves a room to the next thread, and with it those of its connections that can move. False: there is none of this name.
    pub fn move_room(&self, name: &str) -> bool {
        let room = self.parts.registry.get(name).map(|listed| listed.room);
        let at = room.as_ref().and_then(RoomAddr::home);
        if let (Some(room), Some(at)) = (&room, &at) {
            room.do_send(MoveTo { home: self.parts.homes.after(at).clone(), from: Some(at.clone()) });
        }
        at.is_some()
    }
    /// Players whose connections live on the `n`th thread.
    pub fn players_at(&self, n: usize) -> usize {
        self.parts.homes.all_common().get(n).map_or(0, Home::players)
    }
    /// The figures.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }
    /// The certificate, and those before it that are still valid.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.parts.certificates
    }
    /// The admin token, if the server made it because none was configured.
    pub fn made_token(&self) -> Option<&str> {
        self.parts.made_token.as_deref()
    }
    /// What happens, for those who watch.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.parts.feed
    }
    /// Whether HTTP and WebSocket are within TLS: `https`, `wss`.
    pub fn is_secure(&self) -> bool {
        !self.parts.certificates.is_self_signed()
    }
    /// Refuses what is new, says goodbye to all with reconnect times spread out, waits until they are gone (8 s at most), and
    /// stops.
    pub async fn drain(&self) {
        let start = Instant::now();
        let open = self.parts.door.connections();
        info!(connections = open, "draining");
        self.parts.registry.drain();
        for fanout in self.parts.fanouts.lock().iter() {
            // One message a thread in its life.
            fanout.do_send(Drain { spread: self.parts.config.drain_spread });
        }
        while self.parts.door.connections() > 0 && start.elapsed() < DRAIN_LIMIT {
            actix_rt::time::sleep(DRAIN_POLL).await;
        }
        let left = self.parts.door.connections();
        info!(left, took_ms = start.elapsed().as_millis() as u64, "stopping");
        self.parts.factory.finish_recordings();
        self.http.stop(false).await;
    }
}

/// Where a browser on this machine finds a server that listens at this address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

/// The connections of the calling thread.
fn local_connections(
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

/// The listening sockets of HTTP and QUIC, whose ports are known before the first worker starts.
fn listen(config: &Config, certificates: &Arc<Certificates>) -> io::Result<(TcpListener, Option<Arc<Quic>>)> {
    let mut tries = if config.listen.port() == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let listener = listen_tcp(config.listen)?;
        match Quic::bind(config, listener.local_addr()?, certificates.resolver()) {
            // A port that is free for TCP may be in use for UDP.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            quic => return Ok((listener, quic?)),
        }
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG as i32)?;
    Ok(socket.into())
}

/// Runs a server until SIGTERM or SIGINT has drained it. Prints its URL on standard output when it listens, and in a second line the
/// dashboard's, with the admin token if that is of the server's making.
///
/// # Errors
/// As `Server::start`, and if the server fails while it runs.
pub fn run(server: Server) -> io::Result<()> {
    actix_rt::System::new().block_on(async {
        let (running, serving) = server.start()?;
        let signals = shutdown::Signals::watch()?;
        let scheme = if running.is_secure() { "https" } else { "http" };
        let quic = running.quic_address().map_or_else(String::new, |quic| format!("quic://{quic} and "));
        let public = &running.parts.config.public_url;
        let public = public.as_ref().map_or_else(String::new, |url| format!(", for clients at {url}"));
        let line = format!("driftless listens on {quic}{scheme}://{}{public}", running.address());
        info!("{line}");
        // The token is not for the log, which others may read.
        let dashboard = reachable(running.address());
        let token = running.made_token().map_or_else(String::new, |token| format!("#token={token}"));
        telemetry::print_line(format!("{line}\ndashboard: {scheme}://{dashboard}/dashboard{token}"));
        actix_rt::spawn(shutdown::drain_on_signal(signals, async move { running.drain().await }));
        serving.await
    })
}
