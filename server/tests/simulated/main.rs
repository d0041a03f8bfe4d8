//! The simulated server: the server behind its transports and clients of the Rust library, all in one thread
//! and in virtual time, with a network and operators that do their worst. After every step the promises hold.
//!
//! A run is a [story](story::Story), which follows from a seed. `DRIFTLESS_SEED=17` runs only that of seed 17
//! and prints it; `DRIFTLESS_SEEDS=100000` runs so many.

mod found;
mod game;
mod network;
mod player;
mod presence;
mod server;
mod story;
mod world;

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
use story::Story;
use world::run;

/// Stories that each run of the tests tries.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"));
    env::var(variable).ok().map(parse)
}

/// Runs the story of a seed. On failure, prints the shortest story that fails, and panics.
fn tell(seed: u64) -> world::Summary {
    let story = Story::of(seed);
    match run(&story) {
        Ok(summary) => summary,
        Err(failure) => {
            let promise = failure.broken.promise;
            let fails = |story: &Story| run(story).is_err_and(|failure| failure.broken.promise == promise);
            let shortest = story.minimised(fails);
            let again =
                run(&shortest).err().map_or_else(|| "it did not fail again".into(), |f| f.to_string());
            panic!("DRIFTLESS_SEED={seed}: {failure}\nthe shortest: {again}\n{shortest}");
        }
    }
}

#[test]
fn the_promises_hold_in_every_story() {
    if let Some(seed) = number("DRIFTLESS_SEED") {
        println!("{}\n{:?}", Story::of(seed), tell(seed));
        return;
    }
    let (next, first) = (AtomicU64::new(0), number("DRIFTLESS_FIRST").unwrap_or(0));
    let seeds = number("DRIFTLESS_SEEDS").unwrap_or(SEEDS);
    let threads = thread::available_parallelism().map_or(1, |n| n.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    tell(first + seed);
                }
            });
        }
    });
}
