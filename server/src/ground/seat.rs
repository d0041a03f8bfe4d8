//! A player's seat in a room. Outlives its connections, for the resume window.

use super::{
    id::{ConnectionId, RoomId},
    places::Place,
    shared::RoomShared,
    sight::Sight,
    vitals::Vitals,
};
use bytes::Bytes;
use driftless_proto::{
    limits::Limits,
    reliable::{QueueFull, ReliableQueue},
    session::server::PlayerInput,
};
use driftless_sim::PlayerId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// A player's seat in a room: what the room and the player's connection share. A spectator's connection has
/// one, too, which is none of the room's seats: see [`spectator`](Self::spectator). The field order puts what
/// every tick needs into one cache line.
#[derive(Debug)]
#[repr(C)]
pub struct Seat {
    /// The room.
    pub room: Arc<RoomShared>,
    /// Index in the lists that are ordered by seat. Reused when the seat has ended. A spectator has none.
    pub index: usize,
    /// The player. 0: a spectator.
    pub player: PlayerId,
    /// What the connection is shown.
    pub sight: Sight,
    /// Sequence of the last input that a connection of this seat handed to the room.
    pub input_received: AtomicU32,
    /// Number of reliable messages that the room has queued.
    told: AtomicU64,
    /// User id, as in presence.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// Names the seat in a resume.
    pub token: ResumeToken,
    /// What must reach the player exactly once and in order.
    pub outbox: Mutex<SeatOutbox>,
    /// When the player was last heard from, and the round-trip time.
    pub vitals: Arc<Vitals>,
    /// The player slot. Given back when the seat is dropped.
    pub place: Mutex<Option<Arc<Place>>>,
    /// Sequence of the last command that a connection of this seat handed to the room.
    pub command_received: AtomicU64,
    /// See `command_done()`.
    command_done: AtomicU64,
}

impl Seat {
    /// A new seat. `token` comes from `ResumeToken::random`.
    pub fn new(
        room: Arc<RoomShared>,
        player: PlayerId,
        index: usize,
        user: Arc<str>,
        name: Arc<str>,
        token: ResumeToken,
        limits: &Limits,
    ) -> Self {
        Self {
            room,
            index,
            player,
            sight: Sight::Player,
            input_received: AtomicU32::new(0),
            told: AtomicU64::new(0),
            user,
            name,
            token,
            outbox: Mutex::new(SeatOutbox {
                connection: None,
                queue: ReliableQueue::new(limits.reliable_messages, limits.reliable_bytes),
            }),
            vitals: Arc::default(),
            place: Mutex::default(),
            command_received: AtomicU64::new(0),
            command_done: AtomicU64::new(0),
        }
    }
}

impl Seat {
    /// A place from which to watch. It has no token that anybody knows, and its connection hands the room
    /// nothing.
    pub fn spectator(
        room: Arc<RoomShared>,
        sight: Sight,
        user: Arc<str>,
        name: Arc<str>,
        limits: &Limits,
    ) -> Self {
        let nobodys = ResumeToken([0; 16]); // never listed
        Self { sight, ..Self::new(room, 0, usize::MAX, user, name, nobodys, limits) }
    }

    /// Under which number states of its room are published that are for it.
    pub fn channel(&self) -> RoomId {
        if self.delay_ticks() > 0 { self.room.id.delayed() } else { self.room.id }
    }

    /// How long ago what it is shown was.
    pub fn delay_ticks(&self) -> u32 {
        match self.sight {
            Sight::Spectator => self.room.spectating.delay_ticks(self.room.tick_rate),
            Sight::Player | Sight::Everything => 0,
        }
    }

    /// Hands an input to the room. False: too many wait for the next tick, and the player's oldest one is
    /// lost.
    pub fn take_input(&self, input: PlayerInput) -> bool {
        let mut inbox = self.room.inbox.lock();
        // Protected by the inbox's lock, so it need not be one atomic operation.
        if input.sequence > self.input_received.load(Ordering::Relaxed) {
            self.input_received.store(input.sequence, Ordering::Relaxed);
        }
        inbox.input(self.index, self.player, input)
    }

