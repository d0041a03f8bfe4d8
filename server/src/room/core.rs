//! A room's logic: seats, ticks, events. No actor, no clock, no socket: time is an argument, and what others
//! have to do is returned as effects.

mod carry;
pub mod restore;

pub use carry::{Carried, Undone, WaitingSeat};

use super::{
    budget::EventBudget,
    jobs::{Asked, RoomJobs},
    journal::{Joined, Journal, Passed, Written},
    npcs::{Npc, Npcs},
    pace::Rhythm,
    reports::ReportLimit,
    reservations::{self, Pass, Reservations},
    schedule::{Due, Schedule},
    seats::{Seats, Taken},
    spectators::Spectators,
};
use crate::ground::{
    close::Close,
    id::ConnectionId,
    published::Published,
    refusal::Refusal,
    reservation::{Reservation, ReservationToken},
    seat::{ResumeToken, Seat},
    shared::{Drained, RoomShared, WaitingInput},
    shrink::is_nearly_empty,
    sight::Sight,
    tight,
};
use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    names::GUEST,
    reliable::{cost, encode_body},
    schema::Schema,
    snapshot::Snapshot,
    wire::{self, reliable::Body},
};
use driftless_sim::{
    Answer, Away, Moment, Order, PlayerId, PlayerInput as Input, Recipient,
    game::{self, CommandError, Game},
    replay::{Action, TickRecord},
};
use std::{
    mem,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

/// Most published states that the room tracks in order to reuse their memory: those that a connection with a
/// long round trip may hold (in flight, baseline, prior). If everybody keeps up, there are three.
const RECYCLED: usize = 20;

/// When one zone's content is encoded more often than this in a tick, players have so many different
/// baselines that common ones are preferred, for this many seconds.
const CROWD: usize = 8;
const CROWDED_S: u32 = 2;

/// The last tick that a room can run: the wire has 32 bits for its number, and joins and leaves after it
/// belong to the next one.
pub const LAST_TICK: u32 = u32::MAX - 1;

/// A room: a game, its players' seats, and what happens at a tick.
pub struct RoomCore {
    shared: Arc<RoomShared>,
    game: Box<dyn Game>,
    schema: Arc<Schema>,
    schedule: Schedule,
    limits: Limits,
    seats: Seats,
    spectators: Spectators,
    reservations: Reservations,
    npcs: Npcs,
    jobs: RoomJobs,
    tick: u32,
    drained: Drained,
    rhythm: Rhythm,
    /// Inputs for later ticks.
    waiting: Vec<(PlayerId, WaitingInput)>,
    events: Vec<(Recipient, Bytes)>,
    budget: EventBudget,
    /// Published states that others may hold, oldest first.
    recent: Vec<Arc<Published>>,
    /// Until this tick, common baselines are preferred.
    crowded_until: u32,
    effects: Vec<Effect>,
    /// The game has ended the room: its state is still sent, but no longer stepped.
    over: bool,
    /// Said already: see [`Effect::UnknownText`].
    had_unknown_text: bool,
    /// What happens in this tick, for a recording or a journal.
    record: Option<TickRecord>,
    /// None: players are not removed, however often they are reported.
    report_limit: Option<ReportLimit>,
    /// Most seats of a user. 0: any number.
    seats_of_user: usize,
    /// Reports of this tick.
    reports: u64,
    /// The record is for a recording: it has a checksum, and is kept until it is taken.
    recorded: bool,
    journal: Option<Box<dyn Journal>>,
    /// How many of the record's actions are in the journal already.
    journaled: usize,
    /// What a journal says besides.
    joined: Vec<Joined>,
    /// What has happened to reservations since the last frame.
    reserved: Vec<reservations::Change>,
    resumed: Vec<(PlayerId, u64)>,
    /// A player is back of whom it was unknown which messages it has.
    settled: bool,
    /// Players removed, whose seats have yet to end.
    removed: Vec<PlayerId>,
    /// Players of whom the game did not take every input of this tick.
    passed: Vec<Passed>,
    /// What players have acknowledged since the last second.
    acknowledged: Vec<(PlayerId, u64)>,
    /// CRC-32C of the schema, once it was asked for.
    schema_checksum: OnceLock<u32>,
    /// The commands of this tick.
    done: Vec<(PlayerId, u64)>,
    /// Those that are refused.
    refused: Vec<(PlayerId, u64, String)>,
    /// What was undone when the room was restored, oldest first.
    undone: Vec<Undone>,
}

/// What others have to do after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Close a connection.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// The close code.
        code: CloseCode,
        /// Why.
        reason: String,
    },
    /// End the seat of a player who is away: more was queued for it than is kept, so it cannot be resumed.
    /// (Not at once, because a seat ends between ticks.)
    Unresumable(PlayerId),
    /// The game removes a player.
    Kick {
        /// The player.
        player: PlayerId,
        /// Why.
        reason: String,
    },
    /// The game has reported a player.
    PlayerReported {
        /// The player.
        player: PlayerId,
        /// How often so far.
        reports: u32,
        /// The last reason.
        reason: String,
        /// The player is removed for it: another effect closes the connection.
        removed: bool,
    },
    /// An NPC that the game has asked for has a seat.
    NpcSeated(Npc),
    /// For the first time, the game has asked for more NPCs than there may be.
    TooManyNpcs,
    /// The game requests a job.
    Ask(Asked),
    /// The game reports something, as JSON.
    Report(String),
    /// The game ends the room. Its last state is still sent until the room has ended.
    End {
        /// Why.
        reason: String,
    },
    /// For the first time, the game has given a text field the number of no text.
    UnknownText {
        /// The kind of entity.
        kind: String,
        /// The field.
        field: String,
    },
    /// The game has something to log.
    Log(String),
}

