//! Finding a match: a room with seats for a party, found by what is wanted or made for it.
//!
//! | part | what |
//! | --- | --- |
//! | [`filter`] | what must be true of a room: parsed and evaluated, pure |
//! | [`ticket`], [`function`], [`groups`] | who waits, and who plays with whom: pure |
//! | [`desk`] | which tickets wait, and which have a match: pure; what servers agree on |
//! | [`desks`], [`remote`] | where that is: here, or for several servers in Redis |
//! | [`attendance`] | who comes to the seats that are kept, and who does not: pure |
//! | [`attendances`] | where that is known: here, or for several servers in Redis |
//! | [`others`] | the rooms of other servers |
//! | [`queue`] | rounds of matches |
//! | [`lobby`] | lists of open rooms, and their changes: pure |
//! | [`open_room`] | a room as lobbies, filters and matches see it |
//!
//! A match keeps its seats in the room itself ([`RoomCore::reserve`](crate::room::core::RoomCore::reserve)):
//! no list elsewhere can be wrong about them, and nobody else can take one.

mod attendance;
mod attendances;
pub(crate) mod desk;
mod desks;
pub(crate) mod filter;
mod function;
mod groups;
pub(crate) mod lobby;
mod near;
pub(crate) mod open_room;
mod others;
mod queue;
#[cfg(test)]
mod real;
mod remote;
#[cfg(test)]
mod tests;
pub(crate) mod ticket;

pub use function::{Backfill, MatchFunction, Proposal, Round};
pub use groups::Groups;
pub(crate) use queue::{Functions, Look, Queue, QueueError, QueueTicket, Watch};
pub use ticket::{Ticket, TicketId};

use crate::{
    clock,
    config::Config,
    factory::{Factory, FactoryError, RoomSpec},
    ground::{
        api_error::{ApiError, TRY_AGAIN},
        held::{Held, Holding},
        id::RoomId,
        identity::EntryRights,
        notice::{PRIVATE, SPECTATE},
        reservation::{Reservation, ReservationToken},
        source::Source,
    },
    metrics::Metrics,
    nodes::{Node, Way},
    registry::{Listed, Registry},
    room::{Release, Reserve, core::JoinError},
};
use actix_web::http::StatusCode;
use attendance::{NotAsked, NotNow, Party, Who};
use attendances::Attendances;
use desks::DeskAway;
use filter::{Filter, Value};
use lobby::{FRESH, LivePages, Lobby, PageReader, Rooms};
use open_room::OpenRoom;
use others::{Address, Order, Others, Own, RemoteRoom, RoomWanted, Says};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::warn;

/// Most members of a party.
pub(crate) const MAX_PARTY: u32 = 64;
/// How many rooms are asked for seats, of those that seemed to have them, before a new one is made.
const ASKED: usize = 8;
/// How many rooms of other servers are.
const ASKED_ELSEWHERE: usize = 2;

/// How long a room may take to keep seats: one that is on its way to another server, or whose game keeps its
/// thread, is passed over.
const RESERVE_LIMIT: Duration = Duration::from_millis(250);
/// How long it is passed over then.
const SILENCE: Duration = Duration::from_secs(1);
/// How long one that is made may take: its game has yet to start.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Arrivals of players that may wait to be counted, and those that are counted together.
const ARRIVALS: usize = 16_384;
const ARRIVALS_AT_ONCE: usize = 256;

/// The keys with which a running room says how many players it wants, and how good they should be.
const WANTED: &str = "wanted";
const WANTED_SKILL: &str = "wanted_skill";

