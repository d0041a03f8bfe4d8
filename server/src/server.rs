//! Puts the server together and runs it.

use crate::{
    clock::Clock,
    config::Config,
    connection::{Drain, FanoutLink, LocalConnections, Worker},
    directory::{Directory, Services},
    feed::{Feed, Watched, produce},
    http::{self, Access, HttpState},
    limits::ConnectionLimits,
    metrics::Metrics,
    metronome::Metronome,
    presence::Presence,
    room::record::RecordThread,
    shutdown,
    thread::prefer_latency,
    tls::{Certificates, TlsConfig},
    transport::{
        self,
        quic::{Quic, Services as QuicServices},
    },
};
use actix::Actor;
use actix_http::HttpService;
use actix_rt::Arbiter;
use actix_server::ServerHandle;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{App, dev::AppConfig, web};
use driftless_sim::{game::GameKind, games};
use parking_lot::Mutex;
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
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
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Ports that are tried where any will do.
const FREE_PORT_TRIES: u32 = 16;

/// A server that is being put together: which games it offers, and its configuration.
pub struct Server {
    config: Config,
    kinds: Vec<GameKind>,
}

/// A server that accepts connections. Stops when asked to, not when dropped.
#[derive(Clone)]
pub struct Running {
    address: SocketAddr,
    quic_address: Option<SocketAddr>,
    http: ServerHandle,
    directory: Arc<Directory>,
    limits: Arc<ConnectionLimits>,
    fanouts: Arc<Mutex<Vec<FanoutLink>>>,
    metrics: Arc<Metrics>,
    certificates: Arc<Certificates>,
    feed: Arc<Feed>,
    drain_spread: Duration,
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
    /// If the address cannot be listened at, there is no certificate, a thread cannot be started, or the recording folder cannot be made.
    pub fn start(self) -> io::Result<(Running, impl Future<Output = io::Result<()>>)> {
        let config = Arc::new(self.config);
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::new());
        let feed = Feed::new(getrandom::u64().unwrap_or_else(|_| clock.unix_ms(0)));
        let presence = Presence::new(clock, config.resume_window).with_feed(feed.clone()).start();
        let recorder = config.record.as_deref().map(RecordThread::start).transpose()?;
        let services = Services {
            clock,
            metrics: metrics.clone(),
            presence: presence.clone(),
            metronome: Metronome::start()?,
            threads: room_threads(config.room_threads)?,
            recorder,
        };
        let directory = Directory::new(config.clone(), services, &self.kinds);
        let limits = ConnectionLimits::new(
            config.max_connections,
            config.max_connections_per_address,
            metrics.clone(),
        );
        let certificates = Certificates::start(&match &config.tls {
            Some(files) => TlsConfig::Files(files.clone()),
            None => TlsConfig::SelfSigned { addresses: vec![config.listen.ip()] },
        })?;
        let (listener, quic) = listen(&config, &certificates)?;
        let address = listener.local_addr()?;
        let quic_address = quic.as_ref().map(|quic| quic.address());
        let accept = transport::Accept {
            user_timeout: config.limits.timeout,
            handshake: config.limits.handshake,
            // A browser that warns of a self-signed certificate is no help in development: then HTTP stays as it is.
            tls: match config.tls {
                Some(_) => Some(TlsAcceptor::from(Arc::new(certificates.server_config(&[b"http/1.1"])?))),
                None => None,
            },
            metrics: metrics.clone(),
        };
        let drain_asked = Arc::new(Notify::new());
        let state = web::Data::new(HttpState {
            directory: directory.clone(),
            presence,
            metrics: metrics.clone(),
            feed: feed.clone(),
            access: Access::new(config.admin_token.clone()),
            drain: drain_asked.clone(),
            certificates: certificates.clone(),
            quic: quic_address,
        });
        let fanouts = Arc::<Mutex<Vec<FanoutLink>>>::default();
        let running_fanouts = fanouts.clone();
        let services = {
            let (config, directory, limits, metrics) =
                (config.clone(), directory.clone(), limits.clone(), metrics.clone());
            // Called once on each thread that serves connections.
            move || {
                let worker = Worker::start(clock, metrics.clone(), config.coalesce);
                let connections = LocalConnections::start(worker);
                fanouts.lock().push(connections.link());
                if let Some(quic) = &quic {
                    let (directory, limits, config) = (directory.clone(), limits.clone(), config.clone());
                    let services =
                        QuicServices { connections: connections.clone(), directory, limits, config };
                    if let Err(error) = quic.serve(&services) {
                        error!(%error, "a thread cannot serve QUIC");
                    }
                }
                let app = || {
                    let app = App::new()
                        .app_data(connections.clone())
                        .app_data(directory.clone())
                        .app_data(limits.clone())
                        .app_data(config.clone())
                        .app_data(state.clone())
                        .route("/v1/connect", web::get().to(transport::websocket::connect))
                        .configure(http::routes)
                        .into_factory()
                        .map_err(|e: actix_web::Error| e.error_response());
                    map_config(app, |()| AppConfig::default())
                };
                accept.clone().then(
                    HttpService::build()
                        .local_addr(address)
                        .upgrade(transport::websocket::Upgrade::new(app()))
                        .finish(app()),
                )
            }
        };
        let server = actix_server::Server::build()
            .workers(config.workers)
            .worker_max_blocking_threads(1)
            // Beyond the players', so that a full server can still say that it is, and how it fares.
            .max_concurrent_connections(config.max_connections.saturating_add(HTTP_CONNECTIONS))
            .backlog(BACKLOG)
            .disable_signals()
            .shutdown_timeout(1)
            .listen("http", listener, services)?
            .run();
        let running = Running {
            address,
            quic_address,
            http: server.handle(),
            directory,
            limits,
            fanouts: running_fanouts,
            metrics,
            certificates,
            feed: feed.clone(),
            drain_spread: config.drain_spread,
        };
        let watched =
            Watched { clock, metrics: running.metrics.clone(), directory: running.directory.clone() };
        actix_rt::spawn(produce(Arc::downgrade(&feed), watched));
        actix_rt::spawn({
            let running = running.clone();
            async move {
                drain_asked.notified().await;
                actix_rt::time::sleep(DRAIN_ANSWER).await;
                running.drain().await;
            }
        });
        Ok((running, server))
    }
}

