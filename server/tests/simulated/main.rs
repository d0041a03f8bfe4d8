//! The simulated server: the server behind its transports and clients of the Rust library, all in one thread
//! and in virtual time, with a network and operators that do their worst. After every step the promises hold.
//!
//! A run is a [story](story::Story), which follows from a seed. `DRIFTLESS_SEED=17` runs only that of seed 17
//! and prints it; `DRIFTLESS_SEEDS=100000` runs so many.

mod disk;
mod excuses;
mod found;
mod game;
mod liar;
mod line;
mod network;
mod player;
mod presence;
mod process;
mod promise;
mod server;
#[path = "../util/shrink.rs"]
mod shrink;
mod store;
mod story;
mod told;
mod world;

use std::{
    env,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use story::Story;
use world::run;

/// Stories that each run of the tests tries.
const SEEDS: u64 = 1_000;
/// So many failures are enough to begin with.
const ENOUGH: u64 = 8;

fn number(variable: &str) -> Option<u64> {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"));
    env::var(variable).ok().map(parse)
}

/// Runs the story of a seed. On failure returns the shortest story that fails in the same way.
fn tell(seed: u64) -> Result<world::Summary, String> {
    let story = Story::of(seed);
    run(&story).map_err(|failure| {
        let promise = failure.broken.promise;
        let fails = |story: &Story| run(story).is_err_and(|failure| failure.broken.promise == promise);
        let shortest = story.minimised(fails);
        let again = run(&shortest).err().map_or_else(|| "it did not fail again".into(), |f| f.to_string());
        format!("DRIFTLESS_SEED={seed}: {failure}\nThe shortest story that fails: {again}\n{shortest}")
    })
}

/// Tells the stories of these seeds on all cores, until some have failed.
fn tell_all(seeds: Range<u64>) {
    let (next, failures) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let enough = number("DRIFTLESS_FAILURES").unwrap_or(ENOUGH) as usize;
    let threads = thread::available_parallelism().map_or(1, |n| n.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failures.lock().is_ok_and(|failures| failures.len() < enough)
                    && let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seeds.contains(&seed)
                {
                    if let Err(failure) = tell(seed)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_promises_hold_in_every_story() {
    if let Some(seed) = number("DRIFTLESS_SEED") {
        println!("{}", Story::of(seed));
        match tell(seed) {
            Ok(summary) => println!("{summary:?}"),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let first = number("DRIFTLESS_FIRST").unwrap_or(0);
    tell_all(first..first + number("DRIFTLESS_SEEDS").unwrap_or(SEEDS));
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in 0..10 {
        assert_eq!(run(&Story::of(seed)), run(&Story::of(seed)), "seed {seed}");
    }
}

#[test]
#[ignore = "runs for DRIFTLESS_HOURS, from the seed DRIFTLESS_FIRST on"]
fn the_promises_hold_for_hours() {
    let hours = number("DRIFTLESS_HOURS").unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(hours * 3_600);
    let mut first = number("DRIFTLESS_FIRST").unwrap_or(SEEDS);
    while Instant::now() < end {
        tell_all(first..first + SEEDS);
        first += SEEDS;
        println!("the promises hold up to seed {first}");
    }
}
