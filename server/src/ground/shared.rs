//! What a room shares with connections and with the registry: its inbox and its figures.

use super::{figures::RoomFigures, id::RoomId};
use bytes::Bytes;
use driftless_proto::session::server::PlayerInput;
use driftless_sim::PlayerId;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64},
};

/// Inputs and commands that may wait for a tick, for each seat a room may have. A connection that sends faster has met
/// its rate limit long before; a room that stands still drops what comes on top.
const INBOX_PER_SEAT: usize = 32;

/// The side of a room that is not on its thread.
#[derive(Debug)]
pub struct RoomShared {
    /// Number of the room in this process, never used again.
    pub id: RoomId,
    /// Name, unique among the rooms that are there.
    pub name: Arc<str>,
    /// Kind of game.
    pub kind: &'static str,
    /// Ticks a second.
    pub tick_rate: u32,
    /// Most seats.
    pub max_players: u32,
    /// What players sent since the last tick.
    pub inbox: Mutex<Inbox>,
    /// Newest tick.
    pub tick: AtomicU32,
    /// Seats taken.
    pub players: AtomicU32,
    /// Seats with a connection.
    pub connected: AtomicU32,
    /// Ticks skipped.
    pub ticks_skipped: AtomicU64,
    /// What it costs.
    pub figures: RoomFigures,
    /// A `Tick` message is on its way: the metronome sends no second one.
    pub tick_pending: AtomicBool,
}

impl RoomShared {
    /// The shared side of a room that has not ticked yet.
    pub fn new(id: RoomId, name: Arc<str>, kind: &'static str, tick_rate: u32, max_players: u32) -> Self {
        Self {
            id,
            name,
            kind,
            tick_rate,
            max_players,
            inbox: Mutex::new(Inbox::with_bound(max_players as usize * INBOX_PER_SEAT)),
            tick: AtomicU32::new(0),
            players: AtomicU32::new(0),
            connected: AtomicU32::new(0),
            ticks_skipped: AtomicU64::new(0),
            figures: RoomFigures::default(),
            tick_pending: AtomicBool::new(false),
        }
    }
}

/// What players sent since the last tick. An input is only ever read at the next tick, so it is put here without a
/// message and without waking anybody.
#[derive(Debug, Default)]
pub struct Inbox {
    inputs: Vec<(PlayerId, PlayerInput)>,
    commands: Vec<(PlayerId, u64, Bytes)>,
    bound: usize,
}

impl Inbox {
    fn with_bound(bound: usize) -> Self {
        Self { bound, ..Self::default() }
    }
    /// Adds an input. False: the inbox is full and the input is lost.
    pub fn input(&mut self, player: PlayerId, input: PlayerInput) -> bool {
        let fits = self.inputs.len() < self.bound;
        if fits {
            self.inputs.push((player, input));
        }
        fits
    }
    /// Adds a command. False: the inbox is full and the command is not taken.
    pub fn command(&mut self, player: PlayerId, sequence: u64, payload: Bytes) -> bool {
        let fits = self.commands.len() < self.bound;
        if fits {
            self.commands.push((player, sequence, payload));
        }
        fits
    }
    /// Exchanges the contents for `empty`, whose memory is used for the next tick.
    pub fn take(&mut self, empty: &mut Drained) {
        std::mem::swap(&mut self.inputs, &mut empty.inputs);
        std::mem::swap(&mut self.commands, &mut empty.commands);
    }
}

/// What a tick took out of the inbox.
#[derive(Debug, Default)]
pub struct Drained {
    /// Inputs: in order of player and sequence after `sort`.
    pub inputs: Vec<(PlayerId, PlayerInput)>,
    /// Commands in order of arrival.
    pub commands: Vec<(PlayerId, u64, Bytes)>,
}

impl Drained {
    /// Puts the inputs in the order in which the game gets them.
    pub fn sort(&mut self) {
        self.inputs.sort_unstable_by_key(|(player, input)| (*player, input.sequence));
    }
    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.inputs.clear();
        self.commands.clear();
    }
}
