//! The actor of a room.

use super::{
    core::{Detached, Effect, JoinError, Kicked, ResumeError, RoomCore},
    fanouts::Fanouts,
    inspect::{Inspect, Inspected, SeatView},
    record::RecordLink,
    schedule::Schedule,
};
use crate::{
    clock::Clock,
    ground::{
        close::Close,
        entrant::Entrant,
        id::{ConnectionId, RoomId},
        report::{LeaveReason, LostReason, Report, SeatExpired},
        seat::{ResumeToken, Seat},
        shared::RoomShared,
    },
    metrics::Metrics,
};
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, MessageResult, Recipient};
use driftless_proto::{code::CloseCode, wire};
use driftless_sim::{PlayerId, replay::EndReason};
use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};
use tracing::{Span, error, info, warn};

/// Control messages that may wait for a room: joins and leaves of as many connections come and go in a tick at most.
const MAILBOX: usize = 4096;

/// How long a room waits for its first player, if a join has made it.
const UNPLAYED_LINGER: Duration = Duration::from_secs(1);
/// What players are told when the ticks of a room are used up, after 388 days at 128 Hz.
const OUT_OF_TICKS: &str = "the room is at the last tick there is a number for: join again, for a new one";

/// A room. Ends itself when it has been empty for the linger time, or when its game panics.
pub struct Room {
    core: RoomCore,
    fanouts: Fanouts,
    settings: RoomSettings,
    empty_since: Option<Instant>,
    /// Ticks with a player who is connected, until there were enough of them for a room that is worth keeping.
    played: u32,
    record: Option<RecordLink>,
    /// The last thing that happens to a room: nothing calls its game any more, and its name may be another's.
    ended: bool,
    span: Span,
}

/// What a room has of the server.
#[derive(Clone)]
pub struct RoomSettings {
    /// The server's clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whom to tell of joins and leaves.
    pub presence: Recipient<Report>,
    /// Where the room's name and seats are listed. Weak: it holds the rooms.
    pub listing: Weak<dyn Listing>,
    /// How long the room lives on when empty.
    pub linger: Duration,
    /// Whether it lingers before anybody has played in it.
    pub wait_for_players: bool,
    /// How long a seat is kept without a connection.
    pub resume_window: Duration,
}