/// Finds rooms for parties, and makes them.
pub(crate) struct Matchmaker {
    factory: Arc<Factory>,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    region: Option<String>,
    lasts: Duration,
    /// Seats of a room that is made.
    max_players: u32,
    lobby: Lobby,
    /// Pages of it that somebody reads.
    live: LivePages,
    /// Seats kept for each source.
    held: Arc<Held>,
    /// Who comes to the seats that were kept, and who does not.
    attendance: Attendances,
    /// Players who have come.
    arrivals: Mutex<mpsc::Receiver<ReservationToken>>,
    /// Whose turn it is, by kind: so that two who want the same find the same.
    turns: HashMap<&'static str, Mutex<()>>,
    /// Rooms that have not answered in time, and since when.
    silent: parking_lot::Mutex<HashMap<RoomId, Instant>>,
    /// The other servers, and where this one is among them. None: it is alone.
    others: Option<(Others, Arc<Address>)>,
}

/// What a party wants.
pub(crate) struct MatchQuery {
    /// The kind of game.
    pub(crate) kind: String,
    /// Which rooms. None: any.
    pub(crate) filter: Option<Filter>,
    /// Options of the game, as JSON text, for a room that is made. Empty: the game's defaults.
    pub(crate) options: String,
    /// How many seats.
    pub(crate) party: u32,
    /// Whether a room is made if there is none.
    pub(crate) create: bool,
    /// Who asks. None: a guest.
    pub(crate) user: Option<Arc<str>>,
    /// Where that user may play.
    pub(crate) entry: EntryRights,
    /// From where.
    pub(crate) source: Source,
}

/// A room in which seats are kept.
#[derive(Debug)]
pub(crate) struct Match {
    /// The room.
    pub(crate) room: OpenRoom,
    /// Whether it was made for this.
    pub(crate) made: bool,
    /// One for each seat. The first is for the user who has asked.
    pub(crate) tokens: Vec<ReservationToken>,
    /// How long the seats are kept.
    pub(crate) lasts: Duration,
    /// Where WebSockets to its server go, and QUIC, if there are several.
    pub(crate) at: Option<(String, Option<String>)>,
}

/// A room with seats that are reserved for a match of the queue.
struct ReservedRoom {
    /// The room's name.
    room: String,
    /// The room. None: it is on another server.
    here: Option<Listed>,
    /// Where it is, if there are several servers.
    at: Option<Arc<Address>>,
    /// For how long.
    lasts: Duration,
}

