//! What a soak showed: the JSON object of `loadtest soak`.

use super::{
    board::Counts,
    trend::{Trend, Verdict},
    watch::SERIES,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The figures of a soak.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SoakFigures {
    /// Bots that played.
    pub clients: u64,
    /// Bots that watched.
    pub spectators: u64,
    /// Rooms open at a time.
    pub rooms: u64,
    /// Rooms that another took the place of.
    pub rooms_replaced: u64,
    /// Time for which lines were fitted, after the warm-up, seconds.
    pub seconds: f64,
    /// Samples in it.
    pub samples: u64,
    /// Samples that could not be taken, as the server did not answer.
    pub samples_missing: u64,
    /// What the bots did.
    pub bots: Counts,
    /// Everything that went wrong: see `errors_by_kind`.
    pub errors: u64,
    /// `errors`, by what went wrong.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// CPU time of the server divided by time: 1 is one core.
    pub server_cpu: f64,
    /// The same of the bots.
    pub swarm_cpu: f64,
    /// Growth that is tolerated, percent of the mean per hour.
    pub tolerance: f64,
    /// Each series.
    pub trends: BTreeMap<&'static str, TrendFigures>,
    /// Series that grow.
    pub grow: u64,
    /// How many more there are of each than before the first bot, when all have left and what is kept for
    /// them has expired.
    pub left_behind: LeftBehind,
}

/// The line through a series.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct TrendFigures {
    /// Mean of all samples.
    pub mean: f64,
    /// Slope, per hour.
    pub slope: f64,
    /// The interval of 95 % of the slope: its lower end. None: the series depends too much on itself to tell.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// What that means.
    pub verdict: Option<Verdict>,
}

/// What nobody uses any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LeftBehind {
    /// Connections.
    pub connections: u64,
    /// Seats.
    pub players: u64,
    /// Spectators.
    pub spectators: u64,
    /// Rooms.
    pub rooms: u64,
    /// Threads.
    pub threads: u64,
    /// Descriptors.
    pub descriptors: u64,
}

impl LeftBehind {
    /// Before anybody has looked.
    pub fn unknown() -> Self {
        Self { connections: u64::MAX, players: 0, spectators: 0, rooms: 0, threads: 0, descriptors: 0 }
    }
    /// Whether it is nothing but threads and descriptors, some of which a server makes when it first needs
    /// them: whether those grow is a matter of their trends.
    pub fn is_nothing(&self) -> bool {
        [self.connections, self.players, self.spectators, self.rooms] == [0; 4]
    }
}

impl TrendFigures {
    /// Of a line. `tolerance`: percent of the mean per hour.
    pub fn new(trend: &Trend, tolerance: f64) -> Self {
        let Trend { mean, slope, within } = *trend;
        Self {
            mean,
            slope,
            low: within.map(|within| slope - within),
            high: within.map(|within| slope + within),
            verdict: Some(trend.verdict(mean.abs() * tolerance / 100.0)),
        }
    }
}

impl SoakFigures {
    /// Figures in which nothing is null, so that the keys are known before anything is measured.
    pub fn specimen() -> Self {
        let trend = TrendFigures {
            low: Some(0.0),
            high: Some(0.0),
            verdict: Some(Verdict::Flat),
            ..TrendFigures::default()
        };
        let trends = SERIES.iter().map(|series| (series.name, trend)).collect();
        Self { trends, ..Self::default() }
    }
}
