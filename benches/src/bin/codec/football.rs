//! Football players at 20 Hz: positions measured by radio (Pettersen et al., "Soccer video and player
//! position dataset", MMSys 2014).

use crate::measure::{Figures, Recording, run};
use driftless_proto::{schema::Schema, snapshot::Snapshot};
use std::error::Error;

/// Ticks from the baseline to the state.
const AGES: [usize; 3] = [1, 3, 6];
/// Millimetres per quantum.
const STEP_MM: i32 = 10;

pub fn measure(bytes: &[u8]) -> Result<Vec<Figures>, Box<dyn Error>> {
    let recording = read(std::str::from_utf8(bytes)?)?;
    let mut figures = Vec::new();
    for age in AGES {
        figures.extend(run(&recording, age)?);
    }
    Ok(figures)
}

/// The two coordinates change together and continue their movement.
fn schema() -> Schema {
    Schema::new().kind("player", |k| k.linear("position", &["x", "y"], 100))
}

/// Lines of `tick,id,x_mm,y_mm,…`, ascending by tick. A tick without lines is a state without players.
fn read(text: &str) -> Result<Recording, Box<dyn Error>> {
    let schema = schema();
    let mut frames: Vec<Snapshot> = Vec::new();
    for (number, line) in (1..).zip(text.lines()).skip(1) {
        let row = parse(line).ok_or_else(|| format!("line {number}: not tick,id,x_mm,y_mm"))?;
        while frames.len() as u64 <= u64::from(row.tick) {
            let mut frame = Snapshot::new(&schema);
            frame.clear(frames.len() as u32);
            frames.push(frame);
        }
        let quanta = |mm: i32| (mm + STEP_MM / 2).div_euclid(STEP_MM);
        frames[row.tick as usize].table_mut(0).push(row.id, &[quanta(row.x_mm), quanta(row.y_mm)]);
    }
    Ok(Recording { name: "football", schema, frames })
}

struct Row {
    tick: u32,
    id: u32,
    x_mm: i32,
    y_mm: i32,
}

fn parse(line: &str) -> Option<Row> {
    let mut fields = line.split(',');
    let (tick, id) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (x_mm, y_mm) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Row { tick, id, x_mm, y_mm })
}
