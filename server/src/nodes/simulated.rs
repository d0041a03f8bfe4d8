//! Nodes and a Redis that fails, in one thread and in virtual time: claims, leases, moves, what is stored of
//! rooms and who goes on with it. After every step the [promises] hold, and when nothing fails any more,
//! everybody can have rooms, and then nothing is left to do.
//!
//! A run is a [story](story::Story), which follows from a seed. `DRIFTLESS_SEED=17` runs only that of seed 17
//! and prints it; `DRIFTLESS_FIRST` and `DRIFTLESS_SEEDS` choose others.

mod by_hand;
mod node;
mod post;
mod promises;
mod redis;
mod room;
mod scene;
#[path = "../../tests/util/shrink.rs"]
mod shrink;
mod story;
mod world;

use std::{env, panic};
use story::Story;
use world::run;

/// Stories that each run of the tests tries.
const SEEDS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"));
    env::var(variable).ok().map(parse)
}

/// What went wrong, in few words; None: nothing. (The code may panic, too.)
fn breaks(story: &Story) -> Option<&'static str> {
    let told = panic::catch_unwind(|| run(story, false));
    told.map_or(Some("panic"), |told| told.err().map(|failure| failure.broken.what))
}

/// Tells the story of a seed; if it goes wrong, the shortest one that does in the same way.
fn tell(seed: u64) {
    let story = Story::of(seed);
    let Some(what) = breaks(&story) else { return };
    let shortest = story.minimised(|story| breaks(story) == Some(what));
    let told = run(&shortest, true).map_or_else(|failure| failure.to_string(), |_| "another time".into());
    panic!("DRIFTLESS_SEED={seed}: {what}\nThe shortest story that fails: {told}\n{shortest}");
}

// Promise 10
#[test]
fn rooms_have_one_owner_and_what_is_kept_of_them_goes_on_whatever_fails() {
    if let Some(seed) = number("DRIFTLESS_SEED") {
        println!("{}", Story::of(seed));
        return tell(seed);
    }
    let first = number("DRIFTLESS_FIRST").unwrap_or(0);
    (first..first + number("DRIFTLESS_SEEDS").unwrap_or(SEEDS)).for_each(tell);
}

#[test]
fn a_seed_always_tells_the_same_story() {
    let sent = |seed| run(&Story::of(seed), false).map_err(|failure| failure.broken);
    (0..20).for_each(|seed| assert_eq!(sent(seed), sent(seed), "seed {seed}"));
}
