//! The door: the one place where a connection of any transport is let in or refused.
//!
//! Whoever comes is known by a [`Source`]: the address, or the IPv6 /64, of whoever connects, or on whose behalf a [trusted proxy](Proxies) does.
//! A source may have so many sockets, so many TLS handshakes in progress, so many connections of players, and so many new ones a second.
//! Loopback may have as many as the server: it is a load test, or a proxy that nobody has named.
//!
//! A transport asks [`Door::admit`]; with the [`Admission`] it [opens](Door::open) the connection. Where a refusal could not be read
//! otherwise (a page is not told why an upgrade failed), the transport lets the peer in all the same, to be
//! [turned away](Door::turn_away): a goodbye with the reason, then the close.

mod limits;
mod proxies;

pub use limits::ConnectionLimits;
pub use proxies::Proxies;

use crate::{
    config::Config,
    connection::{Connection, LocalConnections, PeerRef, Rooms},
    ground::{
        admission::Admission,
        origin::Origins,
        rate::Rate,
        refusal::Refusal,
        shares::{Share, Shares},
        source::Source,
        transport_kind::TransportKind,
    },
    metrics::Metrics,
    registry::Registry,
};
use actix_web::http::header::HeaderMap;
use driftless_proto::{code::CloseCode, limits::Limits, session::Delivery};
use parking_lot::Mutex;
use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::info;

/// Sockets that a source may have beyond those of players: what a browser opens for a page, and upgrades that are turned away by name.
const MORE_SOCKETS: usize = 32;
/// TLS handshakes over TCP that a source may have in progress.
const TLS_HANDSHAKES: usize = 16;
/// Seconds of new connections that a source may have at once: a school behind one address begins its lesson.
const BURST_SECONDS: u32 = 5;

const SECOND: Duration = Duration::from_secs(1);

/// Who may come in, and what those who may are given.
pub struct Door {
    registry: Arc<Registry>,
    rooms: Arc<dyn Rooms>,
    places: Arc<ConnectionLimits>,
    origins: Origins,
    sockets: Arc<Shares>,
    tls_handshakes: Arc<Shares>,
    joins: Mutex<Rate>,
    proxies: Proxies,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server is going down.
    #[error("the server is going down")]
    Draining,
    /// There are as many connections as the server takes.
    #[error("all {0} connections are in use")]
    ServerFull(usize),
    /// There are as many as one source may have.
    #[error("{of} has {max} connections, as many as one address may have")]
    AddressFull {
        /// Where they come from.
        of: Source,
        /// As many as it may have.
        max: usize,
    },
    /// There were too many in too short a time.
    #[error("too many new connections from {of}: wait {} ms", wait.as_millis())]
    TooFast {
        /// Where they come from.
        of: Source,
        /// How long to wait.
        wait: Duration,
    },
}

impl Refused {
    /// Name in metrics and in answers of HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Refused::Draining => "draining",
            Refused::ServerFull(_) => "server_full",
            Refused::AddressFull { .. } => "address_full",
            Refused::TooFast { .. } => "too_fast",
        }
    }

    /// The close code.
    pub fn code(self) -> CloseCode {
        match self {
            Refused::Draining => CloseCode::Draining,
            Refused::ServerFull(_) => CloseCode::ServerFull,
            Refused::AddressFull { .. } | Refused::TooFast { .. } => CloseCode::AddressLimit,
        }
    }

    /// How long to wait before the next try, if the server can tell.
    fn wait(self) -> Duration {
        match self {
            Refused::TooFast { wait, .. } => wait,
            Refused::Draining | Refused::ServerFull(_) | Refused::AddressFull { .. } => Duration::ZERO,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code(), &refused)
    }
}

