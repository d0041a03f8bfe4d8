//! The registry of rooms and sessions.

use super::spec::{DirectoryError, RoomSpec, RoomSummary, is_room_name};
use crate::{
    clock::Clock,
    config::Config,
    connection::{Close, ConnectionId, FanoutLink},
    error::Refusal,
    metrics::Metrics,
    metronome::Metronome,
    presence::Presence,
    room::{
        CloseRoom, Join, Resume, Room, RoomSettings,
        core::{ResumeError, RoomCore},
        record::RecordThread,
        seat::{ResumeToken, Seat},
        shared::RoomShared,
        spread_schedule, start,
    },
};
use actix::{Actor, Addr, ArbiterHandle, MailboxError, Recipient};
use dashmap::{DashMap, Entry};
use driftless_proto::wire;
use driftless_sim::{PlayerId, game::GameKind, replay::RecordingHeader};
use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tracing::info;

/// A join meets a room that ends in the same moment at most this often before it is refused.
const JOIN_ATTEMPTS: usize = 3;

/// All rooms and all seats of this process.
pub struct Directory {
    config: Arc<Config>,
    services: Services,
    kinds: HashMap<&'static str, GameKind>,
    rooms: DashMap<Arc<str>, Listed>,
    sessions: DashMap<ResumeToken, Session>,
    next_room: AtomicU64,
    draining: AtomicBool,
    /// Itself, for the rooms it makes.
    weak: Weak<Directory>,
}

/// What the directory gives the rooms it makes.
pub struct Services {
    /// The server's clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The presence actor.
    pub presence: Addr<Presence>,
    /// The clock thread.
    pub metronome: Metronome,
    /// Threads that rooms run on, at least one.
    pub threads: Vec<ArbiterHandle>,
    /// The recording thread, if rooms are recorded.
    pub recorder: Option<RecordThread>,
}

struct Listed {
    shared: Arc<RoomShared>,
    room: Addr<Room>,
}

struct Session {
    player: PlayerId,
    name: Arc<str>,
    room: Addr<Room>,
}

/// A player has a seat: what the connection needs of it.
pub struct Seated {
    /// The room.
    pub room: Addr<Room>,
    /// The seat.
    pub seat: Arc<Seat>,
    /// What to tell the peer.
    pub welcome: wire::Welcome,
}

impl Directory {
    /// A directory without rooms that offers these kinds of game.
    pub fn new(config: Arc<Config>, services: Services, kinds: &[GameKind]) -> Arc<Self> {
        Arc::new_cyclic(|weak| Self {
            config,
            services,
            kinds: kinds.iter().map(|kind| (kind.name(), kind.clone())).collect(),
            rooms: DashMap::new(),
            sessions: DashMap::new(),
            next_room: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            weak: weak.clone(),
        })
    }

    /// All rooms, by name.
    pub fn list(&self) -> Vec<RoomSummary> {
        let mut rooms: Vec<_> = self.rooms.iter().map(|listed| summary(&listed.shared)).collect();
        rooms.sort_by(|a, b| a.name.cmp(&b.name));
        rooms
    }

    /// How many rooms there are, and those with the most players.
    pub fn busiest(&self, most: usize) -> (usize, Vec<Arc<RoomShared>>) {
        let mut rooms: Vec<_> = self.rooms.iter().map(|listed| listed.shared.clone()).collect();
        let total = rooms.len();
        // Each once: the numbers change while they are compared.
        rooms.sort_by_cached_key(|room| {
            (std::cmp::Reverse(room.players.load(Ordering::Relaxed)), room.name.clone())
        });
        rooms.truncate(most);
        (total, rooms)
    }

    /// The actor of a room.
    pub fn room(&self, name: &str) -> Option<Addr<Room>> {
        self.rooms.get(name).map(|listed| listed.room.clone())
    }

    /// The room of this name.
    pub fn get(&self, name: &str) -> Option<RoomSummary> {
        self.rooms.get(name).map(|listed| summary(&listed.shared))
    }

    /// Makes a room.
    pub fn create(&self, spec: RoomSpec) -> Result<RoomSummary, DirectoryError> {
        let id = self.next_room.fetch_add(1, Ordering::Relaxed);
        let name: Arc<str> = match &spec.name {
            Some(name) if is_room_name(name) => name.as_str().into(),
            Some(name) => return Err(DirectoryError::BadName(name.clone())),
            None => format!("room-{id}").into(),
        };
        let made = self.make(id, name.clone(), &spec)?;
        match self.rooms.entry(name) {
            Entry::Occupied(taken) => Err(DirectoryError::Exists(taken.key().to_string())),
            Entry::Vacant(free) => Ok(summary(&free.insert(self.start(made)?).shared)),
        }
    }

