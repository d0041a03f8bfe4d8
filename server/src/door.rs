//! The door: the one place where connections of every transport are admitted or refused.
//!
//! A client is identified by its [`Source`]: the address, or IPv6 /64, that it connects from, or that a
//! [trusted proxy](Proxies) connects on behalf of. The sockets, TLS handshakes in progress, requests over
//! HTTP/2, open connections, players, and new players per second of a source are limited. Loopback is limited
//! only by the server's totals: it is a load test, or a proxy that nobody has named.
//!
//! A transport calls [`Door::admit`] before it knows whether the peer joins or resumes, and
//! [opens](Door::open) the connection with the [`Admission`] it gets. Only a join takes a [player
//! slot](Places) and counts as new. A player who lost the connection still has the slot, with the seat,
//! however full the server is and however many come back at once. Spectators have slots of their own, as many
//! as players.
//!
//! If a refusal could not be read otherwise (a page is not told why an upgrade failed), the transport accepts
//! the connection anyway, only to [turn it away](Door::turn_away): it gets a goodbye with the reason, then
//! the close. Not so a client without a token that is good for what it wants: it gets 401 or 403 and no
//! connection at all (on QUIC, which has no requests, no seat). Its page learns why by the same request
//! without the upgrade, which is answered alike.

mod entering;
#[cfg(any(test, fuzzed))]
mod fuzz;
mod identity;
mod open;
mod proxies;
mod refused;

#[cfg(any(test, fuzzed))]
pub(crate) use fuzz::fuzz;
#[cfg(any(test, fuzzed))]
pub(crate) use identity::fuzz_token;
pub(crate) use identity::{
    Authenticator, OwnScheme, Says, TOKEN_PROTOCOL, now, sign, unreachable_keys, unusable_keys,
};
pub use identity::{Denied, Knock};
pub use proxies::Proxies;
pub use refused::Refused;

use crate::{
    clock,
    config::Config,
    connection::{Connection, LocalConnections, PeerRef, Rooms},
    ground::{
        admission::Admission,
        api_error::{ApiError, TRY_AGAIN},
        once::OnceTokens,
        origin::{OriginPattern, Origins},
        places::Places,
        rate::Rate,
        revocations::Revocations,
        shares::{Share, Shares},
        source::Source,
        tenure::Tenure,
        transport_kind::TransportKind,
    },
    metrics::Metrics,
    registry::Registry,
    spans::Span,
    topics::Topics,
};
use actix_web::http::{StatusCode, header::HeaderMap};
use driftless_proto::{limits::Limits, session::Delivery};
use open::OpenConnections;
use parking_lot::Mutex;
use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tracing::info;

/// Connections and sockets allowed per player: the one that the network has lost, and the one used to come
/// back; and one for a spectator.
const FOR_EACH_PLAYER: usize = 3;
/// Sockets that a source may have in addition to those of players: those that a browser opens for a page, and
/// upgrades that are turned away.
const MORE_SOCKETS: usize = 32;
/// Requests over HTTP/2 that a source may have at a time in addition to as many as there are connections for
/// its players: as many as one connection may have, so that a page that loads everything at once gets it.
const MORE_REQUESTS: usize = 100;
/// Connections that may be open in addition to those of players.
const MORE_CONNECTIONS: usize = 1024;
/// TLS handshakes over TCP that a source may have in progress.
const TLS_HANDSHAKES: usize = 16;
/// Burst of new connections that a source may make, as seconds at its rate: a school class behind one address
/// starts together.
const BURST_SECONDS: u32 = 5;

/// Tokens that are checked for a source, for each player that it may have come: for those who come back, who
/// ask for matches, who read topics. A signature costs some 50 µs.
const CHECKS_FOR_EACH_JOIN: u32 = 10;

/// Clients that joined too fast are told different waits: an interval more for each, starting again after
/// this many.
const TURNS: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// Decides who may come in, and admits connections.
pub struct Door {
    registry: Arc<Registry>,
    rooms: Arc<dyn Rooms>,
    authenticator: Authenticator,
    open: Arc<OpenConnections>,
    max_open: usize,
    /// Connections for which there are files, with the readers of topics.
    files: usize,
    connections: Arc<Shares>,
    places: Arc<Places>,
    /// The slots of spectators.
    stands: Arc<Places>,
    origins: Origins,
    sockets: Arc<Shares>,
    tls_handshakes: Arc<Shares>,
    requests: Arc<Shares>,
    joins: Mutex<Rate>,
    join_interval: Duration,
    /// Those who have somebody find out who they are.
    checks: Mutex<Rate>,
    /// How many joined too fast.
    refused: AtomicU32,
    proxies: Proxies,
    limits: Limits,
    topics: Arc<Topics>,
    metrics: Arc<Metrics>,
}

