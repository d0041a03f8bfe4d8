//! Makes rooms, and finds or makes the one that a player wants.

mod elsewhere;
mod restoring;
mod spec;
mod ticks;

pub(crate) use restoring::LostRoom;
pub(crate) use spec::{FactoryError, RoomSpec};

use crate::{
    carry,
    clock::{self, Clock},
    config::Config,
    connection::{Rooms, Search, Ticket, Wanted},
    ground::{
        durability::Durability,
        entrant::Entrant,
        id::RoomId,
        identity::Identity,
        members::Members,
        places::Places,
        refusal::Refusal,
        report::Report,
        reservation::ReservationToken,
        seat::ResumeToken,
        shared::RoomShared,
        shares::{Share, Shares},
        sight::{Sight, Spectating},
        source::Source,
        trace::TraceParent,
    },
    homes::Homes,
    jobs::JobPool,
    metrics::Metrics,
    nodes::{Depot, Grant, Hold, Nodes, Unavailable},
    registry::{Found, Listed, Maker, Registry, RoomSummary, SeatPlace},
    room::{
        AskStarted, Carry, Checkpoints, Housing, Join, Listing, Resume, Room, RoomAddr, RoomSettings, Seated,
        Shell,
        core::{Carried, JoinError, Kept as KeptSeat, ResumeError, RoomCore},
        events::Events,
        journal::Journal,
        record::RecordThread,
        reports::ReportLimit,
        schedule::Schedule,
        start::{self, Started},
        timetable::Timetable,
    },
    spans::Span,
    store::Store,
};
use actix::{MailboxError, Recipient};
use driftless_proto::{
    limits::{MAX_PLAYERS, MAX_SPECTATORS},
    names::is_room_name,
    wire,
};
use driftless_sim::{
    Setup, TICK_RATES,
    game::{Game, GameKind},
    replay::RecordingHeader,
};
use elsewhere::Turns;
use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    ops::RangeInclusive,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use ticks::{TickBudget, Ticks};
use tokio::{sync::oneshot, time::timeout_at};
use tracing::{info, warn};

/// How often a join may meet a room that is just ending before it is refused.
const JOIN_ATTEMPTS: usize = 3;
/// The longest that a room may have stood still on its way, as far as the clocks of two machines agree.
const LONGEST_WAY: Duration = Duration::from_secs(10);

/// Makes rooms of the kinds of games that the server offers.
pub struct Factory {
    config: Config,
    registry: Arc<Registry>,
    services: RoomServices,
    kinds: HashMap<&'static str, GameKind>,
    default_kind: String,
    next_room: AtomicU64,
    by_source: Arc<Shares>,
    ticks: Arc<TickBudget>,
    /// Rooms that are stored and cannot go on here, with the reasons: their names are taken.
    waiting: Mutex<HashMap<String, String>>,
    turns: Turns,
}

/// What rooms get from the server.
pub struct RoomServices {
    /// The server's clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where rooms report joins and leaves.
    pub presence: Recipient<Report>,
    /// The threads on which rooms live.
    pub(crate) homes: Arc<Homes>,
    /// Does the jobs that games request.
    pub(crate) work: Arc<JobPool>,
    /// Reports events of rooms to the program's listeners.
    pub events: Arc<Events>,
    /// The recording thread, if rooms are recorded.
    pub recorder: Option<Arc<RecordThread>>,
    /// Where rooms are kept, if they are. Set before the first room is made.
    pub(crate) store: Arc<OnceLock<Arc<Store>>>,
    /// The other nodes, if there may be others.
    pub(crate) nodes: Option<Arc<Nodes>>,
    /// The slots of players.
    pub(crate) places: Arc<Places>,
    /// Where rooms are kept that these can have go on.
    pub(crate) depot: Option<Arc<Depot>>,
}

/// A room's share of the server's totals. Given back when it is dropped.
struct Budget {
    _ticks: Ticks,
    /// The permit of the source whose join made it.
    _share: Option<Share>,
    /// It is this node's.
    hold: Option<Hold>,
}

