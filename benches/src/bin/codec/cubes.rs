//! 901 cubes under physics, in the layout of Glenn Fiedler's compression challenge
//! (<https://gafferongames.com/post/snapshot_compression/>).

use crate::measure::{Figures, Recording, run};
use driftless_proto::{schema::Schema, snapshot::Snapshot};
use std::error::Error;

const CUBES: usize = 901;
/// orientation_largest, orientation_a, b, c, position_x, y, z, interacting.
const FIELDS: usize = 8;
/// Frames from the baseline to the state.
const AGE: usize = 6;

pub fn measure(bytes: &[u8]) -> Result<Vec<Figures>, Box<dyn Error>> {
    run(&read(bytes)?, AGE)
}

fn schema() -> Schema {
    let e = std::env::var("CUBES").unwrap_or_default();
    Schema::new().kind("cube", |k| match e.as_str() {
        "hold" => k
            .linear("position", &["x", "y", "z"], 1)
            .hold("orientation", &["a", "b", "c"], 1)
            .hold("largest", &["largest"], 1)
            .hold("interacting", &["interacting"], 1),
        "li" => k.linear("position", &["x", "y", "z"], 1).linear("orientation", &["a", "b", "c"], 1).hold(
            "flags",
            &["largest", "interacting"],
            1,
        ),
        "holdli" => k.linear("position", &["x", "y", "z"], 1).hold("orientation", &["a", "b", "c"], 1).hold(
            "flags",
            &["largest", "interacting"],
            1,
        ),
        "z" => k
            .linear("position", &["x", "y"], 1)
            .linear("height", &["z"], 1)
            .linear("orientation", &["a", "b", "c"], 1)
            .hold("largest", &["largest"], 1)
            .hold("interacting", &["interacting"], 1),
        "allhold" => k
            .hold("position", &["x", "y", "z"], 1)
            .hold("orientation", &["a", "b", "c"], 1)
            .hold("largest", &["largest"], 1)
            .hold("interacting", &["interacting"], 1),
        "one" => k
            .linear("position", &["x", "y", "z", "a", "b", "c"], 1)
            .hold("largest", &["largest"], 1)
            .hold("interacting", &["interacting"], 1),
        "hz" => k
            .linear("position", &["x", "y"], 1)
            .linear("height", &["z"], 1)
            .hold("orientation", &["a", "b", "c"], 1)
            .hold("largest", &["largest"], 1)
            .hold("interacting", &["interacting"], 1),
        _ => k
            .linear("position", &["x", "y", "z"], 1)
            .linear("orientation", &["a", "b", "c"], 1)
            .hold("largest", &["largest"], 1)
            .hold("interacting", &["interacting"], 1),
    })
}

fn read(bytes: &[u8]) -> Result<Recording, Box<dyn Error>> {
    const FRAME: usize = CUBES * FIELDS * 4;
    if bytes.is_empty() || bytes.len() % FRAME != 0 {
        return Err(format!("{} bytes are no frames of {FRAME} bytes", bytes.len()).into());
    }
    let schema = schema();
    let frame = |(tick, frame): (u32, &[u8])| {
        let mut snapshot = Snapshot::new(&schema);
        snapshot.clear(tick);
        for (id, cube) in (0..).zip(frame.chunks_exact(FIELDS * 4)) {
            let mut values = [0; FIELDS];
            for (value, bytes) in values.iter_mut().zip(cube.as_chunks::<4>().0) {
                *value = i32::from_le_bytes(*bytes);
            }
            let [largest, a, b, c, x, y, z, interacting] = values;
            snapshot.table_mut(0).push(id, &[x, y, z, a, b, c, largest, interacting]);
        }
        snapshot
    };
    let frames = (0..).zip(bytes.chunks_exact(FRAME)).map(frame).collect();
    Ok(Recording { name: "cubes", schema, frames })
}
