//! Where rooms and seats are: rooms by name, seats by resume token.
//!
//! The [`factory`](crate::factory) makes rooms. Rooms themselves report (by [`Listing`]) which seats were
//! taken, and that they have ended.

use crate::{
    ground::{
        drain::{Drain, Step},
        durability::Durability,
        home::Home,
        identity::User,
        made_with::MadeWith,
        reservation::ReservationToken,
        seat::{ResumeToken, Seat},
        shared::RoomShared,
        shrink::is_nearly_empty,
    },
    metrics::Metrics,
    room::{CloseRoom, Kick, Listing, RoomAddr},
};
use dashmap::{DashMap, Entry};
use driftless_proto::code::CloseCode;
use driftless_sim::PlayerId;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Instant,
};
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// The reason given to a user whose access was revoked.
const REVOKED: &str = "an operator has revoked the user's access";

/// Rooms that are looked at together for a page: one more than a page of the usual size has.
const LOOKED_AT: usize = 101;

/// All rooms and all seats of this process.
pub struct Registry {
    rooms: DashMap<Arc<str>, Listed>,
    /// Names of the rooms, in order. Changed only while the room's entry in `rooms` is locked.
    names: RwLock<BTreeSet<Arc<str>>>,
    seats: DashMap<ResumeToken, SeatPlace>,
    /// Rooms that have gone to other nodes, and when.
    departed: Mutex<Vec<(Instant, Arc<RoomShared>)>>,
    /// Who wants to know with which reservations players have come.
    arrivals: OnceLock<mpsc::Sender<ReservationToken>>,
    drain: Drain,
    metrics: Arc<Metrics>,
}

/// A room that is listed.
#[derive(Clone)]
pub struct Listed {
    /// The part of it that others may use.
    pub shared: Arc<RoomShared>,
    /// How to reach it.
    pub room: RoomAddr,
    /// What it was made with.
    pub made_with: Arc<MadeWith>,
    /// Its share of the server's totals, given back when the room is no longer listed.
    pub budget: Arc<dyn Any + Send + Sync>,
}

/// Where a seat is.
#[derive(Clone)]
pub struct SeatPlace {
    /// The room.
    pub room: RoomAddr,
    /// Its name.
    pub name: Arc<str>,
    /// The seat's player.
    pub player: PlayerId,
    /// Who that is.
    pub user: User,
}

/// A room as `GET /v1/rooms` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RoomSummary {
    /// Name.
    pub name: String,
    /// Kind of game.
    pub kind: String,
    /// Ticks per second.
    pub tick_rate: u32,
    /// Newest tick.
    pub tick: u32,
    /// Seats taken, by people.
    pub players: u32,
    /// Seats of NPCs, which its game controls.
    pub npcs: u32,
    /// Seats with a connection.
    pub connected: u32,
    /// Most players.
    pub max_players: u32,
    /// Spectators, including admins.
    pub spectators: u32,
    /// Most spectators.
    pub max_spectators: u32,
    /// How long ago what spectators are shown was, milliseconds.
    pub spectate_delay_ms: u32,
    /// Ticks skipped because the room was late.
    pub ticks_skipped: u64,
    /// Whether its game admits no new players at present.
    pub joins_closed: bool,
    /// What its game publishes, by key.
    pub info: BTreeMap<String, String>,
}

