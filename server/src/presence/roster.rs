//! The rules of presence, without an actor and without a clock.
//!
//! `handle` takes in a report, `handle_timeout` the time; `poll` gives out the seats that rooms have to end.
//! Changes are written to the room's member list. A report that does not fit what is known changes nothing
//! and is returned as an error, so a seat is reported joined once and left once, whatever arrives (Promise
//! 5). Memory is bounded by the number of existing seats and rooms, and no report costs more in a large room
//! than in a small one.

use super::{
    MemberPosition, Query,
    view::{Departure, MemberState, MemberView, PresenceView, Totals},
    whereabouts::Visit,
};
use crate::clock::unix_ms;
use crate::ground::{
    members::{self, Members},
    report::{LeaveReason, LostReason, SeatExpired},
    shrink::give_back,
    vitals::Vitals,
};
use driftless_proto::wire::member::Change;
use driftless_sim::PlayerId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    mem,
    ops::Bound,
    sync::Arc,
    time::SystemTime,
};

/// How often a room is asked again to end a seat, microseconds.
const ASK_AGAIN_US: u64 = 1_000_000;
/// How long a user counts as being in a room that has gone to another node, microseconds: until then, that
/// one has said that it has the room.
const MOVING_US: u64 = 1_000_000;
/// Departures kept of all rooms together.
const DEPARTURES: usize = 64;
/// Departures kept of one room.
const ROOM_DEPARTURES: usize = 16;

/// Who is in which room.
#[derive(Debug, Default)]
pub struct Roster {
    rooms: HashMap<Arc<str>, Box<Room>>,
    /// Rooms with members, in order.
    occupied: BTreeSet<Arc<str>>,
    /// When to ask a room to end a seat, microseconds of the time during which the server was awake.
    deadlines: BTreeSet<(u64, Arc<str>, PlayerId)>,
    /// How long the server was not awake, microseconds.
    stalled: u64,
    outbox: VecDeque<(Arc<str>, SeatExpired)>,
    departures: VecDeque<Ended>,
    counts: Counts,
    totals: Totals,
    /// The rooms of each user, NPCs apart.
    users: HashMap<Arc<str>, Vec<Being>>,
    /// When users are in rooms no longer that have moved.
    moving: BTreeSet<(u64, Arc<str>, Arc<str>)>,
    /// Users whose rooms have changed. None: nobody wants to know.
    changed: Option<HashSet<Arc<str>>>,
}

/// A user in a room.
#[derive(Debug)]
enum Being {
    /// As the room has it.
    In(Arc<str>),
    /// The room is another node's.
    Moved(Box<Moved>),
}

#[derive(Debug)]
struct Moved {
    room: Arc<str>,
    state: MemberState,
    since: Since,
    until: u64,
}

/// When a user's first seat in a room was taken.
#[derive(Debug, Clone, Copy)]
struct Since {
    /// When presence has heard of it, microseconds of the server's clock.
    heard: u64,
    /// What the seat says, milliseconds since 1970: a room may have come with it from elsewhere.
    taken: Option<u64>,
}

impl Since {
    /// Milliseconds since 1970. `time_of_day` is that of a time of the server clock.
    fn unix_ms(self, time_of_day: impl Fn(u64) -> u64) -> u64 {
        self.taken.unwrap_or_else(|| time_of_day(self.heard))
    }
}

impl Being {
    fn room(&self) -> &Arc<str> {
        match self {
            Being::In(room) => room,
            Being::Moved(moved) => &moved.room,
        }
    }
}

/// Numbers of seats.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Seats of people.
    seats: usize,
    /// Seats with a connection.
    here: usize,
    npcs: usize,
    members: usize,
}

/// A change of a seat. Like `Report`, without addresses.
#[derive(Debug, Clone)]
pub enum SeatEvent {
    /// Taken.
    Joined {
        /// The room's list.
        members: Arc<Members>,
        /// How long the room keeps a seat without a connection, microseconds.
        resume_window_us: u64,
        /// The user.
        user: Arc<str>,
        /// Name to show.
        name: Arc<str>,
        /// Measurements of its connections.
        vitals: Arc<Vitals>,
        /// Whether the game plays it.
        npc: bool,
    },
    /// Its connection is lost.
    Lost(LostReason),
    /// It comes from another process, and waits for its player for so long, microseconds.
    Waits {
        /// What is left of the resume window.
        left_us: u64,
    },
    /// It has a connection again.
    Back,
    /// It has ended.
    Left(LeaveReason),
}