impl Running {
    /// Where the server listens: with the port that the kernel chose, if it was to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Where QUIC and WebTransport listen, if they do.
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.quic_address
    }
    /// The rooms.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
    /// The figures.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
    /// The certificate, and those before it that are still valid.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }
    /// What happens, for those who watch.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
    /// Whether HTTP and WebSocket are within TLS: `https`, `wss`.
    pub fn is_secure(&self) -> bool {
        !self.certificates.is_self_signed()
    }
    /// Refuses what is new, says goodbye to all with reconnect times spread out, waits until they are gone (8 s at most), and
    /// stops.
    pub async fn drain(&self) {
        let start = Instant::now();
        let open = self.limits.open();
        info!(connections = open, "draining");
        self.directory.drain();
        for link in self.fanouts.lock().iter() {
            // One message a thread in its life.
            link.fanout.do_send(Drain { spread: self.drain_spread });
        }
        while self.limits.open() > 0 && start.elapsed() < DRAIN_LIMIT {
            actix_rt::time::sleep(DRAIN_POLL).await;
        }
        let left = self.limits.open();
        info!(left, took_ms = start.elapsed().as_millis() as u64, "stopping");
        self.directory.finish_recordings();
        self.http.stop(false).await;
    }
}

fn room_threads(count: usize) -> io::Result<Vec<actix::ArbiterHandle>> {
    let start = |_| {
        let arbiter = Arbiter::try_new()?;
        arbiter.spawn_fn(prefer_latency);
        Ok(arbiter.handle())
    };
    (0..count.max(1)).map(start).collect()
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

/// Runs a server until SIGTERM or SIGINT has drained it. Prints one line with its URL on standard output when it listens.
///
/// # Errors
/// As `Server::start`, and if the server fails while it runs.
pub fn run(server: Server) -> io::Result<()> {
    actix_rt::System::new().block_on(async {
        let (running, serving) = server.start()?;
        let signals = shutdown::Signals::watch()?;
        // Whoever started it may have closed the output by now, which is no reason not to serve.
        let scheme = if running.is_secure() { "https" } else { "http" };
        let quic = running.quic_address().map_or_else(String::new, |quic| format!("quic://{quic} and "));
        let _ = writeln!(io::stdout(), "driftless listens on {quic}{scheme}://{}", running.address());
        actix_rt::spawn(shutdown::drain_on_signal(signals, async move { running.drain().await }));
        serving.await
    })
}
