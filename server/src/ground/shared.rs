//! What a room shares with connections and with the registry: its inbox and its figures.

use super::{
    figures::RoomFigures, id::RoomId, members::Members, notice::Notice, ownership::Ownership,
    sight::Spectating, tight,
};
use bytes::Bytes;
use driftless_proto::{moment::Moment, session::server::PlayerInput};
use driftless_sim::PlayerId;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// Inputs of one seat that may wait for a tick. When there are more, the oldest are dropped, because the
/// ticks they were meant for are past.
const INPUTS_PER_SEAT: u32 = 64;
/// Commands of one seat that may wait for a tick: as many as a client sends before it waits for an answer.
const COMMANDS_PER_SEAT: u32 = 64;
/// Commands of one seat that are refused between two ticks, at most: as many reliable messages may wait for a
/// client with the default limits.
const REFUSALS_PER_SEAT: u32 = 1024;

/// Ticks after a burst of inputs until its memory is given back.
const GIVE_BACK: u32 = 256;
/// Longest payload of an input that is stored inline: it fits where a handle would be.
const SHORT: usize = 23;

/// The part of a room that other threads may use.
#[derive(Debug)]
pub struct RoomShared {
    /// Number of the room, never reused: also not by the next process.
    pub id: RoomId,
    /// Name, unique among existing rooms.
    pub name: Arc<str>,
    /// Kind of game.
    pub kind: &'static str,
    /// Ticks a second.
    pub tick_rate: u32,
    /// Most seats.
    pub max_players: u32,
    /// Whom it lets watch.
    pub spectating: Spectating,
    /// What players have sent since the last tick.
    pub inbox: Mutex<Inbox>,
    /// Newest tick.
    pub tick: AtomicU32,
    /// Seats taken, by people.
    pub players: AtomicU32,
    /// Seats that are kept for players who have yet to come.
    pub reserved: AtomicU32,
    /// Seats of NPCs.
    pub npcs: AtomicU32,
    /// Seats with a connection.
    pub connected: AtomicU32,
    /// Spectators, including admins.
    pub spectators: AtomicU32,
    /// Ticks skipped.
    pub ticks_skipped: AtomicU64,
    /// Who is here, as players are told.
    pub members: Arc<Members>,
    /// What the game publishes about the room.
    pub notice: Notice,
    /// What the room costs.
    pub figures: RoomFigures,
    /// How long this process owns it. None: there is no other that could.
    pub owned: Option<Arc<Ownership>>,
}

impl RoomShared {
    /// The shared side of a room that has not ticked yet, and that nobody may watch.
    pub fn new(id: RoomId, name: Arc<str>, kind: &'static str, tick_rate: u32, max_players: u32) -> Self {
        Self {
            id,
            name,
            kind,
            tick_rate,
            max_players,
            spectating: Spectating::default(),
            inbox: Mutex::default(),
            tick: AtomicU32::new(0),
            players: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            npcs: AtomicU32::new(0),
            connected: AtomicU32::new(0),
            spectators: AtomicU32::new(0),
            ticks_skipped: AtomicU64::new(0),
            members: Arc::default(),
            notice: Notice::default(),
            figures: RoomFigures::default(),
            owned: None,
        }
    }

    /// Whether another process may own it by now.
    pub fn is_lost(&self, now: Instant) -> bool {
        self.owned.as_ref().is_some_and(|owned| owned.is_over(now))
    }

    /// Seats that anybody may take.
    pub fn free(&self) -> u32 {
        let taken = self.players.load(Relaxed).saturating_add(self.reserved.load(Relaxed));
        self.max_players.saturating_sub(taken)
    }

    /// Connections that it publishes to.
    pub fn watched_by(&self) -> u32 {
        self.connected.load(Relaxed).saturating_add(self.spectators.load(Relaxed))
    }
}

/// What players have sent since the last tick. An input is only read at the next tick, so it is put here
/// without a message and without waking anybody. What one seat may have here is bounded, so a player who
/// sends too much loses only their own inputs.
#[derive(Debug, Default)]
pub struct Inbox {
    inputs: Vec<(PlayerId, WaitingInput)>,
    /// For each input, the index of the next one of the same seat.
    next: Vec<u32>,
    commands: Vec<(PlayerId, u64, Bytes)>,
    /// Commands that came too fast: their players have to be told.
    refused: Vec<(PlayerId, u64)>,
    /// By seat index.
    seats: Vec<Waiting>,
    /// Counts the ticks, so that the seats' entries need not be cleared at each.
    turn: u32,
    /// Most inputs or commands of a recent tick.
    most: usize,
}

