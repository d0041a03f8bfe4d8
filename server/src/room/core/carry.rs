//! A room on its way from one process to the next: everything that it needs to continue where it stopped.

use super::RoomCore;
use crate::ground::{
    id::RoomId,
    seat::{ResumeToken, Seat, SeatOutbox},
    shared::RoomShared,
    sight::Spectating,
};
use bytes::Bytes;
use driftless_proto::{
    limits::Limits,
    reliable::{ReliableQueue, SavedQueue},
    schema::Schema,
};
use driftless_sim::{Answer, Away, JobError, JobId, PlayerId};
use parking_lot::Mutex;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// Ticks skipped when a room continues: whatever happened between its last tick and the next belongs to the
/// old process, and whatever arrives now to the new one.
const GAP: u32 = 2;
/// What a game is told about a job that was running when its server stopped.
const STOPPED: &str = "the server stopped before the job was done";

/// A room that has stopped after a tick.
#[derive(Debug, Serialize, Deserialize)]
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
    tick: u32,
    members: u64,
    last_player: PlayerId,
    seats: Vec<CarriedSeat>,
    npcs: Vec<(PlayerId, String)>,
    npcs_asked: Vec<String>,
    answers: Vec<CarriedAnswer>,
    joins_closed: bool,
    info: BTreeMap<String, String>,
    /// Whom it lets watch. (Spectators are not carried: they join again.)
    pub spectating: Spectating,
}

#[derive(Debug, Serialize, Deserialize)]
struct CarriedSeat {
    player: PlayerId,
    user: String,
    name: String,
    token: [u8; 16],
    input_received: u32,
    command_received: u64,
    applied: u32,
    reliable_acked: u64,
    reliable_sent: u64,
    reliable: Vec<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CarriedAnswer {
    id: JobId,
    job: String,
    result: Result<Vec<u8>, JobError>,
}

/// A seat that waits for its player in a process other than the one that gave it.
#[derive(Debug)]
pub struct Kept {
    /// The seat.
    pub seat: Arc<Seat>,
    applied: u32,
}

/// CRC-32C of a schema.
pub fn schema_checksum(schema: &Schema) -> u32 {
    crc32c::crc32c(&schema.to_wire().encode_to_vec())
}

impl Carried {
    /// The tick from which it continues: later than any that a client has seen.
    pub fn tick(&self) -> u32 {
        self.tick.saturating_add(GAP)
    }

    /// Seats taken, by people.
    pub fn players(&self) -> u32 {
        self.seats.len() as u32
    }

    /// The version of the member list that its players may have.
    pub fn members_version(&self) -> u64 {
        self.members
    }

    /// Publishes what the room shows to the server.
    pub fn show(&self, shared: &RoomShared) {
        shared.notice.close_joins(self.joins_closed);
        self.info.iter().for_each(|(key, value)| shared.notice.set_info(key.clone(), value.clone()));
    }

    /// Its seats, attached to the room of this process.
    pub fn seats(&self, shared: &Arc<RoomShared>, limits: &Limits) -> Vec<Kept> {
        let kept = |(index, seat): (usize, &CarriedSeat)| Kept {
            seat: Arc::new(seat.restored(shared.clone(), index, limits)),
            applied: seat.applied,
        };
        self.seats.iter().enumerate().map(kept).collect()
    }
}

impl CarriedSeat {
    fn of(seat: &Seat, applied: u32) -> Self {
        let SavedQueue { acked, sent, kept } = seat.outbox.lock().queue().save();
        Self {
            player: seat.player,
            user: seat.user.to_string(),
            name: seat.name.to_string(),
            token: seat.token.to_bytes(),
            input_received: seat.input_received.load(Relaxed),
            command_received: seat.command_received.load(Relaxed),
            applied,
            reliable_acked: acked,
            reliable_sent: sent,
            reliable: kept.iter().map(|body| body.to_vec()).collect(),
        }
    }

    fn restored(&self, room: Arc<RoomShared>, index: usize, limits: &Limits) -> Seat {
        let token = ResumeToken::from_bytes(self.token);
        let (user, name) = (self.user.as_str().into(), self.name.as_str().into());
        let mut seat = Seat::new(room, self.player, index, user, name, token, limits);
        seat.input_received = self.input_received.into();
        seat.command_received = self.command_received.into();
        let kept = self.reliable.iter().map(|body| Bytes::copy_from_slice(body)).collect();
        let saved = SavedQueue { acked: self.reliable_acked, sent: self.reliable_sent, kept };
        let queue = ReliableQueue::restored(limits.reliable_messages, limits.reliable_bytes, saved);
        seat.outbox = Mutex::new(SeatOutbox::waiting(queue));
        seat
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
    pub fn part(&mut self) {
        let removed = self.seats.iter().filter(|taken| taken.removed).map(|taken| taken.seat.player);
        for player in removed.collect::<Vec<_>>() {
            self.end_seat(player);
        }
        let connected: Vec<_> = self.seats.iter().filter_map(|taken| taken.connection).collect();
        for connection in connected {
            self.lost(connection, true, Away::Closed);
        }
        self.deliver_events();
    }

    /// All of the room, when everybody is away. None: the game has ended the room.
    pub fn carry(&mut self) -> Option<Carried> {
        if self.over {
            return None;
        }
        let shared = &self.shared;
        Some(Carried {
            id: shared.id,
            name: shared.name.to_string(),
            kind: shared.kind.to_owned(),
            schema: schema_checksum(&self.schema),
            state: self.game.save(),
            tick: self.tick,
            members: shared.members.version(),
            last_player: self.seats.last_player(),
            seats: self.seats.iter().map(|taken| CarriedSeat::of(&taken.seat, taken.applied)).collect(),
            npcs: self.npcs.iter().map(|npc| (npc.player, npc.name.to_string())).collect(),
            npcs_asked: self.npcs.take_asked(),
            answers: self.jobs.give_up(STOPPED).into_iter().map(CarriedAnswer::of).collect(),
            joins_closed: shared.notice.joins_closed(),
            info: shared.notice.info(),
            spectating: shared.spectating,
        })
    }

    /// Continues where another process stopped, with `seats`, which are those of `carried`. The game is
    /// already restored.
    pub fn go_on(&mut self, carried: Carried, seats: Vec<Kept>) {
        self.tick = carried.tick();
        self.shared.tick.store(self.tick, Relaxed);
        for Kept { seat, applied } in seats {
            self.seats.keep(seat, applied);
        }
        self.seats.count_from(carried.last_player);
        for (player, name) in carried.npcs {
            self.npcs.seat(super::Npc::new(player, &name));
        }
        for name in carried.npcs_asked {
            self.npcs.ask(name, self.shared.max_players as usize);
        }
        self.jobs.keep(carried.answers.into_iter().map(CarriedAnswer::restored).collect());
        self.count();
    }
}