/// What a room is to be.
struct Plan {
    id: RoomId,
    name: Arc<str>,
    kind: GameKind,
    setup: Setup<String>,
    maker: Maker,
    durability: Durability,
    members: Members,
    spectating: Spectating,
    /// Its name is this node's.
    hold: Option<Hold>,
    /// It has its share within limits that may have been others, and keeps it whatever they are now.
    exists: bool,
}

/// A room that has not started yet.
struct Made {
    shared: Arc<RoomShared>,
    kind: GameKind,
    setup: Setup<String>,
    budget: Budget,
    maker: Maker,
    durability: Durability,
    trace: Option<TraceParent>,
}

/// What a room goes on with.
struct GoesOn {
    game: Box<dyn Game>,
    carried: Carried,
    kept: Vec<KeptSeat>,
    /// The store has it as it is.
    stored: bool,
    /// It comes from another node.
    came: Option<Came>,
}

/// A room that comes from another node, where it stands still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// When its last tick was due, since 1970.
    pub due: Duration,
    /// Those who watched it.
    pub spectators: u32,
}

impl Factory {
    /// A factory that lists its rooms in `registry`.
    pub fn new(
        config: Config,
        registry: Arc<Registry>,
        services: RoomServices,
        kinds: &[GameKind],
    ) -> Arc<Self> {
        let first = || kinds.first().map(|kind| kind.name().to_owned());
        let default_kind = config.default_kind.clone().or_else(first).unwrap_or_default();
        let kinds = kinds.iter().map(|kind| (kind.name(), kind.clone())).collect();
        let by_source = Shares::new(config.max_rooms_per_address);
        let ticks = TickBudget::new(config.max_ticks_per_second);
        let next_room = AtomicU64::new(1);
        let waiting = Mutex::default();
        Arc::new(Self {
            config,
            registry,
            services,
            kinds,
            default_kind,
            next_room,
            by_source,
            ticks,
            waiting,
            turns: Turns::default(),
        })
    }

    /// Makes a room, and waits until its game has started.
    pub async fn create(&self, spec: RoomSpec) -> Result<RoomSummary, FactoryError> {
        let Listed { shared, room, .. } = self.list(&spec, Maker::Operator).await?;
        // A room that has failed by now was made nevertheless.
        match room.send(AskStarted).await {
            Ok(Err(refused)) => Err(FactoryError::BadOptions(refused.reason)),
            Ok(Ok(())) | Err(_) => Ok(RoomSummary::of(&shared)),
        }
    }

    /// The kinds of games.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }

    /// The kind of rooms whose maker does not name one.
    pub(crate) fn default_kind(&self) -> &str {
        &self.default_kind
    }

    /// Makes a room for a match, on behalf of somebody who will join it. Its game has yet to start.
    pub(crate) async fn make_for_match(&self, spec: RoomSpec, of: Source) -> Result<Listed, FactoryError> {
        if !spec.options.is_empty() && !self.config.join_options {
            return Err(FactoryError::NoJoinOptions);
        }
        self.list(&spec, Maker::Joiner(of)).await
    }

    /// Makes a room for a match of the queue. Its game has yet to start.
    pub(crate) async fn make_for_queue(&self, spec: RoomSpec) -> Result<Listed, FactoryError> {
        // Of players, who will join it; of no address in particular.
        self.list(&spec, Maker::Joiner(Source::of(Ipv4Addr::LOCALHOST.into()))).await
    }

    /// Makes a room whose game has yet to start.
    async fn list(&self, spec: &RoomSpec, maker: Maker) -> Result<Listed, FactoryError> {
        loop {
            let id = self.next_id();
            let name: Arc<str> = match &spec.name {
                Some(name) if is_room_name(name) => name.as_str().into(),
                Some(name) => return Err(FactoryError::BadName(name.clone())),
                // Other nodes number theirs, too.
                None if self.services.nodes.is_some() => {
                    format!("room-{id}-{:x}", getrandom::u32().unwrap_or_default()).into()
                }
                None => format!("room-{id}").into(),
            };
            let kind = spec.kind.as_deref().unwrap_or(&self.default_kind);
            let hold = self.hold(&name, kind).await?;
            let made = self.make(id, name.clone(), spec, maker, hold)?;
            match self.registry.get_or_start(&name, || self.start(made))? {
                (listed, Found::Started) => return Ok(listed),
                (_, Found::There) if spec.name.is_none() => {} // a player called a room so: the next number
                (_, Found::There) => return Err(FactoryError::Exists(name.to_string())),
            }
        }
    }

