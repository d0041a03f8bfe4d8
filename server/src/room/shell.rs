//! What surrounds a room's core on the thread where it lives: fan-out, presence, listing, recording. The
//! thread's [timetable](super::timetable) makes it tick; everything else comes through the room's
//! [actor](super::Room).

mod moving;

use super::{
    RoomAddr,
    actor::Carry,
    actor::{Ended, Join, Kick, Leave, Lost, Reserve, Resume},
    checkpoints::Checkpoints,
    core::{Carried, Detached, Effect, JoinError, Kicked, ResumeError, RoomCore, WaitingSeat},
    events::{Events, RoomEvent, RoomView},
    fanouts::Fanouts,
    inspect::{Inspected, SeatView},
    jobs::{Answered, Asked, Work},
    npcs::Npc,
    record::RecordLink,
    schedule::Schedule,
    start::RefusedOptions,
    timetable::{Due, Timetable},
    weight::{LONG, Weighed, Weight},
};
use crate::{
    clock::{self, Clock},
    ground::{
        close::Close,
        entrant::Reach,
        home::{Home, MoveTo, Resident},
        id::{ConnectionId, RoomId},
        report::{LeaveReason, Report, SeatExpired},
        reservation::ReservationToken,
        seat::{ResumeToken, Seat},
        shared::RoomShared,
        vitals::Vitals,
    },
    metrics::Metrics,
};
use actix::Recipient;
use bytes::Bytes;
use driftless_proto::{code::CloseCode, wire};
use driftless_sim::{Answer, Away, PlayerId, game::panic_message, replay::EndReason};
use moving::Journey;
use std::{
    cell::RefCell,
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tracing::{Span, error, info, warn};

/// With this many players, a room is too large for one thread: newcomers are spread over all threads.
pub(crate) const SPREAD_FROM: u32 = 250;
/// How long a room made by a join waits for its first player.
const UNPLAYED_LINGER: Duration = Duration::from_secs(1);
/// How long a room still sends its last state after its game has ended it: for messages in transit, and for
/// what has to be sent again.
const ENDING: Duration = Duration::from_millis(500);
/// What players are told when another node may have the room by now.
const NODE_LOST: &str = "the node could not renew its lease in time: come back, another may have the room";
/// What players are told when a room has used up its ticks, after 388 days at 128 Hz.
const OUT_OF_TICKS: &str = "the room has used up its tick numbers: join again for a new one";

/// A room on its thread. Ends when it has been empty for the linger time, or when its game panics.
pub struct Shell {
    core: RoomCore,
    /// The game has not started: the room ends as soon as its maker has been told.
    refused: Option<RefusedOptions>,
    fanouts: Fanouts,
    settings: RoomSettings,
    address: RoomAddr,
    home: Resident,
    weight: Weight,
    /// Where it should live because of its weight. Until it does, it does not tick, so that the others on its
    /// thread no longer wait for it.
    moving: Option<Resident>,
    empty_since: Option<Instant>,
    /// Ticks with a connected player, up to the number from which a room is worth keeping.
    played: u32,
    record: Option<RecordLink>,
    /// None: it does not survive its server.
    checkpoints: Option<Checkpoints>,
    /// Who wants all of the room, after its next tick.
    carry: Option<oneshot::Sender<Option<Carried>>>,
    /// The game has ended the room: when, and why.
    ending: Option<(Instant, String)>,
    /// Whether it goes to another node, or has come from one.
    journey: Journey,
    /// The end of the room: its game is no longer called, and another room may have its name.
    ended: bool,
    span: Span,
}

/// What a room gets from the server.
#[derive(Clone)]
pub struct RoomSettings {
    /// The server's clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where to report joins and leaves.
    pub presence: Recipient<Report>,
    /// Where the room's name and seats are listed. Weak, because it holds the rooms.
    pub listing: Weak<dyn Listing>,
    /// How long the room is kept when it is empty.
    pub linger: Duration,
    /// Whether it lingers before anybody has played in it.
    pub wait_for_players: bool,
    /// How long a seat is kept without a connection.
    pub resume_window: Duration,
    /// Assigns threads to rooms.
    pub housing: Arc<dyn Housing>,
    /// Does the jobs that games request.
    pub work: Arc<dyn Work>,
    /// Reports events of rooms to the program's listeners.
    pub events: Arc<Events>,
}

/// Decides on which thread a room lives.
pub trait Housing: Send + Sync {
    /// A thread for a room that would disturb others. None: there is none available.
    fn apart(&self) -> Option<Resident>;
    /// A thread for any other room.
    fn common(&self) -> Resident;
}

/// Lists rooms by name, and seats by token.
pub trait Listing: Send + Sync {
    /// A seat was taken: its token is valid from now on.
    fn seat_taken(&self, seat: &Seat, room: RoomAddr);
    /// Somebody has come for whom a seat was kept.
    fn came(&self, reservation: ReservationToken);
    /// A seat has ended: its token is invalid.
    fn seat_ended(&self, token: &ResumeToken);
    /// A room has ended. `reason` is for the metrics; without one, it does not count there.
    fn room_ended(&self, room: &RoomShared, reason: Option<&'static str>);
}

/// A player has a seat: what the connection needs.
pub struct Seated {
    /// The room.
    pub room: RoomAddr,
    /// The seat.
    pub seat: Arc<Seat>,
    /// What to tell the peer.
    pub welcome: wire::Welcome,
}

impl Shell {
    /// A room that has not started, on its first thread. Its seed and schedule are in `core`.
    pub fn new(
        core: RoomCore,
        refused: Option<RefusedOptions>,
        settings: RoomSettings,
        record: Option<RecordLink>,
        home: Resident,
        address: RoomAddr,
    ) -> Self {
        let span = tracing::info_span!("room", room = %core.shared().name);
        Self {
            core,
            refused,
            fanouts: Fanouts::default(),
            settings,
            address,
            home,
            weight: Weight::new(),
            moving: None,
            empty_since: Some(clock::now()),
            played: 0,
            record,
            checkpoints: None,
            carry: None,
            ending: None,
            journey: Journey::default(),
            ended: false,
            span,
        }
    }

    /// Writes checkpoints from now on: the first one with the first tick, before anybody is shown it; or
    /// `at_once`, before anybody can join.
    pub(crate) fn keep(&mut self, checkpoints: Checkpoints, at_once: bool) {
        self.checkpoints = Some(checkpoints);
        // One that has just come is another node's until it begins.
        if at_once && !self.is_on_its_way() {
            self.write_checkpoint();
        }
    }

    /// It is a new room: tells the world outside.
    pub(crate) fn made(&self) {
        self.settings.metrics.rooms.created.inc();
        if self.refused.is_none() && self.settings.events.are_heard() {
            self.settings.events.push(RoomEvent::Made { room: RoomView::of(self.shared()) });
        }
    }

    /// When it ticks.
    pub(super) fn schedule(&self) -> &Schedule {
        self.core.schedule()
    }

    /// Its number.
    pub(super) fn id(&self) -> RoomId {
        self.shared().id
    }

    /// Whether the room has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it should leave its thread as requested. It should not if it already lives on `home`, or was
    /// meant to leave another thread than its own.
    pub(super) fn is_to_leave_for(&mut self, home: &Home, from: Option<&Home>) -> bool {
        let at = self.home.home();
        let leaves = !self.ended && !at.is(home) && from.is_none_or(|from| from.is(at));
        if !leaves {
            self.moving.take_if(|moving| moving.home().is(home));
        }
        leaves
    }

    /// It leaves its thread for another, and makes its connections follow if they can.
    pub(super) fn leave_for(&mut self, home: &Home) {
        let chosen = self.moving.take().filter(|chosen| chosen.home().is(home));
        self.home = chosen.unwrap_or_else(|| home.house_room());
        self.weight.moved(home.link().is_none(), clock::now());
        self.gather();
        self.settings.metrics.rooms.moved.inc();
        self.span.in_scope(|| info!(apart = home.link().is_none(), "moved to another thread"));
    }

    /// Makes its connections on other threads come here if they can, unless there are too many for one
    /// thread.
    fn gather(&mut self) {
        if self.home.home().link().is_some() && self.fanouts.len() <= SPREAD_FROM as usize {
            self.fanouts.gather(self.home.home());
        }
    }

    fn shared(&self) -> &Arc<RoomShared> {
        self.core.shared()
    }

    /// Calls the game. If it panics, only this room ends. None: it has ended.
    fn guarded<R>(&mut self, call: impl FnOnce(&mut RoomCore) -> R) -> Option<R> {
        if self.ended {
            return None;
        }
        let (core, start) = (&mut self.core, clock::now());
        let result = catch_unwind(AssertUnwindSafe(|| call(core)));
        self.weigh(start);
        match result {
            Ok(result) => Some(result),
            Err(panic) => {
                let message = panic_message(&*panic);
                self.span.in_scope(|| {
                    error!(panic = message, tick = self.core.tick_number(), "the room's game panicked")
                });
                self.end(CloseCode::RoomFailed, "the room failed because of a fault in its game", "failed");
                None
            }
        }
    }

    /// Measures how long the game has occupied the thread. A room that keeps it from others moves.
    fn weigh(&mut self, start: Instant) {
        let now = clock::now();
        let mut took = now - start;
        if took > LONG {
            // The machine may have run others meanwhile.
            took = Timetable::here().own_part(took);
        }
        let Some(weighed) = self.weight.weigh(now, took) else { return };
        let home = match weighed {
            Weighed::Heavy => self.settings.housing.apart(),
            Weighed::Light => Some(self.settings.housing.common()),
        };
        if let Some(chosen) = home {
            let (home, from) = (chosen.home().clone(), Some(self.home.home().clone()));
            self.span.in_scope(|| {
                info!(?weighed, took_us = took.as_micros() as u64, "the room will move to another thread")
            });
            self.moving = Some(chosen);
            self.address.do_send(MoveTo { home, from });
        }
    }

    fn tick(&mut self) {
        let start = clock::now();
        if self.ends_as_lost(start) || self.moving.is_some() || self.stands_still(start) {
            return;
        }
        if self.refused.is_some() {
            return self.end_if_lingered(start);
        }
        let Some(due) = self.core.schedule().due(start, self.core.tick_number().into()) else { return };
        let Some(ticked) = self.guarded(|core| core.tick(due)) else { return };
        let Some(ticked) = ticked else {
            self.span.in_scope(|| warn!("the room has used up its tick numbers: ending it"));
            return self.end(CloseCode::RoomClosed, OUT_OF_TICKS, "out_of_ticks");
        };
        // The step may have taken long, or the process may have been stopped within it.
        if self.shared().owned.is_some() && self.ends_as_lost(clock::now()) {
            return;
        }
        // Before anything else happens in the room.
        self.write_checkpoint();
        let mut behind = self.fanouts.publish(self.shared().id, &ticked.published);
        if let Some(delayed) = &ticked.delayed {
            behind += self.fanouts.publish(self.shared().id.delayed(), delayed);
        }
        let metrics = &self.settings.metrics;
        metrics.rooms.ticks.inc();
        metrics.rooms.ticks_skipped.inc_by(due.skipped);
        metrics.rooms.tick_lateness.observe(due.late);
        let busy = clock::now() - start;
        metrics.rooms.tick_duration.observe(busy);
        self.shared().figures.ticked(due.late, busy);
        if ticked.late + ticked.commands + ticked.events > 0 {
            metrics.rooms.late_inputs_dropped.inc_by(ticked.late);
            metrics.rooms.commands.inc_by(ticked.commands);
            metrics.rooms.excess_dropped.inc_by(ticked.excess);
            metrics.rooms.events.inc_by(ticked.events);
        }
        if ticked.reports > 0 {
            metrics.rooms.player_reports.inc_by(ticked.reports);
        }
        if due.skipped > 0 || behind > 0 {
            let skipped = due.skipped;
            self.span
                .in_scope(|| warn!(tick = due.tick, skipped, threads_behind = behind, "the room is late"));
        }
        self.record_tick();
        // After the record of the tick: a seat that ends now ends before the next one.
        self.apply_effects();
        if let Some(wanted) = self.carry.take() {
            return self.hand_over(wanted);
        }
        self.stop_on_the_way();
        match &self.ending {
            None => self.end_if_lingered(start),
            Some((since, reason)) if start - *since >= ENDING || self.core.seats().is_empty() => {
                let reason = reason.clone();
                self.end(CloseCode::GameEnded, &reason, "game_ended");
            }
            Some(_) => {}
        }
    }

    /// Carries out what the core wants done: after each tick, once that is recorded, also for the joins,
    /// losses and leaves before it, whose callers need none of it. A resume and an operator's kick do not
    /// wait for the tick, because they close a connection: the fan-outs must still know the one that is
    /// replaced, and whoever is removed should be gone when the operator is told so. False: there was nothing
    /// to do.
    fn apply_effects(&mut self) -> bool {
        let mut effects = VecDeque::from(self.core.take_effects());
        let any = !effects.is_empty();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Close { connection, code, reason } => {
                    self.fanouts.close(connection, Close::new(code, reason));
                }
                Effect::Unresumable(player) => {
                    if self.expire(player, LeaveReason::Removed) {
                        self.span.in_scope(|| {
                            info!(player, "too much happened while the player was away: ending the seat")
                        });
                    }
                }
                Effect::Kick { player, reason } => drop(self.remove(player, CloseCode::Kicked, &reason)),
                Effect::NpcSeated(npc) => self.npc_seated(npc),
                Effect::TooManyNpcs => self.span.in_scope(|| {
                    let max_players = self.shared().max_players;
                    warn!(
                        max_players,
                        "the game asks for more NPCs than the room may have: they get no seats"
                    );
                }),
                Effect::UnknownText { kind, field } => self.span.in_scope(|| {
                    warn!(
                        kind,
                        field, "the game has not asked for a text in this tick and zone: it is empty"
                    );
                }),
                Effect::Ask(asked) => self.begin_job(asked),
                Effect::PlayerReported { player, reports, reason, removed } => {
                    self.tell_player_reported(player, reports, reason, removed);
                }
                Effect::Report(json) => self.tell_report(json),
                Effect::End { reason } => self.begin_to_end(reason),
                Effect::Log(text) => self.span.in_scope(|| info!(said = text, "the game says")),
            }
            // The end of a seat has effects of its own.
            effects.extend(self.core.take_effects());
        }
        any
    }

    fn tell_report(&self, json: String) {
        if !self.settings.events.are_heard() {
            return;
        }
        // The game's own serializer has written it.
        if let Ok(report) = serde_json::from_str(&json) {
            self.settings.events.push(RoomEvent::Reported { room: RoomView::of(self.shared()), report });
        }
    }

    fn tell_player_reported(&self, player: PlayerId, reports: u32, reason: String, removed: bool) {
        let Some(taken) = self.core.seats().get(player) else { return };
        let (user, name) = (taken.seat.user.clone(), taken.seat.name.clone());
        self.span.in_scope(|| info!(player, %user, reports, reason, removed, "the game reports a player"));
        if self.settings.events.are_heard() {
            let room = RoomView::of(self.shared());
            let event = RoomEvent::PlayerReported { room, player, user, name, reports, reason, removed };
            self.settings.events.push(event);
        }
    }

    fn begin_job(&mut self, asked: Asked) {
        let Asked { id, job, .. } = asked;
        if let Err(why) = self.settings.work.begin(asked, self.core.shared(), self.address.clone()) {
            self.core.answered(Answer { id, job: job.to_owned(), result: Err(why) });
        }
    }

    /// A job was answered.
    pub(super) fn answered(&mut self, answered: Answered) {
        self.core.answered(answered.0);
    }

    /// Ends the seat of a player who is away. False: there is none, or the player is back.
    fn expire(&mut self, player: PlayerId, why: LeaveReason) -> bool {
        let ended = self.guarded(|core| core.expire(player)).flatten();
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

    /// Writes a checkpoint if one is due. (Saving calls the game, which may panic: then the room has ended,
    /// and is forgotten already.)
    fn write_checkpoint(&mut self) {
        let Some(checkpoints) = &mut self.checkpoints else { return };
        if !checkpoints.is_due(self.core.tick_number(), self.core.take_settled()) {
            return;
        }
        let start = clock::now();
        if let Some(Some(checkpoint)) = self.guarded(|core| core.checkpoint())
            && let Some(checkpoints) = &mut self.checkpoints
        {
            checkpoints.put(checkpoint, clock::now() - start);
        }
    }

    fn end_if_lingered(&mut self, now: Instant) {
        let seats = self.core.seats();
        if self.played < self.shared().tick_rate && seats.connected() > 0 {
            self.played += 1;
        }
        match self.empty_since {
            _ if !self.core.seats().is_empty() || self.core.reserved() > 0 => self.empty_since = None,
            None => self.empty_since = Some(now),
            Some(since) if now.saturating_duration_since(since) >= self.linger() => {
                self.span.in_scope(|| info!("the room has been empty for long enough: ending it"));
                self.end(CloseCode::RoomClosed, "the room was empty", "empty");
            }
            Some(_) => {}
        }
    }

    /// How long the room may be empty. A room that a join has made, and in which nobody has stayed for a
    /// second, is not worth keeping: it ends as soon as a join in transit would have arrived.
    fn linger(&self) -> Duration {
        let kept = self.settings.wait_for_players || self.played >= self.shared().tick_rate;
        if kept { self.settings.linger } else { self.settings.linger.min(UNPLAYED_LINGER) }
    }

    /// Ends the room if another node may have it by now. True: it has ended.
    pub(super) fn ends_as_lost(&mut self, now: Instant) -> bool {
        if !self.ended && self.shared().is_lost(now) {
            self.span.in_scope(|| warn!("this node may no longer own the room: ending it"));
            self.end(CloseCode::NodeLost, NODE_LOST, "node_lost");
        }
        self.ended
    }

    fn end(&mut self, code: CloseCode, reason: &str, metric: &'static str) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(checkpoints) = self.checkpoints.take() {
            match code {
                // Another node goes on with it.
                CloseCode::NodeLost => checkpoints.left(),
                _ => checkpoints.forget(),
            }
        }
        // First: whoever sees the end may stop the server, and the recording would lack it.
        if let Some(link) = self.record.take() {
            let failed = code == CloseCode::RoomFailed;
            let reason = if failed { EndReason::RoomFailed } else { EndReason::RoomEnded };
            link.end(reason, self.core.end_record());
        }
        self.fanouts.close_all(&Close::new(code, reason));
        self.settings.metrics.rooms.spectators.dec_by(self.core.spectators().len() as i64);
        let listing = self.settings.listing.upgrade();
        if listing.is_some() {
            // Presence first: as soon as the room is no longer listed, another room may get its name.
            self.report(Report::RoomEnded { room: self.shared().name.clone(), id: self.shared().id });
        }
        // Before that, too.
        if self.refused.is_none() && self.settings.events.are_heard() {
            let (room, reason) = (RoomView::of(self.shared()), reason.to_owned());
            self.settings.events.push(RoomEvent::Ended { room, why: metric, reason });
        }
        if let Some(listing) = listing {
            self.delist(&*listing, Some(metric));
        }
        self.address.do_send(Ended);
        self.address.end();
    }

    /// First the room: whoever finds it no more looks for it at other nodes, and does not take the seat for
    /// lost.
    fn delist(&self, listing: &dyn Listing, metric: Option<&'static str>) {
        listing.room_ended(self.core.shared(), metric);
        self.core.seats().iter().for_each(|taken| listing.seat_ended(&taken.seat.token));
    }

    fn report(&self, report: Report) {
        // Presence is one actor for all rooms: its mailbox must not make a room wait, and no report may be
        // lost. Reports come at the rate of joins and leaves, which is limited where connections are
        // accepted.
        self.settings.presence.do_send(report);
    }

    fn seated(&self, seat: Arc<Seat>) -> Seated {
        let core = &self.core;
        let (clock, tick_rate) = (self.settings.clock, self.shared().tick_rate);
        let delay_us = u64::from(seat.delay_ticks()) * 1_000_000 / u64::from(tick_rate.max(1));
        let plays = seat.sight.plays();
        let welcome = wire::Welcome {
            player: seat.player,
            resume_token: if plays { seat.token.to_wire() } else { Bytes::new() },
            resume_window_ms: if plays { millis(self.settings.resume_window) } else { 0 },
            tick_rate,
            // For a spectator with a delay, ticks are due later.
            epoch_us: core.schedule().epoch_us(clock).saturating_add_unsigned(delay_us),
            spectating: !plays,
            delay_ms: u32::try_from(delay_us / 1_000).unwrap_or(u32::MAX),
            schema: Some(core.schema().to_wire()),
            room: self.shared().name.to_string(),
            kind: self.shared().kind.to_owned(),
            user: seat.user.to_string(),
            input_received: seat.input_received.load(Ordering::Relaxed),
            // Those that wait for a tick may be lost with the server: they are sent again, and known then.
            command_received: seat.command_done(),
            undone: core.undone().iter().copied().map(wire::Undone::from).collect(),
            ..wire::Welcome::default() // the rest is the session's
        };
        Seated { room: self.address.clone(), seat, welcome }
    }

    fn seat_ended(&mut self, seat: &Seat, why: LeaveReason) {
        if let Some(listing) = self.settings.listing.upgrade() {
            listing.seat_ended(&seat.token);
        }
        self.left_on_the_way(seat.player, why);
        self.report_left(seat.player, why);
    }

    fn report_left(&self, player: PlayerId, why: LeaveReason) {
        self.report(Report::Left {
            room: self.shared().name.clone(),
            player,
            why,
            at: self.settings.clock.micros(clock::now()),
        });
    }

    /// Whether its game has started. If not, this ends the room.
    pub(super) fn started(&mut self) -> Result<(), RefusedOptions> {
        let Some(refused) = self.refused.clone() else { return Ok(()) };
        self.end(CloseCode::BadOptions, &refused.reason, "refused");
        Err(refused)
    }

    /// Seats are to be kept.
    pub(super) fn reserve(&mut self, reserve: Reserve) -> Result<(), JoinError> {
        self.started().map_err(|refused| JoinError::BadOptions(refused.reason))?;
        let ticks = (reserve.lasts.as_secs_f64() * f64::from(self.shared().tick_rate)).ceil() as u32;
        // The clock may be ahead of the last tick.
        let (schedule, now) = (self.core.schedule(), self.core.tick_number());
        let due = schedule.due(clock::now(), now.into()).and_then(|due| u32::try_from(due.tick).ok());
        let until = due.unwrap_or(now).saturating_add(ticks);
        if reserve.alone {
            self.core.close_to_others();
        }
        self.core.reserve(reserve.reservations, until)
    }

    /// Seats need not be kept any longer.
    pub(super) fn release(&mut self, tokens: &[ReservationToken]) {
        self.core.release(tokens);
    }

    /// A new player takes a seat.
    pub(super) fn join(&mut self, join: Join) -> Result<Seated, JoinError> {
        if let Err(refused) = self.started() {
            let is_maker = refused.options == join.options;
            let ended = JoinError::Ended(self.shared().name.to_string());
            return Err(if is_maker { JoinError::BadOptions(refused.reason) } else { ended });
        }
        let failed = JoinError::Failed(self.shared().name.to_string());
        if !join.sight.plays() {
            return self.spectate(join, failed);
        }
        let (connection, user, name) = (join.entrant.connection, join.user, join.name);
        let joined = self.guarded(|core| match join.reservation {
            Some(token) => core.join_reserved(connection, user, name, token),
            None => core.join(connection, user, name),
        });
        let seat = joined.unwrap_or(Err(failed))?;
        *seat.place.lock() = join.entrant.place.clone();
        self.fanouts.add(join.entrant.connection, join.entrant.reach);
        self.gather();
        if let Some(listing) = self.settings.listing.upgrade() {
            listing.seat_taken(&seat, self.address.clone());
            self.core.reservation_of(seat.player).into_iter().for_each(|token| listing.came(token));
        }
        let at = self.settings.clock.micros(clock::now());
        seat.vitals.set_last_seen(at);
        let (user, name, vitals) = (seat.user.clone(), seat.name.clone(), seat.vitals.clone());
        self.report_joined(seat.player, user, name, vitals, false);
        Ok(self.seated(seat))
    }

    /// Somebody comes to watch: neither the game nor presence is told.
    fn spectate(&mut self, join: Join, failed: JoinError) -> Result<Seated, JoinError> {
        let Join { entrant, user, name, sight, .. } = join;
        let spectated = self.guarded(|core| core.spectate(entrant.connection, sight, user, name));
        let seat = spectated.unwrap_or(Err(failed))?;
        *seat.place.lock() = entrant.place.clone();
        self.settings.metrics.rooms.spectators.inc();
        self.fanouts.add(entrant.connection, entrant.reach);
        self.gather();
        Ok(self.seated(seat))
    }

    fn npc_seated(&self, npc: Npc) {
        let Npc { player, user, name } = npc;
        self.report_joined(player, user, name, Arc::default(), true);
    }

    fn report_joined(
        &self,
        player: PlayerId,
        user: Arc<str>,
        name: Arc<str>,
        vitals: Arc<Vitals>,
        npc: bool,
    ) {
        let Some(to_room) = self.address.recipient() else { return };
        let now = self.settings.clock.micros(clock::now());
        vitals.taken(self.settings.clock.unix_ms(now));
        self.report(Report::Joined {
            room: self.shared().name.clone(),
            id: self.shared().id,
            to_room,
            members: self.shared().members.clone(),
            resume_window: self.settings.resume_window,
            player,
            user,
            name,
            vitals,
            npc,
            at: now,
        });
    }

    /// A player resumes its seat.
    pub(super) fn resume(&mut self, resume: Resume) -> Result<Seated, ResumeError> {
        let taken = self.core.seats().get(resume.player);
        let (had, absent) =
            (taken.and_then(|taken| taken.connection), taken.is_some_and(|taken| taken.absent));
        let Resume { entrant, player, token, received } = resume;
        let connection = entrant.connection;
        let resumed = self.guarded(|core| core.resume(connection, player, token, received));
        let seat = resumed.unwrap_or(Err(ResumeError::UnknownToken))?;
        seat.place.lock().iter().for_each(|place| place.is_of(entrant.source));
        self.apply_effects();
        if let Some(old) = had {
            self.fanouts.remove(old);
        }
        self.fanouts.add(connection, entrant.reach);
        self.gather();
        if had.is_none() && !absent {
            self.report(Report::Back {
                room: self.shared().name.clone(),
                player: seat.player,
                at: self.settings.clock.micros(clock::now()),
            });
        }
        let mut seated = self.seated(seat);
        seated.welcome.stood_still = absent;
        Ok(seated)
    }

    /// A connection is lost.
    pub(super) fn lost(&mut self, lost: Lost) {
        self.fanouts.remove(lost.connection);
        let watched = self.core.spectators().len();
        match self.guarded(|core| core.lost(lost.connection, lost.welcomed, lost.why.away())).flatten() {
            Some(Detached::Kept(seat)) => self.report(Report::Lost {
                room: self.shared().name.clone(),
                player: seat.player,
                why: lost.why,
                at: self.settings.clock.micros(clock::now()),
            }),
            Some(Detached::Ended(seat)) => self.seat_ended(&seat, lost.why.leave_reason()),
            None => self.count_spectators(watched),
        }
    }

    /// Some of the spectators may have gone.
    fn count_spectators(&self, before: usize) {
        self.settings
            .metrics
            .rooms
            .spectators
            .dec_by(before.saturating_sub(self.core.spectators().len()) as i64);
    }

    /// A player leaves, or was removed.
    pub(super) fn leave(&mut self, leave: Leave) {
        self.fanouts.remove(leave.connection);
        let watched = self.core.spectators().len();
        if let Some(Some(seat)) = self.guarded(|core| core.leave(leave.connection)) {
            let why = if leave.removed.is_some() { LeaveReason::Removed } else { LeaveReason::Left };
            self.seat_ended(&seat, why);
        }
        self.count_spectators(watched);
    }

    /// A connection has moved to another thread. Some: it was closed while moving.
    pub(super) fn moved(&mut self, connection: ConnectionId, reach: Reach) -> Option<Close> {
        let close = self.fanouts.moved(connection, reach);
        self.gather();
        close
    }

    /// The resume window of a player who is away is over.
    pub(super) fn seat_expired(&mut self, expired: SeatExpired) {
        self.expire(expired.player, expired.why);
    }

    /// An operator removes a player.
    pub(super) fn kick(&mut self, kick: Kick) -> bool {
        let kicked = self.remove(kick.player, kick.code, &kick.reason);
        self.apply_effects();
        kicked
    }

    /// Removes a player. False: there is no such seat.
    fn remove(&mut self, player: PlayerId, code: CloseCode, reason: &str) -> bool {
        let kicked = self.guarded(|core| core.kick(player, code, reason)).flatten();
        match &kicked {
            Some(Kicked::Ended(seat)) => self.seat_ended(seat, LeaveReason::Removed),
            Some(Kicked::Npc(npc)) => self.report_left(*npc, LeaveReason::Removed),
            Some(Kicked::Closing) | None => {}
        }
        kicked.is_some()
    }

    /// The game has ended the room: its recording is complete.
    fn begin_to_end(&mut self, reason: String) {
        self.span.in_scope(|| info!(reason, tick = self.core.tick_number(), "the game has ended the room"));
        if let Some(link) = self.record.take() {
            link.end(EndReason::RoomEnded, self.core.end_record());
        }
        if let Some(checkpoints) = self.checkpoints.take() {
            checkpoints.forget();
        }
        self.ending.get_or_insert((clock::now(), reason));
    }

    /// The room's contents.
    pub(super) fn inspect(&self) -> Inspected {
        let (people, npcs) = (self.core.seats().iter(), self.core.npcs().iter());
        Inspected {
            room: self.shared().clone(),
            schema: self.core.schema().clone(),
            state: self.core.newest().cloned(),
            seats: people.map(SeatView::of).chain(npcs.map(SeatView::of_npc)).collect(),
        }
    }

    /// The server is stopping and another will continue the room. It is handed over after its next tick,
    /// which takes in whatever has arrived.
    pub(super) fn carry(&mut self, carry: Carry) {
        if !self.ended && self.refused.is_none() {
            self.carry = Some(carry.0);
        }
    }

    fn hand_over(&mut self, wanted: oneshot::Sender<Option<Carried>>) {
        self.settle_absent();
        // Each round has effects only if a seat has ended in the one before, so it comes to an end.
        while self.guarded(|core| core.part(Away::Closed)).is_some() && self.apply_effects() {}
        let carried = self.guarded(RoomCore::carry).flatten();
        // Nobody is told of an end: there is none.
        self.ended = self.ended || carried.is_some();
        let _ = wanted.send(carried);
    }

    /// The room goes on where that of another process stopped. Its seats wait for their players.
    pub(crate) fn go_on(&mut self, carried: Carried, seats: Vec<WaitingSeat>) {
        self.take_up(carried, seats);
        self.announce();
    }

    fn take_up(&mut self, carried: Carried, seats: Vec<WaitingSeat>) {
        self.core.go_on(carried, seats);
        self.played = self.shared().tick_rate;
    }

    /// Its seats are here.
    fn announce(&self) {
        self.settings.metrics.rooms.created.inc();
        let members: Vec<_> = self.core.seats().iter().map(|taken| taken.seat.clone()).collect();
        let now = self.settings.clock.micros(clock::now());
        members.iter().for_each(|seat| seat.vitals.set_last_seen(now));
        // In order of number, as presence wants it.
        let mut all: Vec<_> =
            self.core.npcs().iter().cloned().map(Ok).chain(members.into_iter().map(Err)).collect();
        all.sort_by_key(|one| one.as_ref().map_or_else(|seat| seat.player, |npc| npc.player));
        for one in all {
            match one {
                Ok(npc) => self.npc_seated(npc),
                Err(seat) => {
                    let absent = self.core.seats().get(seat.player).is_some_and(|taken| taken.absent);
                    self.report_joined(
                        seat.player,
                        seat.user.clone(),
                        seat.name.clone(),
                        seat.vitals.clone(),
                        false,
                    );
                    if !absent {
                        let (room, player) = (self.shared().name.clone(), seat.player);
                        let left = self.core.left_of_window(player, self.settings.resume_window);
                        self.report(Report::Waits { room, player, left, at: now });
                    }
                }
            }
        }
        self.span.in_scope(|| info!(tick = self.core.tick_number(), "the room goes on"));
    }

    /// An operator ends it.
    pub(super) fn close(&mut self) {
        self.end(CloseCode::RoomClosed, "the room was closed", "closed");
    }
}

/// Called by the thread's timetable.
impl Due for RefCell<Shell> {
    fn run(&self) -> bool {
        // A game's panic is caught closer to the game. This one is ours: it ends its room, and no other on
        // the thread.
        let ticked = catch_unwind(AssertUnwindSafe(|| self.borrow_mut().tick()));
        let mut room = self.borrow_mut();
        if ticked.is_err() {
            room.end(CloseCode::RoomFailed, "the room failed because of a fault in the server", "failed");
        }
        !room.ended
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