impl Door {
    /// The door to `rooms` of a server that listens at `address`. `files`: connections for which there are
    /// files. `places`: the slots of players, of which seats that were kept have some already.
    #[allow(clippy::too_many_arguments, reason = "everything that it decides about")]
    pub(crate) fn new(
        config: &Config,
        files: usize,
        address: SocketAddr,
        registry: Arc<Registry>,
        rooms: Arc<dyn Rooms>,
        authenticator: Authenticator,
        topics: Arc<Topics>,
        places: Arc<Places>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let joins = config.joins_per_second_per_address;
        let of_source = config.max_connections_per_address.saturating_mul(FOR_EACH_PLAYER);
        Arc::new(Self {
            registry,
            rooms,
            authenticator,
            open: OpenConnections::new(metrics.clone()),
            max_open: max_open(config).min(files),
            files,
            connections: Shares::new(of_source),
            places,
            stands: Places::new(config.max_connections, config.max_connections_per_address),
            sockets: Shares::new(of_source.saturating_add(MORE_SOCKETS)),
            tls_handshakes: Shares::new(TLS_HANDSHAKES),
            requests: Shares::new(of_source.saturating_add(MORE_REQUESTS)),
            origins: Origins::new(
                allowed_origins(config),
                address.ip().is_loopback(),
                config.tls().is_some(),
            ),
            joins: Mutex::new(Rate::new(SECOND / joins, joins.saturating_mul(BURST_SECONDS))),
            join_interval: SECOND / joins,
            checks: Mutex::new(checks(config)),
            refused: AtomicU32::new(0),
            proxies: Proxies::new(config.trusted_proxy.clone(), config.proxy_header),
            limits: config.limits.clone(),
            topics,
            metrics,
        })
    }

    /// Number of open connections.
    pub fn connections(&self) -> usize {
        self.open.count()
    }

    /// Connections that are open only until they have been told why they are refused.
    pub(crate) fn turned_away(&self) -> usize {
        self.open.turned_away()
    }

