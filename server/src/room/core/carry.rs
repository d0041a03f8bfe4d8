//! A room on its way from one process to the next: everything that it needs to continue where it stopped, or
//! where it was at a checkpoint.

use super::{Effect, RoomCore, Taken};
use crate::{
    ground::{
        id::RoomId,
        seat::{ResumeToken, Seat, SeatOutbox},
        shared::RoomShared,
        sight::Spectating,
    },
    room::{absence::Before, reservations::Reservations},
};
use bytes::Bytes;
use driftless_proto::{
    limits::Limits,
    reliable::{ReliableQueue, SavedQueue},
    wire,
};
use driftless_sim::{
    Answer, Away, JobError, JobId, PlayerId,
    checksum::schema_checksum,
    replay::{Action, RecordedSeat, RoomState, Start},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// Ticks skipped when a room continues: whatever happened between its last tick and the next belongs to the
/// old process, and whatever arrives now to the new one.
const GAP: u32 = 2;
/// Roll-backs that are kept in mind. Players would have to be away for more than so many in a row.
const MOST_UNDONE: usize = 16;
/// What a game is told about a job that was running when its server stopped.
const STOPPED: &str = "the server stopped before the job was done";

/// A room that has stopped after a tick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Carried {
    /// Its number.
    pub id: RoomId,
    /// Its name.
    pub name: String,
    /// Its kind of game.
    pub kind: String,
    /// CRC-32C of the schema of its snapshots.
    pub schema: u32,
    /// The state of its game, as `Game::save` wrote it.
    pub state: Vec<u8>,
    pub(super) tick: u32,
    pub(super) members: u64,
    last_player: PlayerId,
    pub(super) seats: Vec<CarriedSeat>,
    npcs: Vec<(PlayerId, String)>,
    npcs_asked: Vec<String>,
    answers: Vec<CarriedAnswer>,
    joins_closed: bool,
    info: BTreeMap<String, String>,
    reservations: Reservations,
    /// Whom it lets watch. (Spectators are not carried: they join again.)
    pub spectating: Spectating,
    /// What was undone, oldest first. Who has been told of what, each client knows itself: a server that
    /// fails forgets that it has told.
    pub(super) undone: Vec<Undone>,
}

/// What was undone when a room was restored after a failure: what happened after one tick, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The tick that the room went back to.
    pub after: u32,
    /// The last tick that anybody can have seen.
    pub until: u32,
}