    /// Ends a room. False: there is none of this name.
    pub fn close(&self, name: &str) -> bool {
        match self.rooms.get(name) {
            Some(listed) => {
                listed.room.do_send(CloseRoom);
                true
            }
            None => false,
        }
    }

    /// Whether new connections and rooms are refused.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Refuses new connections and rooms from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Writes what is recorded to disk. Rooms record no more after this.
    pub fn finish_recordings(&self) {
        if let Some(recorder) = &self.services.recorder {
            recorder.finish();
        }
    }

    /// Finds or makes the room and takes a seat in it.
    pub async fn join(
        &self,
        join: wire::Join,
        connection: ConnectionId,
        link: FanoutLink,
        control: Recipient<Close>,
    ) -> Result<Seated, Refusal> {
        let user: Arc<str> = match join.user {
            user if user.is_empty() => format!("guest-{connection}").into(),
            user => user.into(),
        };
        let name = if join.name.is_empty() { user.clone() } else { join.name.into() };
        let kind = (!join.kind.is_empty()).then_some(join.kind);
        for _ in 0..JOIN_ATTEMPTS {
            let room = self.find_or_create(&join.room, kind.as_deref())?;
            let join = Join {
                connection,
                link: link.clone(),
                control: control.clone(),
                user: user.clone(),
                name: name.clone(),
            };
            match room.send(join).await {
                Ok(seated) => return seated.map_err(Refusal::from),
                Err(MailboxError::Closed) => {} // it has just ended: the next look makes a new one
                Err(e) => return Err(e.into()),
            }
        }
        Err(MailboxError::Closed.into())
    }

    /// Takes the seat that the token names.
    pub async fn resume(
        &self,
        resume: wire::Resume,
        connection: ConnectionId,
        link: FanoutLink,
        control: Recipient<Close>,
    ) -> Result<Seated, Refusal> {
        let result = self.find_and_resume(resume, connection, link, control).await;
        let metric = if result.is_ok() { "resumed" } else { "unknown" };
        self.services.metrics.resumes.inc(metric);
        result
    }

    async fn find_and_resume(
        &self,
        resume: wire::Resume,
        connection: ConnectionId,
        link: FanoutLink,
        control: Recipient<Close>,
    ) -> Result<Seated, Refusal> {
        let token = ResumeToken::from_wire(&resume.token).ok_or(ResumeError::UnknownToken)?;
        let (room, player) = self
            .sessions
            .get(&token)
            .filter(|session| *session.name == *resume.room)
            .map(|session| (session.room.clone(), session.player))
            .ok_or(ResumeError::UnknownToken)?;
        let received = resume.reliable_received;
        match room.send(Resume { connection, link, control, player, token, received }).await {
            Ok(seated) => seated.map_err(Refusal::from),
            Err(MailboxError::Closed) => Err(ResumeError::UnknownToken.into()),
            Err(e) => Err(e.into()),
        }
    }

    /// A seat was taken: its token is good from now on.
    pub fn remember_seat(&self, seat: &Seat, room: Addr<Room>) {
        let session = Session { player: seat.player, name: seat.room.name.clone(), room };
        self.sessions.insert(seat.token, session);
        self.services.metrics.players.inc();
    }

    /// A seat has ended: its token is worth nothing.
    pub fn forget_seat(&self, token: &ResumeToken) {
        if self.sessions.remove(token).is_some() {
            self.services.metrics.players.dec();
        }
    }

    /// A room has ended.
    pub fn forget_room(&self, room: &RoomShared, reason: &'static str) {
        if self.rooms.remove_if(&room.name, |_, listed| listed.shared.id == room.id).is_some() {
            self.services.metrics.rooms.dec();
            self.services.metrics.rooms_ended.inc(reason);
        }
    }

    fn find_or_create(&self, name: &str, kind: Option<&str>) -> Result<Addr<Room>, DirectoryError> {
        if let Some(listed) = self.rooms.get(name)
            && listed.room.connected()
        {
            return of_kind(&listed, kind);
        }
        if !is_room_name(name) {
            return Err(DirectoryError::BadName(name.to_owned()));
        }
        let id = self.next_room.fetch_add(1, Ordering::Relaxed);
        let spec = RoomSpec { kind: kind.map(str::to_owned), ..RoomSpec::default() };
        let made = self.make(id, name.into(), &spec)?;
        match self.rooms.entry(name.into()) {
            // Somebody was faster.
            Entry::Occupied(taken) if taken.get().room.connected() => of_kind(taken.get(), kind),
            Entry::Occupied(mut ended) => {
                let listed = self.start(made)?;
                let room = listed.room.clone();
                ended.insert(listed);
                Ok(room)
            }
            Entry::Vacant(free) => Ok(free.insert(self.start(made)?).room.clone()),
        }
    }