    /// Writes recordings to disk. Rooms record no more after this.
    pub fn finish_recordings(&self) {
        if let Some(recorder) = &self.services.recorder {
            recorder.finish();
        }
    }

    async fn join(&self, mut room: RoomAddr, join: wire::Join, entrant: Entrant) -> Result<Seated, Refusal> {
        let Identity { user, name, .. } = &*entrant.identity;
        let user = user.id().clone();
        let asked = || if join.name.is_empty() { user.clone() } else { join.name.as_str().into() };
        let name = name.clone().unwrap_or_else(asked);
        for _ in 0..JOIN_ATTEMPTS {
            let asked = Join {
                entrant: entrant.clone(),
                user: user.clone(),
                name: name.clone(),
                sight: Sight::wanted(&join, entrant.identity.role),
                options: join.options.clone(),
                reservation: ReservationToken::parse(&join.reservation),
            };
            match room.send(asked).await {
                // It has just ended: the next attempt makes a new one.
                Ok(Err(JoinError::Ended(_))) | Err(MailboxError::Closed) => {
                    room = self.find_or_create(&join, entrant.source).await?.room;
                }
                Ok(seated) => return seated.map_err(Refusal::from),
                Err(e) => return Err(e.into()),
            }
        }
        Err(MailboxError::Closed.into())
    }

    async fn resume(
        &self,
        room: RoomAddr,
        resume: wire::Resume,
        entrant: Entrant,
    ) -> Result<Seated, Refusal> {
        let (token, place) = self.seat(&resume, &entrant.identity)?;
        let (player, received) = (place.player, resume.reliable_received);
        match room.send(Resume { entrant, player, token, received }).await {
            Ok(seated) => seated.map_err(Refusal::from),
            // It may have gone to another node meanwhile.
            Err(MailboxError::Closed) => Err(self.seat_elsewhere(&resume.room).await),
            Err(e) => Err(e.into()),
        }
    }

    fn seat(
        &self,
        resume: &wire::Resume,
        identity: &Identity,
    ) -> Result<(ResumeToken, SeatPlace), ResumeError> {
        let token = ResumeToken::from_wire(&resume.token).ok_or(ResumeError::UnknownToken)?;
        let place = self.registry.seat(&token).filter(|place| *place.name == *resume.room);
        let place = place.ok_or(ResumeError::UnknownToken)?;
        // Of guests nothing is known but the token.
        let both_guests = || identity.user.is_guest() && place.user.is_guest();
        if place.user == identity.user || both_guests() {
            Ok((token, place))
        } else {
            Err(ResumeError::OtherUser)
        }
    }

    /// The room that a join is for, if it is here.
    fn find_here(&self, join: &wire::Join) -> Result<Option<Listed>, FactoryError> {
        let (name, kind) = (&*join.room, kind_of(join));
        if !join.options.is_empty() && !self.config.join_options {
            return Err(FactoryError::NoJoinOptions);
        }
        if let Some(listed) = self.registry.get(name)
            && listed.room.connected()
        {
            return of_kind(listed, kind).map(Some);
        }
        if !is_room_name(name) {
            return Err(FactoryError::BadName(name.to_owned()));
        }
        if !join.spectate {
            self.kind(kind.unwrap_or(&self.default_kind))?;
        }
        Ok(None)
    }

    /// Makes the room that a join is for.
    fn make_for(
        &self,
        join: &wire::Join,
        source: Source,
        hold: Option<Hold>,
    ) -> Result<Listed, FactoryError> {
        let (name, kind) = (&*join.room, kind_of(join));
        if let Some(none) = makes_none(join) {
            return Err(none);
        }
        let (kind_asked, options) = (kind.map(str::to_owned), join.options.clone());
        let trace = TraceParent::parse(&join.traceparent);
        let spec = RoomSpec { kind: kind_asked, options, trace, ..RoomSpec::default() };
        let name: Arc<str> = name.into();
        let made = self.make(self.next_id(), name.clone(), &spec, Maker::Joiner(source), hold)?;
        // Somebody else may have been faster: then it is their room.
        let (listed, _) = self.registry.get_or_start(&name, || self.start(made))?;
        of_kind(listed, kind)
    }