impl Door {
    /// To these rooms, on a server that listens at this address.
    pub fn new(
        config: &Config,
        address: SocketAddr,
        registry: Arc<Registry>,
        rooms: Arc<dyn Rooms>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let joins = config.joins_per_second_per_address;
        Arc::new(Self {
            registry,
            rooms,
            places: ConnectionLimits::new(
                config.max_connections,
                config.max_connections_per_address,
                metrics.clone(),
            ),
            sockets: Shares::new(config.max_connections_per_address.saturating_add(MORE_SOCKETS)),
            tls_handshakes: Shares::new(TLS_HANDSHAKES),
            origins: Origins::new(
                config.allow_origin.clone(),
                address.ip().is_loopback(),
                config.tls().is_some(),
            ),
            joins: Mutex::new(Rate::new(SECOND / joins, joins.saturating_mul(BURST_SECONDS))),
            proxies: Proxies::new(config.trusted_proxy.clone()),
            limits: config.limits.clone(),
            metrics,
        })
    }

    /// Connections of players that are open.
    pub fn connections(&self) -> usize {
        self.places.open()
    }

    /// What a connection is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Which pages may come in.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Whose request it is that came from `peer` with these headers: that of whoever connects, or on whose behalf a trusted proxy does.
    pub(crate) fn source(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Source {
        peer.map_or(Source::UNKNOWN, |peer| self.proxies.source(peer.ip(), headers))
    }

    /// The proxies that are trusted.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// A place for one more TCP connection from `address`, whatever it is for. None: its source has as many as it may. (Proxies that are
    /// trusted have as many as they like: those for whom they ask are counted.)
    pub fn socket(&self, address: IpAddr) -> Option<Share> {
        if self.proxies.trust(address) {
            return Some(Share::uncounted());
        }
        self.sockets.take(Source::of(address)).or_else(|| self.dropped("sockets"))
    }

    /// A place for one more TLS handshake over TCP. None: the source has as many in progress as it may.
    pub fn tls_handshake(&self, address: IpAddr) -> Option<Share> {
        if self.proxies.trust(address) {
            return Some(Share::uncounted());
        }
        self.tls_handshakes.take(Source::of(address)).or_else(|| self.dropped("tls_handshakes"))
    }

    /// Lets a connection in, or counts the refusal.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, source: Source, transport: TransportKind) -> Result<Admission, Refused> {
        self.place(source, transport).inspect_err(|refused| {
            self.metrics.refused.inc(refused.name());
            info!(%source, transport = transport.name(), reason = refused.name(), "refused");
        })
    }

    /// Opens a connection that was let in, on the thread that serves it: what its transport needs.
    pub fn open(
        &self,
        admission: Admission,
        delivery: Delivery,
        connections: Rc<LocalConnections>,
    ) -> PeerRef {
        let mut limits = self.limits.clone();
        if delivery == Delivery::Datagram {
            // Its address is validated and its place is counted: what waits for it now is cheap. A join that is lost is
            // sent again after a time that the losses before it have made long (see `driftless_quic`).
            limits.handshake *= 2;
        }
        Connection::open(admission, delivery, limits, connections, self.rooms.clone())
    }

    /// What the transport of a refused peer needs to say goodbye to it.
    pub fn turn_away(
        &self,
        refused: Refused,
        source: Source,
        transport: TransportKind,
        delivery: Delivery,
    ) -> PeerRef {
        let admission = Admission::new(transport, source, ());
        let peer = Connection::unlisted(admission, delivery, self.limits.clone());
        peer.borrow_mut().close(refused.code(), &refused.to_string(), refused.wait());
        peer
    }

    fn place(&self, source: Source, transport: TransportKind) -> Result<Admission, Refused> {
        if self.registry.is_draining() {
            return Err(Refused::Draining);
        }
        let joined =
            if source.is_loopback() { Ok(()) } else { self.joins.lock().take(Instant::now(), source) };
        joined.map_err(|wait| Refused::TooFast { of: source, wait })?;
        Ok(Admission::new(transport, source, self.places.take(source, transport)?))
    }

    fn dropped(&self, reason: &'static str) -> Option<Share> {
        self.metrics.refused.inc(reason);
        None
    }
}