/// What the loss of a connection did.
#[derive(Debug)]
pub enum Detached {
    /// The seat is kept.
    Kept(Arc<Seat>),
    /// Nobody could have resumed the seat, so it has ended.
    Ended(Arc<Seat>),
}

/// What the removal of a player did.
#[derive(Debug)]
pub enum Kicked {
    /// The connection has to be closed; its end ends the seat.
    Closing,
    /// The seat has ended.
    Ended(Arc<Seat>),
    /// The seat was an NPC's, and has ended.
    Npc(PlayerId),
}

/// Why a player got no seat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// All seats are taken.
    #[error("room {room:?} is full: all {max_players} seats are taken")]
    Full {
        /// The room.
        room: String,
        /// Its seats.
        max_players: u32,
    },
    /// As many watch as may.
    #[error("room {room:?} has {max} spectators, as many as may watch")]
    TooManySpectators {
        /// The room.
        room: String,
        /// The limit.
        max: u32,
    },
    /// The user watches as often as one may.
    #[error("{user} watches room {room:?} {max} times, as often as one user may")]
    WatchesTooOften {
        /// The room.
        room: String,
        /// The user.
        user: String,
        /// The limit.
        max: usize,
    },
    /// The user has as many seats as one may have.
    #[error("{user} has {max} seats in room {room:?}, as many as one user may have")]
    TooManySeats {
        /// The room.
        room: String,
        /// The user.
        user: String,
        /// The limit.
        max: usize,
    },
    /// The game admits no new players.
    #[error("room {0:?} admits no new players now")]
    Closed(String),
    /// Every player number has been used.
    #[error("room {0:?} has no player numbers left: join another room")]
    UsedUp(String),
    /// The room was made for others.
    #[error("room {0:?} was made for a match, and is for its players alone")]
    NotExpected(String),
    /// The system gave no random bytes for the token.
    #[error("no random bytes: {0}")]
    Random(String),
    /// The game panicked: the room has ended.
    #[error("room {0:?} failed because of a fault in its game")]
    Failed(String),
    /// The game refuses the options with which the join would have made the room.
    #[error("bad options: {0}")]
    BadOptions(String),
    /// The room has just ended.
    #[error("room {0:?} has ended: join again for a new one")]
    Ended(String),
}

/// Why a player did not get the old seat back. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// No seat has this token (any more).
    #[error("no seat has this token: the seat has ended, or never existed")]
    UnknownToken,
    /// The seat is another user's.
    #[error("the seat is another user's: join anew")]
    OtherUser,
    /// The player was removed: the seat ends with its connection.
    #[error("the player was removed")]
    Removed,
    /// The peer claims to have received something that was never sent, or lacks something that is no longer
    /// kept.
    #[error("reliable messages after {0} cannot be sent again")]
    Unreachable(u64),
}

impl From<JoinError> for Refusal {
    fn from(e: JoinError) -> Self {
        let code = match &e {
            JoinError::Full { .. }
            | JoinError::UsedUp(_)
            | JoinError::TooManySpectators { .. }
            | JoinError::WatchesTooOften { .. }
            | JoinError::TooManySeats { .. } => CloseCode::RoomFull,
            JoinError::Closed(_) => CloseCode::JoinsClosed,
            JoinError::Failed(_) => CloseCode::RoomFailed,
            JoinError::BadOptions(_) => CloseCode::BadOptions,
            JoinError::Ended(_) => CloseCode::RoomClosed,
            JoinError::NotExpected(_) => CloseCode::Forbidden,
            JoinError::Random(_) => CloseCode::Internal,
        };
        Self::new(code, &e)
    }
}

impl From<ResumeError> for Refusal {
    fn from(e: ResumeError) -> Self {
        let code = match e {
            ResumeError::Removed => CloseCode::Kicked,
            ResumeError::UnknownToken | ResumeError::OtherUser | ResumeError::Unreachable(_) => {
                CloseCode::UnknownSession
            }
        };
        Self::new(code, &e)
    }
}

/// What a tick did.
#[derive(Debug)]
pub struct Ticked {
    /// The state to publish.
    pub published: Arc<Published>,
    /// What to publish to spectators instead, if they are shown what was some time ago and there is
    /// something.
    pub delayed: Option<Arc<Published>>,
    /// Inputs that the game got.
    pub inputs: u64,
    /// Inputs that it will never get, because they came too late, or were too many.
    pub late: u64,
    /// Commands that the game took or refused.
    pub commands: u64,
    /// Of these, commands that were refused because players had made the room send too much.
    pub excess: u64,
    /// Events queued, once for each recipient.
    pub events: u64,
    /// Inputs for which the game has reported their players.
    pub reports: u64,
}