    fn next_id(&self) -> RoomId {
        RoomId(self.next_room.fetch_add(1, Ordering::Relaxed))
    }

    /// A room that has not started yet, checked against kinds and limits.
    fn make(
        &self,
        id: RoomId,
        name: Arc<str>,
        spec: &RoomSpec,
        maker: Maker,
        hold: Option<Hold>,
    ) -> Result<Made, FactoryError> {
        let kind = self.kind(spec.kind.as_deref().unwrap_or(&self.default_kind))?;
        let setup = Setup {
            seed: spec.seed.unwrap_or_else(|| random_seed(id)),
            tick_rate: spec.tick_rate.unwrap_or(self.config.tick_rate),
            max_players: spec.max_players.unwrap_or(self.config.max_players),
            options: spec.options.clone(),
        };
        if let Some(why) = self.waiting.lock().get(&*name) {
            return Err(FactoryError::Waits { room: name.to_string(), why: why.clone() });
        }
        let durability = spec.durability.unwrap_or_else(|| self.config.durability.of(kind.name()));
        if durability != Durability::None && !self.keeps() {
            return Err(FactoryError::NoStore);
        }
        spec::check_info(&spec.info)?;
        let spectating = self.spectating(&kind, spec)?;
        let (members, exists) = (Members::default(), false);
        let made =
            self.admit(Plan { id, name, kind, setup, maker, durability, members, spectating, hold, exists })?;
        spec.info.iter().for_each(|(key, value)| made.shared.notice.set_info(key.clone(), value.clone()));
        Ok(Made { trace: spec.trace, ..made })
    }

    /// Whom a room lets watch, as its maker, its game or the configuration says.
    fn spectating(&self, kind: &GameKind, spec: &RoomSpec) -> Result<Spectating, FactoryError> {
        let configured = u32::try_from(self.config.spectate_delay.as_millis()).unwrap_or(u32::MAX);
        let default = kind.spectate_delay_ms().unwrap_or(configured).min(Spectating::MAX_DELAY_MS);
        // What is kept for a delay takes memory.
        let longest = if self.config.open_rooms { default } else { Spectating::MAX_DELAY_MS };
        let delay_ms = spec.spectate_delay_ms.unwrap_or(default);
        let delay_ms = in_range("spectate_delay_ms", delay_ms, 0..=Spectating::MAX_DELAY_MS)?;
        if delay_ms > longest {
            return Err(FactoryError::DelayTooLong { asked: delay_ms, most: longest });
        }
        Ok(Spectating {
            delay_ms,
            max: in_range(
                "max_spectators",
                spec.max_spectators.unwrap_or(self.config.max_spectators),
                0..=MAX_SPECTATORS,
            )?,
        })
    }

    fn kind(&self, name: &str) -> Result<GameKind, FactoryError> {
        self.kinds.get(name).cloned().ok_or_else(|| FactoryError::UnknownKind(name.to_owned()))
    }