/// Where rooms are found by name, and seats by token.
pub trait Listing: Send + Sync {
    /// A seat was taken: its token is good from now on.
    fn seat_taken(&self, seat: &Seat, room: Addr<Room>);
    /// A seat has ended: its token is worth nothing.
    fn seat_ended(&self, token: &ResumeToken);
    /// A room has ended. `reason`: for the metrics.
    fn room_ended(&self, room: &RoomShared, reason: &'static str);
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

impl Room {
    /// A room that has not started. Its seed and schedule are in `core`.
    pub fn new(core: RoomCore, settings: RoomSettings, record: Option<RecordLink>) -> Self {
        let span = tracing::info_span!("room", room = %core.shared().name);
        Self {
            core,
            fanouts: Fanouts::default(),
            settings,
            empty_since: Some(Instant::now()),
            played: 0,
            record,
            ended: false,
            span,
        }
    }

    fn shared(&self) -> &Arc<RoomShared> {
        self.core.shared()
    }

    /// Calls the game. If it panics, the room ends, and only the room. None: it has ended.
    fn guarded<R>(&mut self, ctx: &mut Context<Self>, call: impl FnOnce(&mut RoomCore) -> R) -> Option<R> {
        if self.ended {
            return None;
        }
        let core = &mut self.core;
        let result = catch_unwind(AssertUnwindSafe(|| call(core)));
        match result {
            Ok(result) => Some(result),
            Err(panic) => {
                let message = panic_message(&*panic);
                self.span.in_scope(|| {
                    error!(panic = message, tick = self.core.tick_number(), "the room's game panicked")
                });
                self.end(ctx, CloseCode::RoomFailed, "the room failed: a fault in its game", "failed");
                None
            }
        }
    }

    fn run_due_tick(&mut self, ctx: &mut Context<Self>) {
        self.shared().tick_pending.store(false, Ordering::Release);
        let start = Instant::now();
        let Some(due) = self.core.schedule().due(start, self.core.tick_number().into()) else { return };
        let Some(ticked) = self.guarded(ctx, |core| core.tick(due)) else { return };
        let Some(ticked) = ticked else {
            self.span.in_scope(|| warn!("the room has run all ticks that can be numbered: it ends"));
            return self.end(ctx, CloseCode::RoomClosed, OUT_OF_TICKS, "out_of_ticks");
        };
        let behind = self.fanouts.publish(self.shared().id, &ticked.published);
        let metrics = &self.settings.metrics;
        metrics.ticks.inc();
        metrics.ticks_skipped.inc_by(due.skipped);
        metrics.room_tick_lateness.observe(due.late);
        let busy = start.elapsed();
        metrics.room_tick_duration.observe(busy);
        self.shared().figures.ticked(due.late, busy);
        if ticked.commands + ticked.events > 0 {
            metrics.commands.inc_by(ticked.commands);
            metrics.excess_dropped.inc_by(ticked.excess);
            metrics.events.inc_by(ticked.events);
        }
        if due.skipped > 0 || behind > 0 {
            let skipped = due.skipped;
            self.span
                .in_scope(|| warn!(tick = due.tick, skipped, threads_behind = behind, "the room is late"));
        }
        self.record_tick();
        // After the record of the tick: a seat that ends now does so before the next one.
        self.apply_effects(ctx);
        self.end_if_lingered(start, ctx);
    }

    fn apply_effects(&mut self, ctx: &mut Context<Self>) {
        for effect in self.core.take_effects() {
            match effect {
                Effect::Close { connection, code, reason } => {
                    self.fanouts.close(connection, Close { code, reason });
                }
                Effect::Unresumable(player) => {
                    if self.expire(player, LeaveReason::Removed, ctx) {
                        self.span.in_scope(|| info!(player, "too much happened while away: the seat ends"));
                    }
                }
            }
        }
    }

    /// Ends the seat of a player who is away. False: there is none, or the player is back.
    fn expire(&mut self, player: PlayerId, why: LeaveReason, ctx: &mut Context<Self>) -> bool {
        let ended = self.guarded(ctx, |core| core.expire(player)).flatten();
        if let Some(seat) = &ended {
            self.seat_ended(seat, why);
        }
        ended.is_some()
    }

    fn record_tick(&mut self) {
        if let Some(link) = &self.record
            && let Some(tick) = self.core.take_record()
            && !link.tick(tick)
        {
            self.record = None;
            self.core.end_record();
        }
    }

    fn end_if_lingered(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let seats = self.core.seats();
        if self.played < self.shared().tick_rate && seats.connected() > 0 {
            self.played += 1;
        }
        match self.empty_since {
            _ if !self.core.seats().is_empty() => self.empty_since = None,
            None => self.empty_since = Some(now),
            Some(since) if now.saturating_duration_since(since) >= self.linger() => {
                self.span.in_scope(|| info!("empty for long enough: the room ends"));
                self.end(ctx, CloseCode::RoomClosed, "the room was empty", "empty");
            }
            Some(_) => {}
        }
    }

    /// How long the room may be empty. One that a join has made, and in which nobody has stayed for a second, is not worth waiting for: it
    /// goes as soon as a join that is on its way would have come.
    fn linger(&self) -> Duration {
        let kept = self.settings.wait_for_players || self.played >= self.shared().tick_rate;
        if kept { self.settings.linger } else { self.settings.linger.min(UNPLAYED_LINGER) }
    }

    fn end(&mut self, ctx: &mut Context<Self>, code: CloseCode, reason: &str, metric: &'static str) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        // First: who sees the end may stop the server, and the recording would not tell.
        if let Some(link) = self.record.take() {
            let failed = code == CloseCode::RoomFailed;
            let reason = if failed { EndReason::RoomFailed } else { EndReason::RoomEnded };
            link.end(reason, self.core.end_record());
        }
        self.fanouts.close_all(&Close { code, reason: reason.to_owned() });
        if let Some(listing) = self.settings.listing.upgrade() {
            for taken in self.core.seats().iter() {
                listing.seat_ended(&taken.seat.token);
            }
            // Presence first: from the moment it is no longer listed, the name may be another room's.
            self.report(Report::RoomEnded { room: self.shared().name.clone(), id: self.shared().id });
            listing.room_ended(self.core.shared(), metric);
        }
        ctx.stop();
    }

    fn report(&self, report: Report) {
        // Presence is one actor for all: its mailbox must not make a room wait, and no report may be lost. Reports come
        // at the rate of joins and leaves, which is limited where connections are accepted.
        self.settings.presence.do_send(report);
    }

    fn seated(&self, seat: Arc<Seat>, ctx: &Context<Self>) -> Seated {
        let core = &self.core;
        let clock = self.settings.clock;
        let welcome = wire::Welcome {
            player: seat.player,
            resume_token: seat.token.to_wire(),
            resume_window_ms: millis(self.settings.resume_window),
            tick_rate: self.shared().tick_rate,
            epoch_us: i64::try_from(clock.micros(core.schedule().epoch())).unwrap_or(i64::MAX),
            schema: Some(core.schema().to_wire()),
            room: self.shared().name.to_string(),
            kind: self.shared().kind.to_owned(),
            user: seat.user.to_string(),
            input_received: seat.input_received.load(Ordering::Relaxed),
            command_received: seat.command_received.load(Ordering::Relaxed),
            ..wire::Welcome::default() // the rest is the session's
        };
        Seated { room: ctx.address(), seat, welcome }
    }

    fn seat_ended(&mut self, seat: &Seat, why: LeaveReason) {
        if let Some(listing) = self.settings.listing.upgrade() {
            listing.seat_ended(&seat.token);
        }
        self.report(Report::Left {
            room: self.shared().name.clone(),
            player: seat.player,
            why,
            at: self.settings.clock.micros(Instant::now()),
        });
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

/// A tick is due. Sent by the metronome; which tick it is, the room's schedule says.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tick;

impl Handler<Tick> for Room {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        self.run_due_tick(ctx);
    }
}

/// A new player wants a seat.
#[derive(Message)]
#[rtype(result = "Result<Seated, JoinError>")]
pub struct Join {
    /// The player's connection.
    pub entrant: Entrant,
    /// Who it is.
    pub user: Arc<str>,
    /// Name to show.
    pub name: Arc<str>,
}

impl Handler<Join> for Room {
    type Result = Result<Seated, JoinError>;

    fn handle(&mut self, join: Join, ctx: &mut Self::Context) -> Self::Result {
        let failed = JoinError::Failed(self.shared().name.to_string());
        let seat = self
            .guarded(ctx, |core| core.join(join.entrant.connection, join.user, join.name))
            .unwrap_or(Err(failed))?;
        *seat.place.lock() = join.entrant.place.clone();
        self.fanouts.add(join.entrant);
        if let Some(listing) = self.settings.listing.upgrade() {
            listing.seat_taken(&seat, ctx.address());
        }
        let at = self.settings.clock.micros(Instant::now());
        seat.vitals.set_last_seen(at);
        self.report(Report::Joined {
            room: self.shared().name.clone(),
            id: self.shared().id,
            to_room: ctx.address().recipient(),
            members: self.shared().members.clone(),
            resume_window: self.settings.resume_window,
            player: seat.player,
            user: seat.user.clone(),
            name: seat.name.clone(),
            vitals: seat.vitals.clone(),
            at,
        });
        Ok(self.seated(seat, ctx))
    }
}

/// A player wants the seat back.
#[derive(Message)]
#[rtype(result = "Result<Seated, ResumeError>")]
pub struct Resume {
    /// The player's new connection.
    pub entrant: Entrant,
    /// The player that the token names.
    pub player: PlayerId,
    /// The token.
    pub token: ResumeToken,
    /// Sequence of the last reliable message the player has.
    pub received: u64,
}

impl Handler<Resume> for Room {
    type Result = Result<Seated, ResumeError>;

    fn handle(&mut self, resume: Resume, ctx: &mut Self::Context) -> Self::Result {
        let had = self.core.seats().get(resume.player).and_then(|taken| taken.connection);
        let Resume { entrant, player, token, received } = resume;
        let connection = entrant.connection;
        let resumed = self.guarded(ctx, |core| core.resume(connection, player, token, received));
        let seat = resumed.unwrap_or(Err(ResumeError::UnknownToken))?;
        self.apply_effects(ctx);
        if let Some(old) = had {
            self.fanouts.remove(old);
        }
        self.fanouts.add(entrant);
        if had.is_none() {
            self.report(Report::Back {
                room: self.shared().name.clone(),
                player: seat.player,
                at: self.settings.clock.micros(Instant::now()),
            });
        }
        Ok(self.seated(seat, ctx))
    }
}

/// A connection is gone; its player may come back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lost {
    /// The connection.
    pub connection: ConnectionId,
    /// How it went.
    pub why: LostReason,
    /// Whether the welcome may have arrived. If not, nobody has the token, and nobody can come back.
    pub welcomed: bool,
}

impl Handler<Lost> for Room {
    type Result = ();

    fn handle(&mut self, lost: Lost, ctx: &mut Self::Context) {
        self.fanouts.remove(lost.connection);
        match self.guarded(ctx, |core| core.lost(lost.connection, lost.welcomed)).flatten() {
            Some(Detached::Kept(seat)) => self.report(Report::Lost {
                room: self.shared().name.clone(),
                player: seat.player,
                why: lost.why,
                at: self.settings.clock.micros(Instant::now()),
            }),
            Some(Detached::Ended(seat)) => self.seat_ended(&seat, lost.why.leave_reason()),
            None => {}
        }
    }
}

/// A connection's player does not come back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// The connection.
    pub connection: ConnectionId,
    /// The code with which the server removed the player. None: the player left.
    pub removed: Option<CloseCode>,
}

impl Handler<Leave> for Room {
    type Result = ();