/// Why a report changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// No report of this room came before, or it has ended.
    #[error("unknown room")]
    UnknownRoom,
    /// The player has no seat there (any more).
    #[error("unknown player")]
    UnknownPlayer,
    /// The player's number is not above that of the last one who joined: the seat has been reported before.
    #[error("joined before")]
    JoinedBefore,
    /// The seat has no connection already.
    #[error("lost before")]
    LostBefore,
    /// The seat has a connection already.
    #[error("back before")]
    BackBefore,
}

#[derive(Debug)]
struct Room {
    list: Arc<Members>,
    resume_window_us: u64,
    last_joined: Option<PlayerId>,
    // Boxed, because a node of the tree has room for eleven, and most rooms are small.
    seats: BTreeMap<PlayerId, Box<Seat>>,
    members: BTreeMap<Arc<str>, Box<Member>>,
    departures: VecDeque<Ended>,
    /// Seats with a connection.
    here: u32,
    npcs: u32,
    totals: Totals,
}

/// A seat that ended, and when.
#[derive(Debug, Clone)]
struct Ended {
    room: Arc<str>,
    player: PlayerId,
    user: Arc<str>,
    name: Arc<str>,
    why: LeaveReason,
    at: u64,
}

#[derive(Debug)]
struct Seat {
    user: Arc<str>,
    vitals: Arc<Vitals>,
    state: SeatState,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum SeatState {
    Here,
    /// It has no connection, and needs none.
    Npc,
    /// `ask_at` is its entry in `deadlines`.
    Away {
        why: LostReason,
        ask_at: u64,
    },
}

#[derive(Debug)]
struct Member {
    name: Arc<str>,
    players: BTreeSet<PlayerId>,
    since: Since,
}

impl Roster {
    /// A seat changed at `at` (microseconds of the server clock).
    pub fn handle(
        &mut self,
        room: &Arc<str>,
        player: PlayerId,
        event: SeatEvent,
        at: u64,
    ) -> Result<(), Ignored> {
        let before = self.rooms.get(room).map(|room| room.counts()).unwrap_or_default();
        let user = match &event {
            SeatEvent::Joined { npc: true, .. } => None,
            SeatEvent::Joined { user, .. } => Some(user.clone()),
            _ => self.people(room, Some(player)).next().map(|(_, user, _)| user),
        };
        self.change(room, player, event, at)?;
        user.iter().for_each(|user| self.settle(user, room));
        let after = self.rooms.get(room).map(|room| room.counts()).unwrap_or_default();
        self.count(room, before, after);
        Ok(())
    }

    /// The counts of a room have changed.
    fn count(&mut self, room: &Arc<str>, before: Counts, after: Counts) {
        let all = &mut self.counts;
        all.seats = all.seats + after.seats - before.seats;
        all.here = all.here + after.here - before.here;
        all.npcs = all.npcs + after.npcs - before.npcs;
        all.members = all.members + after.members - before.members;
        if after.members == 0 {
            self.occupied.remove(room);
        } else if before.members == 0 {
            self.occupied.insert(room.clone());
        }
    }

    fn change(
        &mut self,
        room: &Arc<str>,
        player: PlayerId,
        event: SeatEvent,
        at: u64,
    ) -> Result<(), Ignored> {
        match event {
            SeatEvent::Joined { members, resume_window_us, user, name, vitals, npc } => {
                let new = || Box::new(Room::new(members, resume_window_us));
                let room = self.rooms.entry(room.clone()).or_insert_with(new);
                let state = if npc { SeatState::Npc } else { SeatState::Here };
                room.joined(player, Seat { user, vitals, state }, name, at)?;
                self.totals.joined += u64::from(!npc);
                Ok(())
            }
            SeatEvent::Lost(why) => self.lost(room, player, why, None, at),
            SeatEvent::Waits { left_us } => {
                self.lost(room, player, LostReason::Disconnected, Some(left_us), at)
            }
            SeatEvent::Back => self.back(room, player, at),
            SeatEvent::Left(why) => self.left(room, player, why, at),
        }
    }

