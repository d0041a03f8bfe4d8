//! Golden movements: clients in other languages predict with the same rules, and are checked against
//! `sim/vectors/arena_movement.json`. `UPDATE_VECTORS=1 cargo test -p driftless-sim --test arena_vectors`
//! rewrites it; a change means that older clients mispredict.
#![allow(clippy::unwrap_used)] // in helpers of tests

mod common;

use common::arena::predict;
use driftless_sim::{
    Rng,
    games::arena::{ArenaInput, Body, Map, rules},
};
use std::{fmt::Write, fs};

const TICKS: i32 = 240;

#[test]
fn arena_movements_are_as_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/arena_movement.json");
    let walks: Vec<String> = [(1, 20), (2, 20), (3, 60), (4, 7)].map(|(seed, rate)| walk(seed, rate)).into();
    let text = format!("[\n{}\n]\n", walks.join(",\n"));
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap();
        fs::write(path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), text);
}

/// A player who runs into walls and boxes: its inputs, a stick held for some ticks at a time, and its place
/// after each tick.
fn walk(seed: u64, tick_rate: u32) -> String {
    let mut rng = Rng::new(seed);
    let map = Map::generate(&mut rng, rules::WORLD_SIZE);
    // Next to a box, so that the player soon runs into it.
    let near = map.obstacles()[0];
    let (x, y) = (near.x - 60, near.y + near.height / 2);
    let mut body = Body::at(x, y);
    let mut input = ArenaInput::default();
    let (mut sticks, mut places) = (String::new(), String::new());
    for tick in 0..TICKS {
        if tick % 12 == 0 {
            let part = |rng: &mut Rng| if rng.range(0..4) == 0 { 0 } else { rng.range(-150..151) };
            (input.move_x, input.move_y) = (part(&mut rng), part(&mut rng));
            write!(sticks, "[{}, {}], ", input.move_x, input.move_y).unwrap();
        }
        body = predict(&map, body, &input, tick_rate);
        let (x, y) = body.place();
        write!(places, "[{x}, {y}], ").unwrap();
    }
    let boxes: Vec<String> = map
        .obstacles()
        .iter()
        .map(|b| {
            format!("{{\"x\": {}, \"y\": {}, \"width\": {}, \"height\": {}}}", b.x, b.y, b.width, b.height)
        })
        .collect();
    format!(
        "  {{\"tick_rate\": {tick_rate}, \"start\": [{x}, {y}],\n    \"obstacles\": [{}],\n    \"sticks\": [{}],\n    \"places\": [{}]}}",
        boxes.join(", "),
        sticks.trim_end_matches(", "),
        places.trim_end_matches(", "),
    )
}
