//! A seeded script of joins, leaves, inputs and commands, as a room would pass them on.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod arena;

use bytes::Bytes;
use driftless_sim::{
    Game, Moment, PlayerId, PlayerInput, Rng, Setup, Snapshot, ZoneId,
    games::{
        self,
        arena::{ArenaCommand, ArenaInput, arena_command::Body},
    },
    replay::{Action, EndReason, Recorder, RecordingHeader, TickRecord},
};
use prost::Message;

/// Generates what players do. The same seed generates the same.
pub struct Script {
    rng: Rng,
    seated: Vec<PlayerId>,
    next: PlayerId,
    skips: bool,
}

impl Script {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_stream(seed, 99), seated: vec![], next: 1, skips: false }
    }

    /// Leaves out some ticks.
    pub fn skipping(mut self) -> Self {
        self.skips = true;
        self
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.below(n) == 0
    }

    /// What happens before `tick`. None: the tick is skipped.
    pub fn tick(&mut self, tick: u32) -> Option<TickRecord> {
        if self.skips && self.one_in(10) {
            return None;
        }
        let mut actions = vec![];
        if self.seated.len() < 12 && (self.seated.is_empty() || self.one_in(8)) {
            let player = self.next;
            self.next += 1 + self.rng.below(3);
            self.seated.push(player);
            actions.push(Action::Join { player, name: format!("player {player}") });
        }
        if self.seated.len() > 1 && self.one_in(60) {
            let at = self.rng.below(self.seated.len() as u32) as usize;
            actions.push(Action::Leave { player: self.seated.remove(at) });
        }
        if self.one_in(5) {
            let at = self.rng.below(self.seated.len() as u32) as usize;
            let body = if self.one_in(2) { Body::Chat("hello".into()) } else { Body::Typing(self.one_in(2)) };
            let payload = ArenaCommand { body: Some(body) }.encode_to_vec().into();
            actions.push(Action::Command { player: self.seated[at], payload });
        }
        let mut inputs = vec![];
        for at in 0..self.seated.len() {
            // Usually one, sometimes none or two.
            for n in 0..[1, 1, 1, 0, 2][self.rng.below(5) as usize] {
                let moment = (tick > 3).then(|| Moment::at(tick - 1).before(u64::from(tick * 37 % 300)));
                let number = 2 * tick + n;
                inputs.push(PlayerInput {
                    number,
                    moment,
                    ..PlayerInput::new(self.seated[at], self.input())
                });
            }
        }
        Some(TickRecord { tick, actions, inputs, checksum: None })
    }

    fn input(&mut self) -> Bytes {
        let (goto, rest) = (self.one_in(6), self.one_in(4));
        let mut stick = |most: i32| self.rng.range(-most..most + 1);
        let input = ArenaInput {
            move_x: if rest { 0 } else { stick(200) },
            move_y: if rest { 0 } else { stick(200) },
            aim_x: stick(100),
            aim_y: stick(100),
            buttons: stick(1).unsigned_abs(),
            goto_x: goto.then(|| stick(12_000)),
            goto_y: goto.then(|| stick(12_000)),
        };
        input.encode_to_vec().into()
    }
}

/// Applies a record to a game, as in a room that skipped no tick. Returns the checksum after the step.
pub fn play(game: &mut dyn Game, record: &TickRecord) -> u32 {
    for action in &record.actions {
        match action {
            Action::User { player, user } => game.identify(*player, user),
            Action::Join { player, name } => game.join(record.tick, *player, name),
            Action::JoinNpc { player, name } => game.join_npc(record.tick, *player, name),
            Action::Answer(answer) => game.answer(record.tick, answer),
            Action::Leave { player } => game.leave(record.tick, *player),
            Action::Away { player, why } => game.away(record.tick, *player, *why),
            Action::Back { player } => game.back(record.tick, *player),
            // Refusals (a flood) are part of the script.
            Action::Command { player, payload } => drop(game.command(record.tick, *player, payload)),
        }
    }
    for input in &record.inputs {
        game.input(input.as_bytes()).unwrap();
    }
    game.step(record.tick);
    game.checksum()
}

/// The entities of some zones of a state, as one state.
pub fn union(state: &Snapshot, zones: impl Iterator<Item = ZoneId>) -> Snapshot {
    let mut all = state.clone();
    all.clear(state.tick());
    all.clear(state.tick()); // without its zones
    for content in zones.filter_map(|zone| state.content(zone)) {
        for (kind, table) in content.tables().iter().enumerate() {
            for (row, &id) in table.ids().iter().enumerate() {
                assert_eq!(all.tables()[kind].row(id), None, "{id} is in two zones");
                let values: Vec<_> = (0..table.width()).map(|column| table.column(column)[row]).collect();
                all.table_mut(kind).push(id, &values);
            }
        }
    }
    all
}

/// A new room of one of the built-in kinds.
pub fn start(kind: &str, seed: u64, tick_rate: u32) -> Box<dyn Game> {
    games::kinds()
        .into_iter()
        .find(|k| k.name() == kind)
        .unwrap()
        .start(&Setup::new(seed, tick_rate))
        .unwrap()
}

/// Plays a script and records it.
pub fn record(kind: &str, script: &mut Script, tick_rate: u32, ticks: u32) -> Vec<u8> {
    record_ticks(kind, |tick| script.tick(tick), tick_rate, ticks)
}

/// Plays what happens before each tick, and records it.
pub fn record_ticks(
    kind: &str,
    mut happens: impl FnMut(u32) -> Option<TickRecord>,
    tick_rate: u32,
    ticks: u32,
) -> Vec<u8> {
    let header = RecordingHeader { kind: kind.into(), room: "test".into(), setup: Setup::new(5, tick_rate) };
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    let mut game = start(kind, header.setup.seed, tick_rate);
    for tick in 1..=ticks {
        if let Some(mut record) = happens(tick) {
            record.checksum = Some(play(&mut *game, &record));
            recorder.record(&record).unwrap();
        }
    }
    recorder.end(EndReason::RoomEnded).unwrap();
    recorder.into_inner()
}