impl From<Undone> for wire::Undone {
    fn from(Undone { after, until }: Undone) -> Self {
        Self { after, until }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CarriedSeat {
    pub(super) player: PlayerId,
    user: String,
    name: String,
    /// When it was taken, milliseconds since 1970. None: nobody has said.
    since_unix_ms: Option<u64>,
    token: ResumeToken,
    /// Whether its player was connected, or had yet to come from another node: for its game, it is there. A
    /// room that ends in order has none of those.
    pub(super) connected: bool,
    /// How long its player has been away, if it is.
    pub(super) absence: Before,
    /// The last input and the last command that the game got.
    applied: u32,
    command_done: u64,
    reliable_acked: u64,
    reliable_sent: u64,
    reliable_lost_after: Option<u64>,
    reliable_unheard: Option<u64>,
    reliable: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct CarriedAnswer {
    id: JobId,
    job: String,
    result: Result<Vec<u8>, JobError>,
}

/// A seat that waits for its player in a process other than the one that gave it.
#[derive(Debug)]
pub struct WaitingSeat {
    /// The seat.
    pub seat: Arc<Seat>,
    absence: Before,
    applied: u32,
    /// Its player was connected when the room stood still, and the game does not know otherwise.
    pub absent: bool,
}

impl Carried {
    /// The tick from which it continues: later than any that a client has seen.
    pub fn tick(&self) -> u32 {
        self.tick.saturating_add(GAP)
    }

    /// A room of a recording, of this kind, as it was. Its players have lost their connections, and nobody
    /// has the tokens of their seats.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn recorded(name: String, kind: String, start: Start, spectating: Spectating) -> io::Result<Self> {
        let Start { tick, schema, state, room } = start;
        let RoomState { seats, last_player, joins_closed, info, npcs_asked, jobs } = room;
        let (npcs, seats): (Vec<_>, Vec<_>) = seats.into_iter().partition(|seat| seat.npc);
        let failed = |job: (JobId, String)| CarriedAnswer {
            id: job.0,
            job: job.1,
            result: Err(JobError::Failed(STOPPED.to_owned())),
        };
        Ok(Self {
            id: RoomId(0),
            name,
            kind,
            schema,
            state,
            tick,
            members: 0,
            last_player,
            seats: seats.into_iter().map(CarriedSeat::recorded).collect::<io::Result<_>>()?,
            npcs: npcs.into_iter().map(|npc| (npc.player, npc.name)).collect(),
            npcs_asked,
            answers: jobs.into_iter().map(failed).collect(),
            joins_closed,
            info,
            reservations: Reservations::default(),
            spectating,
            undone: Vec::new(),
        })
    }

    /// What a recording begins with.
    pub fn to_start(&self) -> Start {
        let seat = |seat: &CarriedSeat| RecordedSeat {
            player: seat.player,
            name: seat.name.clone(),
            user: seat.user.clone(),
            npc: false,
            away: !seat.connected,
        };
        let npc = |(player, name): &(PlayerId, String)| RecordedSeat {
            player: *player,
            name: name.clone(),
            npc: true,
            ..RecordedSeat::default()
        };
        let room = RoomState {
            seats: self.seats.iter().map(seat).chain(self.npcs.iter().map(npc)).collect(),
            last_player: self.last_player,
            joins_closed: self.joins_closed,
            info: self.info.clone(),
            npcs_asked: self.npcs_asked.clone(),
            jobs: self.answers.iter().map(|answer| (answer.id, answer.job.clone())).collect(),
        };
        Start { tick: self.tick, schema: self.schema, state: self.state.clone(), room }
    }

    /// The jobs that its game has yet to hear of.
    #[cfg(test)]
    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.answers.iter().map(|answer| answer.id).collect()
    }

    /// Seats that are kept free.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.reservations.waiting()
    }

    /// Of its jobs, nothing but which they are.
    #[cfg(test)]
    pub(super) fn fail_jobs(&mut self) {
        self.answers.sort_by_key(|answer| answer.id);
        self.answers.iter_mut().for_each(|answer| answer.result = Err(JobError::Failed(STOPPED.to_owned())));
    }

    /// Its players are still connected: they may be sent what is queued for them.
    pub fn still_told(&mut self) {
        for seat in &mut self.seats {
            seat.reliable_sent = seat.reliable_acked.saturating_add(seat.reliable.len() as u64);
        }
    }

    /// The last tick that it has run.
    pub fn last_tick(&self) -> u32 {
        self.tick
    }

    /// Seats taken, by people.
    pub fn players(&self) -> u32 {
        self.seats.len() as u32
    }

    /// The version of the member list that its players may have.
    pub fn members_version(&self) -> u64 {
        self.members
    }

    /// Gives its players a chance to come back to a server that keeps their seats for so long.
    pub fn extend_absences(&mut self, window: Duration, tick_rate: u32) {
        for seat in &mut self.seats {
            seat.absence = seat.absence.for_another_server(window, tick_rate);
        }
    }

    /// What happened after this tick is undone. It goes on above what anybody has seen.
    pub(super) fn goes_back(&mut self, undone: Undone) {
        if self.undone.len() >= MOST_UNDONE
            && let [oldest, next, ..] = &mut self.undone[..]
        {
            // Who has not been back since is told a little too much, rather than nothing.
            next.after = oldest.after;
            self.undone.remove(0);
        }
        self.undone.push(undone);
    }

    /// Publishes what the room shows to the server.
    pub fn show(&self, shared: &RoomShared) {
        shared.notice.close_joins(self.joins_closed);
        self.info.iter().for_each(|(key, value)| shared.notice.set_info(key.clone(), value.clone()));
    }

    /// Its seats, attached to the room of this process.
    pub fn seats(&self, shared: &Arc<RoomShared>, limits: &Limits) -> Vec<WaitingSeat> {
        let waiting = |(index, seat): (usize, &CarriedSeat)| WaitingSeat {
            seat: Arc::new(seat.restored(shared.clone(), index, limits)),
            absence: seat.absence,
            applied: seat.applied,
            absent: seat.connected,
        };
        self.seats.iter().enumerate().map(waiting).collect()
    }
}

