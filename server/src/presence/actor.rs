//! The presence actor: passes reports and time to the roster, and the roster's requests to the rooms.

use super::{
    Change, PresenceChange, Query,
    roster::{Ignored, Roster, SeatEvent},
    whereabouts::Visit,
};
use crate::{
    clock::Clock,
    ground::{
        id::RoomId,
        report::{LeaveReason, Report, SeatExpired},
        shrink::give_back,
    },
};
use actix::{
    Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, Recipient as Address, dev::SendError,
};
use std::{
    collections::HashMap,
    fmt, mem,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// How often resume windows are checked: a seat may be kept this much longer than its window.
const BEAT: Duration = Duration::from_millis(250);
/// A beat that is later than this follows a stall of the thread, the process or the machine.
const LATE: Duration = Duration::from_millis(250);
/// Changes of users within this time are told together.
const TOGETHER: Duration = Duration::from_millis(100);
/// Messages that may wait. Rooms use `do_send`, which ignores this limit; it applies to queries.
const MAILBOX: usize = 4_096;

/// The actor that knows who is in which room.
pub struct Presence {
    clock: Clock,
    roster: Roster,
    rooms: HashMap<Arc<str>, Known>,
    watcher: Option<Box<dyn Watcher>>,
    listener: Option<Box<dyn UserListener>>,
    /// The listener will be told.
    telling: bool,
}

/// How to reach a room.
struct Known {
    id: RoomId,
    address: Address<SeatExpired>,
}

/// An observer of what happens in any room. Called on presence's thread: it must not wait.
pub trait Watcher {
    /// Whether it wants to be told.
    fn is_watching(&self) -> bool;
    /// Something happened.
    fn note(&self, change: PresenceChange);
}

/// Whoever wants to know where users are. Called on presence's thread: it must not wait.
pub trait UserListener {
    /// Whether it wants to be told.
    fn is_listening(&self) -> bool;
    /// These users are where these visits say, and nowhere else.
    fn changed(&self, users: Vec<(Arc<str>, Vec<Visit>)>);
    /// The same of all users: nobody else is in any room.
    fn all(&self, users: Vec<(Arc<str>, Vec<Visit>)>);
}

/// Asks where users are: their visits to rooms of this node, in the order of the question.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<Vec<Visit>>")]
pub struct WhereAre(pub Vec<Arc<str>>);

/// Has the listener be told of all users.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct TellAll;

impl Presence {
    /// For a server with this clock.
    pub fn new(clock: Clock) -> Self {
        let (roster, rooms) = (Roster::default(), HashMap::new());
        Self { clock, roster, rooms, watcher: None, listener: None, telling: false }
    }

    /// Tells `listener` where users are.
    #[must_use]
    pub fn telling(mut self, listener: impl UserListener + 'static) -> Self {
        self.roster.note_changes();
        self.listener = Some(Box::new(listener));
        self
    }

    /// Reports what happens in any room to `watcher`.
    #[must_use]
    pub fn watched_by(mut self, watcher: impl Watcher + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// Starts it in the arbiter of the calling thread.
    pub fn start(clock: Clock) -> Addr<Self> {
        Actor::start(Self::new(clock))
    }

    fn handle_report(&mut self, report: Report) -> Result<(), Ignored> {
        match report {
            Report::Joined {
                room,
                id,
                to_room,
                members,
                resume_window,
                player,
                user,
                name,
                vitals,
                npc,
                at,
            } => {
                self.link(&room, Known { id, address: to_room });
                let resume_window_us = resume_window.as_micros() as u64;
                let joined = SeatEvent::Joined { members, resume_window_us, user, name, vitals, npc };
                self.roster.handle(&room, player, joined, at)
            }
            Report::Lost { room, player, why, at } => {
                self.roster.handle(&room, player, SeatEvent::Lost(why), at)
            }
            Report::Waits { room, player, left, at } => {
                let waits = SeatEvent::Waits { left_us: left.as_micros() as u64 };
                self.roster.handle(&room, player, waits, at)
            }
            Report::Back { room, player, at } => self.roster.handle(&room, player, SeatEvent::Back, at),
            Report::Left { room, player, why, at } => {
                self.roster.handle(&room, player, SeatEvent::Left(why), at)
            }
            Report::RoomMoved { room, .. } => {
                self.rooms.remove(&room);
                give_back(&mut self.rooms);
                self.roster.room_moved(&room, self.clock.now())
            }
            Report::RoomEnded { room, .. } => {
                self.rooms.remove(&room);
                give_back(&mut self.rooms);
                self.roster.room_ended(&room, self.clock.now())
            }
        }
    }

    /// Notes how to reach a room. If another room is known by the name, it died without reporting its end,
    /// and its seats with it.
    fn link(&mut self, room: &Arc<str>, new: Known) {
        if self.is_known(room, new.id) {
            return;
        }
        if self.roster.room_ended(room, self.clock.now()).is_ok() {
            tracing::warn!(%room, "a room replaces one of the same name that had not reported its end");
        }
        self.rooms.insert(room.clone(), new);
    }

    fn is_known(&self, room: &str, id: RoomId) -> bool {
        self.rooms.get(room).is_some_and(|known| known.id == id)
    }

    /// Asks the rooms to end seats.
    fn ask(&mut self) {
        while let Some((room, expired)) = self.roster.poll() {
            let sent = self.rooms.get(&room).map(|known| known.address.try_send(expired));
            match sent {
                Some(Ok(())) | None => {}
                // It will be asked again.
                Some(Err(SendError::Full(_))) => tracing::warn!(%room, "the room's mailbox is full"),
                Some(Err(SendError::Closed(_))) => self.gone(&room),
            }
        }
    }

    /// Tells the listener soon, if there is something.
    fn tell_soon(&mut self, ctx: &mut Context<Self>) {
        if self.roster.has_changes() && !mem::replace(&mut self.telling, true) {
            ctx.run_later(TOGETHER, |presence, _| {
                presence.telling = false;
                let changed = presence.roster.take_changed();
                if let Some(listener) = presence.listener.as_ref().filter(|listener| listener.is_listening())
                {
                    listener.changed(presence.visits(changed.iter()));
                }
            });
        }
    }

    fn visits<'a>(&self, users: impl Iterator<Item = &'a Arc<str>>) -> Vec<(Arc<str>, Vec<Visit>)> {
        users.map(|user| (user.clone(), self.visits_of(user))).collect()
    }

    fn visits_of(&self, user: &str) -> Vec<Visit> {
        self.roster.visits(user, |at| self.clock.unix_ms(at))
    }

    fn watch(&self, changes: Vec<PresenceChange>) {
        if let Some(watcher) = &self.watcher {
            changes.into_iter().for_each(|change| watcher.note(change));
        }
    }

    /// What a report means to the watcher: only changes of people, not of NPCs. Call it before the report is
    /// handled, because afterwards a seat may be gone.
    fn changes(&self, report: &Report) -> Vec<PresenceChange> {
        if !self.watcher.as_ref().is_some_and(|watcher| watcher.is_watching()) {
            return Vec::new();
        }
        let (change, why, at) = match report {
            Report::Joined { npc: true, .. } => return Vec::new(),
            Report::Joined { room, player, user, name, at, .. } => {
                let (room, user, name) = (room.clone(), user.clone(), name.clone());
                let at_unix_ms = self.clock.unix_ms(*at);
                let (player, change) = (*player, Change::Joined);
                return vec![PresenceChange { at_unix_ms, room, player, user, name, change, why: None }];
            }
            Report::Lost { why, at, .. } => (Change::Lost, Some(why.leave_reason()), *at),
            Report::Waits { at, .. } => (Change::Lost, Some(LeaveReason::Disconnected), *at),
            Report::Back { at, .. } => (Change::Back, None, *at),
            Report::Left { why, at, .. } => (Change::Left, Some(*why), *at),
            Report::RoomMoved { .. } => return Vec::new(),
            Report::RoomEnded { .. } => (Change::Left, Some(LeaveReason::Removed), self.clock.now()),
        };
        let (room, player) = report.subject();
        let at_unix_ms = self.clock.unix_ms(at);
        let seats = self.roster.people(&room, player);
        let change = |(player, user, name): (u32, Arc<str>, Arc<str>)| PresenceChange {
            at_unix_ms,
            room: room.clone(),
            player,
            user,
            name,
            change,
            why,
        };
        seats.map(change).collect()
    }

    /// Scheduled one at a time, not at an interval, which would catch up on all beats that a stall has
    /// missed.
    fn beat_later(&mut self, ctx: &mut Context<Self>) {
        let due = self.clock.now() + BEAT.as_micros() as u64;
        ctx.run_later(BEAT, move |presence, ctx| {
            presence.beat(due);
            presence.tell_soon(ctx);
            presence.beat_later(ctx);
        });
    }

    fn beat(&mut self, due: u64) {
        let now = self.clock.now();
        let late = now.saturating_sub(due);
        if late > LATE.as_micros() as u64 {
            // Those who are coming back still wait in the sockets.
            self.roster.handle_stall(late);
        }
        self.roster.handle_timeout(now);
        self.ask();
    }

    /// The room's actor is dead: it will not report its end.
    fn gone(&mut self, room: &Arc<str>) {
        tracing::warn!(%room, "a room ended without reporting it: ending its seats");
        self.rooms.remove(room);
        // An error would mean that the room is unknown: then there is nothing to end.
        let _ = self.roster.room_ended(room, self.clock.now());
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("rooms", &self.rooms.len()).finish_non_exhaustive()
    }
}

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.beat_later(ctx);
    }
}