/// An input that waits for a tick.
#[derive(Debug, Clone)]
pub struct WaitingInput {
    /// Number of the input.
    pub sequence: u32,
    /// What the player says it was shown. None: unknown.
    pub moment: Option<Moment>,
    payload: Payload,
}

/// A short payload is copied, so that the buffer it came in is given back at once, by the thread that
/// received it.
#[derive(Debug, Clone)]
enum Payload {
    Short(u8, [u8; SHORT]),
    Long(Bytes),
}

impl WaitingInput {
    /// The game's input message.
    pub fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Short(len, bytes) => &bytes[..usize::from(*len)],
            Payload::Long(bytes) => bytes,
        }
    }
}

impl From<PlayerInput> for WaitingInput {
    fn from(PlayerInput { sequence, moment, payload }: PlayerInput) -> Self {
        let mut short = [0; SHORT];
        let payload = match short.get_mut(..payload.len()) {
            Some(bytes) => {
                bytes.copy_from_slice(&payload);
                Payload::Short(payload.len() as u8, short)
            }
            None => Payload::Long(payload),
        };
        Self { sequence, moment, payload }
    }
}

/// What one seat has in the inbox.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    turn: u32,
    inputs: u32,
    commands: u32,
    refused: u32,
    /// Indices of its oldest and newest input.
    oldest: u32,
    newest: u32,
}

impl Inbox {
    /// How many inputs and commands wait.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.inputs.len(), self.commands.len() + self.refused.len())
    }

    /// Adds an input. False: the seat's oldest one was dropped for it.
    pub fn input(&mut self, index: usize, player: PlayerId, input: PlayerInput) -> bool {
        let mut waiting = self.waiting(index);
        let fits = waiting.inputs < INPUTS_PER_SEAT;
        let place = if fits {
            let place = self.inputs.len() as u32; // at most INPUTS_PER_SEAT per seat
            tight::push(&mut self.inputs, (player, input.into()));
            tight::push(&mut self.next, place);
            waiting.inputs += 1;
            if waiting.inputs == 1 {
                waiting.oldest = place;
            }
            place
        } else {
            let place = waiting.oldest;
            waiting.oldest = self.next[place as usize];
            self.inputs[place as usize] = (player, input.into());
            place
        };
        if waiting.inputs > 1 {
            self.next[waiting.newest as usize] = place;
        }
        waiting.newest = place;
        self.seats[index] = waiting;
        fits
    }
    /// Adds a command. False: the seat has as many as it may, and the command is not taken.
    pub fn command(&mut self, index: usize, player: PlayerId, sequence: u64, payload: Bytes) -> bool {
        let mut waiting = self.waiting(index);
        let fits = waiting.commands < COMMANDS_PER_SEAT;
        if fits {
            self.commands.push((player, sequence, payload));
            waiting.commands += 1;
        }
        self.seats[index] = waiting;
        fits
    }
    /// Notes a command that is not taken because it came too fast. False: that has happened far too often
    /// since the last tick.
    pub fn refuse(&mut self, index: usize, player: PlayerId, sequence: u64) -> bool {
        let mut waiting = self.waiting(index);
        let fits = waiting.refused < REFUSALS_PER_SEAT;
        if fits {
            self.refused.push((player, sequence));
            waiting.refused += 1;
        }
        self.seats[index] = waiting;
        fits
    }
    /// Swaps the contents with `empty`, whose memory is used for the next tick.
    pub fn take(&mut self, empty: &mut Drained) {
        self.most = self.most.max(self.inputs.len()).max(self.commands.len());
        std::mem::swap(&mut self.inputs, &mut empty.inputs);
        std::mem::swap(&mut self.commands, &mut empty.commands);
        std::mem::swap(&mut self.refused, &mut empty.refused);
        self.next.clear();
        self.turn = self.turn.wrapping_add(1);
        // Twice, because there are two of each list, which alternate.
        if self.turn % GIVE_BACK < 2 {
            self.inputs.shrink_to(self.most * 2);
            self.next.shrink_to(self.most * 2);
            self.commands.shrink_to(self.most * 2);
            self.refused.shrink_to(self.most * 2);
        }
        if self.turn % GIVE_BACK == 1 {
            self.most = 0;
        }
    }

    /// What a seat has here since the last tick.
    fn waiting(&mut self, index: usize) -> Waiting {
        if index >= self.seats.len() {
            if index >= self.seats.capacity() {
                self.seats.reserve_exact(index + 1 + index / 2 - self.seats.len());
            }
            self.seats.resize(index + 1, Waiting::default());
        }
        let waiting = self.seats[index];
        if waiting.turn == self.turn { waiting } else { Waiting { turn: self.turn, ..Waiting::default() } }
    }
}

