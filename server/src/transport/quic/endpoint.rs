//! The endpoint of each thread: from a connection attempt to a session.

use super::{
    handshakes::{Decision, Handshake, Handshakes},
    reading::Reading,
    route::RoutedIds,
    settings, sockets,
};
use crate::{
    config::{Config, QuicListen},
    connection::LocalConnections,
    door::Door,
    ground::{refusal::Refusal, source::Source, transport_kind::TransportKind},
    transport::{session, webtransport},
};
use driftless_proto::{limits::ALPN, session::Delivery};
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

/// The UDP port of a server: its sockets, until the threads take them, and what their endpoints share.
pub(crate) struct Quic {
    address: SocketAddr,
    server: quinn::ServerConfig,
    endpoint: EndpointConfig,
    handshakes: Arc<Handshakes>,
    unclaimed: Mutex<VecDeque<ThreadSockets>>,
    /// The same sockets, for the process that follows this one.
    all: Vec<UdpSocket>,
    reading: Reading,
}

/// The sockets that one thread takes.
struct ThreadSockets {
    index: u16,
    count: u16,
    /// One per local address.
    sockets: Vec<UdpSocket>,
}

/// What a thread's connections need.
#[derive(Clone)]
struct Thread {
    connections: Rc<LocalConnections>,
    door: Arc<Door>,
}

impl Quic {
    /// Binds the port that the configuration asks for; None if it asks for none. `http` is the address of
    /// HTTP.
    ///
    /// # Errors
    /// If the address cannot be bound, or TLS cannot be set up.
    pub(crate) fn bind(
        config: &Config,
        http: SocketAddr,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> io::Result<Option<Arc<Self>>> {
        let address = match config.quic {
            QuicListen::Off => return Ok(None),
            QuicListen::AsHttp => http,
            QuicListen::At(address) => address,
        };
        let threads = u16::try_from(config.threads.max(1)).unwrap_or(u16::MAX);
        let sockets = sockets::bind(address, threads)?;
        let address = sockets.first().map_or(Ok(address), UdpSocket::local_addr)?;
        let count = sockets.len() as u16; // at most `threads`
        let mut all = vec![sockets];
        if config.quic == QuicListen::AsHttp && address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
            match sockets::bind(other, count) {
                Ok(sockets) => all.push(sockets),
                Err(error) => debug!(%error, "QUIC cannot listen on {other}"),
            }
        }
        Self::on(all, config, certificates).map(Some)
    }