impl CarriedSeat {
    fn of(taken: &Taken, tick: u32) -> Self {
        let Taken { seat, applied, connection, absent, absence, .. } = taken;
        let SavedQueue { acked, sent, kept, lost_after, unheard } = seat.outbox.lock().queue().save();
        Self {
            player: seat.player,
            user: seat.user.to_string(),
            name: seat.name.to_string(),
            since_unix_ms: seat.vitals.since_unix_ms(),
            token: seat.token,
            connected: connection.is_some() || *absent,
            absence: absence.map_or_else(Before::default, |absence| absence.until(tick)),
            applied: *applied,
            // What has arrived since the last tick is lost: its player sends it again.
            command_done: seat.command_done(),
            reliable_acked: acked,
            reliable_sent: sent,
            reliable_lost_after: lost_after,
            reliable_unheard: unheard,
            reliable: kept.iter().map(|body| body.to_vec()).collect(),
        }
    }

    fn recorded(seat: RecordedSeat) -> io::Result<Self> {
        let RecordedSeat { player, name, user, away, .. } = seat;
        Ok(Self {
            player,
            user: if user.is_empty() { format!("recorded-{player}") } else { user },
            name,
            since_unix_ms: None,
            token: ResumeToken::random().map_err(|error| io::Error::other(error.to_string()))?,
            connected: !away,
            absence: Before::default(),
            applied: 0,
            command_done: 0,
            reliable_acked: 0,
            reliable_sent: 0,
            reliable_lost_after: None,
            reliable_unheard: None,
            reliable: Vec::new(),
        })
    }

    fn restored(&self, room: Arc<RoomShared>, index: usize, limits: &Limits) -> Seat {
        let (user, name) = (self.user.as_str().into(), self.name.as_str().into());
        let mut seat = Seat::new(room, self.player, index, user, name, self.token, limits);
        self.since_unix_ms.iter().for_each(|since| seat.vitals.taken(*since));
        seat.input_received = self.applied.into();
        seat.command_received = self.command_done.into();
        seat.done_commands(self.command_done);
        let queue = ReliableQueue::restored(limits.reliable_messages, limits.reliable_bytes, self.queue());
        seat.outbox = Mutex::new(SeatOutbox::waiting(queue));
        seat
    }

    fn queue(&self) -> SavedQueue {
        SavedQueue {
            acked: self.reliable_acked,
            sent: self.reliable_sent,
            kept: self.reliable.iter().map(|body| Bytes::copy_from_slice(body)).collect(),
            lost_after: self.reliable_lost_after,
            unheard: self.reliable_unheard,
        }
    }

    /// The number of the last reliable message that its player is known to have.
    #[cfg(test)]
    pub(super) fn acknowledged(&self) -> u64 {
        self.reliable_acked
    }

    /// Its player has the messages up to this one.
    #[cfg(test)]
    pub(super) fn acknowledge(&mut self, last: u64) {
        let more = last.saturating_sub(self.reliable_acked);
        self.reliable.drain(..self.reliable.len().min(more as usize));
        self.reliable_acked += more;
    }

    /// It comes from a process that failed, with or without a loss of what happened last.
    pub(super) fn failed(&mut self, lost: bool) {
        let mut queue = self.queue();
        queue.failed(lost);
        (self.reliable_sent, self.reliable_lost_after) = (queue.sent, queue.lost_after);
        self.reliable_unheard = queue.unheard;
    }

    /// What its player has left of the resume window.
    #[cfg(test)]
    pub(super) fn left(&self, window: Duration, tick_rate: u32) -> Duration {
        self.absence.left(window, tick_rate)
    }
}

impl CarriedAnswer {
    fn of(answer: Answer) -> Self {
        Self { id: answer.id, job: answer.job, result: answer.result.map(|payload| payload.to_vec()) }
    }

    fn restored(self) -> Answer {
        Answer { id: self.id, job: self.job, result: self.result.map(Bytes::from) }
    }
}

