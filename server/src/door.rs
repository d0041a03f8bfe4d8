//! The door: the one place where connections of every transport are admitted or refused.
//!
//! A client is identified by its [`Source`]: the address, or IPv6 /64, that it connects from, or that a
//! [trusted proxy](Proxies) connects on behalf of. The sockets, TLS handshakes in progress, open connections,
//! players, and new players per second of a source are limited. Loopback is limited only by the server's
//! totals: it is a load test, or a proxy that nobody has named.
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

#[cfg(any(test, fuzzed))]
mod fuzz;
mod identity;
mod open;
mod proxies;

#[cfg(any(test, fuzzed))]
pub(crate) use fuzz::fuzz;
#[cfg(any(test, fuzzed))]
pub(crate) use identity::fuzz_token;
pub(crate) use identity::{Authenticator, OwnScheme, Says, TOKEN_PROTOCOL, now, sign, unusable_keys};
pub use identity::{Denied, Knock};
pub use proxies::Proxies;

use crate::{
    clock,
    config::Config,
    connection::{Connection, Entrance, LocalConnections, PeerRef, Rooms, Search, Ticket, Wanted},
    ground::{
        admission::Admission,
        close::GOING_DOWN,
        entrant::Entrant,
        identity::{Identity, Role},
        once::{OnceTokens, Reserved},
        origin::{OriginPattern, Origins},
        places::{NoPlace, Place, Places},
        rate::Rate,
        refusal::Refusal,
        revocations::Revocations,
        shared::RoomShared,
        shares::{Share, Shares},
        sight::Sight,
        source::Source,
        tenure::Tenure,
        trace::TraceParent,
        transport_kind::TransportKind,
    },
    metrics::Metrics,
    registry::Registry,
    room::Seated,
    spans::Span,
    topics::Topics,
};
use actix_web::http::header::HeaderMap;
use driftless_proto::{code::CloseCode, limits::Limits, session::Delivery, wire};
use futures_util::future::LocalBoxFuture;
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

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server is shutting down.
    #[error("{GOING_DOWN}")]
    Draining,
    /// The server has as many players or connections as it takes.
    #[error("the server is full: {0} is its limit")]
    ServerFull(usize),
    /// The source has as many players or connections as one source may have.
    #[error("{of} has reached the limit of {max} for one address")]
    AddressFull {
        /// Its source.
        of: Source,
        /// The limit.
        max: usize,
    },
    /// The source made too many connections in too short a time.
    #[error("too many new connections from {of}: wait {} ms", wait.as_millis())]
    TooFast {
        /// Its source.
        of: Source,
        /// How long to wait.
        wait: Duration,
    },
}

impl Refused {
    /// Name in metrics and in HTTP answers.
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

impl From<NoPlace> for Refused {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Full(max) => Refused::ServerFull(max),
            NoPlace::SourceFull { of, max } => Refused::AddressFull { of, max },
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { wait: refused.wait(), ..Self::new(refused.code(), &refused) }
    }
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

