//! A room whose players never stand still.

use bytes::Bytes;
use driftless_proto::{limits::Limits, moment::Moment, schema::Schema, session::server::PlayerInput};
use driftless_server::{
    ground::{
        id::{ConnectionId, RoomId},
        published::Published,
        seat::Seat,
        shared::RoomShared,
    },
    room::{
        core::{JoinError, RoomCore},
        journal::Journal,
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{
    Setup,
    games::{self, arena::ArenaInput, cursors::Pointer},
};
use prost::Message;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Sets of inputs; each is used for a second, then the next.
pub(crate) const SETS: u32 = 16;

/// A room without its actor, in which everybody keeps moving and, in the arena, shooting.
pub struct BusyRoom {
    core: RoomCore,
    seats: Vec<Arc<Seat>>,
    /// For each set, each seat's input, encoded.
    inputs: Vec<Vec<Bytes>>,
}

/// There is no such kind of game, or no inputs are known for it.
#[derive(Debug, thiserror::Error)]
#[error("no inputs are known for games of kind `{0}`: use `arena` or `cursors`")]
pub struct UnknownGame(pub String);

impl BusyRoom {
    /// An empty room.
    ///
    /// # Errors
    /// The kind is not one of those that `input` knows.
    pub fn new(id: u64, kind: &str, tick_rate: u32, max_players: u32) -> Result<Self, UnknownGame> {
        let unknown = || UnknownGame(kind.to_owned());
        let game = games::kinds().into_iter().find(|k| k.name() == kind).ok_or_else(unknown)?;
        let of_set = |set| (1..=max_players).map(|player| input(kind, set, player, true)).collect();
        let inputs = (0..SETS).map(of_set).collect::<Option<_>>().ok_or_else(unknown)?;
        let name = format!("room-{id}").into();
        let shared = Arc::new(RoomShared::new(RoomId(id), name, game.name(), tick_rate, max_players));
        let schedule = Schedule::new(Instant::now(), tick_rate);
        let setup = Setup { max_players, ..Setup::new(id, tick_rate) };
        let core = RoomCore::new(
            shared,
            game.start(&setup).map_err(|_| unknown())?,
            game.schema(),
            schedule,
            Limits::default(),
            false, // recorded
        );
        Ok(Self { core, seats: Vec::new(), inputs })
    }

    /// Gives a connection a seat.
    ///
    /// # Errors
    /// As [`RoomCore::join`].
    pub fn join(&mut self, connection: ConnectionId) -> Result<Arc<Seat>, JoinError> {
        let seat = self.core.join(connection, format!("user-{connection}").into(), "".into())?;
        self.seats.push(seat.clone());
        Ok(seat)
    }

    /// The seats, in order of joining.
    pub fn seats(&self) -> &[Arc<Seat>] {
        &self.seats
    }

    /// Schema of the states.
    pub fn schema(&self) -> &Schema {
        self.core.schema()
    }

    /// The room's time at its newest tick.
    pub fn now(&self) -> Instant {
        self.core.schedule().deadline(self.core.tick_number().into())
    }

    /// Time between two ticks.
    pub fn interval(&self) -> Duration {
        self.core.schedule().interval()
    }

    /// The input for the next tick of the player in seat `index`, encoded.
    pub fn input_of(&self, index: usize) -> Bytes {
        let second = self.core.tick_number() / self.core.shared().tick_rate;
        self.inputs[(second % SETS) as usize][index].clone()
    }

    /// Puts one input of each player into the room's inbox, as connections do.
    pub fn send_inputs(&self) {
        let tick = self.core.tick_number();
        for (index, seat) in self.seats.iter().enumerate() {
            let moment = Some(Moment::at(tick));
            let input = PlayerInput { sequence: tick + 1, moment, payload: self.input_of(index) };
            seat.take_input(input);
        }
    }

    /// Takes all reliable messages off their queues, as clients that keep up do.
    pub fn acknowledge(&self) {
        for seat in &self.seats {
            let mut outbox = seat.outbox.lock();
            let queue = outbox.queue();
            while let Some((sequence, _)) = queue.pop_unsent() {
                queue.acked(sequence);
            }
        }
    }

    /// Its logic.
    pub fn core(&self) -> &RoomCore {
        &self.core
    }

    /// Writes this journal from now on.
    pub fn keep_journal(&mut self, journal: Box<dyn Journal>) {
        self.core.keep_journal(journal);
    }

    /// Runs the next tick.
    #[allow(clippy::expect_used)] // no benchmark runs that long
    pub fn tick(&mut self) -> Arc<Published> {
        let due = Due { tick: u64::from(self.core.tick_number()) + 1, late: Duration::ZERO, skipped: 0 };
        self.core.tick(due).expect("the room has ticks left").published
    }

    /// Runs this many ticks with inputs, without clients.
    pub fn play(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.send_inputs();
            self.tick();
            self.acknowledge();
        }
    }

    /// Number of connections that the room wanted closed since the last call: in a benchmark there should be
    /// none.
    pub fn closed(&mut self) -> usize {
        self.core.take_effects().len()
    }
}

/// A player's input in set `set`: a direction of their own and, in the arena, perhaps shots. None: the kind
/// is not known.
pub(crate) fn input(kind: &str, set: u32, player: u32, fires: bool) -> Option<Bytes> {
    let turn = |by: u32| ((set * 31 + player * by) * 97 % 255) as i32 - 127;
    let encoded = match kind {
        "arena" => ArenaInput {
            move_x: turn(3),
            move_y: turn(5),
            aim_x: turn(7),
            aim_y: turn(11),
            buttons: fires.into(),
            ..Default::default()
        }
        .encode_to_vec(),
        "cursors" => Pointer { x: turn(3), y: turn(5) }.encode_to_vec(),
        _ => return None,
    };
    Some(encoded.into())
}