impl RoomCore {
    /// After the last tick before [`carry`](Self::carry): those who are still connected are away from now on,
    /// and what the game has told is queued. To be repeated as long as it has effects, such as the end of a
    /// seat for which too much is queued now.
    pub fn part(&mut self, why: Away) {
        // In the order of their numbers: places are others after a checkpoint.
        let removed = self.seats.iter().filter(|taken| taken.removed).map(|taken| taken.seat.player);
        let removed: BTreeSet<_> = removed.collect();
        for player in removed {
            self.end_seat(player);
        }
        let connected = self.seats.iter().filter_map(|taken| Some((taken.seat.player, taken.connection?)));
        let connected: BTreeMap<_, _> = connected.collect();
        for connection in connected.into_values() {
            self.lost(connection, true, why);
        }
        self.deliver_events();
    }

    /// All of the room, when everybody is away. None: the game has ended the room.
    pub fn carry(&mut self) -> Option<Carried> {
        (!self.over).then(|| self.carried())
    }

    /// All of the room after a tick, before anything else happens in it. None: this tick is no moment for it,
    /// because something that it has brought about has yet to be carried out; or the game has ended the room.
    pub fn checkpoint(&self) -> Option<Carried> {
        let decided = |effect: &Effect| {
            matches!(effect, Effect::Kick { .. } | Effect::Unresumable(_) | Effect::End { .. })
        };
        let removes = self.seats.iter().any(|taken| taken.removed);
        (!self.over && !removes && !self.effects.iter().any(decided)).then(|| self.carried())
    }

    fn carried(&self) -> Carried {
        let shared = &self.shared;
        Carried {
            id: shared.id,
            name: shared.name.to_string(),
            kind: shared.kind.to_owned(),
            schema: *self.schema_checksum.get_or_init(|| schema_checksum(&self.schema)),
            state: self.game.save(),
            tick: self.tick,
            members: shared.members.version(),
            last_player: self.seats.last_player(),
            seats: self.seats.iter().map(|taken| CarriedSeat::of(taken, self.tick)).collect(),
            npcs: self.npcs.iter().map(|npc| (npc.player, npc.name.to_string())).collect(),
            npcs_asked: self.npcs.asked().to_vec(),
            answers: self.jobs.given_up(STOPPED).into_iter().map(CarriedAnswer::of).collect(),
            joins_closed: shared.notice.joins_closed(),
            info: shared.notice.info(),
            reservations: self.reservations.clone(),
            spectating: shared.spectating,
            undone: self.undone.clone(),
        }
    }

    /// Continues where another process stopped, with `seats`, which are those of `carried`. The game is
    /// already restored.
    pub fn go_on(&mut self, carried: Carried, seats: Vec<WaitingSeat>) {
        self.tick = carried.tick();
        self.shared.tick.store(self.tick, Relaxed);
        self.take_over(carried, seats);
    }

    /// Counts on from this tick, which is not below the last one that it has run.
    pub fn count_on_from(&mut self, tick: u32) {
        self.tick = tick;
        self.shared.tick.store(tick, Relaxed);
    }

    /// How many players have yet to come from another node.
    pub fn absent(&self) -> usize {
        self.seats.iter().filter(|taken| taken.absent).count()
    }

    /// Those who have not come from another node are away. Returns who they are.
    pub fn settle_absent(&mut self) -> Vec<PlayerId> {
        let absent = self.seats.iter().filter(|taken| taken.absent).map(|taken| taken.seat.player);
        let absent: Vec<_> = absent.collect();
        for player in &absent {
            if let Some(taken) = self.seats.get_mut(*player) {
                taken.absent = false;
            }
            let why = Away::Disconnected;
            self.note(Action::Away { player: *player, why });
            self.game.away(self.tick + 1, *player, why);
            self.take_orders();
        }
        absent
    }

    /// Takes over everything but the tick.
    pub(super) fn take_over(&mut self, carried: Carried, seats: Vec<WaitingSeat>) {
        for WaitingSeat { seat, absence, applied, absent } in seats {
            self.seats.keep(seat, applied, absent, absence.goes_on(self.tick));
        }
        self.seats.count_from(carried.last_player);
        for (player, name) in carried.npcs {
            self.npcs.seat(super::Npc::new(player, &name));
        }
        for name in carried.npcs_asked {
            self.npcs.ask(name, self.shared.max_players as usize);
        }
        self.jobs.keep(carried.answers.into_iter().map(CarriedAnswer::restored).collect());
        self.undone = carried.undone;
        self.reservations = carried.reservations;
        self.count();
    }
}