    /// Queues a reliable message, for the room. None: the queue had overflowed before, and there is nothing
    /// more to send.
    pub fn tell(&self, body: Bytes) -> Option<Result<u64, QueueFull>> {
        let pushed = {
            let mut outbox = self.outbox.lock();
            if outbox.queue().is_overflowed() {
                return None;
            }
            outbox.queue().push(body)
        };
        self.told.fetch_add(1, Ordering::Release);
        Some(pushed)
    }

    /// Grows when the room has queued a message: until it does, a connection that found the queue empty need
    /// not look again. Takes no lock.
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Hands a command to the room, once. None: the command came too fast, and the room only refuses it.
    pub fn take_command(&self, sequence: u64, payload: Option<Bytes>) -> CommandTaken {
        let mut inbox = self.room.inbox.lock();
        // Protected by the inbox's lock, so that a replaced connection cannot repeat what its successor has
        // sent.
        if sequence <= self.command_received.load(Ordering::Relaxed) {
            return CommandTaken::Before;
        }
        // A refused command must not come again either.
        self.command_received.store(sequence, Ordering::Relaxed);
        if payload.is_some_and(|payload| inbox.command(self.index, self.player, sequence, payload)) {
            CommandTaken::Now
        } else if inbox.refuse(self.index, self.player, sequence) {
            CommandTaken::Refused
        } else {
            CommandTaken::TooOften
        }
    }

    /// Sequence of the last command that the room has carried out or refused, and will not undo: its player
    /// may be told that the server has it.
    pub fn command_done(&self) -> u64 {
        self.command_done.load(Ordering::Relaxed)
    }

    /// The room has carried out the commands up to this one, or refused them.
    pub(crate) fn done_commands(&self, sequence: u64) {
        self.command_done.fetch_max(sequence, Ordering::Relaxed);
    }
}

/// What became of a command that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandTaken {
    /// It waits for the next tick.
    Now,
    /// It had arrived before.
    Before,
    /// It came too fast, or too many wait: the room will say so.
    Refused,
    /// That has happened more often since the last tick than the room keeps in mind: its player is cut off.
    TooOften,
}

/// The reliable messages of a seat, and which connection may take them.
#[derive(Debug)]
pub struct SeatOutbox {
    connection: Option<ConnectionId>,
    queue: ReliableQueue,
}

impl SeatOutbox {
    /// With these messages, and nobody who may take them.
    pub(crate) fn waiting(queue: ReliableQueue) -> Self {
        Self { connection: None, queue }
    }
    /// The queue, for the connection that owns the seat. A connection that was replaced gets nothing, because
    /// what it took would be lost to the new one.
    pub fn of(&mut self, connection: ConnectionId) -> Option<&mut ReliableQueue> {
        (self.connection == Some(connection)).then_some(&mut self.queue)
    }
    /// The queue, for the room.
    pub fn queue(&mut self) -> &mut ReliableQueue {
        &mut self.queue
    }
    /// Gives the seat to a connection whose peer has all messages up to `received`. False: that is impossible
    /// (nothing changes).
    pub fn attach(&mut self, connection: ConnectionId, received: u64) -> bool {
        let possible = !self.queue.is_overflowed() && self.queue.resume(received);
        if possible {
            self.connection = Some(connection);
        }
        possible
    }
    /// The connection is lost.
    pub fn detach(&mut self, connection: ConnectionId) {
        if self.connection == Some(connection) {
            self.connection = None;
        }
    }
}

/// The secret that identifies a seat: 16 bytes from the system's random source.
///
/// It is serialised for files that are nobody else's to read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResumeToken([u8; 16]);

impl ResumeToken {
    /// A new token.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
    /// A token as it came from a peer. None: it is not 16 bytes.
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
    /// The bytes that travel in the welcome.
    pub fn to_wire(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0)
    }
}

/// A secret is never shown.
impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken(..)")
    }
}