    /// A room ended at `at`: any seats that were left have ended with it, and nobody is told.
    pub fn room_ended(&mut self, room: &Arc<str>, at: u64) -> Result<(), Ignored> {
        let ended = self.forget(room)?;
        for (player, seat) in ended.seats.iter().filter(|(_, seat)| !seat.is_npc()) {
            let name = ended.members.get(&seat.user).map_or_else(|| seat.user.clone(), |m| m.name.clone());
            let (user, why) = (seat.user.clone(), LeaveReason::Removed);
            let seat = Ended { room: room.clone(), player: *player, user, name, why, at };
            remember(&mut self.departures, seat, DEPARTURES);
            self.totals.count(LeaveReason::Removed);
        }
        Ok(())
    }

    /// A room is another node's since `at`, and so are its seats: none has ended.
    pub fn room_moved(&mut self, room: &Arc<str>, at: u64) -> Result<(), Ignored> {
        let moved = self.rooms.get(room).map(|moved| moved.people()).unwrap_or_default();
        self.forget(room)?;
        if self.changed.is_none() {
            return Ok(()); // nobody would learn where they are now
        }
        for (user, state, since) in moved {
            let until = at.saturating_add(MOVING_US);
            let being = Being::Moved(Box::new(Moved { room: room.clone(), state, since, until }));
            self.users.entry(user.clone()).or_default().push(being);
            self.has_changed(&user);
            self.moving.insert((until, user, room.clone()));
        }
        Ok(())
    }

    fn forget(&mut self, room: &Arc<str>) -> Result<Box<Room>, Ignored> {
        let gone = self.rooms.remove(room).ok_or(Ignored::UnknownRoom)?;
        gone.people().iter().for_each(|(user, ..)| self.settle(user, room));
        give_back(&mut self.rooms);
        self.count(room, gone.counts(), Counts::default());
        for (player, seat) in &gone.seats {
            if let SeatState::Away { ask_at, .. } = seat.state {
                self.deadlines.remove(&(ask_at, room.clone(), *player));
            }
        }
        self.outbox.retain(|(to, _)| to != room);
        Ok(gone)
    }

    /// The server stood still for `late` microseconds: nobody could come back meanwhile, so seats are kept
    /// for that much longer.
    pub fn handle_stall(&mut self, late: u64) {
        self.stalled = self.stalled.saturating_add(late);
    }

