//! The highest tick rate that a room sustains, by number of players.
//!
//! ```text
//! cargo run --release -p driftless-benches --bin tick_rate -- --players 1,10,50,100 --kind arena
//! ```
//!
//! For each number of players, a room's ticks run one after another for a second: decode an input from each
//! player, step, snapshot, and encode one delta, which all clients would share. Work per client (receiving
//! inputs, sending states) is not included: the `fanout` benchmark and `loadtest` measure it.
//!
//! `--parts` measures what a game costs by itself instead, in a world of any size:
//!
//! ```text
//! cargo run --release -p driftless-benches --bin tick_rate -- --parts --players 5000 --tick-rate 20 \
//!     --options '{"side_m": 1000}'
//! ```
//!
//! A rate is sustained if 99 of 100 ticks fit the interval. The server accepts only rates of 1 to 128 Hz,
//! whatever the result.

use bytes::BytesMut;
use clap::Parser;
use driftless_benches::{BusyRoom, PARTS, Parts, write_json};
use driftless_proto::{delta::Encoder, wire::ColumnCoding};
use driftless_server::ground::{id::ConnectionId, published::Published};
use driftless_sim::Snapshot;
use serde::Serialize;
use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The server's highest tick rate.
const MAX_TICK_RATE: f64 = 128.0;
/// Rates for which the table says how many rooms a core can run.
const RATES: [u32; 3] = [20, 60, 128];

/// Finds the highest tick rate that a room sustains.
#[derive(Debug, Parser)]
struct Args {
    /// Numbers of players to try.
    #[arg(long, value_delimiter = ',', default_value = "1,10,50,100", value_parser = clap::value_parser!(u32).range(1..))]
    players: Vec<u32>,
    /// Kind of game: `arena` or `cursors`.
    #[arg(long, default_value = "arena")]
    kind: String,
    /// Ticks per second that the game is configured for: the shorter a tick, the less happens in it.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=128))]
    tick_rate: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Measure the parts of a tick: inputs and step, snapshot, and what each player sees.
    #[arg(long)]
    parts: bool,
    /// The game's options, with `--parts`.
    #[arg(long, default_value = "", requires = "parts")]
    options: String,
    /// Of 100 players so many shoot all the time, with `--parts`.
    #[arg(long, default_value_t = 10, requires = "parts")]
    firing: u32,
    /// Write the figures as JSON to a file, or to standard output (`-`) instead of the table.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The results for one number of players.
#[derive(Debug, Serialize)]
struct Figures {
    kind: String,
    players: u32,
    /// Ticks per second that the game was configured for.
    made_for_hz: u32,
    ticks: usize,
    /// In the last state, of all kinds together.
    entities: usize,
    /// Of the shared part of a state, mean.
    delta_bytes: f64,
    /// Duration of a tick.
    tick_us: Percentiles,
    /// Ticks per second of one core that does nothing else, from the median: the mean would include time
    /// taken by other programs.
    ticks_per_second: f64,
    /// Highest rate whose interval fits 99 of 100 ticks.
    highest_hz: f64,
    /// The same, limited to what the server accepts.
    sustained_hz: f64,
    rooms_per_core: Vec<Rooms>,
}

/// Rooms of this size whose ticks fill one core, from the median.
#[derive(Debug, Serialize)]
struct Rooms {
    hz: u32,
    rooms: u64,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    mean: f64,
    p50: f64,
    p99: f64,
    max: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let seconds = Duration::try_from_secs_f64(args.seconds)?;
    if args.parts {
        return parts(&args, seconds);
    }
    let mut figures = Vec::new();
    for &players in &args.players {
        figures.push(measure(&args.kind, players, args.tick_rate, seconds)?);
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        print_table(&figures);
    }
    args.json.map_or(Ok(()), |path| write_json(&path, &figures))
}

fn measure(kind: &str, players: u32, tick_rate: u32, seconds: Duration) -> Result<Figures, Box<dyn Error>> {
    let mut room = BusyRoom::new(1, kind, tick_rate, players)?;
    for id in 0..players {
        room.join(ConnectionId(id.into()))?;
    }
    room.play(5 * tick_rate);
    let mut encode = SharedDelta::default();
    let (mut durations, mut bytes) = (Vec::new(), 0);
    let end = Instant::now() + seconds;
    while durations.len() < 2 || Instant::now() < end {
        room.send_inputs();
        let start = Instant::now();
        let state = room.tick();
        bytes += encode.to(state);
        durations.push(start.elapsed());
        room.acknowledge();
    }
    let closed = room.closed();
    if closed > 0 {
        return Err(format!("the room closed {closed} connections").into());
    }
    let ticks = durations.len();
    let tick_us = Percentiles::of(durations);
    let highest_hz = 1e6 / tick_us.p99;
    Ok(Figures {
        kind: kind.to_owned(),
        players,
        made_for_hz: tick_rate,
        ticks,
        entities: encode.entities(),
        delta_bytes: bytes as f64 / ticks as f64,
        ticks_per_second: 1e6 / tick_us.p50,
        highest_hz,
        sustained_hz: highest_hz.min(MAX_TICK_RATE).floor(),
        rooms_per_core: RATES
            .map(|hz| Rooms { hz, rooms: (1e6 / tick_us.p50 / f64::from(hz)) as u64 })
            .into_iter()
            .collect(),
        tick_us,
    })
}

/// The parts of a tick, for one number of players.
#[derive(Debug, Serialize)]
struct PartFigures {
    players: u32,
    ticks: usize,
    /// In the last state: projectiles and other entities count too.
    entities: usize,
    zones: usize,
    /// What the average player sees of them.
    zones_seen: f64,
    entities_seen: f64,
    /// Bytes of a state for the average player, and of an entity that it sees and that can move.
    state_bytes: f64,
    entity_bytes: f64,
    /// Durations, in the order of [`PARTS`], and of all together.
    parts_us: Vec<Percentiles>,
}

fn parts(args: &Args, seconds: Duration) -> Result<(), Box<dyn Error>> {
    let mut all = Vec::new();
    for &players in &args.players {
        all.push(measure_parts(args, players, seconds)?);
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        println!(
            "{:>8} {:>8} {:>6} {:>10} {:>13} {:>8} {:>9}  p50 and p99 µs a tick",
            "players", "entities", "zones", "zones seen", "entities seen", "B/state", "B/entity"
        );
        for f in &all {
            print!(
                "{:>8} {:>8} {:>6} {:>10.1} {:>13.1} {:>8.0} {:>9.2} ",
                f.players, f.entities, f.zones, f.zones_seen, f.entities_seen, f.state_bytes, f.entity_bytes
            );
            for (name, us) in PARTS.into_iter().chain(["all"]).zip(&f.parts_us) {
                print!("  {name} {:.0} {:.0}", us.p50, us.p99);
            }
            println!();
        }
    }
    args.json.as_deref().map_or(Ok(()), |path| write_json(path, &all))
}

fn measure_parts(args: &Args, players: u32, seconds: Duration) -> Result<PartFigures, Box<dyn Error>> {
    let mut game = Parts::new(&args.kind, &args.options, args.tick_rate, players, args.firing)?;
    for _ in 0..5 * args.tick_rate {
        game.tick();
    }
    let mut durations = vec![Vec::new(); PARTS.len() + 1];
    let end = Instant::now() + seconds;
    while durations[0].len() < 2 || Instant::now() < end {
        let tick = game.tick();
        let all = tick.iter().sum();
        durations.iter_mut().zip(tick.into_iter().chain([all])).for_each(|(to, took)| to.push(took));
    }
    let state = game.state();
    let size = |content: &Snapshot| content.tables().iter().map(|table| table.len()).sum::<usize>();
    let of_all = |of: &dyn Fn(u32) -> usize| (1..=players).map(of).sum::<usize>() as f64 / f64::from(players);
    let in_view = |player| game.view(player).iter().filter_map(|seen| state.content(seen.zone));
    let bytes = of_all(&|player| game.message_bytes(player));
    let moving = of_all(&|player| in_view(player).map(|content| game.moving(content)).sum());
    Ok(PartFigures {
        players,
        ticks: durations[0].len(),
        state_bytes: bytes,
        entity_bytes: bytes / moving,
        entities: size(state) + state.zones().map(|(_, content)| size(content)).sum::<usize>(),
        zones: state.zones().count(),
        zones_seen: of_all(&|player| in_view(player).count()),
        entities_seen: of_all(&|player| in_view(player).map(size).sum()),
        parts_us: durations.into_iter().map(Percentiles::of).collect(),
    })
}

/// Encodes each state against the last two, as for clients that keep up.
#[derive(Default)]
struct SharedDelta {
    encoder: Encoder,
    buffer: BytesMut,
    baseline: Option<Arc<Published>>,
    prior: Option<Arc<Published>>,
}

impl SharedDelta {
    /// Bytes of the delta to `state`.
    fn to(&mut self, state: Arc<Published>) -> usize {
        let Self { encoder, buffer, baseline, prior } = self;
        let delta =
            state.delta(0, encoder, buffer, baseline.as_deref(), prior.as_deref(), ColumnCoding::Rice);
        *prior = baseline.replace(state);
        delta.bytes.len()
    }