impl Registry {
    /// A registry without rooms.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            rooms: DashMap::new(),
            names: RwLock::default(),
            seats: DashMap::new(),
            departed: Mutex::default(),
            arrivals: OnceLock::new(),
            drain: Drain::default(),
            metrics,
        })
    }

    /// Number of rooms.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The first rooms by name that are `shown`, at most `limit`, beginning after the name `after` if it is
    /// given. Also returns whether there are more.
    pub(crate) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        shown: impl Fn(&RoomShared) -> bool,
    ) -> (Vec<RoomSummary>, bool) {
        let (mut after, mut rooms): (Option<Arc<str>>, _) = (after.map(Into::into), Vec::new());
        while rooms.len() <= limit {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            // Not with `names` locked: see there.
            let names: Vec<_> = self
                .names
                .read()
                .range::<str, _>((from, Bound::Unbounded))
                .take(LOOKED_AT)
                .cloned()
                .collect();
            // A room that has ended in between is left out.
            let found = names.iter().filter_map(|name| self.rooms.get(name).map(|room| room.shared.clone()));
            rooms.extend(found.filter(|room| shown(room)));
            if names.len() < LOOKED_AT {
                break;
            }
            after = names.last().cloned();
        }
        let more = rooms.len() > limit;
        (rooms.iter().take(limit).map(|room| RoomSummary::of(room)).collect(), more)
    }

    /// All rooms.
    pub(crate) fn all(&self) -> Vec<Listed> {
        self.rooms.iter().map(|listed| listed.clone()).collect()
    }

    /// Says from now on, once, with which reservations players have come.
    pub(crate) fn tell_arrivals(&self, to: mpsc::Sender<ReservationToken>) {
        let _ = self.arrivals.set(to);
    }

    /// A room goes to another node, which takes a moment to say that it has it.
    pub(crate) fn departs(&self, room: Arc<RoomShared>, now: Instant) {
        self.departed.lock().push((now, room));
    }

    /// The rooms that have gone to other nodes since `since`, but for those of which it is `known` by now
    /// that another has them.
    pub(crate) fn departed(&self, since: Instant, known: impl Fn(&str) -> bool) -> Vec<Arc<RoomShared>> {
        let mut departed = self.departed.lock();
        departed.retain(|(at, room)| *at >= since && !known(&room.name));
        departed.iter().map(|(_, room)| room.clone()).collect()
    }

    /// The number of rooms, and the rooms with the most players.
    pub fn busiest(&self, most: usize) -> (usize, Vec<Arc<RoomShared>>) {
        let mut rooms: Vec<_> = self.rooms.iter().map(|listed| listed.shared.clone()).collect();
        let total = rooms.len();
        // The key is computed once per room, because the numbers change while they are compared.
        rooms.sort_by_cached_key(|room| {
            (std::cmp::Reverse(room.players.load(Ordering::Relaxed)), room.name.clone())
        });
        rooms.truncate(most);
        (total, rooms)
    }

    /// The rooms that live on a thread, with their weights: their players, and themselves.
    pub(crate) fn at(&self, home: &Home) -> Vec<(u32, RoomAddr)> {
        let lives_there = |room: &RoomAddr| room.home().is_some_and(|at| at.is(home));
        let rooms = self.rooms.iter().filter(|listed| lives_there(&listed.room));
        rooms.map(|listed| (listed.shared.watched_by().saturating_add(1), listed.room.clone())).collect()
    }

    /// Players in rooms that end with the server, because those of such a durability do.
    pub(crate) fn players_of(&self, ends: impl Fn(Durability) -> bool) -> u64 {
        let rooms = self.rooms.iter().filter(|listed| ends(listed.made_with.durability));
        rooms.map(|listed| u64::from(listed.shared.players.load(Ordering::Relaxed))).sum()
    }

    /// Connections to which rooms publish.
    pub(crate) fn watched_by(&self) -> usize {
        self.rooms.iter().map(|listed| listed.shared.watched_by() as usize).sum()
    }

    /// The room with this name.
    pub fn get(&self, name: &str) -> Option<Listed> {
        self.rooms.get(name).map(|listed| listed.clone())
    }

    /// The seat that a token identifies.
    pub fn seat(&self, token: &ResumeToken) -> Option<SeatPlace> {
        self.seats.get(token).map(|seat| seat.clone())
    }

    /// Number of seats.
    pub(crate) fn seats(&self) -> usize {
        self.seats.len()
    }

    /// All seats of a user.
    pub fn seats_of(&self, user: &str) -> Vec<SeatPlace> {
        let all = self.seats.iter().filter(|seat| **seat.user.id() == *user);
        all.map(|seat| seat.clone()).collect()
    }

    /// Ends the seats of a user whose access was revoked. Returns how many.
    pub fn end_seats_of(&self, user: &str) -> usize {
        let seats = self.seats_of(user);
        for seat in &seats {
            let (player, code, reason) = (seat.player, CloseCode::Revoked, REVOKED.to_owned());
            seat.room.do_send(Kick { player, code, reason });
        }
        seats.len()
    }

    /// The room with this name; if there is none, the one that `start` makes. Nobody else can make one
    /// meanwhile.
    pub fn get_or_start(&self, name: &Arc<str>, start: impl FnOnce() -> Listed) -> (Listed, Found) {
        match self.rooms.entry(name.clone()) {
            Entry::Occupied(there) if there.get().room.connected() => (there.get().clone(), Found::There),
            Entry::Occupied(mut ended) => {
                let listed = start();
                // It died without calling `room_ended`, so this does what that would have done.
                self.seats.retain(|_, seat| !seat.room.is(&ended.get().room));
                self.metrics.rooms.current.dec();
                ended.insert(listed.clone());
                (listed, Found::Started)
            }
            Entry::Vacant(free) => {
                let listed = free.insert(start());
                self.names.write().insert(name.clone());
                (listed.clone(), Found::Started)
            }
        }
    }

    /// Ends a room. False: there is none with this name.
    pub fn close(&self, name: &str) -> bool {
        match self.rooms.get(name) {
            Some(listed) => {
                listed.room.do_send(CloseRoom);
                true
            }
            None => false,
        }
    }

    /// How far the server is with its end.
    pub fn drain_state(&self) -> &Drain {
        &self.drain
    }

    /// Whether new rooms are refused.
    pub fn is_draining(&self) -> bool {
        self.drain.step() > Step::Serving
    }

    /// Whether new connections are refused, too.
    pub fn is_closed(&self) -> bool {
        self.drain.step() > Step::Matches
    }

    /// Refuses new connections and rooms from now on.
    pub fn drain(&self) {
        self.drain.take(Step::Goodbyes, Instant::now());
    }
}