    /// From now on, [`take_changed`](Self::take_changed) has what changes.
    pub fn note_changes(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Whether there is something to take.
    pub fn has_changes(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }

    /// The users whose visits have changed since this was called last.
    pub fn take_changed(&mut self) -> HashSet<Arc<str>> {
        self.changed.as_mut().map(mem::take).unwrap_or_default()
    }

    /// All users that are in a room.
    pub fn users(&self) -> impl Iterator<Item = &Arc<str>> {
        self.users.keys()
    }

    /// The rooms of a user. `time_of_day` is that of a time of the server clock.
    pub fn visits(&self, user: &str, time_of_day: impl Fn(u64) -> u64) -> Vec<Visit> {
        let visit = |being: &Being| {
            let (state, since, moved) = match being {
                Being::Moved(moved) => (moved.state, moved.since, true),
                Being::In(room) => {
                    let room = self.rooms.get(room)?;
                    let member = room.members.get(user)?;
                    (room.state(member), member.since, false)
                }
            };
            Some(Visit {
                room: being.room().clone(),
                state,
                since_unix_ms: since.unix_ms(&time_of_day),
                moved,
            })
        };
        self.users.get(user).into_iter().flatten().filter_map(visit).collect()
    }

    /// A user may have entered or left the room, or be there otherwise than before.
    fn settle(&mut self, user: &Arc<str>, room: &Arc<str>) {
        let is_there = self.rooms.get(room).is_some_and(|room| room.members.contains_key(user));
        match self.users.get_mut(user) {
            Some(beings) if beings.iter().any(|being| being.room() == room) => {
                beings.retain_mut(|being| {
                    let keeps = being.room() != room || is_there;
                    if keeps && being.room() == room {
                        *being = Being::In(room.clone());
                    }
                    keeps
                });
                if beings.is_empty() {
                    self.users.remove(user);
                    give_back(&mut self.users);
                }
            }
            Some(beings) if is_there => beings.push(Being::In(room.clone())),
            None if is_there => {
                self.users.insert(user.clone(), vec![Being::In(room.clone())]);
            }
            _ => {}
        }
        self.has_changed(user);
    }

    fn has_changed(&mut self, user: &Arc<str>) {
        if let Some(changed) = &mut self.changed {
            changed.insert(user.clone());
        }
    }

    /// Those whose room has moved for long enough are no longer there.
    fn end_moves(&mut self, now: u64) {
        while let Some((until, user, room)) = self.moving.pop_first() {
            if until > now {
                self.moving.insert((until, user, room));
                return;
            }
            let is_over = |being: &Being| matches!(being, Being::Moved(moved) if moved.room == room && moved.until <= now);
            if self.users.get(&user).is_some_and(|beings| beings.iter().any(is_over)) {
                self.settle(&user, &room);
            }
        }
    }

    /// Asks rooms to end the seats whose window is over at `now`.
    pub fn handle_timeout(&mut self, now: u64) {
        self.end_moves(now);
        let now = now.saturating_sub(self.stalled);
        while let Some((due, room, player)) = self.deadlines.pop_first() {
            if due > now {
                self.deadlines.insert((due, room, player));
                return;
            }
            let seat = self.rooms.get_mut(&room).and_then(|r| r.seats.get_mut(&player));
            if let Some(SeatState::Away { why, ask_at }) = seat.map(|seat| &mut seat.state) {
                *ask_at = now + ASK_AGAIN_US;
                let ask = SeatExpired { player, why: why.leave_reason() };
                self.deadlines.insert((*ask_at, room.clone(), player));
                self.outbox.push_back((room, ask));
            }
        }
    }

    /// When to call `handle_timeout`, microseconds. None: there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = self.deadlines.first().map(|(due, ..)| due.saturating_add(self.stalled));
        self.moving.first().map(|(until, ..)| *until).into_iter().chain(due).min()
    }

    /// The next seat that a room has to end.
    pub fn poll(&mut self) -> Option<(Arc<str>, SeatExpired)> {
        self.outbox.pop_front()
    }

    /// Seats of people in a room, of one player or all: number, user and display name.
    pub fn people(
        &self,
        room: &str,
        player: Option<PlayerId>,
    ) -> impl Iterator<Item = (PlayerId, Arc<str>, Arc<str>)> {
        let (first, last) = player.map_or((0, PlayerId::MAX), |player| (player, player));
        self.rooms.get(room).into_iter().flat_map(move |room| {
            let people = room.seats.range(first..=last).filter(|(_, seat)| !seat.is_npc());
            people.map(|(player, seat)| {
                let member = room.members.get(&seat.user);
                let name = member.map_or_else(|| seat.user.clone(), |member| member.name.clone());
                (*player, seat.user.clone(), name)
            })
        })
    }

    /// Whether nothing is known of any room.
    pub fn is_empty(&self) -> bool {
        let (nobody, nothing) = (self.users.is_empty(), self.deadlines.is_empty() && self.outbox.is_empty());
        self.rooms.is_empty() && nobody && nothing
    }

    /// A view of one room or of all at `now`. `wall` is what the system's clock shows. The cost depends on
    /// what is shown, not on how many members there are.
    pub fn view(&self, query: &Query, now: u64, wall: SystemTime) -> PresenceView {
        let time_of_day = |at| unix_ms(at, now, wall);
        let (counts, totals, departures) = match &query.room {
            None => (self.counts, self.totals, &self.departures),
            Some(room) => match self.rooms.get(room) {
                Some(room) => (room.counts(), room.totals, &room.departures),
                None => return PresenceView::default(),
            },
        };
        let view = |(name, room, user, member): (&Arc<str>, &Room, _, &Member)| {
            room.view(name, user, member, member.since.unix_ms(time_of_day), now)
        };
        let mut members: Vec<_> = self.members_after(query).take(query.limit + 1).map(view).collect();
        let more = members.len() > query.limit;
        members.truncate(query.limit);
        PresenceView {
            players: counts.seats,
            connections: counts.here,
            npcs: counts.npcs,
            member_count: counts.members,
            departures: departures.iter().rev().map(|seat| seat.view(time_of_day(seat.at))).collect(),
            totals,
            next: members.last().filter(|_| more).map(|last| MemberPosition::of(last).to_string()),
            members,
        }
    }

