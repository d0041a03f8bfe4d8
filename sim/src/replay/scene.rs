//! The room of a recording at one of its ticks: a match goes on from there, and a bug report becomes a test.

use super::{
    Recording, RecordingHeader, Redone, Replay, ReplayError, RoomState, Start, TickRecord, kind_of, prepare,
};
use crate::{
    Simulation,
    checksum::schema_checksum,
    game::{Game, GameKind, RestoreError, panic_message},
};
use std::{
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A room at a tick of its recording.
pub struct Scene {
    /// What was recorded.
    pub header: RecordingHeader,
    /// The tick.
    pub tick: u32,
    /// The room apart from its game.
    pub room: RoomState,
    /// Its game.
    pub game: Box<dyn Game>,
    kind: GameKind,
}

/// Why a recording shows no room at a tick.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// The recording cannot be replayed.
    #[error("{0}")]
    Replay(#[from] ReplayError),
    /// It ends earlier.
    #[error("there is no tick {tick}: the recording ends with tick {last}")]
    Beyond {
        /// The tick.
        tick: u32,
        /// The last one.
        last: u32,
    },
    /// It begins later.
    #[error("there is no tick {tick}: the recording begins after tick {first}")]
    Before {
        /// The tick.
        tick: u32,
        /// The one that it begins after.
        first: u32,
    },
    /// The game does something else than it did then.
    #[error("the game has changed: in tick {tick} it does something else than when it was recorded")]
    Diverged {
        /// The tick.
        tick: u32,
    },
    /// The game panics.
    #[error("the game panics in tick {tick}: {message}")]
    Panicked {
        /// The tick.
        tick: u32,
        /// What it says.
        message: String,
    },
}

/// The room of a recording after the step of a tick (or, if it skipped that one, of the last one before).
/// None: after the last step.
///
/// ```
/// # use driftless_sim::{GameKind, Setup, games::cursors::Cursors, replay::*};
/// # let kind = GameKind::of::<Cursors>();
/// # let header = RecordingHeader { kind: "cursors".into(), room: "lobby".into(), setup: Setup::new(7, 20) };
/// # let mut recorder = Recorder::new(Vec::new(), &header)?;
/// # let mut room = kind.start(&header.setup)?;
/// # room.join(1, 1, "Ada");
/// # room.step(1);
/// # let actions = vec![Action::Join { player: 1, name: "Ada".into() }];
/// # recorder.record(&TickRecord { tick: 1, actions, inputs: vec![], checksum: Some(room.checksum()) })?;
/// # let file = recorder.into_inner();
/// // In a test, `file` is what somebody has sent with a bug report: `include_bytes!("…")`.
/// let scene = scene(&file[..], &[GameKind::of::<Cursors>()], Some(1))?;
/// assert_eq!(scene.room.seats[0].name, "Ada");
/// let cursors: Cursors = scene.simulation()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn scene(recording: impl Read, kinds: &[GameKind], tick: Option<u32>) -> Result<Scene, SceneError> {
    let mut recording = Recording::open(recording)?;
    let header = recording.header().clone();
    let kind = kind_of(&header, kinds)?;
    let mut replay = Replay::new(kind, &header, recording.start())?;
    if let Some(tick) = tick.filter(|tick| *tick < replay.last) {
        return Err(SceneError::Before { tick, first: replay.last });
    }
    let (mut goes_on, mut parts) = (false, Vec::new());
    while let Some(record) = recording.next_record()? {
        let (at, finished) = (record.tick, record.checksum.is_some());
        if tick.is_some_and(|tick| at > tick) {
            goes_on = true;
            break;
        }
        parts.push(record);
        // Of a tick that did not complete, nothing is done.
        if !finished {
            continue;
        }
        for record in parts.drain(..) {
            match replay.redo(&record)? {
                Redone::Panicked(message) => return Err(SceneError::Panicked { tick: at, message }),
                Redone::Checksum(replayed) if replayed != record.checksum => {
                    return Err(SceneError::Diverged { tick: at });
                }
                Redone::Checksum(_) => {}
            }
        }
        replay.last = at;
    }
    let last = replay.last;
    if let Some(tick) = tick.filter(|tick| !goes_on && *tick > last) {
        return Err(SceneError::Beyond { tick, last });
    }
    Scene::of(header, replay)
}

impl Scene {
    fn of(header: RecordingHeader, replay: Replay<'_>) -> Result<Self, SceneError> {
        let Replay { kind, game, room, last: tick, .. } = replay;
        let game = game.map_err(|message| SceneError::Panicked { tick, message })?;
        Ok(Self { header, tick, room, game, kind: kind.clone() })
    }

    /// A room that was left as it was at a tick.
    ///
    /// # Errors
    /// It is of another game.
    pub fn begin(header: RecordingHeader, start: &Start, kinds: &[GameKind]) -> Result<Self, SceneError> {
        let kind = kind_of(&header, kinds)?;
        let replay = Replay::new(kind, &header, Some(start))?;
        Self::of(header, replay)
    }

    /// Does what a record says, and the step of its tick. Returns the checksum; that of the record says
    /// nothing.
    ///
    /// # Errors
    /// The game panics, or cannot read the record.
    pub fn step(&mut self, record: &TickRecord) -> Result<u32, SceneError> {
        let tick = record.tick;
        let (between, mut orders, mut user) = (self.tick.saturating_add(1), Vec::new(), String::new());
        let (max_npcs, mut begun) = (self.header.setup.max_players as usize, false);
        let Self { game, room, .. } = self;
        let game = &mut **game;
        let step = AssertUnwindSafe(|| {
            prepare(game, room, &mut user, &mut begun, max_npcs, between, record)?;
            if !begun {
                room.begin_tick();
            }
            game.step(tick);
            game.take_events(&mut Vec::new());
            game.take_orders(&mut orders);
            Ok(game.checksum())
        });
        let stepped: Result<u32, ReplayError> = catch_unwind(step).map_err(|panic| {
            let message = panic_message(&*panic).to_owned();
            SceneError::Panicked { tick, message }
        })?;
        let checksum = stepped?;
        orders.into_iter().for_each(|order| self.room.obey(order, max_npcs));
        self.tick = tick;
        Ok(checksum)
    }

    /// The room as another one, or another recording, can begin with it.
    pub fn start(&self) -> Start {
        let (schema, state) = (schema_checksum(&self.kind.schema()), self.game.save());
        Start { tick: self.tick, schema, state, room: self.room.clone() }
    }

    /// The game's own type.
    ///
    /// # Errors
    /// It is another game.
    pub fn simulation<S: Simulation>(&self) -> Result<S, RestoreError> {
        GameKind::simulation(&self.game.save())
    }
}