/// Whether the room existed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It existed.
    There,
    /// It was started by this call.
    Started,
}

impl Listing for Registry {
    fn seat_taken(&self, seat: &Seat, room: RoomAddr) {
        let user = User::with_id(seat.user.clone());
        let place = SeatPlace { player: seat.player, name: seat.room.name.clone(), room, user };
        self.seats.insert(seat.token, place);
        self.metrics.rooms.players.inc();
    }

    fn came(&self, reservation: ReservationToken) {
        // Who hears of it is behind: what is lost costs somebody a wait, at worst.
        let _ = self.arrivals.get().map(|to| to.try_send(reservation));
    }

    fn seat_ended(&self, token: &ResumeToken) {
        if self.seats.remove(token).is_some() {
            self.metrics.rooms.players.dec();
        }
    }

    fn room_ended(&self, room: &RoomShared, reason: Option<&'static str>) {
        let ends = |name: &Arc<str>, listed: &Listed| {
            // Another room may have the name by now.
            let ends = listed.shared.id == room.id;
            if ends {
                self.names.write().remove(name);
            }
            ends
        };
        if self.rooms.remove_if(&room.name, ends).is_some() {
            self.metrics.rooms.current.dec();
            reason.into_iter().for_each(|reason| self.metrics.rooms.ended.inc(reason));
            if is_nearly_empty(self.rooms.len(), self.rooms.capacity()) {
                self.rooms.shrink_to_fit();
            }
            if is_nearly_empty(self.seats.len(), self.seats.capacity()) {
                self.seats.shrink_to_fit();
            }
        }
    }
}

impl RoomSummary {
    /// The summary of a room.
    pub fn of(shared: &RoomShared) -> Self {
        Self {
            name: shared.name.to_string(),
            kind: shared.kind.to_owned(),
            tick_rate: shared.tick_rate,
            tick: shared.tick.load(Ordering::Relaxed),
            players: shared.players.load(Ordering::Relaxed),
            npcs: shared.npcs.load(Ordering::Relaxed),
            connected: shared.connected.load(Ordering::Relaxed),
            max_players: shared.max_players,
            spectators: shared.spectators.load(Ordering::Relaxed),
            max_spectators: shared.spectating.max,
            spectate_delay_ms: shared.spectating.delay_ms,
            ticks_skipped: shared.ticks_skipped.load(Ordering::Relaxed),
            joins_closed: shared.notice.joins_closed(),
            info: shared.notice.info(),
        }
    }
}
