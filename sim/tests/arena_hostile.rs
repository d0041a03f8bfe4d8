//! Promise 6: "Nothing a peer sends panics the server." Debug builds check every sum for overflow.

mod common;

use common::arena::predict;
use driftless_sim::{Output, PlayerInput, Setup, Simulation, Step, games::arena::*};

const EXTREMES: [i32; 7] = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX];

fn hostile(n: usize) -> ArenaInput {
    let at = |shift: usize| EXTREMES[(n / shift) % EXTREMES.len()];
    let goto = n.is_multiple_of(3);
    ArenaInput {
        move_x: at(1),
        move_y: at(7),
        aim_x: at(2),
        aim_y: at(5),
        buttons: u32::MAX,
        goto_x: goto.then(|| at(3)),
        goto_y: goto.then(|| at(4)),
    }
}

#[test]
fn extreme_inputs_at_any_tick_rate_do_not_panic() {
    for tick_rate in [0, 1, 3, 19, 20, 60, 128, u32::MAX] {
        let mut arena = Arena::new(&Setup::new(u64::from(tick_rate), tick_rate)).unwrap();
        let mut output = Output::new();
        (1..=8).for_each(|player| arena.join(player, "", &mut Step::new(1, &mut output)));
        for n in 0..2_000usize {
            let inputs: Vec<_> =
                (0..=10).map(|player| PlayerInput::new(player, hostile(n + player as usize))).collect();
            arena.step(&inputs, &mut Step::new(n as u32, &mut output));
        }
    }
}

#[test]
fn prediction_takes_extreme_bodies_and_rates() {
    for n in 0..500 {
        let at = |shift: usize| EXTREMES[(n / shift) % EXTREMES.len()];
        for tick_rate in [0, 1, 128, u32::MAX] {
            let body = predict(&Map::default(), Body::at(at(1), at(6)), &hostile(n), tick_rate);
            predict(&Map::default(), body, &hostile(n + 1), tick_rate);
        }
    }
}