/// What a tick has taken out of the inbox.
#[derive(Debug, Default)]
pub struct Drained {
    /// Inputs: in order of player and sequence after `sort`.
    pub inputs: Vec<(PlayerId, WaitingInput)>,
    /// Commands in order of arrival.
    pub commands: Vec<(PlayerId, u64, Bytes)>,
    /// Commands that came too fast, in order of arrival.
    pub refused: Vec<(PlayerId, u64)>,
}

impl Drained {
    /// Puts the inputs into the order in which the game gets them.
    pub fn sort(&mut self) {
        self.inputs.sort_unstable_by_key(|(player, input)| (*player, input.sequence));
    }
    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.inputs.clear();
        self.commands.clear();
        self.refused.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(sequence: u32) -> PlayerInput {
        PlayerInput { sequence, moment: None, payload: Bytes::new() }
    }

    fn drained(inbox: &mut Inbox) -> Drained {
        let mut drained = Drained::default();
        inbox.take(&mut drained);
        drained.sort();
        drained
    }

    fn sequences(drained: &Drained, player: PlayerId) -> Vec<u32> {
        drained.inputs.iter().filter(|(of, _)| *of == player).map(|(_, input)| input.sequence).collect()
    }

    #[test]
    fn a_payload_of_any_length_waits_as_it_came() {
        assert_eq!(size_of::<Payload>(), size_of::<Bytes>());
        let mut inbox = Inbox::default();
        let payload = |length: u32| vec![length as u8; length as usize];
        for sequence in 0..50 {
            inbox.input(0, 7, PlayerInput { sequence, moment: None, payload: payload(sequence).into() });
        }
        for (_, input) in drained(&mut inbox).inputs {
            assert_eq!(input.payload(), payload(input.sequence));
        }
    }

    #[test]
    fn a_seat_that_sends_too_much_loses_its_own_oldest_inputs() {
        let mut inbox = Inbox::default();
        for sequence in 1..=1000 {
            assert_eq!(inbox.input(0, 7, input(sequence)), sequence <= INPUTS_PER_SEAT);
            if sequence.is_multiple_of(100) {
                assert!(inbox.input(1, 8, input(sequence)));
            }
        }
        let taken = drained(&mut inbox);
        assert_eq!(sequences(&taken, 7), (1000 - INPUTS_PER_SEAT + 1..=1000).collect::<Vec<_>>());
        assert_eq!(sequences(&taken, 8), (1..=10).map(|n| n * 100).collect::<Vec<_>>());
        assert_eq!(taken.inputs.len() as u32, INPUTS_PER_SEAT + 10);

        assert!(inbox.input(0, 7, input(1001)), "each tick begins anew");
        assert_eq!(sequences(&drained(&mut inbox), 7), [1001]);
    }

    #[test]
    fn a_seat_that_asks_too_much_keeps_nobody_from_asking() {
        let mut inbox = Inbox::default();
        let taken = (1..=200).filter(|n| inbox.command(1, 7, *n, Bytes::new())).count();
        assert_eq!(taken as u32, COMMANDS_PER_SEAT);
        assert!(inbox.command(0, 8, 1, Bytes::new()));
        assert_eq!(drained(&mut inbox).commands.len() as u32, COMMANDS_PER_SEAT + 1);
        assert!(inbox.command(1, 7, 201, Bytes::new()));
    }

    #[test]
    fn what_a_burst_of_inputs_took_is_given_back() {
        let (mut inbox, mut drained) = (Inbox::default(), Drained::default());
        let mut capacities = Vec::new();
        for turn in 1..=4 * GIVE_BACK {
            for sequence in 0..if turn < 4 { 60 } else { 2 } {
                inbox.input(0, 7, input(sequence));
            }
            drained.clear();
            inbox.take(&mut drained);
            capacities.push(drained.inputs.capacity());
        }
        assert!(
            capacities[2] >= 60 && capacities[2 * GIVE_BACK as usize + 2..].iter().all(|room| *room <= 4)
        );
    }
}