    /// Limits of each connection.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Which web pages may use the server.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The source of a request that came from `peer` with these headers: that of `peer` itself, or of the
    /// client on whose behalf a trusted proxy connects.
    pub(crate) fn source(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Source {
        peer.map_or(Source::UNKNOWN, |peer| self.proxies.source(peer.ip(), headers))
    }

    /// The proxies that are trusted.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Takes a permit for one more TCP connection from `address`, whatever its purpose. None: its source has
    /// as many as it may. (Trusted proxies may have any number: the clients that they connect for are
    /// counted.)
    pub fn socket(&self, address: IpAddr) -> Option<Share> {
        if self.proxies.trust(address) {
            return Some(Share::uncounted());
        }
        self.sockets.take(Source::of(address)).or_else(|| self.dropped("sockets"))
    }

    /// Takes a permit for one more TLS handshake over TCP. None: the source has as many in progress as it
    /// may.
    pub fn tls_handshake(&self, address: IpAddr) -> Option<Share> {
        if self.proxies.trust(address) {
            return Some(Share::uncounted());
        }
        self.tls_handshakes.take(Source::of(address)).or_else(|| self.dropped("tls_handshakes"))
    }

    /// Takes a permit for one more request of a connection that may have many at a time (HTTP/2), for as long
    /// as it is open.
    ///
    /// # Errors
    /// It has as many.
    pub(crate) fn request(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<Share, ApiError> {
        let (source, max) = (self.source(Some(peer), headers), self.requests.max());
        self.requests.take(source).ok_or_else(|| {
            let message = format!("{source} has {max} requests open, as many as may be from one address");
            let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "address_full", message);
            self.metrics.requests_refused.inc(refused.code());
            refused.retry_after(TRY_AGAIN)
        })
    }

    /// Finds out who a client is. A refusal is counted like a join, so that guessing is limited to the same
    /// rate.
    ///
    /// # Errors
    /// Why it may not come in.
    pub(crate) async fn identify(&self, knock: Knock) -> Result<Tenure, Denied> {
        let source = knock.source;
        let mut span = Span::within("authenticate", knock.trace);
        if !source.is_loopback() && self.authenticator.takes_effort(&knock) {
            // First: nobody has the server check signatures without end.
            let taken = self.checks.lock().take(clock::now(), source);
            taken.map_err(|wait| {
                let refused = Refused::TooFast { of: source, wait };
                span.fails(refused.name());
                self.count(refused, source);
                Denied::too_fast(refused.name(), &refused, wait)
            })?;
        }
        let identity = match self.authenticator.identify(knock).await {
            Ok(identity) => identity,
            Err(denied) => {
                span.fails(denied.name());
                self.denied(&denied, source);
                self.new_player(source).map_err(|refused| {
                    self.count(refused, source);
                    Denied::too_fast(refused.name(), &refused, refused.wait())
                })?;
                return Err(denied);
            }
        };
        let revocations = self.authenticator.revocations().clone();
        Ok(Tenure::new(identity.into(), revocations, clock::now(), clock::time_of_day()))
    }

    /// Finds out who players are.
    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// The tokens that may be used once only, and were.
    pub(crate) fn once(&self) -> Option<&Arc<OnceTokens>> {
        self.authenticator.once()
    }

    /// The users whose access is revoked.
    pub(crate) fn revocations(&self) -> &Revocations {
        self.authenticator.revocations()
    }

    /// Admits a connection, or counts the refusal. `tenure`: of whom, if that is known.
    ///
    /// # Errors
    /// Why the connection is refused.
    pub fn admit(
        &self,
        source: Source,
        transport: TransportKind,
        tenure: Option<Tenure>,
    ) -> Result<Admission, Refused> {
        let share = if self.registry.is_closed() {
            Err(Refused::Draining)
        } else if self.open.count() >= self.max_open
            || self.open.count() + self.topics.readers() >= self.files
        {
            Err(Refused::ServerFull(self.max_open))
        } else {
            let max = self.connections.max();
            self.connections.take(source).ok_or(Refused::AddressFull { of: source, max })
        };
        let share = share.inspect_err(|refused| self.count(*refused, source))?;
        let admission = Admission::new(transport, source, self.open.open(transport, share));
        Ok(match tenure {
            Some(tenure) => admission.of(tenure),
            None => admission,
        })
    }

    /// Opens an admitted connection, on the thread that serves it. Returns what its transport needs.
    pub fn open(
        self: &Arc<Self>,
        admission: Admission,
        delivery: Delivery,
        connections: Rc<LocalConnections>,
    ) -> PeerRef {
        let mut limits = self.limits.clone();
        if delivery == Delivery::Datagram {
            // The address is validated and the connection is counted, so waiting costs little. A lost join is
            // sent again only after a delay that earlier losses have made long (see `driftless_quic`).
            limits.handshake *= 2;
        }
        Connection::open(admission, delivery, limits, connections, self.clone())
    }

    /// Creates what the transport of a refused peer needs to say goodbye to it.
    pub fn turn_away(
        &self,
        refused: Refused,
        source: Source,
        transport: TransportKind,
        delivery: Delivery,
    ) -> PeerRef {
        let admission = Admission::new(transport, source, self.open.turn_away());
        let peer = Connection::unlisted(admission, delivery, self.limits.clone());
        peer.borrow_mut().close(refused.code(), &refused.to_string(), refused.wait());
        peer
    }

    /// Counts a request for a new seat.
    fn new_player(&self, source: Source) -> Result<(), Refused> {
        if source.is_loopback() {
            return Ok(());
        }
        let wait = self.joins.lock().take(clock::now(), source);
        // Clients that are refused together are told to come back one after another.
        let turn = self.refused.fetch_add(u32::from(wait.is_err()), Ordering::Relaxed) % TURNS;
        wait.map_err(|wait| Refused::TooFast { of: source, wait: wait + self.join_interval * turn })
    }

    fn denied(&self, denied: &Denied, source: Source) {
        self.metrics.refused.inc(denied.name());
        info!(%source, reason = denied.name(), why = %denied, "refused");
    }

    fn count(&self, refused: Refused, source: Source) {
        self.metrics.refused.inc(refused.name());
        info!(%source, reason = refused.name(), "refused");
    }

    fn dropped(&self, reason: &'static str) -> Option<Share> {
        self.metrics.refused.inc(reason);
        None
    }
}

/// How often a source may have somebody find out who it is: all players whom it may have come back at once,
/// as many as it may have join, several times over, and all that it may publish.
fn checks(config: &Config) -> Rate {
    let joins = config.joins_per_second_per_address.saturating_mul(CHECKS_FOR_EACH_JOIN);
    let per_second = joins.saturating_add(config.topic_events_per_second_per_address);
    let players = u32::try_from(config.max_connections_per_address).unwrap_or(u32::MAX).saturating_mul(2);
    Rate::new(SECOND / per_second, per_second.saturating_mul(BURST_SECONDS).max(players))
}

/// Pages that operators allow, and those of the server's own public address.
fn allowed_origins(config: &Config) -> Vec<OriginPattern> {
    let own = config.public_url.as_ref().and_then(|url| url.to_string().parse().ok());
    config.allow_origin.iter().cloned().chain(own).collect()
}

/// Maximum number of open connections.
pub(crate) fn max_open(config: &Config) -> usize {
    config.max_connections.saturating_mul(FOR_EACH_PLAYER).saturating_add(MORE_CONNECTIONS)
}
