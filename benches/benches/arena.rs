//! What a tick of the arena costs a room, by number of players: decoding one input from each, the step, and
//! the snapshot; and separately the checksum, which a recorded room adds.
//!
//! `cargo bench -p driftless-benches --bench arena`

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use driftless_sim::{
    Game, PlayerId, PlayerInput, Setup, Snapshot,
    games::{
        self,
        arena::{ArenaInput, PROJECTILES},
    },
};
use prost::Message;

const TICK_RATE: u32 = 20;

/// A room in which everybody keeps running and shooting.
struct Room {
    game: Box<dyn Game>,
    inputs: Vec<Vec<(PlayerId, Vec<u8>)>>,
    events: Vec<(driftless_sim::Recipient, bytes::Bytes)>,
    seen: Snapshot,
    tick: u32,
}

impl Room {
    fn new(players: u32) -> Self {
        let kind = &games::kinds()[0];
        let mut game = kind.start(&Setup::new(1, TICK_RATE)).unwrap();
        (1..=players).for_each(|player| game.join(1, player, ""));
        // 16 sets of inputs, each used for a second's ticks.
        let inputs = (0..16).map(|set| (1..=players).map(|player| (player, input(set, player))).collect());
        let inputs = inputs.collect();
        let seen = Snapshot::new(&kind.schema());
        let mut room = Self { game, inputs, events: Vec::new(), seen, tick: 0 };
        (0..10 * TICK_RATE).for_each(|_| room.tick());
        room
    }

    fn tick(&mut self) {
        self.tick += 1;
        for (player, payload) in &self.inputs[(self.tick / TICK_RATE) as usize % 16] {
            self.game.input(PlayerInput::new(*player, &payload[..])).unwrap();
        }
        self.game.step(self.tick);
        self.game.snapshot(self.tick, &mut self.seen);
        self.game.take_events(&mut self.events);
        self.events.clear();
    }
}

fn input(set: u32, player: PlayerId) -> Vec<u8> {
    let turn = |by: u32| ((set * 31 + player * by) * 97 % 255) as i32 - 127;
    let input = ArenaInput {
        move_x: turn(3),
        move_y: turn(5),
        aim_x: turn(7),
        aim_y: turn(11),
        buttons: 1,
        ..Default::default()
    };
    input.encode_to_vec()
}

fn arena(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arena/tick");
    for players in [1, 10, 50, 100] {
        let mut room = Room::new(players);
        let name = format!("{players} players, {} projectiles", room.seen.tables()[PROJECTILES].len());
        group.throughput(Throughput::Elements(players.into()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| bencher.iter(|| room.tick()));
    }
    group.finish();

    let mut group = criterion.benchmark_group("arena/checksum");
    for players in [1, 10, 50, 100] {
        let room = Room::new(players);
        group.throughput(Throughput::Bytes(room.game.save().len() as u64));
        group.bench_function(BenchmarkId::from_parameter(players), |bencher| {
            bencher.iter(|| room.game.checksum())
        });
    }
    group.finish();
}

criterion_group!(benches, arena);
criterion_main!(benches);
