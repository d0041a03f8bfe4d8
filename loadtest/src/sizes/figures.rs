//! What the runs of all sizes measured: the JSON object of `loadtest run --rooms-of`. Keys are added, never
//! renamed.

use crate::{figures::Figures, floor::FloorFigures};
use serde::Serialize;
use std::collections::BTreeMap;

/// All sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizesFigures {
    /// What the bots connected over.
    pub transport: &'static str,
    /// Ticks per second.
    pub tick_rate: u32,
    /// In the order requested, without those of which no pass was completed.
    pub sizes: Vec<SizeFigures>,
}

/// One size of room.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizeFigures {
    /// Bots in a room.
    pub rooms_of: u32,
    /// Of the server of `--url`.
    pub server: Summary,
    /// Of that of `--against`.
    pub against: Option<Summary>,
    /// The first over the second, taken in each pass.
    pub server_over_against: Option<Summary>,
    /// Each pass in full.
    pub passes: Vec<Pass>,
}

/// One run of each server, with the same floor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pass {
    /// The server of `--url`.
    pub server: Figures,
    /// That of `--against`.
    pub against: Option<Figures>,
}

/// A few figures over all passes, by the names of [`COLUMNS`]. What was not measured is not there.
pub type Summary = BTreeMap<&'static str, Spread>;

/// A figure over all passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// In the middle; between the two in the middle of an even number.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// A figure of the summary.
#[derive(Debug)]
pub struct Column {
    /// Its name in the JSON.
    pub key: &'static str,
    /// What stands above it in the table.
    pub heading: &'static str,
    /// Factor between the figure and what the table shows.
    pub scale: f64,
    /// Digits after the point there.
    pub digits: usize,
    /// Whether a ratio of two servers' values is meaningful.
    compared: bool,
    of: fn(&Figures) -> Option<f64>,
}

/// The summary's figures, in the order of the table.
pub const COLUMNS: [Column; 10] = [
    Column::alone("clients", "clients", 1.0, 0, |f| Some(f.connected as f64)),
    Column::alone("delivered_ratio", "delivered %", 100.0, 3, |f| f.delivered_ratio),
    Column::compared("tick_lateness_p50_us", "late p50", 1.0, 0, |f| f.tick_lateness_us.map(|q| q.p50)),
    Column::compared("tick_lateness_p99_us", "p99", 1.0, 0, |f| f.tick_lateness_us.map(|q| q.p99)),
    Column::compared("tick_lateness_p999_us", "p99.9", 1.0, 0, |f| f.tick_lateness_us.map(|q| q.p999)),
    Column::compared("cpu_us_per_client_tick", "CPU µs", 1.0, 2, |f| f.server.cpu_us_per_client_tick),
    Column::alone("floor_cpu_us_per_client_tick", "floor µs", 1.0, 2, |f| {
        f.floor.as_ref().map(|floor| floor.cpu_us_per_client_tick)
    }),
    Column::alone("server_over_floor", "× floor", 1.0, 2, |f| f.server_over_floor),
    Column::compared("rss_bytes_per_client", "RSS KiB", 1.0 / 1024.0, 1, |f| f.server.rss_bytes_per_client),
    Column::compared("bytes_down_per_client_s", "down B/s", 1.0, 0, |f| f.bytes_down_per_client_s),
];

impl Column {
    const fn alone(
        key: &'static str,
        heading: &'static str,
        scale: f64,
        digits: usize,
        of: fn(&Figures) -> Option<f64>,
    ) -> Self {
        Self { key, heading, scale, digits, compared: false, of }
    }
    const fn compared(
        key: &'static str,
        heading: &'static str,
        scale: f64,
        digits: usize,
        of: fn(&Figures) -> Option<f64>,
    ) -> Self {
        Self { compared: true, ..Self::alone(key, heading, scale, digits, of) }
    }
}

impl SizeFigures {
    /// Sums up the passes.
    pub fn new(rooms_of: u32, passes: Vec<Pass>) -> Self {
        let against = |pass: &Pass, column: &Column| pass.against.as_ref().and_then(column.of);
        let ratio = |pass: &Pass, column: &Column| {
            let pair = (column.of)(&pass.server).zip(against(pass, column)).filter(|_| column.compared);
            pair.filter(|(_, other)| *other > 0.0).map(|(one, other)| one / other)
        };
        let both = passes.iter().any(|pass| pass.against.is_some());
        Self {
            rooms_of,
            server: sum_up(&passes, |pass, column| (column.of)(&pass.server)),
            against: both.then(|| sum_up(&passes, against)),
            server_over_against: both.then(|| sum_up(&passes, ratio)),
            passes,
        }
    }
}

fn sum_up(passes: &[Pass], of: impl Fn(&Pass, &Column) -> Option<f64>) -> Summary {
    let spread = |column: &Column| Spread::of(passes.iter().filter_map(|pass| of(pass, column)).collect());
    COLUMNS.iter().filter_map(|column| Some((column.key, spread(column)?))).collect()
}

impl Pass {
    /// Compares both with the floor, which is that of the first one's traffic.
    pub fn set_floor(&mut self, floor: &FloorFigures) {
        self.server.set_floor(floor.clone());
        if let Some(against) = &mut self.against {
            against.set_floor(floor.clone());
        }
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&least, &most) = (values.first()?, values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::ServerFigures;

    fn played(cpu: Option<f64>) -> Figures {
        let server = ServerFigures { cpu_us_per_client_tick: cpu, rss_bytes_per_client: None };
        Figures { connected: 8, server, ..Figures::default() }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_its_middle_two() {
        let spread = |values: &[f64]| Spread::of(values.to_vec()).map(|s| (s.least, s.median, s.most));
        assert_eq!(spread(&[3.0, 1.0, 9.0]), Some((1.0, 3.0, 9.0)));
        assert_eq!(spread(&[4.0, 1.0, 9.0, 2.0]), Some((1.0, 3.0, 9.0)));
        assert_eq!(spread(&[]), None);
    }

    // The machine changes from pass to pass, so values of different passes must not be mixed: the ratio of
    // the medians would be 1.5.
    #[test]
    fn a_ratio_is_of_two_runs_of_the_same_pass() {
        let pass = |one, other| Pass { server: played(Some(one)), against: Some(played(Some(other))) };
        let size = SizeFigures::new(2, vec![pass(10.0, 10.0), pass(30.0, 30.0), pass(45.0, 20.0)]);
        let ratio = size.server_over_against.unwrap();
        assert_eq!(ratio["cpu_us_per_client_tick"], Spread { median: 1.0, least: 1.0, most: 2.25 });
        assert!(!ratio.contains_key("clients"), "only what a ratio says something of");
    }

    // Scripts rely on these names.
    #[test]
    fn the_keys_of_the_json_are_there_and_what_was_not_measured_is_not() {
        let sizes = vec![SizeFigures::new(2, vec![Pass { server: played(None), against: None }])];
        let json =
            serde_json::to_value(SizesFigures { transport: "websocket", tick_rate: 20, sizes }).unwrap();
        let size = &json["sizes"][0];
        assert_eq!((&size["rooms_of"], &size["server"]["clients"]["median"]), (&2.into(), &8.0.into()));
        assert!(size["server"].get("cpu_us_per_client_tick").is_none());
        assert!(size["against"].is_null() && size["server_over_against"].is_null());
        assert_eq!(size["passes"][0]["server"]["connected"], 8);
        let keys: Vec<_> = COLUMNS.iter().map(|column| column.key).collect();
        assert!(keys.contains(&"cpu_us_per_client_tick") && keys.contains(&"rss_bytes_per_client"));
    }
}