    fn handle(&mut self, leave: Leave, ctx: &mut Self::Context) {
        self.fanouts.remove(leave.connection);
        if let Some(Some(seat)) = self.guarded(ctx, |core| core.leave(leave.connection)) {
            let why = if leave.removed.is_some() { LeaveReason::Removed } else { LeaveReason::Left };
            self.seat_ended(&seat, why);
        }
    }
}

impl Handler<SeatExpired> for Room {
    type Result = ();

    fn handle(&mut self, expired: SeatExpired, ctx: &mut Self::Context) {
        self.expire(expired.player, expired.why, ctx);
    }
}

/// An operator removes a player. False: there is no such seat.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Kick {
    /// Who.
    pub player: PlayerId,
    /// Why: what the player is told.
    pub reason: String,
}

impl Handler<Kick> for Room {
    type Result = bool;

    fn handle(&mut self, kick: Kick, ctx: &mut Self::Context) -> bool {
        let kicked = self.guarded(ctx, |core| core.kick(kick.player, &kick.reason)).flatten();
        if let Some(Kicked::Ended(seat)) = &kicked {
            self.seat_ended(seat, LeaveReason::Removed);
        }
        self.apply_effects(ctx);
        kicked.is_some()
    }
}

impl Handler<Inspect> for Room {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        let seats = self.core.seats().iter();
        MessageResult(Inspected {
            room: self.shared().clone(),
            schema: self.core.schema().clone(),
            state: self.core.newest().cloned(),
            seats: seats.map(SeatView::of).collect(),
        })
    }
}

/// An operator ends the room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseRoom;

impl Handler<CloseRoom> for Room {
    type Result = ();

    fn handle(&mut self, _: CloseRoom, ctx: &mut Self::Context) {
        self.end(ctx, CloseCode::RoomClosed, "the room was closed", "closed");
    }
}

/// A schedule whose ticks are spread over the interval, so that many rooms do not tick in the same moment: each room's
/// phase is a step of the golden ratio further (an additive recurrence, evenly spread however many there are).
pub fn spread_schedule(now: Instant, tick_rate: u32, room: RoomId) -> Schedule {
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    let plain = Schedule::new(now, tick_rate);
    let phase = room.0.wrapping_mul(GOLDEN_RATIO) as f64 / u64::MAX as f64;
    Schedule::new(now + plain.interval().mul_f64(phase), tick_rate)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