    /// Takes a room's share of what the server has.
    fn admit(&self, plan: Plan) -> Result<Made, FactoryError> {
        let Plan { id, name, kind, setup, maker, durability, members, spectating, hold, exists } = plan;
        if self.registry.is_draining() {
            return Err(FactoryError::Draining);
        }
        if self.services.nodes.is_some() && hold.is_none() {
            let why = "this node does not hold its name".to_owned();
            return Err(FactoryError::Unavailable(Unavailable { why, wait: Duration::ZERO }));
        }
        if !exists && self.registry.len() >= self.config.max_rooms {
            return Err(FactoryError::TooManyRooms(self.config.max_rooms));
        }
        let tick_rate = in_range("tick_rate", setup.tick_rate, TICK_RATES)?;
        let max_players = in_range("max_players", setup.max_players, 1..=MAX_PLAYERS)?;
        let shared = RoomShared::new(id, name, kind.name(), tick_rate, max_players);
        let owned = hold.as_ref().map(|hold| hold.owned().clone());
        let shared = Arc::new(RoomShared { members: Arc::new(members), spectating, owned, ..shared });
        let by_join = matches!(maker, Maker::Joiner(_));
        let share = match maker {
            Maker::Operator => None,
            Maker::Joiner(source) if exists => Some(self.by_source.go_on(source)),
            Maker::Joiner(source) => Some(self.by_source.take(source).ok_or_else(|| {
                FactoryError::TooManyRoomsOfAddress { of: source, max: self.by_source.max() }
            })?),
        };
        let ticks = match exists {
            true => self.ticks.go_on(tick_rate, by_join),
            false => self.ticks.take(tick_rate, by_join).ok_or_else(|| {
                let max = if by_join { self.ticks.max_of_joins() } else { self.ticks.max() };
                FactoryError::TooManyTicks(max)
            })?,
        };
        let budget = Budget { _ticks: ticks, _share: share, hold };
        Ok(Made { shared, kind, setup, budget, maker, durability, trace: None })
    }

    /// Has these rooms stop after their next tick, and takes them, as far as they do so in this time.
    pub(crate) async fn carry(&self, most: Duration, which: impl FnMut(&Listed) -> bool) -> Vec<carry::Room> {
        let until = clock::now() + most;
        let ask = |listed: Listed| {
            let (hand_over, handed_over) = oneshot::channel();
            listed.room.do_send(Carry(hand_over));
            (listed, handed_over)
        };
        let asked: Vec<_> = self.registry.all().into_iter().filter(which).map(ask).collect();
        let mut rooms = Vec::new();
        for (Listed { shared, setup, maker, durability, .. }, handed_over) in asked {
            match timeout_at(until.into(), handed_over).await {
                Ok(Ok(Some(carried))) => {
                    rooms.push(carry::Room { setup: (*setup).clone(), maker, durability, carried });
                }
                // It has ended.
                Ok(_) => {}
                Err(_) if self.is_stored(durability) => warn!(
                    room = %shared.name,
                    durability = durability.name(),
                    "the room did not stop in time: it goes on from what the store has of it, as after a failure"
                ),
                Err(_) => warn!(room = %shared.name, "the room did not stop in time: it is lost"),
            }
        }
        rooms
    }

    /// Whether the next server finds a room of this durability in the store, whatever becomes of this one.
    pub(crate) fn is_stored(&self, durability: Durability) -> bool {
        durability != Durability::None && self.keeps()
    }

    /// Whether there is a store.
    fn keeps(&self) -> bool {
        self.services.store.get().is_some() || self.services.depot.is_some()
    }

    /// Where a room is kept that is to survive.
    fn keep(&self, made: &Made, stored: bool) -> Option<(Checkpoints, Box<dyn Journal>)> {
        let Made { shared, setup, budget, maker, durability, .. } = made;
        if *durability == Durability::None {
            return None;
        }
        let (setup, services) = (setup.clone(), &self.services);
        let ((sink, journal), every) = match (&services.depot, &budget.hold, services.store.get()) {
            (Some(depot), Some(hold), _) => {
                (depot.room(shared, hold, setup, *maker, *durability), depot.every())
            }
            (_, _, Some(store)) => (store.room(shared, setup, *maker, *durability, stored), store.every()),
            _ => return None,
        };
        Some((Checkpoints::new(sink, every, shared.tick_rate), journal))
    }

    fn start(&self, made: Made) -> Result<Listed, FactoryError> {
        self.start_or_go_on(made, None)
    }

