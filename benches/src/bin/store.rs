//! What it costs a tick that a room survives its server, by number of players.
//!
//! ```text
//! cargo run --release -p driftless-benches --bin store -- --players 50,1000 --folder FOLDER
//! ```
//!
//! Two arenas in which the same happens tick by tick, one without a store and one with `journal`, in turn. Of
//! the second, the time for writing a frame of the journal is measured by itself, too, and once a second the
//! time for a checkpoint, which comes on top of that second's tick. The disk's part is not in it, because no
//! tick waits for it: it is busy meanwhile.

use clap::Parser;
use driftless_benches::{BusyRoom, write_json};
use driftless_server::{
    Yardstick,
    ground::id::ConnectionId,
    room::journal::{Journal, Written},
};
use serde::Serialize;
use std::{
    error::Error,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ticks a second.
const TICK_RATE: u32 = 20;

/// Measures what it costs a tick that a room survives its server.
#[derive(Debug, Parser)]
struct Args {
    /// Numbers of players to try.
    #[arg(long, value_delimiter = ',', default_value = "50,1000", value_parser = clap::value_parser!(u32).range(1..))]
    players: Vec<u32>,
    /// Seconds of the game that are played.
    #[arg(long, default_value_t = 200)]
    seconds: u32,
    /// Where to put the store, for as long as it takes. Default: the system's folder for such files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Write the figures as JSON to a file, or to standard output (`-`) instead of the table.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The results for one number of players, µs.
#[derive(Debug, Serialize)]
struct Figures {
    players: u32,
    ticks: u32,
    tick: Spread,
    journaled_tick: Spread,
    frame: Spread,
    checkpoint: Spread,
    checkpoint_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

/// A journal, and how long writing each frame has taken.
#[derive(Debug)]
struct Timed {
    journal: Box<dyn Journal>,
    took: Arc<Mutex<Vec<Duration>>>,
}

impl Journal for Timed {
    fn is_full(&self) -> bool {
        self.journal.is_full()
    }
    fn write(&mut self, frame: &Written<'_>) {
        let start = Instant::now();
        self.journal.write(frame);
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut all = Vec::new();
    for &players in &args.players {
        all.push(measure(&args, players)?);
    }
    if args.json.as_deref() != Some(std::path::Path::new("-")) {
        println!("µs: p50, p99 and max");
        for f in &all {
            println!("{} players, {} ticks, checkpoints of {} bytes", f.players, f.ticks, f.checkpoint_bytes);
            let spreads = [&f.tick, &f.journaled_tick, &f.frame, &f.checkpoint];
            for (name, Spread { p50, p99, max }) in
                ["tick", "tick, journaled", "of which the frame", "checkpoint"].iter().zip(spreads)
            {
                println!("{name:>20} {p50:>9.1} {p99:>9.1} {max:>9.1}");
            }
        }
    }
    args.json.map_or(Ok(()), |path| write_json(&path, &all))
}

fn measure(args: &Args, players: u32) -> Result<Figures, Box<dyn Error>> {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let mut without = BusyRoom::new(1, "arena", TICK_RATE, players)?;
    let mut with = BusyRoom::new(1, "arena", TICK_RATE, players)?;
    let (yardstick, journal) = Yardstick::new(&folder.path().join("store"), with.core())?;
    let took = Arc::<Mutex<Vec<Duration>>>::default();
    with.keep_journal(Box::new(Timed { journal, took: took.clone() }));
    for room in [&mut without, &mut with] {
        for id in 0..players {
            room.join(ConnectionId(id.into()))?;
        }
        room.play(5 * TICK_RATE);
    }
    let frames_before = took.lock().unwrap_or_else(PoisonError::into_inner).len();
    let (mut plain, mut journaled, mut checkpoints) = (Vec::new(), Vec::new(), Vec::new());
    let ticks = args.seconds * TICK_RATE;
    for tick in 0..ticks {
        for (room, durations) in [(&mut without, &mut plain), (&mut with, &mut journaled)] {
            room.send_inputs();
            let start = Instant::now();
            room.tick();
            durations.push(start.elapsed());
            room.acknowledge();
        }
        if tick % TICK_RATE == 0 {
            checkpoints.push(yardstick.checkpoint(with.core()));
        }
    }
    let frames = took.lock().unwrap_or_else(PoisonError::into_inner)[frames_before..].to_vec();
    Ok(Figures {
        players,
        ticks,
        tick: Spread::of(plain),
        journaled_tick: Spread::of(journaled),
        frame: Spread::of(frames),
        checkpoint: Spread::of(checkpoints),
        checkpoint_bytes: yardstick.finish()?,
    })
}

impl Spread {
    /// Of at least one duration, in microseconds.
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let last = durations.len() - 1;
        let us = |at: usize| durations[at].as_secs_f64() * 1e6;
        Self { p50: us(last / 2), p99: us((last * 99).div_ceil(100)), max: us(last) }
    }
}