    /// The members that a query is about, by room and user.
    fn members_after(&self, query: &Query) -> impl Iterator<Item = (&Arc<str>, &Room, &Arc<str>, &Member)> {
        let Query { room: asked, after, .. } = query;
        let first = asked.as_deref().max(after.as_ref().map(|after| &*after.room)).unwrap_or_default();
        let rooms = self.occupied.range::<str, _>((Bound::Included(first), Bound::Unbounded));
        let rooms = rooms.take_while(move |name| asked.as_ref().is_none_or(|asked| asked == *name));
        rooms.filter_map(|name| Some((name, &**self.rooms.get(name)?))).flat_map(move |(name, room)| {
            let after = after.as_ref().filter(|after| *after.room == **name);
            let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&*after.user));
            let members = room.members.range::<str, _>((from, Bound::Unbounded));
            members.map(move |(user, member)| (name, room, user, &**member))
        })
    }

    /// `left`: what is left of the resume window, if it has begun before.
    fn lost(
        &mut self,
        name: &Arc<str>,
        player: PlayerId,
        why: LostReason,
        left: Option<u64>,
        at: u64,
    ) -> Result<(), Ignored> {
        let room = self.rooms.get_mut(name).ok_or(Ignored::UnknownRoom)?;
        let seat = room.seats.get_mut(&player).ok_or(Ignored::UnknownPlayer)?;
        if !seat.is_here() {
            return Err(Ignored::LostBefore);
        }
        let left = left.unwrap_or(room.resume_window_us);
        let ask_at = at.saturating_sub(self.stalled).saturating_add(left);
        seat.state = SeatState::Away { why, ask_at };
        room.here -= 1;
        let user = seat.user.clone();
        room.tell(&user, false, Change::Away, at);
        self.deadlines.insert((ask_at, name.clone(), player));
        Ok(())
    }

    fn back(&mut self, name: &Arc<str>, player: PlayerId, at: u64) -> Result<(), Ignored> {
        let room = self.rooms.get_mut(name).ok_or(Ignored::UnknownRoom)?;
        let seat = room.seats.get_mut(&player).ok_or(Ignored::UnknownPlayer)?;
        let SeatState::Away { ask_at, .. } = seat.state else { return Err(Ignored::BackBefore) };
        seat.state = SeatState::Here;
        room.here += 1;
        let user = seat.user.clone();
        room.tell(&user, false, Change::Back, at);
        self.deadlines.remove(&(ask_at, name.clone(), player));
        Ok(())
    }

    fn left(&mut self, name: &Arc<str>, player: PlayerId, why: LeaveReason, at: u64) -> Result<(), Ignored> {
        let room = self.rooms.get_mut(name).ok_or(Ignored::UnknownRoom)?;
        let seat = room.seats.remove(&player).ok_or(Ignored::UnknownPlayer)?;
        match seat.state {
            SeatState::Here => room.here -= 1,
            SeatState::Npc => room.npcs -= 1,
            SeatState::Away { ask_at, .. } => {
                self.deadlines.remove(&(ask_at, name.clone(), player));
            }
        }
        let mut shown = seat.user.clone();
        if let Some(member) = room.members.get_mut(&seat.user) {
            member.players.remove(&player);
            shown = member.name.clone();
        }
        room.tell(&seat.user, seat.is_npc(), why.change(), at);
        if room.members.get(&seat.user).is_some_and(|member| member.players.is_empty()) {
            room.members.remove(&seat.user);
        }
        if seat.is_npc() {
            return Ok(());
        }
        let ended = Ended { room: name.clone(), player, user: seat.user, name: shown, why, at };
        remember(&mut room.departures, ended.clone(), ROOM_DEPARTURES);
        remember(&mut self.departures, ended, DEPARTURES);
        room.totals.count(why);
        self.totals.count(why);
        Ok(())
    }
}