impl RoomCore {
    /// An empty room. `recorded`: ticks are kept for `take_record`.
    pub fn new(
        shared: Arc<RoomShared>,
        game: Box<dyn Game>,
        schema: Arc<Schema>,
        schedule: Schedule,
        limits: Limits,
        recorded: bool,
    ) -> Self {
        Self {
            budget: EventBudget::new(&limits, shared.tick_rate),
            schema,
            schedule,
            limits,
            seats: Seats::default(),
            spectators: Spectators::new(shared.spectating.delay_ticks(shared.tick_rate)),
            reservations: Reservations::default(),
            npcs: Npcs::default(),
            jobs: RoomJobs::default(),
            tick: 0,
            drained: Drained::default(),
            rhythm: Rhythm::new(game.inputs_per_tick(), shared.tick_rate),
            waiting: Vec::new(),
            shared,
            game,
            events: Vec::new(),
            recent: Vec::new(),
            crowded_until: 0,
            effects: Vec::new(),
            over: false,
            had_unknown_text: false,
            record: recorded.then(TickRecord::default),
            report_limit: None,
            seats_of_user: 0,
            reports: 0,
            recorded,
            journal: None,
            journaled: 0,
            joined: Vec::new(),
            reserved: Vec::new(),
            resumed: Vec::new(),
            settled: false,
            removed: Vec::new(),
            passed: Vec::new(),
            acknowledged: Vec::new(),
            schema_checksum: OnceLock::new(),
            done: Vec::new(),
            refused: Vec::new(),
            undone: Vec::new(),
        }
    }

    /// Removes players who are reported so often, from now on.
    pub fn limit_reports(&mut self, limit: ReportLimit) {
        self.report_limit = Some(limit);
    }

    /// No user takes more seats than this, from now on. 0: as many as there are.
    pub fn limit_seats_of_user(&mut self, most: usize) {
        self.seats_of_user = most;
    }

    /// Writes this journal from now on.
    pub fn keep_journal(&mut self, journal: Box<dyn Journal>) {
        if journal.is_full() {
            self.record.get_or_insert_default();
        }
        self.journal = Some(journal);
    }