    /// Entities in the newest state.
    fn entities(&self) -> usize {
        self.baseline.as_ref().map_or(0, |s| s.snapshot().tables().iter().map(|table| table.len()).sum())
    }
}

impl Percentiles {
    /// Of at least one duration, in microseconds.
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let us = |duration: Duration| duration.as_secs_f64() * 1e6;
        let last = durations.len() - 1;
        Self {
            mean: us(durations.iter().sum()) / durations.len() as f64,
            p50: us(durations[last / 2]),
            p99: us(durations[(last * 99).div_ceil(100)]),
            max: us(durations[last]),
        }
    }
}

fn print_table(figures: &[Figures]) {
    println!(
        "{:>8} {:>7} {:>8} {:>8} {:>9} {:>9} {:>9} {:>10} {:>10} {:>9}  {:>22}",
        "game",
        "players",
        "entities",
        "B/delta",
        "p50 µs",
        "p99 µs",
        "max µs",
        "ticks/s",
        "highest Hz",
        "sustained",
        format!("rooms/core at {} Hz", RATES.map(|hz| hz.to_string()).join("/")),
    );
    for f in figures {
        println!(
            "{:>8} {:>7} {:>8} {:>8.0} {:>9.1} {:>9.1} {:>9.1} {:>10.0} {:>10.0} {:>9}  {:>22}",
            f.kind,
            f.players,
            f.entities,
            f.delta_bytes,
            f.tick_us.p50,
            f.tick_us.p99,
            f.tick_us.max,
            f.ticks_per_second,
            f.highest_hz,
            if f.highest_hz > MAX_TICK_RATE { "128 (max)".to_owned() } else { f.sustained_hz.to_string() },
            f.rooms_per_core.iter().map(|r| r.rooms.to_string()).collect::<Vec<_>>().join("/"),
        );
    }
    println!(
        "\nhighest Hz: its interval fits 99 of 100 ticks. The server accepts at most {MAX_TICK_RATE} Hz."
    );
}