impl Ended {
    fn view(&self, at_unix_ms: u64) -> Departure {
        let Self { room, player, user, name, why, .. } = self.clone();
        Departure { room, player, user, name, why, at_unix_ms }
    }
}

impl Room {
    fn new(list: Arc<Members>, resume_window_us: u64) -> Self {
        Self {
            list,
            resume_window_us,
            last_joined: None,
            seats: BTreeMap::new(),
            members: BTreeMap::new(),
            departures: VecDeque::new(),
            here: 0,
            npcs: 0,
            totals: Totals::default(),
        }
    }

    fn counts(&self) -> Counts {
        let (here, npcs) = (self.here as usize, self.npcs as usize);
        Counts { seats: self.seats.len() - npcs, here, npcs, members: self.members.len() }
    }

    fn joined(&mut self, player: PlayerId, seat: Seat, name: Arc<str>, at: u64) -> Result<(), Ignored> {
        if self.last_joined.is_some_and(|last| player <= last) {
            return Err(Ignored::JoinedBefore);
        }
        self.last_joined = Some(player);
        let (user, npc) = (seat.user.clone(), seat.is_npc());
        *if npc { &mut self.npcs } else { &mut self.here } += 1;
        let since = Since { heard: at, taken: seat.vitals.since_unix_ms() };
        self.seats.insert(player, Box::new(seat));
        let new = || Box::new(Member { name: name.clone(), players: BTreeSet::new(), since });
        let member = self.members.entry(user.clone()).or_insert_with(new);
        member.players.insert(player);
        member.name = name;
        self.totals.joined += u64::from(!npc);
        self.tell(&user, npc, Change::Joined, at);
        Ok(())
    }

    /// Writes a member's change to the list.
    fn tell(&self, user: &Arc<str>, npc: bool, change: Change, at: u64) {
        let Some(member) = self.members.get(user) else { return };
        self.list.set(members::Member {
            user: user.clone(),
            name: member.name.clone(),
            players: member.players.iter().copied().collect(),
            here: self.here(member).map(|seat| seat.vitals.clone()).collect(),
            npc,
            change,
            at_us: at,
        });
    }

    fn view(
        &self,
        name: &Arc<str>,
        user: &Arc<str>,
        member: &Member,
        since_unix_ms: u64,
        now: u64,
    ) -> MemberView {
        let connections = self.here(member).count() as u32;
        let npc = self.is_npc(member);
        let heard = self.seats(member).map(|seat| seat.vitals.last_seen());
        let last_seen = if npc { now } else { heard.max().unwrap_or(member.since.heard) };
        let rtt = self.here(member).filter_map(|seat| seat.vitals.rtt()).min();
        MemberView {
            room: name.clone(),
            user: user.clone(),
            name: member.name.clone(),
            npc,
            state: self.state(member),
            players: member.players.iter().copied().collect(),
            connections,
            since_unix_ms,
            last_seen_ms_ago: now.saturating_sub(last_seen) / 1_000,
            rtt_ms: rtt.map(|us| f64::from(us) / 1_000.0),
        }
    }

    /// Its members, NPCs apart: the user, its state, and since when it is there.
    fn people(&self) -> Vec<(Arc<str>, MemberState, Since)> {
        let people = self.members.iter().filter(|(_, member)| !self.is_npc(member));
        people.map(|(user, member)| (user.clone(), self.state(member), member.since)).collect()
    }

    fn state(&self, member: &Member) -> MemberState {
        let is_online = self.here(member).next().is_some() || self.is_npc(member);
        if is_online { MemberState::Online } else { MemberState::Away }
    }

    fn is_npc(&self, member: &Member) -> bool {
        self.seats(member).any(Seat::is_npc)
    }

    fn seats<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Seat> {
        member.players.iter().filter_map(|player| self.seats.get(player)).map(Box::as_ref)
    }

    fn here<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Seat> {
        self.seats(member).filter(|seat| seat.is_here())
    }
}

impl Seat {
    fn is_here(&self) -> bool {
        self.state == SeatState::Here
    }

    fn is_npc(&self) -> bool {
        self.state == SeatState::Npc
    }
}

fn remember(departures: &mut VecDeque<Ended>, ended: Ended, most: usize) {
    if departures.len() == most {
        departures.pop_front();
    }
    departures.push_back(ended);
}