    /// The part of it that others may use.
    pub fn shared(&self) -> &Arc<RoomShared> {
        &self.shared
    }
    /// When ticks are due.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }
    /// The seats.
    pub fn seats(&self) -> &Seats {
        &self.seats
    }
    /// Those who watch.
    pub fn spectators(&self) -> &Spectators {
        &self.spectators
    }
    /// The NPCs.
    pub fn npcs(&self) -> &Npcs {
        &self.npcs
    }
    /// The newest tick.
    pub fn tick_number(&self) -> u32 {
        self.tick
    }
    /// Schema of the snapshots.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }
    /// What others have to do since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        mem::take(&mut self.effects)
    }
    /// Whether a player has come back, since the last call, of whom it was unknown which messages it has: a
    /// checkpoint should say what is known now.
    pub fn take_settled(&mut self) -> bool {
        mem::take(&mut self.settled)
    }
    /// What was undone each time that the room was restored, oldest first.
    pub fn undone(&self) -> &[Undone] {
        &self.undone
    }
    /// The record of the last tick, if this room is recorded.
    pub fn take_record(&mut self) -> Option<TickRecord> {
        self.record.as_mut().filter(|_| self.recorded).map(mem::take)
    }
    /// Stops recording. Returns what happened since the last finished tick, if anything did.
    pub fn end_record(&mut self) -> Option<TickRecord> {
        if !mem::take(&mut self.recorded) {
            return None;
        }
        let mut record = self.record.take()?;
        if self.journals() {
            // The journal has what was in it up to here.
            self.record = Some(TickRecord {
                actions: record.actions[self.journaled..].to_vec(),
                ..TickRecord::default()
            });
            self.journaled = 0;
        }
        let is_begun = record.tick != 0;
        record.tick = record.tick.max(self.tick.saturating_add(u32::from(!is_begun)));
        (is_begun || !record.is_empty()).then_some(record)
    }

    /// Keeps a seat for each of these up to a tick, or none at all if there are not as many.
    pub fn reserve(&mut self, reservations: Vec<Reservation>, until: u32) -> Result<(), JoinError> {
        self.check_entry(reservations.len())?;
        self.change_reservations(reservations::Change::Added(reservations, until));
        // At once: the tokens are given away. A room without a journal has a checkpoint soon.
        self.settled |= !self.journals();
        self.write_journal(self.tick, None, None);
        Ok(())
    }

    /// Nobody comes from now on who has no reservation here; unless the game says that it is not private any
    /// more.
    pub fn close_to_others(&mut self) {
        self.change_reservations(reservations::Change::Alone);
    }

    /// Gives up seats that are kept, if nobody has taken them.
    pub fn release(&mut self, tokens: &[ReservationToken]) {
        self.change_reservations(reservations::Change::Released(tokens.to_vec()));
    }

    fn change_reservations(&mut self, change: reservations::Change) {
        self.reservations.apply(&change);
        if self.journals() {
            self.reserved.push(change);
        }
        self.count();
    }

    /// The number of seats that are kept free.
    pub fn reserved(&self) -> usize {
        self.reservations.waiting()
    }

    /// With which a player has come for whom a seat was kept.
    pub(super) fn reservation_of(&self, player: PlayerId) -> Option<ReservationToken> {
        self.reservations.of(player)
    }

    /// Whether so many more may come.
    fn check_entry(&self, more: usize) -> Result<(), JoinError> {
        let max_players = self.shared.max_players;
        if self.over {
            return Err(JoinError::Ended(self.shared.name.to_string()));
        }
        if self.shared.notice.joins_closed() {
            return Err(JoinError::Closed(self.shared.name.to_string()));
        }
        if self.seats.len() + self.reservations.waiting() + more > max_players as usize {
            return Err(JoinError::Full { room: self.shared.name.to_string(), max_players });
        }
        Ok(())
    }

    /// Whether somebody may come for whom no seat was ever kept here.
    fn check_stranger(&self) -> Result<(), JoinError> {
        if self.reservations.are_alone() && self.shared.notice.is_private() {
            return Err(JoinError::NotExpected(self.shared.name.to_string()));
        }
        Ok(())
    }

    /// Whether a user may have one more seat. (A guest has an id of its own for each.)
    fn check_user(&self, user: &str) -> Result<(), JoinError> {
        let max = self.seats_of_user;
        if max == 0 || user.starts_with(GUEST) {
            return Ok(());
        }
        let has = self.seats.iter().filter(|taken| *taken.seat.user == *user).take(max).count();
        if has < max {
            return Ok(());
        }
        Err(JoinError::TooManySeats { room: self.shared.name.to_string(), user: user.to_owned(), max })
    }

    /// Gives a new player a seat and an entity.
    pub fn join(
        &mut self,
        connection: ConnectionId,
        user: Arc<str>,
        name: Arc<str>,
    ) -> Result<Arc<Seat>, JoinError> {
        self.come(connection, user, name, None)
    }

    /// The same for somebody to whom a seat may have been promised. If none is (any more), it is a join like
    /// any other.
    pub fn join_reserved(
        &mut self,
        connection: ConnectionId,
        user: Arc<str>,
        name: Arc<str>,
        token: ReservationToken,
    ) -> Result<Arc<Seat>, JoinError> {
        self.come(connection, user, name, Some(token))
    }

    fn come(
        &mut self,
        connection: ConnectionId,
        user: Arc<str>,
        name: Arc<str>,
        shown: Option<ReservationToken>,
    ) -> Result<Arc<Seat>, JoinError> {
        let pass = self.reservations.pass(shown, &user).filter(|_| !self.over);
        let reservation = match pass {
            Some(Pass::Seat(token)) => Some(token),
            Some(Pass::Free(token)) => {
                self.check_entry(1)?;
                Some(token)
            }
            None => {
                self.check_entry(0)?;
                self.check_stranger()?;
                self.check_entry(1)?;
                None
            }
        };
        self.take_seat(connection, user, name, reservation)
    }

    fn take_seat(
        &mut self,
        connection: ConnectionId,
        user: Arc<str>,
        name: Arc<str>,
        reservation: Option<ReservationToken>,
    ) -> Result<Arc<Seat>, JoinError> {
        self.check_user(&user)?;
        let token = ResumeToken::random().map_err(|e| JoinError::Random(e.to_string()))?;
        let (shared, limits) = (self.shared.clone(), &self.limits);
        let shown = name.clone();
        let seat = self
            .seats
            .take(connection, |player, index| Seat::new(shared, player, index, user, name, token, limits))
            .ok_or_else(|| JoinError::UsedUp(self.shared.name.to_string()))?;
        seat.outbox.lock().attach(connection, 0);
        if let Some(reservation) = reservation {
            self.change_reservations(reservations::Change::Taken(reservation, seat.player));
        }
        if !seat.user.starts_with(GUEST) {
            self.note(Action::User { player: seat.player, user: seat.user.to_string() });
            self.game.identify(seat.player, &seat.user);
        }
        self.note(Action::Join { player: seat.player, name: shown.to_string() });
        if self.journals() {
            self.joined.push(Joined::of(&seat));
        }
        self.game.join(self.tick + 1, seat.player, &shown);
        self.take_orders();
        self.count();
        // At once: the player gets a token.
        self.write_journal(self.tick, None, None);
        Ok(seat)
    }

    /// Whether a user may watch, or watch once more.
    fn check_spectator(&self, user: &str) -> Result<(), JoinError> {
        let room = || self.shared.name.to_string();
        let max = self.shared.spectating.max;
        if self.spectators.limited() >= max as usize {
            return Err(JoinError::TooManySpectators { room: room(), max });
        }
        let max = self.seats_of_user;
        if max > 0 && !user.starts_with(GUEST) && self.spectators.has(user, max) {
            return Err(JoinError::WatchesTooOften { room: room(), user: user.to_owned(), max });
        }
        Ok(())
    }

    /// Lets somebody watch. The game does not notice.
    pub fn spectate(
        &mut self,
        connection: ConnectionId,
        sight: Sight,
        user: Arc<str>,
        name: Arc<str>,
    ) -> Result<Arc<Seat>, JoinError> {
        if self.over {
            return Err(JoinError::Ended(self.shared.name.to_string()));
        }
        if sight == Sight::Spectator {
            if !self.shared.notice.lets_watch() {
                self.check_stranger()?;
            }
            self.check_spectator(&user)?;
        }
        let seat = Arc::new(Seat::spectator(self.shared.clone(), sight, user, name, &self.limits));
        seat.outbox.lock().attach(connection, 0);
        self.spectators.add(connection, seat.clone());
        self.count();
        Ok(seat)
    }

    /// Gives a player the seat back. The connection that still has it is closed as replaced.
    pub fn resume(
        &mut self,
        connection: ConnectionId,
        player: PlayerId,
        token: ResumeToken,
        received: u64,
    ) -> Result<Arc<Seat>, ResumeError> {
        let taken = self.seats.with_token(player, token).ok_or(ResumeError::UnknownToken)?;
        if taken.removed {
            return Err(ResumeError::Removed);
        }
        let (seat, absent) = (taken.seat.clone(), taken.absent);
        let unsure = {
            let mut outbox = seat.outbox.lock();
            let unsure = outbox.queue().is_unsure();
            if !outbox.attach(connection, received) {
                return Err(ResumeError::Unreachable(received));
            }
            unsure
        };
        self.settled |= unsure;
        match self.seats.attach(player, connection) {
            Some(old) => self.close(old, CloseCode::Replaced, &Close::replaced().reason),
            // The game has never known otherwise.
            None if absent => {}
            None => {
                self.note(Action::Back { player });
                if self.journals() {
                    self.resumed.push((player, received));
                }
                self.game.back(self.tick + 1, player);
                self.take_orders();
            }
        }
        self.count();
        Ok(seat)
    }

    /// A connection is lost; its seat is kept if somebody can come back to it. None: it has no seat (any
    /// more). `welcomed`: the welcome may have arrived, so somebody may have the token.
    pub fn lost(&mut self, connection: ConnectionId, welcomed: bool, why: Away) -> Option<Detached> {
        if self.spectators.remove(connection) {
            self.count();
            return None;
        }
        let seat = self.seats.detach(connection, self.tick)?;
        self.count();
        if welcomed && !seat.outbox.lock().queue().is_overflowed() {
            self.note(Action::Away { player: seat.player, why });
            self.game.away(self.tick + 1, seat.player, why);
            self.take_orders();
            return Some(Detached::Kept(seat));
        }
        self.change_reservations(reservations::Change::GivenBack(seat.player));
        self.end_seat(seat.player).map(Detached::Ended)
    }

    /// Ends the seat of a connection. None: it has no seat (any more).
    pub fn leave(&mut self, connection: ConnectionId) -> Option<Arc<Seat>> {
        if self.spectators.remove(connection) {
            self.count();
            return None;
        }
        self.end_seat(self.seats.player_of(connection)?)
    }

    /// What a player who is away has left of the resume window.
    pub fn left_of_window(&self, player: PlayerId, window: Duration) -> Duration {
        let absence = self.seats.get(player).and_then(|taken| taken.absence);
        absence.map_or(window, |absence| absence.until(self.tick).left(window, self.shared.tick_rate))
    }

    /// Ends the seat of a player who is away. None: there is no such seat, or the player is back.
    pub fn expire(&mut self, player: PlayerId) -> Option<Arc<Seat>> {
        self.seats.get(player).filter(|taken| taken.connection.is_none())?;
        self.end_seat(player)
    }

    /// Removes a player or an NPC. The connection is closed, and then ends the seat; without one the seat
    /// ends now. None: there is no such seat.
    pub fn kick(&mut self, player: PlayerId, code: CloseCode, reason: &str) -> Option<Kicked> {
        if self.npcs.get(player).is_some() {
            return self.end_npc(player).map(Kicked::Npc);
        }
        match self.seats.get(player)?.connection {
            Some(connection) => {
                // Another connection may ask for the seat before this one has ended.
                self.remove(player);
                self.close(connection, code, reason);
                // At once: the operator is told that the player is gone.
                self.write_journal(self.tick, None, None);
                Some(Kicked::Closing)
            }
            None => self.end_seat(player).map(Kicked::Ended),
        }
    }

    /// A job was answered, if only because it was not started. The game gets the answer in the next tick.
    pub fn answered(&mut self, answer: Answer) {
        self.jobs.answered(answer);
    }

    /// The newest state, if there was a tick.
    pub fn newest(&self) -> Option<&Arc<Published>> {
        self.recent.last()
    }

    /// Runs the tick that is due: commands, inputs in order of player, the step; then publishes the state. A
    /// panic of the game in here leaves the seats as they are. None, with nothing changed: the tick is past
    /// [`LAST_TICK`], and the room has to end.
    pub fn tick(&mut self, due: Due) -> Option<Ticked> {
        let tick = u32::try_from(due.tick).ok().filter(|tick| *tick <= LAST_TICK)?;
        if self.over {
            self.tick = tick;
            return Some(self.show_on());
        }
        if self.reservations.expire(tick, self.shared.max_players) {
            self.count();
        }
        self.seat_npcs();
        let since = mem::replace(&mut self.tick, tick);
        if let Some(record) = &mut self.record {
            record.tick = self.tick;
        }
        self.give_answers();
        let mut drained = mem::take(&mut self.drained);
        drained.clear();
        self.shared.inbox.lock().take(&mut drained);
        drained.inputs.append(&mut self.waiting);
        drained.sort();
        let commands = drained.commands.len() as u64;
        if commands > 0 {
            // What arrivals and departures since the last tick made it send is charged to nobody's command.
            self.game.take_events(&mut self.events);
        }
        let mut excess = 0;
        for (player, sequence, payload) in drained.commands.drain(..) {
            excess += u64::from(!self.command(player, sequence, payload));
        }
        for (player, sequence) in drained.refused.drain(..) {
            if self.seats.get(player).is_some() {
                self.refuse(player, sequence, "commands come too fast: wait a moment".to_owned());
            }
        }
        let (inputs, late) = self.give_inputs(&drained.inputs);
        drained.clear(); // gives their buffers back
        self.drained = drained;
        self.game.step(self.tick);
        self.take_orders();
        let checksum = self.wants_checksum().then(|| self.game.checksum());
        self.note_acknowledged();
        // Before anybody is told anything of this tick.
        self.write_journal(since, Some(tick), checksum);
        self.settle_commands();
        let events = self.deliver_events();
        let published = self.publish();
        let (delayed, told) = self.show_later(&published);
        if let Some(record) = self.record.as_mut().filter(|_| self.recorded) {
            record.checksum = checksum; // from here on, the game has not panicked in this tick
        }
        self.shared.tick.store(self.tick, Ordering::Relaxed);
        self.shared.ticks_skipped.fetch_add(due.skipped, Ordering::Relaxed);
        let reports = mem::take(&mut self.reports);
        let events = events + told;
        Some(Ticked { published, delayed, inputs, late, commands, excess, events, reports })
    }

    /// In a recording with each tick, in a journal once a second.
    fn wants_checksum(&self) -> bool {
        self.recorded || self.journals_second()
    }

    /// Whether the journal gets now what it gets once a second.
    fn journals_second(&self) -> bool {
        self.journals() && self.tick.is_multiple_of(self.shared.tick_rate)
    }

    /// Has the journal say what players have acknowledged, so that a room that goes on from it keeps no more
    /// for them than they may lack.
    fn note_acknowledged(&mut self) {
        if !self.journals_second() {
            return;
        }
        for taken in self.seats.iter_mut() {
            let last = taken.seat.outbox.lock().queue().acknowledged();
            if last > std::mem::replace(&mut taken.acknowledged, last) {
                self.acknowledged.push((taken.seat.player, last));
            }
        }
    }

    /// Whether everything that happens goes to a journal.
    fn journals(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.is_full())
    }

    /// Writes what has happened since the last frame to the journal, if there is one.
    fn write_journal(&mut self, since: u32, tick: Option<u32>, checksum: Option<u32>) {
        let Self { journal: Some(journal), record, recorded, journaled, .. } = self else { return };
        let Self { joined, reserved, resumed, removed, passed, done, refused, acknowledged, .. } = self;
        if !journal.is_full() {
            if tick.is_some() {
                journal.write(&Written { since, tick, ..Written::default() });
            }
            return;
        }
        let Some(record) = record else { return };
        let (actions, inputs) = (&record.actions[*journaled..], &record.inputs[..]);
        journal.write(&Written {
            since,
            tick,
            actions,
            inputs,
            joined,
            reserved,
            resumed,
            removed,
            passed,
            done,
            refused,
            acknowledged,
            checksum,
        });
        acknowledged.clear();
        joined.clear();
        reserved.clear();
        resumed.clear();
        removed.clear();
        passed.clear();
        match (tick, *recorded) {
            (None, _) => *journaled = record.actions.len(),
            (Some(_), true) => *journaled = 0, // it is taken before anything else happens
            (Some(_), false) => {
                *journaled = 0;
                record.actions.clear();
                record.inputs.clear();
                record.tick = 0;
            }
        }
    }

    /// Tells players which of their commands are refused, and notes that they are done with.
    fn settle_commands(&mut self) {
        for (player, sequence) in self.done.drain(..) {
            if let Some(taken) = self.seats.get(player) {
                taken.seat.done_commands(sequence);
            }
        }
        if is_nearly_empty(0, self.done.capacity()) {
            self.done = Vec::new(); // after a flood
        }
        for (player, command, reason) in mem::take(&mut self.refused) {
            let refused = wire::CommandRefused { command, reason };
            self.deliver(Recipient::Player(player), &encode_body(&Body::CommandRefused(refused)));
        }
    }

    /// A tick of a room that is over: the same state as before, for those who do not have it yet.
    fn show_on(&mut self) -> Ticked {
        let events = self.deliver_events();
        let published = self.publish();
        let (delayed, told) = self.show_later(&published);
        let events = events + told;
        Ticked { published, delayed, inputs: 0, late: 0, commands: 0, excess: 0, events, reports: 0 }
    }

    /// If spectators are shown what was some time ago: what that is now, and how many events they get.
    fn show_later(&mut self, published: &Arc<Published>) -> (Option<Arc<Published>>, u64) {
        let Self { spectators, effects, .. } = self;
        spectators.published(published, slow(effects))
    }

    /// Seats the NPCs that the game has asked for, between two ticks like other arrivals and departures.
    fn seat_npcs(&mut self) {
        for name in self.npcs.take_asked() {
            if self.npcs.len() >= self.shared.max_players as usize {
                if self.npcs.refuse() {
                    self.effects.push(Effect::TooManyNpcs);
                }
                return;
            }
            let Some(player) = self.seats.next_player() else { return };
            let npc = Npc::new(player, &name);
            self.note(Action::JoinNpc { player, name: npc.name.to_string() });
            self.npcs.seat(npc.clone());
            self.count();
            self.game.join_npc(self.tick + 1, player, &npc.name);
            self.effects.push(Effect::NpcSeated(npc));
            self.take_orders();
        }
    }

    /// Gives the game the answers to its jobs since the last tick.
    fn give_answers(&mut self) {
        for answer in self.jobs.take_answers() {
            self.note(Action::Answer(answer.clone()));
            self.game.answer(self.tick, &answer);
        }
    }

    /// False: the player has already made the room send too much.
    fn command(&mut self, player: PlayerId, sequence: u64, payload: Bytes) -> bool {
        let Some(taken) = self.seats.get(player) else {
            return true; // left since
        };
        let seats = self.seats.len();
        if !self.budget.admits(self.tick, seats, taken.told) {
            self.refuse(player, sequence, "the room already has too much to send: wait a moment".to_owned());
            return false;
        }
        let own = self.record.as_ref().and_then(|_| self.game.own_command(&payload));
        let payload = own.unwrap_or(payload);
        // Before the call: if the game panics, the record shows why. A copy, so that what waits for the disk
        // does not keep a whole buffer alive.
        if let Some(record) = &mut self.record {
            record.actions.push(Action::Command { player, payload: Bytes::copy_from_slice(&payload) });
        }
        let taken = self.game.command(self.tick, player, &payload);
        if let (Some(record), Err(_)) = (&mut self.record, &taken) {
            record.actions.pop();
        }
        match taken {
            Ok(()) => self.done.push((player, sequence)),
            Err(CommandError::Refused(reason)) => self.refuse(player, sequence, reason),
            Err(e @ CommandError::Malformed(_)) => {
                self.done.push((player, sequence));
                self.close_player(player, CloseCode::BadInput, &e.to_string())
            }
        }
        self.charge(player);
        true
    }

    /// Charges a player for what its command made the game send.
    fn charge(&mut self, player: PlayerId) {
        let before = self.events.len();
        self.game.take_events(&mut self.events);
        let told: usize = self.events[before..].iter().map(|(_, payload)| cost(payload)).sum();
        let seats = self.seats.len();
        if let Some(taken) = self.seats.get_mut(player).filter(|_| told > 0) {
            self.budget.charge(self.tick, seats, &mut taken.told, told);
        }
    }

    fn refuse(&mut self, player: PlayerId, command: u64, reason: String) {
        self.done.push((player, command));
        self.refused.push((player, command, reason));
    }

    /// Gives the game the inputs for this tick, and keeps those for later ones. Returns how many it got, and
    /// how many it will never get.
    fn give_inputs(&mut self, inputs: &[(PlayerId, WaitingInput)]) -> (u64, u64) {
        let (mut given, mut dropped) = (0, 0);
        for of_player in inputs.chunk_by(|(one, _), (next, _)| one == next) {
            let Some(taken) = self.seats.get_mut(of_player[0].0) else {
                continue; // left since
            };
            let turn = taken.pace.turn(of_player.len(), &self.rhythm);
            let (now, later) = of_player[turn.dropped..].split_at(turn.given);
            taken.applied = now.iter().fold(taken.applied, |applied, (_, input)| applied.max(input.sequence));
            let mut shown = taken.moment;
            taken.moment = now.iter().fold(shown, |shown, (_, input)| shown.max(input.moment));
            let (applied, moment, mut all_taken) = (taken.applied, taken.moment, true);
            for (player, input) in now {
                shown = shown.max(input.moment); // it does not go back
                all_taken &= self.input(*player, input, input.moment.and(shown));
            }
            if !all_taken && self.journals() {
                self.passed.push((of_player[0].0, applied, moment.map(Moment::parts)));
            }
            self.waiting.extend_from_slice(later);
            given += turn.given;
            dropped += turn.dropped;
        }
        (given as u64, dropped as u64)
    }

    /// False: the game does not take it.
    fn input(&mut self, player: PlayerId, input: &WaitingInput, moment: Option<Moment>) -> bool {
        let (number, payload) = (input.sequence, input.payload());
        let input = match self.game.take_input(Input { player, number, moment, input: payload }) {
            Ok(game::Taken::AsSent) => self.record.is_some().then(|| Bytes::copy_from_slice(payload)),
            Ok(game::Taken::Other(input)) => Some(input),
            Ok(game::Taken::Rejected) => return false,
            Ok(game::Taken::Reported(reason)) => {
                self.report(player, reason);
                return false;
            }
            Err(e) => {
                self.close_player(player, CloseCode::BadInput, &e.to_string());
                return false;
            }
        };
        if let (Some(record), Some(input)) = (&mut self.record, input) {
            record.inputs.push(Input { player, number, moment, input });
        }
        true
    }

    /// The game has reported a player.
    fn report(&mut self, player: PlayerId, reason: String) {
        let Some(taken) = self.seats.get_mut(player).filter(|taken| !taken.removed) else { return };
        let second = self.shared.tick_rate;
        let counted = taken.reports.get_or_insert_default().add(self.tick, second, self.report_limit);
        self.reports += 1;
        if counted.tell {
            let (reports, reason, removed) = (counted.all, reason.clone(), counted.remove);
            self.effects.push(Effect::PlayerReported { player, reports, reason, removed });
        }
        if counted.remove {
            self.close_player(player, CloseCode::TooManyReports, &reason);
        }
    }

    /// Carries out what the game asks for, or turns it into effects.
    fn take_orders(&mut self) {
        let mut orders = Vec::new(); // they are rare
        self.game.take_orders(&mut orders);
        let Self { effects, shared, over, npcs, jobs, .. } = self;
        for order in orders {
            match order {
                Order::Kick { player, reason } => effects.push(Effect::Kick { player, reason }),
                Order::End { reason } => {
                    *over = true;
                    effects.push(Effect::End { reason });
                }
                Order::CloseJoins(closed) => shared.notice.close_joins(closed),
                Order::Info { key, value } => shared.notice.set_info(key, value),
                Order::SeatNpc { name } => {
                    if npcs.ask(name, shared.max_players as usize) {
                        effects.push(Effect::TooManyNpcs);
                    }
                }
                Order::Ask { id, job, payload } => effects.push(Effect::Ask(jobs.ask(id, job, payload))),
                Order::Report(json) => effects.push(Effect::Report(json)),
                Order::Log(text) => effects.push(Effect::Log(text)),
            }
        }
    }

    fn deliver_events(&mut self) -> u64 {
        let mut events = mem::take(&mut self.events);
        self.game.take_events(&mut events);
        let mut delivered = 0;
        for (to, payload) in events.drain(..) {
            let event = wire::Event { tick: self.tick, payload };
            delivered += self.deliver(to, &encode_body(&Body::Event(event)));
        }
        self.events = events;
        delivered
    }

    /// Queues a reliable message for each recipient. A recipient whose queue is full is closed as a slow
    /// consumer; if it is away, its seat has to end, because it cannot be resumed without a gap. After that
    /// it is sent nothing more.
    fn deliver(&mut self, to: Recipient, body: &Bytes) -> u64 {
        let Self { seats, spectators, effects, .. } = self;
        let watched = match to {
            Recipient::All => spectators.tell(body, slow(effects)),
            Recipient::Player(_) => 0,
        };
        let mut push = |taken: &Taken| {
            let Some(pushed) = taken.seat.tell(body.clone()) else { return 0 };
            match (pushed, taken.connection) {
                (Err(full), Some(connection)) => {
                    let reason = full.to_string();
                    effects.push(Effect::Close { connection, code: CloseCode::SlowConsumer, reason });
                }
                (Err(_), None) => effects.push(Effect::Unresumable(taken.seat.player)),
                (Ok(_), _) => {}
            }
            u64::from(pushed.is_ok())
        };
        match to {
            Recipient::All => watched + seats.iter().map(push).sum::<u64>(),
            Recipient::Player(player) => seats.get(player).map_or(0, &mut push),
        }
    }

    fn publish(&mut self) -> Arc<Published> {
        let before = self.recent.last().cloned();
        if let Some(newest) = &before
            && newest.retire() > CROWD
        {
            self.crowded_until = self.tick.saturating_add(CROWDED_S * self.shared.tick_rate);
        }
        let mut published = self.recycle();
        if let Some(fresh) = Arc::get_mut(&mut published) {
            let Self { game, seats, spectators, tick, shared, crowded_until, schema, .. } = self;
            let before = before.as_deref();
            // Once per second, clients verify that they have the same state as the room.
            let with_checksum = tick.is_multiple_of(shared.tick_rate);
            let inputs = seats.places().map(|p| p.map_or((0, 0), |t| (t.seat.player, t.applied)));
            let write = |out: &mut Snapshot| game.snapshot(*tick, out);
            let unknown = fresh.fill(inputs, before, with_checksum, tick < crowded_until, write);
            if let Some((kind, column)) = unknown.filter(|_| !mem::replace(&mut self.had_unknown_text, true))
            {
                let kind = &schema.kinds()[kind];
                let field = kind.groups().iter().flat_map(|group| group.fields()).nth(column);
                let field = field.map_or("", |field| field.name()).to_owned();
                self.effects.push(Effect::UnknownText { kind: kind.name().to_owned(), field });
            }
            let present = |taken: &&Taken| taken.connection.is_some();
            let seats = seats.places().map(|place| place.filter(present).map(|taken| taken.seat.player));
            fresh.look(seats, before, |player, had, seen| game.view(player, had, seen));
            fresh.look_on(spectators.watched(), before, |had, seen| game.spectate(had, seen));
        }
        tight::push(&mut self.recent, published.clone());
        published
    }

    /// A published state that nobody holds any more, or a new one.
    fn recycle(&mut self) -> Arc<Published> {
        let Self { recent, schema, tick, shared, .. } = self;
        let is_free = |state: &Arc<Published>| Arc::strong_count(state) == 1;
        if let Some(free) = recent.iter().position(is_free) {
            let reused = recent.remove(free);
            // After somebody was slow, there are more than needed: drop one per second.
            if tick.is_multiple_of(shared.tick_rate)
                && let Some(spare) = recent.iter().position(is_free)
            {
                recent.remove(spare);
            }
            return reused;
        }
        if recent.len() >= RECYCLED + self.spectators.kept() {
            recent.remove(0);
        }
        Arc::new(Published::new(schema.clone(), recent.last().map(|newest| &**newest)))
    }

    fn end_seat(&mut self, player: PlayerId) -> Option<Arc<Seat>> {
        self.seats.get(player)?;
        self.note(Action::Leave { player });
        // While the seat still exists: if the game panics, the room ends with all its seats.
        self.game.leave(self.tick + 1, player);
        self.take_orders();
        let taken = self.seats.free(player)?;
        self.reservations.ended(player);
        self.count();
        // At once: others are told of it before the next tick.
        self.write_journal(self.tick, None, None);
        Some(taken.seat)
    }

    fn end_npc(&mut self, player: PlayerId) -> Option<PlayerId> {
        self.note(Action::Leave { player });
        self.game.leave(self.tick + 1, player);
        self.take_orders();
        self.npcs.remove(player)?;
        self.count();
        self.write_journal(self.tick, None, None);
        Some(player)
    }

    fn close_player(&mut self, player: PlayerId, code: CloseCode, reason: &str) {
        let Some(taken) = self.seats.get(player) else { return };
        let connection = taken.connection;
        if !code.may_reconnect() {
            self.remove(player);
        }
        if let Some(connection) = connection {
            self.close(connection, code, reason);
        }
    }

    /// Nobody can come back to this seat, which ends with its connection.
    fn remove(&mut self, player: PlayerId) {
        let journals = self.journals();
        let Some(taken) = self.seats.get_mut(player) else { return };
        if !mem::replace(&mut taken.removed, true) && journals {
            self.removed.push(player);
        }
    }

    fn close(&mut self, connection: ConnectionId, code: CloseCode, reason: &str) {
        self.effects.push(Effect::Close { connection, code, reason: reason.to_owned() });
    }

    fn note(&mut self, action: Action) {
        if let Some(record) = &mut self.record {
            record.actions.push(action);
        }
    }

    fn count(&self) {
        self.shared.players.store(self.seats.len() as u32, Ordering::Relaxed);
        self.shared.reserved.store(self.reservations.waiting() as u32, Ordering::Relaxed);
        self.shared.npcs.store(self.npcs.len() as u32, Ordering::Relaxed);
        self.shared.connected.store(self.seats.connected() as u32, Ordering::Relaxed);
        self.shared.spectators.store(self.spectators.len() as u32, Ordering::Relaxed);
    }
}

/// Closes spectators for whom too much waits.
fn slow(effects: &mut Vec<Effect>) -> impl FnMut(ConnectionId, String) {
    |connection, reason| effects.push(Effect::Close { connection, code: CloseCode::SlowConsumer, reason })
}
