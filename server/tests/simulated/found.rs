//! What the simulation has found: each story failed once.

use super::{
    network::Conditions,
    story::{Act, Notice, Play, Setting, Story, What},
    world::run,
};

const QUICK: Conditions = Conditions { delay: 5, jitter: 3, loss: 0, twice: 0 };
const SETTING: Setting = Setting {
    tick_rate: 20,
    timeout: 3_000,
    window: 2_000,
    reliable_messages: 16,
    play: Play::Tally,
    record: false,
};

fn holds<const N: usize>(seed: u64, setting: Setting, acts: [(u32, What); N]) {
    let acts = acts.into_iter().map(|(at, what)| Act { at, what }).collect();
    if let Err(failure) = run(&Story { seed, setting, acts }) {
        panic!("{failure}");
    }
}

// Promise 3
#[test]
fn a_command_that_the_game_refused_is_not_refused_again_when_the_seat_is_lost() {
    holds(
        40,
        SETTING,
        [
            (906, What::Join { player: 0, datagrams: true, network: QUICK }),
            (5_928, What::Hurry { player: 0, commands: 24 }),
            (6_930, What::Cut { player: 0, notice: Notice::Server }),
        ],
    );
}