    /// The same with the [sockets](Self::sockets) of the process before, if QUIC is asked for where they are.
    ///
    /// # Errors
    /// They are elsewhere (`AddrNotAvailable`), or belong to another number of threads (`InvalidInput`); or
    /// TLS cannot be set up.
    pub(crate) fn inherit(
        sockets: Vec<UdpSocket>,
        config: &Config,
        http: SocketAddr,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> io::Result<Option<Arc<Self>>> {
        let asked = match config.quic {
            QuicListen::Off if sockets.is_empty() => return Ok(None),
            // Players are on them.
            QuicListen::Off => return Err(io::ErrorKind::AddrNotAvailable.into()),
            QuicListen::AsHttp => http,
            QuicListen::At(address) => address,
        };
        let mut all: Vec<(SocketAddr, Vec<UdpSocket>)> = Vec::new();
        for socket in sockets {
            let address = socket.local_addr()?;
            match all.iter_mut().find(|(other, _)| *other == address) {
                Some((_, sockets)) => sockets.push(socket),
                None => all.push((address, vec![socket])),
            }
        }
        let Some((address, first)) = all.first() else { return Self::bind(config, http, certificates) };
        if address.ip() != asked.ip() || ![0, address.port()].contains(&asked.port()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        // One serves for all where the system cannot spread packets.
        if first.len() > 1 && first.len() != config.threads {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Self::on(all.into_iter().map(|(_, sockets)| sockets).collect(), config, certificates).map(Some)
    }

    /// `all`: for each address, the sockets of the threads.
    fn on(
        all: Vec<Vec<UdpSocket>>,
        config: &Config,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> io::Result<Arc<Self>> {
        let count = all.first().map_or(0, Vec::len) as u16; // at most `threads`
        let address = all.first().and_then(|sockets| sockets.first()).map(UdpSocket::local_addr);
        let address = address.ok_or(io::ErrorKind::NotFound)??;
        let again = all.iter().flatten().map(UdpSocket::try_clone).collect::<io::Result<_>>()?;
        let mut unclaimed: VecDeque<_> =
            (0..count).map(|index| ThreadSockets { index, count, sockets: Vec::new() }).collect();
        for sockets in all {
            unclaimed.iter_mut().zip(sockets).for_each(|(thread, socket)| thread.sockets.push(socket));
        }
        Ok(Arc::new(Self {
            address,
            server: settings::server_config(config, certificates)?,
            endpoint: EndpointConfig::default(),
            handshakes: Handshakes::new(config.quic_handshakes, config.quic_retry_above),
            unclaimed: Mutex::new(unclaimed),
            all: again,
            reading: Reading::default(),
        }))
    }

    /// The bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, for another process.
    pub(crate) fn sockets(&self) -> io::Result<Vec<UdpSocket>> {
        self.all.iter().map(UdpSocket::try_clone).collect()
    }

    /// What comes from now on waits in the sockets for another process.
    pub(crate) fn stop_reading(&self) {
        self.reading.stop();
    }

    /// Serves the connections of the next sockets, if any are left, on the calling thread for as long as it
    /// runs.
    ///
    /// # Errors
    /// If a socket cannot be used.
    pub(crate) fn serve(&self, connections: Rc<LocalConnections>, door: Arc<Door>) -> io::Result<()> {
        let Some(ThreadSockets { index, count, sockets }) = self.unclaimed.lock().pop_front() else {
            return Ok(());
        };
        let thread = Thread { connections, door };
        for socket in sockets {
            let mut config = self.endpoint.clone();
            config.cid_generator(move || Box::new(RoutedIds::new(index, count)));
            let endpoint = Endpoint::new(
                config,
                Some(self.server.clone()),
                socket,
                Arc::new(LocalRuntime(self.reading.clone())),
            )?;
            actix_rt::spawn(accept(endpoint, self.handshakes.clone(), thread.clone()));
        }
        Ok(())
    }
}

async fn accept(endpoint: Endpoint, handshakes: Arc<Handshakes>, thread: Thread) {
    while let Some(incoming) = endpoint.accept().await {
        match handshakes.decide(Source::of(incoming.remote_address().ip()), incoming.may_retry()) {
            Decision::Refuse => {
                thread.connections.worker().metrics().refused.inc("handshakes");
                incoming.refuse();
            }
            Decision::Retry => {
                if incoming.retry().is_err() {
                    debug!("an address that is already validated cannot be validated again");
                }
            }
            Decision::Accept(handshake) => begin(incoming, handshake, &thread),
        }
    }
}

fn begin(incoming: Incoming, handshake: Handshake, thread: &Thread) {
    match incoming.accept() {
        Ok(connecting) => {
            actix_rt::spawn(establish(connecting, handshake, thread.clone()));
        }
        Err(error) => debug!(%error, "a first packet did not begin a connection"),
    }
}

/// From a handshake to a session, which is served in a task of its own. A peer that neither finishes nor
/// fails is dropped.
async fn establish(connecting: Connecting, handshake: Handshake, thread: Thread) {
    let Thread { connections, door } = thread;
    let (worker, within) = (connections.worker().clone(), door.limits().handshake);
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
    // The permit is taken before waiting for the peer, so that peers without one cannot use up anything.
    let mut admitted = door.admit(Source::of(address), transport, None);
    let session = match transport {
        TransportKind::Quic => Session::raw(connection),
        _ => match timeout(within, webtransport::accept(connection.clone(), &door)).await {
            Ok(Ok((session, tenure, trace))) => {
                admitted = admitted.map(|admission| admission.of(tenure).in_trace(trace));
                session
            }
            Ok(Err(refused)) => {
                refused.name().into_iter().for_each(|name| worker.metrics().refused.inc(name));
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
        Ok(admission) => {
            let max_message = door.limits().message_bytes;
            let peer = door.open(admission, Delivery::Datagram, connections);
            session::serve(session, peer, worker, max_message).await;
        }
        Err(refused) => session::close(&session, &Refusal::from(refused)).await,
    }
}

fn protocol(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// Runs quinn's tasks among the thread's own, so that waking one needs no system call.
#[derive(Debug)]
struct LocalRuntime(Reading);

impl Runtime for LocalRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        actix_rt::spawn(future);
    }
    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(self.0.of(TokioRuntime.wrap_udp_socket(socket)?))
    }
    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
