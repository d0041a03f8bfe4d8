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

/// Two groups, both predicted to stay.
///
/// - HOLD, because the cubes tumble and hit each other: a velocity that is 6 frames (0.1 s) old is wrong as
///   often as right, and makes 107 cubes per packet differ from their prediction where only 95 have changed.
/// - Position and orientation in one group, because nearly every cube that moves also turns. In groups of
///   their own, each would cost a row set (12 bytes) to say which few do not, about as much as the zeros that
///   are written instead. In triples, (x, y, z) and (a, b, c) are one number each.
/// - The two flags in a separate group, because they change in one of four changed cubes; and together,
///   because they share a number.
fn schema() -> Schema {
    Schema::new().kind("cube", |k| {
        k.hold("pose", &["x", "y", "z", "a", "b", "c"], 1).hold("flags", &["largest", "interacting"], 1)
    })
}

fn read(bytes: &[u8]) -> Result<Recording, Box<dyn Error>> {
    const FRAME: usize = CUBES * FIELDS * 4;
    if bytes.is_empty() || !bytes.len().is_multiple_of(FRAME) {
        return Err(format!("{} bytes are not a whole number of frames of {FRAME} bytes", bytes.len()).into());
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