/// Why a room keeps no seats.
#[derive(Debug, thiserror::Error)]
enum NotReserved {
    #[error(transparent)]
    Refused(#[from] JoinError),
    #[error("it does not answer: it is on its way to another server, or its game keeps its thread")]
    Silent,
}

/// Why there is no match.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MatchError {
    #[error("there is no room that fits, and none was to be made")]
    NoRoom,
    #[error("a party of {party} fits into no room: they have {max} seats")]
    PartyTooLarge { party: u32, max: u32 },
    #[error("as many seats are kept for {of} as one address may have, {max}: use them first")]
    TooManyReserved { of: Source, max: usize },
    #[error(transparent)]
    NotNow(#[from] NotNow),
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("the room takes nobody: {0}")]
    Ended(String),
    #[error("the room keeps no seats now: {0}")]
    Silent(String),
    #[error(transparent)]
    Away(#[from] DeskAway),
    #[error(transparent)]
    Factory(#[from] FactoryError),
}

impl From<NotReserved> for MatchError {
    fn from(error: NotReserved) -> Self {
        match error {
            NotReserved::Refused(JoinError::BadOptions(why)) => FactoryError::BadOptions(why).into(),
            NotReserved::Refused(why) => MatchError::Ended(why.to_string()),
            NotReserved::Silent => MatchError::Silent(error.to_string()),
        }
    }
}

impl From<NotAsked> for MatchError {
    fn from(error: NotAsked) -> Self {
        match error {
            NotAsked::NotNow(why) => why.into(),
            NotAsked::Away(why) => why.into(),
        }
    }
}

impl From<MatchError> for ApiError {
    fn from(error: MatchError) -> Self {
        let (status, code) = match error {
            MatchError::NoRoom => (StatusCode::NOT_FOUND, "no_match"),
            MatchError::PartyTooLarge { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "party_too_large"),
            MatchError::TooManyReserved { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_reserved"),
            MatchError::Random(_) | MatchError::Silent(_) | MatchError::Away(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            MatchError::Ended(_) => (StatusCode::SERVICE_UNAVAILABLE, "room_ended"),
            MatchError::NotNow(why) => return why.into(),
            MatchError::Factory(error) => return error.into(),
        };
        let answer = Self::new(status, code, error.to_string());
        match status {
            StatusCode::SERVICE_UNAVAILABLE => answer.retry_after(TRY_AGAIN),
            _ => answer,
        }
    }
}

impl Matchmaker {
    pub(crate) fn new(
        config: &Config,
        factory: Arc<Factory>,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
        place: Option<Node>,
    ) -> Arc<Self> {
        let others = Way::of(config).zip(place).map(|(way, Node { url, quic, .. })| {
            let me = format!("{:016x}", getrandom::u64().unwrap_or_default());
            (Others::new(way, me), Arc::new(Address { url, quic }))
        });
        let (tell, arrivals) = mpsc::channel(ARRIVALS);
        registry.tell_arrivals(tell);
        let turns = factory.kinds().map(|kind| (kind, Mutex::default())).collect();
        Arc::new(Self {
            factory,
            registry,
            metrics,
            region: config.region.clone(),
            lasts: config.reservation,
            max_players: config.max_players,
            lobby: Lobby::default(),
            live: LivePages::default(),
            held: Held::new(config.max_connections_per_address),
            attendance: Attendances::new(Way::of(config)),
            arrivals: Mutex::new(arrivals),
            turns,
            silent: parking_lot::Mutex::default(),
            others,
        })
    }

    /// Counts those who come, for ever.
    pub(crate) async fn count_arrivals(self: Arc<Self>) {
        let (mut arrivals, mut came) = (self.arrivals.lock().await, Vec::new());
        while arrivals.recv_many(&mut came, ARRIVALS_AT_ONCE).await > 0 {
            // They have come, whether Redis answers or not.
            while self.attendance.came(&came).await.is_err() {
                sleep(SILENCE).await;
            }
            came.clear();
        }
    }

    /// Lets the other servers know of the rooms here, and learns of theirs, for ever.
    pub(crate) async fn meet_others(self: Arc<Self>) {
        let Some((others, at)) = &self.others else { return };
        let said = others.exchange(|| {
            let (at, region, makes) = ((**at).clone(), self.region.clone(), !self.is_draining());
            Says { at, region, makes, rooms: self.own() }
        });
        let read = others.read_mail(async |order: Order| {
            let reserved = match order {
                Order::Reserve { room, seats } => self.keep_in(self.registry.get(&room)?, &seats).await,
                Order::Make(wanted) => self.make_with(wanted).await,
            };
            Some(OpenRoom::as_it_is(&reserved.ok()?.shared, self.region.as_deref()))
        });
        futures_util::join!(said, read);
    }

    /// The rooms that others may be interested in.
    fn own(&self) -> Vec<Own> {
        if self.is_draining() {
            let departed = self.departed().into_iter();
            return departed.map(|room| Own { room, reserved: 0, listed: true, gone: true }).collect();
        }
        let own = |listed: &Listed| {
            let listed_there = OpenRoom::of(listed, self.region.as_deref()).is_some();
            let room = OpenRoom::as_it_is(&listed.shared, self.region.as_deref());
            let wants = room.free > 0 && room.info.contains_key(WANTED) && listed.room.connected();
            let reserved = listed.shared.reserved.load(Relaxed);
            (listed_there || wants).then_some(Own { room, reserved, listed: listed_there, gone: false })
        };
        let gone = |room| Own { room, reserved: 0, listed: true, gone: true };
        let departed = self.departed().into_iter().map(gone);
        self.registry.all().iter().filter_map(own).chain(departed).collect()
    }

    /// Rooms that have just gone to other servers, which have yet to say that they have them: to whoever
    /// looks for one, it is nowhere else.
    fn departed(&self) -> Vec<OpenRoom> {
        let elsewhere = self.elsewhere();
        let known = |name: &str| elsewhere.iter().any(|there| !there.gone && there.room.name == *name);
        let now = clock::now();
        let departed = self.registry.departed(now.checked_sub(others::COUNTS).unwrap_or(now), known);
        departed.iter().filter_map(|room| OpenRoom::as_it_was(room, self.region.as_deref())).collect()
    }

    /// The rooms of the other servers.
    fn elsewhere(&self) -> Arc<Vec<RemoteRoom>> {
        self.others.as_ref().map(|(others, _)| others.rooms()).unwrap_or_default()
    }

    /// Whether the rooms of other servers are not known.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.others.as_ref().is_some_and(|(others, _)| others.is_cut_off())
    }

    /// Whether it makes no rooms any more.
    fn is_draining(&self) -> bool {
        self.registry.is_draining()
    }

    /// The kind of game that is meant by default.
    pub(crate) fn default_kind(&self) -> &str {
        self.factory.default_kind()
    }

    /// The rooms that anybody can enter.
    pub(crate) fn lobby(&self) -> Rooms {
        let open = |listed: &Listed| OpenRoom::of(listed, self.region.as_deref());
        let elsewhere = self.elsewhere();
        let others = |gone: bool| {
            let rooms = elsewhere.iter().filter(move |room| room.listed && room.gone == gone);
            rooms.map(|elsewhere| elsewhere.room.clone())
        };
        // A room that goes from one server to another may be said to be at both: whoever has it counts.
        self.lobby.rooms(clock::now(), || {
            let has = self.registry.all().iter().filter_map(open).chain(others(false)).collect::<Vec<_>>();
            has.into_iter().chain(self.departed()).chain(others(true)).collect()
        })
    }

    /// Reads a page of the lobby, from now on.
    pub(crate) fn read_lobby(&self, wanted: lobby::LobbyQuery) -> PageReader {
        self.live.read(wanted)
    }

    /// Tells those who read the lobby what changes, for ever.
    pub(crate) async fn tell_lobby(self: Arc<Self>) {
        let mut due = interval(FRESH);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let all = tokio::select! {
                _ = due.tick(), if !self.live.is_empty() => true,
                () = self.live.newcomer() => false,
            };
            let told = self.clone();
            if let Err(error) = spawn_blocking(move || told.live.make(&told.lobby(), all)).await {
                warn!(%error, "the lobby's readers are not told what changes");
            }
        }
    }

    /// Keeps seats for a party in a room that fits: the one with the fewest free seats that has enough, so
    /// that rooms fill. If there is none, in a new one. It is done even if nobody waits for it any more:
    /// seats that were asked for may be kept, and count as whose they are.
    pub(crate) async fn join_or_create(self: &Arc<Self>, query: MatchQuery) -> Result<Match, MatchError> {
        let matchmaker = self.clone();
        let finding = actix_rt::spawn(async move {
            let result = matchmaker.find_or_make(query).await;
            matchmaker.metrics.matching.matches.inc(match &result {
                Ok(Match { made: false, .. }) => "found",
                Ok(Match { made: true, .. }) => "made",
                Err(_) => "refused",
            });
            result
        });
        let failed =
            || MatchError::Silent("looking for one has failed: the server's log says why".to_owned());
        finding.await.unwrap_or_else(|_| Err(failed()))
    }

    async fn find_or_make(&self, query: MatchQuery) -> Result<Match, MatchError> {
        let turn = self.turns.get(&*query.kind);
        let turn = turn.ok_or_else(|| FactoryError::UnknownKind(query.kind.clone()))?;
        if query.party > self.max_players {
            return Err(MatchError::PartyTooLarge { party: query.party, max: self.max_players });
        }
        let (of, max) = (query.source, self.held.max());
        // Until they are taken, or given up.
        let held = self.held.take(clock::now(), of, query.party, self.lasts);
        let held = held.ok_or(MatchError::TooManyReserved { of, max })?;
        let reservations =
            Reservation::of_party(query.party, query.user.as_ref()).map_err(MatchError::Random)?;
        let tokens = reservations.iter().map(|reservation| reservation.token).collect();
        let party = Party { who: Who::new(query.user.clone(), Some(query.source)), tokens };
        self.attendance.take(&party, MAX_PARTY, self.lasts).await?;
        let found = self.find_or_make_for(&query, turn, &reservations, held).await;
        if found.is_err() {
            // If Redis does not answer, they are believed not to have come.
            let _ = self.attendance.forget(&party.tokens[..1]).await;
        }
        found
    }

    async fn find_or_make_for(
        &self,
        query: &MatchQuery,
        turn: &Mutex<()>,
        reservations: &[Reservation],
        mut held: Holding,
    ) -> Result<Match, MatchError> {
        let mut found = {
            let _turn = turn.lock().await;
            self.find_here(query, reservations).await
        };
        // Nobody waits for another server's answer but who has asked.
        if found.is_none() {
            found = self.find_elsewhere(query, reservations, &mut held).await;
        }
        if let Some(found) = found {
            held.keep();
            return Ok(found);
        }
        let _turn = turn.lock().await;
        if let Some(found) = self.find_here(query, reservations).await {
            held.keep();
            return Ok(found);
        }
        // Nobody knows the names of rooms that are made.
        if !query.create || query.entry.rooms.is_some() {
            return Err(MatchError::NoRoom);
        }
        let listed = self.make(query).await?;
        match self.reserve(&listed, reservations, START_LIMIT).await {
            Ok(()) => {
                held.keep();
                Ok(self.matched(&listed, true, reservations))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Keeps the seats in a room here.
    async fn find_here(&self, query: &MatchQuery, reservations: &[Reservation]) -> Option<Match> {
        for listed in self.fitting(query).into_iter().take(ASKED) {
            match self.reserve(&listed, reservations, RESERVE_LIMIT).await {
                Ok(()) => return Some(self.matched(&listed, false, reservations)),
                Err(NotReserved::Refused(_)) => {}
                // Others wait for their turn, and shall not ask it, either.
                Err(NotReserved::Silent) => drop(self.silent.lock().insert(listed.shared.id, clock::now())),
            }
        }
        None
    }

    /// Keeps the seats in a room of another server.
    async fn find_elsewhere(
        &self,
        query: &MatchQuery,
        reservations: &[Reservation],
        held: &mut Holding,
    ) -> Option<Match> {
        let (others, _) = self.others.as_ref()?;
        let rooms = self.elsewhere();
        let fits = |elsewhere: &&RemoteRoom| {
            let room = &elsewhere.room;
            elsewhere.listed
                && !elsewhere.gone
                && room.kind == query.kind
                && room.free >= query.party
                && query.entry.allows_room(&room.name)
                && query.filter.as_ref().is_none_or(|filter| filter.fits(room))
        };
        let mut fitting: Vec<_> = rooms.iter().filter(fits).collect();
        fitting.sort_by_key(|elsewhere| (elsewhere.room.free, &elsewhere.room.name));
        let answering = fitting.into_iter().filter(|elsewhere| !others.is_silent(&elsewhere.server));
        for elsewhere in answering.take(ASKED_ELSEWHERE) {
            match others.keep(elsewhere, reservations.to_vec()).await {
                Ok(Some(room)) => {
                    let tokens = reservations.iter().map(|reservation| reservation.token).collect();
                    let at = Some((elsewhere.at.url.clone(), elsewhere.at.quic.clone()));
                    return Some(Match { room, made: false, tokens, lasts: self.lasts, at });
                }
                Ok(None) => {}
                // It may have kept them, and not said so in time.
                Err(DeskAway(_)) => held.keep(),
            }
        }
        None
    }

    /// Rooms that seem to have the seats, the best first.
    fn fitting(&self, query: &MatchQuery) -> Vec<Listed> {
        let mut silent = self.silent.lock();
        silent.retain(|_, since| since.elapsed() < SILENCE);
        let fits = |listed: Listed| {
            if listed.shared.kind != query.kind || !query.entry.allows_room(&listed.shared.name) {
                return None;
            }
            if silent.contains_key(&listed.shared.id) {
                return None;
            }
            let room =
                OpenRoom::of(&listed, self.region.as_deref()).filter(|room| room.free >= query.party)?;
            let wanted = query.filter.as_ref().is_none_or(|filter| filter.fits(&room));
            wanted.then_some((room.free, Reverse(room.players), listed))
        };
        let mut rooms: Vec<_> = self.registry.all().into_iter().filter_map(fits).collect();
        // Of those that are equally full, the oldest.
        rooms.sort_by_key(|(free, players, listed)| (*free, *players, listed.shared.id.0));
        rooms.into_iter().map(|(_, _, listed)| listed).collect()
    }

    async fn make(&self, query: &MatchQuery) -> Result<Listed, MatchError> {
        let spec = RoomSpec {
            kind: Some(query.kind.clone()),
            options: query.options.clone(),
            info: query.filter.as_ref().map(initial_info).unwrap_or_default(),
            ..RoomSpec::default()
        };
        Ok(self.factory.make_for_match(spec, query.source).await?)
    }

    /// Rooms that want players: those that publish how many (`wanted`), and how good they should be
    /// (`wanted_skill`).
    fn backfills(&self, kind: &str) -> Vec<Backfill> {
        let here = |listed: &Listed| {
            let open = listed.shared.kind == kind && !listed.shared.notice.joins_closed();
            let room = || OpenRoom::as_it_is(&listed.shared, self.region.as_deref());
            let open = open && listed.room.connected();
            open.then(|| backfill(room(), listed.shared.reserved.load(Relaxed))).flatten()
        };
        let elsewhere = self.elsewhere();
        let others = elsewhere.iter().filter(|there| !there.gone && there.room.kind == kind);
        let others = others.filter_map(|elsewhere| backfill(elsewhere.room.clone(), elsewhere.reserved));
        self.registry.all().iter().filter_map(here).chain(others).collect()
    }

    /// Keeps these seats in the room with this name.
    async fn keep(&self, name: &str, seats: &[Reservation]) -> Result<ReservedRoom, MatchError> {
        if let Some(listed) = self.registry.get(name) {
            return Ok(self.reserved_here(self.keep_in(listed, seats).await?));
        }
        let ended = || MatchError::Ended(format!("there is no room {name:?}"));
        let rooms = self.elsewhere();
        let elsewhere = rooms.iter().find(|there| !there.gone && there.room.name == name);
        let (elsewhere, (others, _)) = elsewhere.zip(self.others.as_ref()).ok_or_else(ended)?;
        let room = others.keep(elsewhere, seats.to_vec()).await?.ok_or_else(ended)?.name;
        Ok(ReservedRoom { room, here: None, at: Some(elsewhere.at.clone()), lasts: self.lasts })
    }

    /// Makes a room for a match of the queue: in this region, if it matters and there is a server.
    async fn make_for_queue(
        &self,
        region: Option<&str>,
        wanted: RoomWanted,
    ) -> Result<ReservedRoom, MatchError> {
        let elsewhere = region.filter(|region| self.region.as_deref() != Some(region));
        if let Some((region, (others, _))) = elsewhere.zip(self.others.as_ref()) {
            match others.make(region, &wanted).await {
                Ok(Some((OpenRoom { name: room, .. }, at))) => {
                    return Ok(ReservedRoom { room, here: None, at: Some(at), lasts: self.lasts });
                }
                Ok(None) => {}
                Err(DeskAway(why)) => warn!(region, why, "no room is made in the region: one is made here"),
            }
        }
        Ok(self.reserved_here(self.make_with(wanted).await?))
    }

    async fn keep_in(&self, listed: Listed, seats: &[Reservation]) -> Result<Listed, MatchError> {
        self.reserve(&listed, seats, RESERVE_LIMIT).await?;
        Ok(listed)
    }

    /// Makes a room for those who have these seats alone.
    async fn make_with(&self, wanted: RoomWanted) -> Result<Listed, MatchError> {
        let RoomWanted { kind, options, seats, of } = wanted;
        let spec = RoomSpec {
            kind: Some(kind),
            max_players: Some(u32::try_from(seats.len()).unwrap_or(u32::MAX)),
            options,
            info: BTreeMap::from([(PRIVATE.to_owned(), "true".to_owned())]),
            ..RoomSpec::default()
        };
        let listed = self.factory.make_for_queue(spec, of).await?;
        self.ask_for(&listed, Reserve { alone: true, ..self.seats(&seats) }, START_LIMIT).await?;
        Ok(listed)
    }

    fn reserved_here(&self, listed: Listed) -> ReservedRoom {
        let at = self.others.as_ref().map(|(_, at)| at.clone());
        ReservedRoom { room: listed.shared.name.to_string(), here: Some(listed), at, lasts: self.lasts }
    }

    async fn reserve(
        &self,
        listed: &Listed,
        reservations: &[Reservation],
        limit: Duration,
    ) -> Result<(), NotReserved> {
        self.ask_for(listed, self.seats(reservations), limit).await
    }

    fn seats(&self, reservations: &[Reservation]) -> Reserve {
        Reserve { reservations: reservations.to_vec(), lasts: self.lasts, alone: false }
    }

    async fn ask_for(&self, listed: &Listed, asked: Reserve, limit: Duration) -> Result<(), NotReserved> {
        let tokens = asked.reservations.iter().map(|reservation| reservation.token).collect();
        let ended = |_| JoinError::Ended(listed.shared.name.to_string());
        match timeout(limit, listed.room.send(asked)).await {
            Ok(answer) => Ok(answer.map_err(ended).flatten()?),
            Err(_) => {
                // It may keep them yet: then it gives them up again.
                listed.room.do_send(Release(tokens));
                Err(NotReserved::Silent)
            }
        }
    }

    fn matched(&self, listed: &Listed, made: bool, reservations: &[Reservation]) -> Match {
        let room = OpenRoom::as_it_is(&listed.shared, self.region.as_deref());
        let tokens = reservations.iter().map(|reservation| reservation.token).collect();
        let at = self.others.as_ref().map(|(_, at)| (at.url.clone(), at.quic.clone()));
        Match { room, made, tokens, lasts: self.lasts, at }
    }
}

/// What a new room publishes until its game says otherwise: so that the next who want the same find it. What
/// has a meaning here is not for players to say: they could have the queue send others to them.
fn initial_info(filter: &Filter) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
    };
    let means =
        |name: &str| OpenRoom::is_own(name) || [WANTED, WANTED_SKILL, PRIVATE, SPECTATE].contains(&name);
    let own = filter.equalities().filter(|(name, _)| !means(name));
    own.map(|(name, value)| (name.to_owned(), text(value))).collect()
}

/// What a room wants of the queue, if it wants anything.
fn backfill(room: OpenRoom, reserved: u32) -> Option<Backfill> {
    let wanted: u32 = room.info.get(WANTED)?.parse().ok()?;
    // Some of them may be on their way.
    let wanted = wanted.saturating_sub(reserved).min(room.free);
    let skill = room.info.get(WANTED_SKILL).and_then(|skill| skill.parse().ok());
    (wanted > 0).then(|| Backfill::new(room, wanted, skill))
}