    /// A room that has not started, checked against kinds and limits.
    fn make(&self, id: u64, name: Arc<str>, spec: &RoomSpec) -> Result<Made, DirectoryError> {
        if self.is_draining() {
            return Err(DirectoryError::Draining);
        }
        if self.rooms.len() >= self.config.max_rooms {
            return Err(DirectoryError::TooManyRooms(self.config.max_rooms));
        }
        let kind = spec.kind.as_deref().unwrap_or(&self.config.default_kind);
        let kind = self.kinds.get(kind).ok_or_else(|| DirectoryError::UnknownKind(kind.to_owned()))?.clone();
        let tick_rate = in_range("tick_rate", spec.tick_rate.unwrap_or(self.config.tick_rate), 1, 128)?;
        let max_players =
            in_range("max_players", spec.max_players.unwrap_or(self.config.max_players), 1, MAX_PLAYERS)?;
        let seed = spec.seed.unwrap_or_else(|| random_seed(id));
        let shared = Arc::new(RoomShared::new(id, name, kind.name(), tick_rate, max_players));
        Ok(Made { shared, kind, seed })
    }

    fn start(&self, made: Made) -> Result<Listed, DirectoryError> {
        let Made { shared, kind, seed } = made;
        let services = &self.services;
        let header = RecordingHeader {
            kind: kind.name().to_owned(),
            seed,
            tick_rate: shared.tick_rate,
            room: shared.name.to_string(),
        };
        let record = services.recorder.as_ref().and_then(|recorder| recorder.open(shared.id, header));
        let schedule = spread_schedule(Instant::now(), shared.tick_rate, shared.id);
        let settings = RoomSettings {
            clock: services.clock,
            metrics: services.metrics.clone(),
            presence: services.presence.clone(),
            directory: self.weak.clone(),
            linger: self.config.linger,
            resume_window: self.config.resume_window,
            timeout: self.config.limits.timeout,
        };
        let limits = self.config.limits.clone();
        let of_room = shared.clone();
        let count = services.threads.len().max(1) as u64;
        let thread = services.threads.get((shared.id % count) as usize).ok_or(DirectoryError::NoThread)?;
        // The game starts on the room's thread, so that a slow start keeps nobody else waiting.
        let room = Room::start_in_arbiter(thread, move |_| {
            let (game, schema) = start::start(&kind, seed, of_room.tick_rate);
            let core = RoomCore::new(of_room, game, schema, schedule, limits, record.is_some());
            Room::new(core, settings, record)
        });
        services.metronome.add(schedule, shared.clone(), room.clone());
        services.metrics.rooms.inc();
        services.metrics.rooms_created.inc();
        info!(room = %shared.name, kind = shared.kind, tick_rate = shared.tick_rate, seed, "room created");
        Ok(Listed { shared, room })
    }
}

/// Most seats a room may have.
const MAX_PLAYERS: u32 = 10_000;

struct Made {
    shared: Arc<RoomShared>,
    kind: GameKind,
    seed: u64,
}

fn of_kind(listed: &Listed, asked: Option<&str>) -> Result<Addr<Room>, DirectoryError> {
    match asked {
        Some(asked) if asked != listed.shared.kind => Err(DirectoryError::OtherKind {
            room: listed.shared.name.to_string(),
            is: listed.shared.kind.to_owned(),
            asked: asked.to_owned(),
        }),
        _ => Ok(listed.room.clone()),
    }
}

fn in_range(key: &'static str, value: u32, min: u32, max: u32) -> Result<u32, DirectoryError> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(DirectoryError::OutOfRange { key, value: value.into(), min: min.into(), max: max.into() })
    }
}

/// A seed nobody can guess; if the system has no random bytes, one that is at least of its own.
fn random_seed(id: u64) -> u64 {
    getrandom::u64().unwrap_or(id)
}

fn summary(shared: &RoomShared) -> RoomSummary {
    RoomSummary {
        name: shared.name.to_string(),
        kind: shared.kind.to_owned(),
        tick_rate: shared.tick_rate,
        tick: shared.tick.load(Ordering::Relaxed),
        players: shared.players.load(Ordering::Relaxed),
        connected: shared.connected.load(Ordering::Relaxed),
        max_players: shared.max_players,
        ticks_skipped: shared.ticks_skipped.load(Ordering::Relaxed),
    }
}
