//! The TOML of a scenario, and what its values may be.

use super::{Scenario, ScenarioError};
use crate::model::{Conditions, Loss, Phase};
use serde::Deserialize;
use std::{fmt::Display, ops::RangeInclusive, time::Duration};

/// Longest delay of any kind, milliseconds.
const MAX_MS: f64 = 60_000.0;
/// Longest phase, seconds.
const MAX_SECONDS: f64 = 86_400.0;
/// Smallest queue, bytes: room for a full datagram, or nothing would ever pass.
const MIN_QUEUE: u64 = 2048;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    about: String,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    phase: Vec<PhaseTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseTable {
    seconds: Option<f64>,
    both: Option<Table>,
    up: Option<Table>,
    down: Option<Table>,
}

/// One way of a phase.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// How long the way takes, milliseconds.
    pub latency_ms: f64,
    /// So much more or less, milliseconds; at most the latency.
    pub jitter_ms: f64,
    /// Lost on the wire, each on its own, percent.
    pub loss_percent: f64,
    /// Instead: lost in bursts.
    pub burst: Option<Burst>,
    /// Held back so that others overtake, percent.
    pub reorder_percent: f64,
    /// By so much, milliseconds.
    pub reorder_ms: f64,
    /// Arrive twice, percent.
    pub duplicate_percent: f64,
    /// Bytes per second, headers included. Left out: no limit.
    pub rate_bytes_s: Option<u64>,
    /// Most bytes that may wait for the rate.
    pub queue_bytes: Option<u64>,
    /// Nothing passes.
    pub black_out: bool,
}

/// Loss by two states (see [`Loss::Bursts`]), percent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// From good to bad, before each packet.
    pub enter_percent: f64,
    /// From bad to good.
    pub leave_percent: f64,
    /// Loss while good.
    #[serde(default)]
    pub good_loss_percent: f64,
    /// Loss while bad.
    #[serde(default = "hundred")]
    pub bad_loss_percent: f64,
}

fn one() -> u64 {
    1
}

fn hundred() -> f64 {
    100.0
}

/// Reads and checks.
pub fn read(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let table: File = toml::from_str(text).map_err(|error| ScenarioError::BadToml {
        file: file.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    })?;
    let count = table.phase.len();
    if count == 0 {
        return Err(Place { file, at: String::new() }.bad("phase", "left out", "one or more [[phase]]"));
    }
    let mut phases: Vec<Phase> = Vec::with_capacity(count);
    for (index, phase) in table.phase.into_iter().enumerate() {
        let place = Place { file, at: format!("phase {}: ", index + 1) };
        let before = phases.last().cloned().unwrap_or_default();
        phases.push(phase.read(&place, before, index + 1 == count)?);
    }
    Ok(Scenario { name: file.to_owned(), about: table.about, seed: table.seed, phases })
}

impl PhaseTable {
    fn read(self, place: &Place<'_>, before: Phase, is_last: bool) -> Result<Phase, ScenarioError> {
        let duration = match self.seconds {
            None if is_last => None,
            None => return Err(place.bad("seconds", "left out", "given in all phases but the last")),
            Some(seconds) => {
                place.within("seconds", seconds, 0.001..=MAX_SECONDS)?;
                Some(Duration::from_secs_f64(seconds))
            }
        };
        let (up, down) = match (self.both, self.up, self.down) {
            (Some(both), None, None) => {
                let both = both.read(&place.within_way("both"))?;
                (both.clone(), both)
            }
            (Some(_), _, _) => return Err(place.bad("both", "given beside up or down", "alone")),
            (None, up, down) => {
                let up = up.map(|up| up.read(&place.within_way("up"))).transpose()?;
                let down = down.map(|down| down.read(&place.within_way("down"))).transpose()?;
                (up.unwrap_or(before.up), down.unwrap_or(before.down))
            }
        };
        Ok(Phase { duration, up, down })
    }
}

impl Table {
    fn read(self, place: &Place<'_>) -> Result<Conditions, ScenarioError> {
        let latency = place.ms("latency_ms", self.latency_ms, MAX_MS)?;
        let queue = match (self.rate_bytes_s, self.queue_bytes) {
            (Some(_), None) => return Err(place.bad("queue_bytes", "left out", "given with rate_bytes_s")),
            (None, Some(bytes)) => {
                return Err(place.bad("queue_bytes", bytes, "given only with rate_bytes_s"));
            }
            (None, None) => 0,
            (Some(rate), Some(queue)) => {
                place.whole("rate_bytes_s", rate, 100..=10_000_000_000)?;
                place.whole("queue_bytes", queue, MIN_QUEUE..=1_000_000_000)?;
                queue
            }
        };
        Ok(Conditions {
            latency,
            jitter: place.ms("jitter_ms", self.jitter_ms, self.latency_ms)?,
            loss: match self.burst {
                None => Loss::Independent(place.share("loss_percent", self.loss_percent)?),
                Some(_) if self.loss_percent != 0.0 => {
                    return Err(place.bad("loss_percent", self.loss_percent, "left out beside burst"));
                }
                Some(burst) => Loss::Bursts {
                    enter: place.share("burst.enter_percent", burst.enter_percent)?,
                    leave: place.share("burst.leave_percent", burst.leave_percent)?,
                    good: place.share("burst.good_loss_percent", burst.good_loss_percent)?,
                    bad: place.share("burst.bad_loss_percent", burst.bad_loss_percent)?,
                },
            },
            reorder: place.share("reorder_percent", self.reorder_percent)?,
            reorder_by: place.ms("reorder_ms", self.reorder_ms, MAX_MS)?,
            duplicate: place.share("duplicate_percent", self.duplicate_percent)?,
            rate: self.rate_bytes_s,
            queue,
            black_out: self.black_out,
        })
    }
}

/// Where a value is, for its error.
struct Place<'a> {
    file: &'a str,
    at: String,
}

impl Place<'_> {
    fn within_way(&self, way: &str) -> Self {
        Self { file: self.file, at: format!("{}{way}.", self.at) }
    }
    fn bad(&self, key: &str, value: impl Display, allowed: &str) -> ScenarioError {
        ScenarioError::Bad {
            file: self.file.to_owned(),
            key: format!("{}{key}", self.at),
            value: value.to_string(),
            allowed: allowed.to_owned(),
        }
    }
    fn within(&self, key: &str, value: f64, range: RangeInclusive<f64>) -> Result<f64, ScenarioError> {
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.bad(key, value, &format!("{} to {}", range.start(), range.end())))
    }
    fn whole(&self, key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), ScenarioError> {
        if range.contains(&value) {
            return Ok(());
        }
        Err(self.bad(key, value, &format!("{} to {}", range.start(), range.end())))
    }
    fn share(&self, key: &str, percent: f64) -> Result<f64, ScenarioError> {
        Ok(self.within(key, percent, 0.0..=100.0)? / 100.0)
    }
    fn ms(&self, key: &str, ms: f64, most: f64) -> Result<Duration, ScenarioError> {
        Ok(Duration::from_secs_f64(self.within(key, ms, 0.0..=most)? / 1000.0))
    }
}
