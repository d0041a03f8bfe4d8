//! The arena, full of bots at 20 Hz: a room, and zones that are quarters of one.

use crate::measure::{Figures, Recording, run};
use driftless_proto::{schema::Schema, snapshot::Snapshot};
use driftless_sim::{
    Bot, GameKind, PlayerInput, Rng, Seen, Setup, Simulation,
    games::arena::{Arena, BotMemory, OBSTACLES, rules},
};
use prost::Message;
use std::error::Error;

/// Ticks from the baseline to the state.
const AGES: [usize; 2] = [1, 3];
const TICK_RATE: u32 = 20;
/// Ticks that are recorded, and that are played before.
const TICKS: u32 = 1_000;
const WARM_UP: u32 = 100;

pub fn measure() -> Result<Vec<Figures>, Box<dyn Error>> {
    let mut figures = Vec::new();
    let room = Recording { name: "room of 50", schema: Arena::schema(), frames: play(50)? };
    figures.extend(run(&room, 1)?);
    for (name, players) in [("zone of 8", 8), ("zone of 16", 16), ("zone of 32", 32), ("zone of 64", 64)] {
        let schema = Arena::schema();
        let frames = play(4 * players)?.iter().map(|frame| quarter(&schema, frame)).collect();
        let zone = Recording { name, schema, frames };
        for age in AGES {
            figures.extend(run(&zone, age)?);
        }
    }
    Ok(figures)
}

/// What players do who go for the nearest other, keep moving and shoot.
fn play(players: u32) -> Result<Vec<Snapshot>, Box<dyn Error>> {
    let setup = Setup {
        max_players: players,
        options: r#"{"round_s":0,"bots":0}"#.to_owned(),
        ..Setup::new(7, TICK_RATE)
    };
    let mut game = GameKind::of::<Arena>().start(&setup)?;
    let mut bots = Vec::new();
    for player in 1..=players {
        game.join(1, player, "");
        bots.push((player, BotMemory::default(), Rng::with_stream(7, player.into())));
    }
    let mut frames = Vec::new();
    let mut seen = Snapshot::new(&Arena::schema());
    let (mut events, mut orders) = (Vec::new(), Vec::new());
    for tick in 1..=WARM_UP + TICKS {
        for (player, memory, rng) in &mut bots {
            let seen = Seen { state: &seen, player: *player, tick_rate: TICK_RATE };
            let input = Arena::act(memory, &seen, rng).encode_to_vec();
            game.input(PlayerInput::new(*player, &input[..]))?;
        }
        game.step(tick);
        game.take_events(&mut events);
        game.take_orders(&mut orders);
        events.clear();
        orders.clear();
        game.snapshot(tick, &mut seen);
        if tick > WARM_UP {
            frames.push(seen.clone());
        }
    }
    Ok(frames)
}

/// The players and projectiles in the lower left quarter.
fn quarter(schema: &Schema, frame: &Snapshot) -> Snapshot {
    let mut zone = Snapshot::new(schema);
    zone.clear(frame.tick());
    for (kind, table) in frame.tables().iter().enumerate().filter(|(kind, _)| *kind != OBSTACLES) {
        for (row, &id) in table.ids().iter().enumerate() {
            let values: Vec<i32> = (0..table.width()).map(|column| table.column(column)[row]).collect();
            if values[..2].iter().all(|&at| at < rules::WORLD_SIZE / 2) {
                zone.table_mut(kind).push(id, &values);
            }
        }
    }
    zone
}