    fn start_or_go_on(&self, made: Made, goes_on: Option<GoesOn>) -> Result<Listed, FactoryError> {
        let stored = goes_on.as_ref().is_some_and(|goes_on| goes_on.stored);
        let kept = self.keep(&made, stored);
        let Made { shared, kind, setup, budget, maker, durability, trace } = made;
        // What comes from another node has yet to become this node's.
        if goes_on.as_ref().is_none_or(|goes_on| goes_on.came.is_none()) {
            budget.hold.iter().for_each(Hold::begun);
        }
        let services = &self.services;
        let header = RecordingHeader {
            kind: kind.name().to_owned(),
            room: shared.name.to_string(),
            setup: setup.clone(),
        };
        let seed = setup.seed;
        let recorder = services.recorder.clone();
        let listing: Weak<Registry> = Arc::downgrade(&self.registry);
        let settings = RoomSettings {
            clock: services.clock,
            metrics: services.metrics.clone(),
            presence: services.presence.clone(),
            listing: listing as Weak<dyn Listing>,
            linger: match maker {
                Maker::Operator => self.config.operator_linger.unwrap_or(self.config.linger),
                Maker::Joiner(_) => self.config.linger,
            },
            wait_for_players: matches!(maker, Maker::Operator),
            resume_window: self.resume_window(&kind),
            housing: services.homes.clone(),
            work: services.work.clone(),
            events: services.events.clone(),
        };
        let limits = self.config.limits.clone();
        // Who joins a room whose every tick is to survive has a seat that does.
        let at_once = durability == Durability::Journal && !stored;
        let of_room = shared.clone();
        let tick_rate = shared.tick_rate;
        let report_limit = report_limit(&self.config, tick_rate);
        let seats_of_user = self.config.max_seats_per_user;
        let of_listed = Arc::new(setup.clone());
        let (game, goes_on) =
            goes_on.map(|GoesOn { game, carried, kept, came, .. }| (game, (carried, kept, came))).unzip();
        let make = {
            let kind = kind.clone();
            move || match game {
                None => {
                    let mut span = Span::within("room.start", trace);
                    span.set("kind", kind.name());
                    let started = start::start(&kind, setup);
                    started.refused.iter().for_each(|refused| span.fails(&refused.reason));
                    started
                }
                Some(game) => Started { game, schema: kind.schema(), refused: None },
            }
        };
        if goes_on.is_some() && recorder.is_some() {
            warn!(room = %shared.name, "a room that goes on is not recorded: a recording begins with a room");
        }
        let is_new = goes_on.is_none();
        let room = Room::start_at(services.homes.common(), make, move |started, home, address| {
            let Started { game, schema, refused } = started;
            let schedule = Timetable::here().schedule(settings.clock.instant(0), clock::now(), tick_rate);
            let after = goes_on.as_ref().map_or(0, |(carried, _, came): &(Carried, _, Option<Came>)| {
                came.map_or(carried.tick(), |came| came.tick(carried, &schedule, settings.clock))
            });
            let schedule = schedule.after(after);
            let recorder = recorder.filter(|_| refused.is_none() && goes_on.is_none());
            let record = recorder.map(|recorder| recorder.open(of_room.id, header, kind));
            let mut core = RoomCore::new(of_room, game, schema, schedule, limits, record.is_some());
            if let Some(limit) = report_limit {
                core.limit_reports(limit);
            }
            core.limit_seats_of_user(seats_of_user);
            let checkpoints = kept.filter(|_| refused.is_none()).map(|(checkpoints, journal)| {
                core.keep_journal(journal);
                checkpoints
            });
            let clock = settings.clock;
            let mut shell = Shell::new(core, refused, settings, record, home, address);
            match goes_on {
                None => shell.made(),
                Some((carried, kept, None)) => shell.go_on(carried, kept),
                Some((carried, kept, Some(came))) => {
                    shell.is_ready(carried, kept, after, came.instant(clock), came.spectators);
                }
            }
            checkpoints.into_iter().for_each(|checkpoints| shell.keep(checkpoints, at_once));
            shell
        });
        services.metrics.rooms.inc();
        if is_new {
            info!(room = %shared.name, kind = shared.kind, tick_rate = shared.tick_rate, seed, "room created");
        }
        Ok(Listed { shared, room, setup: of_listed, maker, durability, budget: Arc::new(budget) })
    }
}

