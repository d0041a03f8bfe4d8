//! Recorded movement for bots to follow.
//!
//! A CSV file, gzipped or not, whose lines begin with `tick,id,x,y`; further columns are ignored, and so is a
//! header line. Ticks may be missing: the entity stays where it was. Whatever the units, the whole recording
//! is scaled onto the arena with a margin, keeping its aspect ratio.

use driftless_sim::games::arena::rules::WORLD_SIZE;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// Space between the recording and the arena's walls, cm.
const MARGIN: f64 = WORLD_SIZE as f64 * 0.05;

/// The movement of some entities, in the arena's centimetres, one place for each tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    paths: Vec<Vec<(i32, i32)>>,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("trace {file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not `tick,id,x,y`.
    #[error("trace {file}, line {line}: {what}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong in it.
        what: String,
    },
    /// There is no line with a place.
    #[error("trace {0}: it has no positions")]
    Empty(String),
}

impl Trace {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        let failed = |error| TraceError::Io { file: name.clone(), error };
        let file = std::fs::File::open(path).map_err(failed)?;
        let gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let text: Box<dyn Read> =
            if gzipped { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
        Self::parse(&name, BufReader::new(text))
    }
    /// How many entities there are, at least 1.
    pub fn paths(&self) -> usize {
        self.paths.len()
    }
    /// Where an entity is at a tick, cm. After its last tick it goes back the same way, and so on.
    pub fn place(&self, path: usize, tick: usize) -> (i32, i32) {
        let path = &self.paths[path % self.paths.len()];
        let last = path.len() - 1;
        if last == 0 {
            return path[0];
        }
        let at = tick % (2 * last);
        path[if at <= last { at } else { 2 * last - at }]
    }

    fn parse(name: &str, text: impl BufRead) -> Result<Self, TraceError> {
        let mut tracks: BTreeMap<i64, BTreeMap<i64, (f64, f64)>> = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.map_err(|error| TraceError::Io { file: name.to_owned(), error })?;
            let heading = index == 0 && !line.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            if heading || line.trim().is_empty() {
                continue;
            }
            let (tick, id, x, y) = parse_line(&line).map_err(|what| TraceError::Line {
                file: name.to_owned(),
                line: index + 1,
                what,
            })?;
            tracks.entry(id).or_default().insert(tick, (x, y));
        }
        let all = || tracks.values().flat_map(BTreeMap::values);
        let bounds = |axis: fn(&(f64, f64)) -> f64| {
            all().map(axis).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
        };
        if all().next().is_none() {
            return Err(TraceError::Empty(name.to_owned()));
        }
        let ((left, right), (bottom, top)) = (bounds(|p| p.0), bounds(|p| p.1));
        let extent = (right - left).max(top - bottom).max(1e-6);
        let scale = (f64::from(WORLD_SIZE) - 2.0 * MARGIN) / extent;
        let place = |(x, y): (f64, f64)| {
            ((MARGIN + (x - left) * scale) as i32, (MARGIN + (y - bottom) * scale) as i32)
        };
        Ok(Self {
            paths: tracks.values().map(|track| fill(track).into_iter().map(place).collect()).collect(),
        })
    }
}

/// One place a tick from the track's first tick to its last.
fn fill(track: &BTreeMap<i64, (f64, f64)>) -> Vec<(f64, f64)> {
    /// Longer holes are shortened: a bot that stands still for an hour is of no use.
    const LONGEST_HOLE: i64 = 200;
    let mut path = Vec::with_capacity(track.len());
    let mut before: Option<(i64, (f64, f64))> = None;
    for (&tick, &place) in track {
        if let Some((last, stood)) = before {
            let hole = (tick - last - 1).min(LONGEST_HOLE);
            path.extend(std::iter::repeat_n(stood, hole as usize));
        }
        path.push(place);
        before = Some((tick, place));
    }
    path
}

fn parse_line(line: &str) -> Result<(i64, i64, f64, f64), String> {
    let mut fields = line.split(',').map(str::trim);
    let mut field = |name: &str| fields.next().ok_or_else(|| format!("no {name}: tick,id,x,y are needed"));
    let (tick, id, x, y) = (field("tick")?, field("id")?, field("x")?, field("y")?);
    let whole = |name: &str, text: &str| {
        text.parse::<i64>().map_err(|_| format!("{name} {text:?} is not an integer"))
    };
    let number = |name: &str, text: &str| {
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| format!("{name} {text:?} is not a number"))
    };
    let tick = whole("tick", tick)?;
    if !(-(1 << 40)..1 << 40).contains(&tick) {
        return Err(format!("tick {tick} is out of range"));
    }
    Ok((tick, whole("id", id)?, number("x", x)?, number("y", y)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Trace, String> {
        Trace::parse("t.csv", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_scaled_onto_the_arena_with_their_aspect() {
        let trace = parse("tick,id,x_mm,y_mm,speed\n0,1,-100,0,9\n1,1,100,50,9\n0,2,0,0,9\n").unwrap();
        assert_eq!(trace.paths(), 2);
        assert_eq!(trace.place(0, 0), (500, 500));
        assert_eq!(trace.place(0, 1), (9500, 2750));
        assert_eq!(trace.place(1, 7), (5000, 500));
    }

    #[test]
    fn a_hole_is_stood_through_and_the_end_is_walked_back() {
        let trace = parse("0,1,0,0\n3,1,10,0\n4,1,20,0\n").unwrap();
        let xs: Vec<_> = (0..9).map(|tick| trace.place(0, tick).0).collect();
        assert_eq!(xs, [500, 500, 500, 5000, 9500, 5000, 500, 500, 500]);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        assert_eq!(
            parse("tick,id,x,y\n0,1,0,0\n1,1,0"),
            Err("trace t.csv, line 3: no y: tick,id,x,y are needed".into())
        );
        assert_eq!(
            parse("0,1,0,0\n1,one,0,0"),
            Err("trace t.csv, line 2: id \"one\" is not an integer".into())
        );
        assert_eq!(parse("0,1,0,NaN"), Err("trace t.csv, line 1: y \"NaN\" is not a number".into()));
        assert_eq!(
            parse("tick,id,x,y\ntick,id,x,y\n"),
            Err("trace t.csv, line 2: tick \"tick\" is not an integer".into())
        );
        assert_eq!(
            parse("99999999999999,1,0,0"),
            Err("trace t.csv, line 1: tick 99999999999999 is out of range".into())
        );
        assert_eq!(parse("tick,id,x,y\n"), Err("trace t.csv: it has no positions".into()));
    }

    #[test]
    fn a_single_place_does_not_divide_by_nothing() {
        assert_eq!(parse("5,1,7,7\n").unwrap().place(0, 3), (500, 500));
    }

    #[test]
    fn a_gzipped_file_is_unpacked_and_a_missing_one_is_named() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv.gz");
        let mut gz =
            flate2::write::GzEncoder::new(std::fs::File::create(&file).unwrap(), flate2::Compression::fast());
        gz.write_all(b"0,1,0,0\n").unwrap();
        gz.finish().unwrap();
        assert_eq!(Trace::read(&file).unwrap().paths(), 1);
        let error = Trace::read(&folder.path().join("none.csv")).unwrap_err().to_string();
        assert!(error.contains("none.csv: No such file"), "{error}");
    }
}