    /// Takes a slot for a new player, or for a spectator, who takes none from players.
    fn place(&self, source: Source, sight: Sight) -> Result<Place, Refused> {
        let places = if sight.plays() { &self.places } else { &self.stands };
        self.new_player(source)
            .and_then(|()| Ok(places.take(source)?))
            .inspect_err(|refused| self.count(*refused, source))
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

    /// Whether this identity may have what is wanted. One that may enter only rooms of one kind asks for that
    /// kind, and one that may only watch asks to watch.
    fn check_entry(&self, wanted: &mut Wanted, identity: &Identity) -> Result<(), Denied> {
        match wanted {
            Wanted::Join(join) => {
                identity::may_enter(identity, Some(&join.room), Some(&join.kind))?;
                join.spectate |= identity.role != Role::Player;
                if let (true, Some(kind)) = (join.kind.is_empty(), &identity.entry.kind) {
                    join.kind = kind.to_string();
                }
                Ok(())
            }
            Wanted::Resume(_) if identity.role != Role::Player => {
                let reason = format!("a seat is a player's, and this token is of a {}", identity.role);
                Err(Denied::forbidden(reason))
            }
            Wanted::Resume(resume) => {
                let listed = self.registry.get(&resume.room);
                identity::may_enter(identity, Some(&resume.room), listed.map(|listed| listed.shared.kind))
            }
        }
    }

    /// What a new seat needs besides a room: a slot, and the token, if it is good for one seat only. First,
    /// so that no room is made for whoever gets none.
    fn claim(&self, join: &wire::Join, identity: &Identity, source: Source) -> Result<Claim, Refusal> {
        let once = match self.authenticator.reserve(identity) {
            Ok(once) => once,
            Err(denied) => {
                self.denied(&denied, source);
                return self.guessed(denied.into(), source);
            }
        };
        Ok((self.place(source, Sight::wanted(join, identity.role))?, once))
    }

    fn denied(&self, denied: &Denied, source: Source) {
        self.metrics.refused.inc(denied.name());
        info!(%source, reason = denied.name(), why = %denied, "refused");
    }

    /// A peer has asked for a seat that it cannot have. It counts like a join, so that guessing tokens is
    /// limited to the same rate.
    fn guessed<T>(&self, e: Refusal, source: Source) -> Result<T, Refusal> {
        self.new_player(source).inspect_err(|refused| self.count(*refused, source))?;
        Err(e)
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

/// A player slot, and a token that is not used yet.
type Claim = (Place, Option<Reserved>);

/// A room was found for somebody, with this claim to a new seat in it.
fn let_in(ticket: Ticket, claim: Option<Claim>) -> Ticket {
    match claim {
        Some((place, once)) => Ticket { place: Some(Arc::new(place)), once, ..ticket },
        None => ticket,
    }
}

impl Rooms for Door {
    fn find(self: Arc<Self>, mut wanted: Wanted, identity: Arc<Identity>, source: Source) -> Search {
        if let Err(denied) = self.check_entry(&mut wanted, &identity) {
            return Search::Over(Err(denied.into()));
        }
        let claim = match &wanted {
            Wanted::Join(join) => match self.claim(join, &identity, source) {
                Ok(claim) => Some(claim),
                Err(refusal) => return Search::Over(Err(refusal)),
            },
            Wanted::Resume(_) => None,
        };
        match claim {
            // Before a room is made for it.
            Some((place, Some(once))) if once.is_shared() => Search::Asks(Box::pin(async move {
                let once = match once.everywhere().await.map_err(Denied::from) {
                    Ok(once) => once,
                    Err(denied) => {
                        self.denied(&denied, source);
                        return self.guessed(denied.into(), source);
                    }
                };
                let found = match self.rooms.clone().find(wanted, identity, source) {
                    Search::Over(found) => found,
                    Search::Asks(found) => found.await,
                };
                match found {
                    Ok(ticket) => Ok(let_in(ticket, Some((place, Some(once))))),
                    Err(refusal) => {
                        // First: it may be told to go to another node, with this token.
                        once.give_back().await;
                        Err(refusal)
                    }
                }
            })),
            claim => self.search(wanted, identity, source, claim),
        }
    }

    fn enter(
        self: Arc<Self>,
        mut ticket: Ticket,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>> {
        let (source, resumes) = (entrant.source, matches!(ticket.wanted, Wanted::Resume(_)));
        let once = ticket.once.take();
        let entered = self.rooms.clone().enter(ticket, entrant);
        Box::pin(async move {
            let entered = entered.await;
            match entered {
                // Only now: a token is not spent on a room that does not take its player.
                Ok(_) => once.into_iter().for_each(Reserved::use_up),
                Err(e) if resumes => return self.guessed(e, source),
                Err(_) => {}
            }
            entered
        })
    }
}

impl Door {
    /// Finds the room for somebody who has this claim to a new seat in it.
    fn search(
        self: Arc<Self>,
        wanted: Wanted,
        identity: Arc<Identity>,
        source: Source,
        claim: Option<Claim>,
    ) -> Search {
        match self.rooms.clone().find(wanted, identity, source) {
            Search::Over(Ok(ticket)) => Search::Over(Ok(let_in(ticket, claim))),
            Search::Over(Err(e)) if claim.is_none() => Search::Over(self.guessed(e, source)),
            Search::Over(Err(e)) => Search::Over(Err(e)),
            Search::Asks(found) => {
                // Whoever guesses tokens has others asked no more often than it may join.
                if claim.is_none()
                    && let Err(refused) = self.new_player(source)
                {
                    self.count(refused, source);
                    return Search::Over(Err(refused.into()));
                }
                Search::Asks(Box::pin(async move { Ok(let_in(found.await?, claim)) }))
            }
        }
    }
}

impl Entrance for Door {
    fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    fn identify(
        self: Arc<Self>,
        wanted: &Wanted,
        transport: TransportKind,
        source: Source,
        trace: Option<TraceParent>,
    ) -> LocalBoxFuture<'static, Result<Tenure, Refusal>> {
        let (room, kind) = match wanted {
            Wanted::Join(join) => (&join.room, Some(join.kind.clone())),
            Wanted::Resume(resume) => (&resume.room, None),
        };
        let mut knock = Knock::new(transport, source);
        (knock.room, knock.kind, knock.trace) = (Some(room.clone()), kind, trace);
        knock.token = Some(wanted.identity_token().to_owned()).filter(|token| !token.is_empty());
        Box::pin(async move { Ok(Door::identify(&self, knock).await?) })
    }

    fn renew(
        self: Arc<Self>,
        token: String,
        has: Arc<Identity>,
        room: Arc<RoomShared>,
        transport: TransportKind,
        source: Source,
    ) -> LocalBoxFuture<'static, Result<Option<Tenure>, Refusal>> {
        let mut knock = Knock::new(transport, source);
        (knock.room, knock.kind) = (Some(room.name.to_string()), Some(room.kind.to_owned()));
        knock.token = Some(token);
        Box::pin(async move {
            let tenure = match Door::identify(&self, knock).await {
                // A key that the issuer has made and this server cannot get yet is no fault of the player's.
                Err(denied) if denied.may_pass() => return Ok(None),
                known => known?,
            };
            let fresh = tenure.identity();
            if fresh.user != has.user || fresh.role != has.role {
                let reason = format!("the fresh token is of {} ({})", fresh.user, fresh.role);
                return Err(Denied::forbidden(reason).into());
            }
            Ok(Some(tenure))
        })
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