impl Rooms for Factory {
    fn find(self: Arc<Self>, wanted: Wanted, identity: Arc<Identity>, source: Source) -> Search {
        let here = match &wanted {
            Wanted::Join(join) => match self.find_here(join) {
                Ok(None) if self.services.nodes.is_none() => self.make_for(join, source, None).map(Some),
                here => here,
            }
            .map(|here| here.map(|listed| (listed.room, listed.shared.watched_by())))
            .map_err(Refusal::from),
            Wanted::Resume(resume) => match self.seat(resume, &identity) {
                Ok((_, SeatPlace { room, .. })) => {
                    let listed = self.registry.get(&resume.room);
                    Ok(Some((room, listed.map_or(0, |listed| listed.shared.watched_by()))))
                }
                Err(ResumeError::UnknownToken) if self.may_be_elsewhere(&resume.room) => Ok(None),
                Err(error) => {
                    self.services.metrics.resumes.inc("unknown");
                    Err(error.into())
                }
            },
        };
        match here {
            Ok(Some((room, players))) => Search::Over(Ok(self.ticket(wanted, identity, room, players))),
            Ok(None) => Search::Asks(Box::pin(self.find_elsewhere(wanted, identity, source))),
            Err(refusal) => Search::Over(Err(refusal)),
        }
    }

    fn enter(
        self: Arc<Self>,
        ticket: Ticket,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>> {
        let Ticket { wanted, room, place, .. } = ticket;
        let entrant = Entrant { place, ..entrant };
        Box::pin(async move {
            match wanted {
                Wanted::Join(join) => self.join(room, join, entrant).await,
                Wanted::Resume(resume) => {
                    let resumed = self.resume(room, resume, entrant).await;
                    let metric = if resumed.is_ok() { "resumed" } else { "unknown" };
                    self.services.metrics.resumes.inc(metric);
                    resumed
                }
            }
        })
    }
}

impl Came {
    /// When its last tick was due, by this machine's clock.
    fn instant(self, clock: Clock) -> Instant {
        let ago = clock.unix().saturating_sub(self.due).min(LONGEST_WAY);
        clock::now().checked_sub(ago).unwrap_or_else(clock::now)
    }

    /// The number of the tick that is tick 0 of a schedule here: with it, ticks are due when they would have
    /// been due there, up to half a tick.
    fn tick(self, carried: &Carried, schedule: &Schedule, clock: Clock) -> u32 {
        let passed = schedule.deadline(0).saturating_duration_since(self.instant(clock));
        let ticks = passed.as_secs_f64() * f64::from(schedule.tick_rate());
        carried.last_tick().saturating_add(ticks.round() as u32)
    }
}

fn report_limit(config: &Config, tick_rate: u32) -> Option<ReportLimit> {
    let within = config.reports_window.as_secs_f64() * f64::from(tick_rate);
    let limit = ReportLimit { reports: config.reports_limit, within: within.ceil() as u32 };
    (limit.reports > 0).then_some(limit)
}

/// By which a room is this node's, where it could be another's.
pub(crate) fn grant_of(listed: &Listed) -> Option<Grant> {
    listed.budget.downcast_ref::<Budget>()?.hold.as_ref().map(|hold| hold.grant().clone())
}

/// Why this makes no room, wherever that would be, if it does not.
fn makes_none(join: &wire::Join) -> Option<FactoryError> {
    match (join.spectate, &*join.reservation) {
        (true, _) => Some(FactoryError::NoSuchRoom(join.room.clone())),
        (false, "") => None,
        (false, _) => Some(FactoryError::MatchOver(join.room.clone())),
    }
}

/// The kind of game that is requested, if any.
fn kind_of(join: &wire::Join) -> Option<&str> {
    (!join.kind.is_empty()).then_some(&*join.kind)
}

fn of_kind(listed: Listed, asked: Option<&str>) -> Result<Listed, FactoryError> {
    match asked {
        Some(asked) if asked != listed.shared.kind => Err(FactoryError::OtherKind {
            room: listed.shared.name.to_string(),
            is: listed.shared.kind.to_owned(),
            asked: asked.to_owned(),
        }),
        _ => Ok(listed),
    }
}

fn in_range(key: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<u32, FactoryError> {
    if range.contains(&value) {
        Ok(value)
    } else {
        let (min, max) = range.into_inner();
        Err(FactoryError::OutOfRange { key, value: value.into(), min: min.into(), max: max.into() })
    }
}

/// A seed that nobody can guess; or if the system has no random bytes, one that is at least different for
/// each room.
fn random_seed(id: RoomId) -> u64 {
    getrandom::u64().unwrap_or(id.0)
}