impl Handler<Report> for Presence {
    type Result = ();

    fn handle(&mut self, report: Report, ctx: &mut Self::Context) {
        if let Report::RoomEnded { room, id } | Report::RoomMoved { room, id } = &report
            && !self.is_known(room, *id)
        {
            // Nobody had joined it, so it was never heard of here; or its name is another room's by now.
            return;
        }
        let (room, player) = report.subject();
        let changes = self.changes(&report);
        match self.handle_report(report) {
            Ok(()) => self.watch(changes),
            Err(ignored) => tracing::warn!(%room, ?player, %ignored, "report changes nothing"),
        }
        self.tell_soon(ctx);
    }
}

impl Handler<WhereAre> for Presence {
    type Result = MessageResult<WhereAre>;

    fn handle(&mut self, WhereAre(users): WhereAre, _: &mut Self::Context) -> Self::Result {
        MessageResult(users.iter().map(|user| self.visits_of(user)).collect())
    }
}

impl Handler<TellAll> for Presence {
    type Result = ();

    fn handle(&mut self, _: TellAll, _: &mut Self::Context) {
        self.roster.take_changed();
        if let Some(listener) = &self.listener {
            listener.all(self.visits(self.roster.users()));
        }
    }
}

impl Handler<Query> for Presence {
    type Result = MessageResult<Query>;

    fn handle(&mut self, query: Query, _: &mut Self::Context) -> Self::Result {
        let (now, wall) = (self.clock.now(), UNIX_EPOCH + self.clock.unix());
        MessageResult(self.roster.view(&query, now, wall))
    }
}

impl Report {
    /// The room and seat that it is about.
    fn subject(&self) -> (Arc<str>, Option<u32>) {
        match self {
            Report::Joined { room, player, .. }
            | Report::Lost { room, player, .. }
            | Report::Waits { room, player, .. }
            | Report::Back { room, player, .. }
            | Report::Left { room, player, .. } => (room.clone(), Some(*player)),
            Report::RoomEnded { room, .. } | Report::RoomMoved { room, .. } => (room.clone(), None),
        }
    }
}
