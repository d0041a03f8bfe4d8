//! The endpoint of each thread: from a connection attempt to a session.

use super::{
    admission::{Admission, Decision, Handshake},
    route::RoutedIds,
    settings, sockets,
};
use crate::{
    config::{Config, QuicListen},
    connection::{Connection, LocalConnections},
    directory::Directory,
    limits::{ConnectionLimits, ConnectionPermit},
    metrics::TransportKind,
    transport::{
        session::{self, Ending},
        webtransport,
    },
};
use driftless_proto::{code::CloseCode, limits::ALPN, session::Delivery};
use parking_lot::Mutex;
use quinn::{
    AsyncTimer, AsyncUdpSocket, Connecting, Endpoint, EndpointConfig, Incoming, Runtime, TokioRuntime,
    crypto::rustls::HandshakeData,
};
use rustls::server::ResolvesServerCert;
use std::{
    collections::VecDeque,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Instant,
};
use tokio::time::timeout;
use tracing::debug;
use web_transport_quinn::Session;

/// The UDP port of a server: its sockets, until the threads take them, and what their endpoints have in common.
pub struct Quic {
    address: SocketAddr,
    server: quinn::ServerConfig,
    endpoint: EndpointConfig,
    admission: Arc<Admission>,
    shares: Mutex<VecDeque<Share>>,
}

/// What one thread takes.
struct Share {
    index: u16,
    count: u16,
    /// One a local address.
    sockets: Vec<UdpSocket>,
}

/// What a thread's connections need.
#[derive(Clone)]
pub struct Services {
    /// Those of the thread.
    pub connections: Rc<LocalConnections>,
    /// The rooms.
    pub directory: Arc<Directory>,
    /// The places.
    pub limits: Arc<ConnectionLimits>,
    /// The settings.
    pub config: Arc<Config>,
}

impl Quic {
    /// Binds the port that the configuration asks for; None if it asks for none. `http`: where HTTP listens.
    ///
    /// # Errors
    /// If the address cannot be bound, or TLS cannot be set up.
    pub fn bind(
        config: &Config,
        http: SocketAddr,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> io::Result<Option<Arc<Self>>> {
        let address = match config.quic.listen {
            QuicListen::Off => return Ok(None),
            QuicListen::AsHttp => http,
            QuicListen::At(address) => address,
        };
        let threads = u16::try_from(config.workers.max(1)).unwrap_or(u16::MAX);
        let sockets = sockets::bind(address, threads)?;
        let address = sockets.first().map_or(Ok(address), UdpSocket::local_addr)?;
        let count = sockets.len() as u16; // at most `threads`
        let mut shares: VecDeque<_> = (0..count)
            .zip(sockets)
            .map(|(index, socket)| Share { index, count, sockets: vec![socket] })
            .collect();
        if config.quic.listen == QuicListen::AsHttp && address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
            match sockets::bind(other, count) {
                Ok(sockets) => {
                    shares.iter_mut().zip(sockets).for_each(|(share, socket)| share.sockets.push(socket));
                }
                Err(error) => debug!(%error, "QUIC does not listen on {other}"),
            }
        }
        Ok(Some(Arc::new(Self {
            address,
            server: settings::server_config(config, certificates)?,
            endpoint: EndpointConfig::default(),
            admission: Admission::new(config.quic.handshakes, config.quic.retry_above),
            shares: Mutex::new(shares),
        })))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the calling thread's share of the connections, if there is one left, for as long as the thread runs.
    ///
    /// # Errors
    /// If a socket cannot be used.
    pub fn serve(&self, services: &Services) -> io::Result<()> {
        let Some(Share { index, count, sockets }) = self.shares.lock().pop_front() else { return Ok(()) };
        for socket in sockets {
            let mut config = self.endpoint.clone();
            config.cid_generator(move || Box::new(RoutedIds::new(index, count)));
            let endpoint = Endpoint::new(config, Some(self.server.clone()), socket, Arc::new(LocalRuntime))?;
            actix_rt::spawn(accept(endpoint, self.admission.clone(), services.clone()));
        }
        Ok(())
    }
}

async fn accept(endpoint: Endpoint, admission: Arc<Admission>, services: Services) {
    while let Some(incoming) = endpoint.accept().await {
        match admission.decide(incoming.may_retry()) {
            Decision::Refuse => {
                services.connections.worker().metrics().refused.inc("handshakes");
                incoming.refuse();
            }
            Decision::Retry => {
                if incoming.retry().is_err() {
                    debug!("an address that is validated was to be validated again");
                }
            }
            Decision::Accept(handshake) => begin(incoming, handshake, &services),
        }
    }
}

fn begin(incoming: Incoming, handshake: Handshake, services: &Services) {
    match incoming.accept() {
        Ok(connecting) => {
            let services = services.clone();
            actix_rt::spawn(async move { establish(connecting, handshake, services).await });
        }
        Err(error) => debug!(%error, "a first packet that begins no connection"),
    }
}

/// From a handshake to a session that is served in a task of its own. A peer that does neither finish nor fail is dropped.
async fn establish(connecting: Connecting, handshake: Handshake, services: Services) {
    let (worker, within) = (services.connections.worker().clone(), services.config.limits.handshake);
    let connection = match timeout(within, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return debug!(%error, "a handshake failed"),
        Err(_) => return debug!("a handshake took too long"),
    };
    let address = connection.remote_address().ip();
    let transport = match protocol(&connection) {
        Some(alpn) if alpn == ALPN.as_bytes() => TransportKind::Quic,
        _ => TransportKind::WebTransport,
    };
    // A place is taken before the peer is waited for, so that those without one cannot hold any.
    let admitted = admit(&services, address, transport);
    let session = match transport {
        TransportKind::Quic => Session::raw(connection),
        _ => match timeout(within, webtransport::accept(connection.clone())).await {
            Ok(Ok(session)) => session,
            Ok(Err(refused)) => {
                worker.metrics().refused.inc(refused.name());
                return webtransport::refuse(connection, refused).await;
            }
            Err(_) => {
                worker.metrics().refused.inc("handshake");
                return webtransport::close_late(&connection, within);
            }
        },
    };
    drop(handshake);
    match admitted {
        Ok(permit) => {
            let Services { connections, directory, config, .. } = services;
            let max_message = config.limits.message_bytes;
            let limits = config.limits.clone();
            let peer = Connection::open(permit, Delivery::Datagram, limits, connections, directory);
            session::serve(session, peer, worker, max_message).await;
        }
        Err(ending) => session::close(&session, &ending).await,
    }
}

fn admit(services: &Services, address: IpAddr, transport: TransportKind) -> Result<ConnectionPermit, Ending> {
    let refused = |reason| services.connections.worker().metrics().refused.inc(reason);
    if services.directory.is_draining() {
        refused("draining");
        return Err(Ending { code: CloseCode::Draining, reason: "the server is going down".to_owned() });
    }
    services.limits.admit(address, transport).map_err(|error| {
        refused(error.name());
        Ending { code: CloseCode::ServerFull, reason: error.to_string() }
    })
}

fn protocol(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// Quinn's tasks among the thread's own: what wakes one then needs no system call.
#[derive(Debug)]
struct LocalRuntime;

impl Runtime for LocalRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        actix_rt::spawn(future);
    }
    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
