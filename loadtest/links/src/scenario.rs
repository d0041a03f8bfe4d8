//! Scenarios: what a link is like, and when, as TOML.
//!
//! ```toml
//! about = "60 ms there and back; one datagram in twenty is lost each way"
//! seed = 7                      # default 1
//!
//! [[phase]]                     # one after the other; the last one lasts to the end
//! seconds = 5                   # may be left out of the last one
//! both = { latency_ms = 30, loss_percent = 5 }
//!
//! [[phase]]
//! up = { latency_ms = 30 }      # from the client to the server
//! down = { latency_ms = 30, rate_bytes_s = 12000, queue_bytes = 32000 }
//! ```
//!
//! A way that a phase does not name is as in the phase before (in the first: a perfect wire).
//! The keys of a way, each optional, are the fields of `Table` in `scenario/table.rs`.

mod error;
mod table;

pub use error::ScenarioError;

use crate::model::Phase;
use std::{fmt, path::Path, str::FromStr};

/// A link's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name: the file's, without `.toml`.
    pub(crate) name: String,
    /// What it is, in words.
    pub(crate) about: String,
    /// The random seed.
    pub(crate) seed: u64,
    /// One after the other.
    pub(crate) phases: Vec<Phase>,
}

/// Scenarios that come with the program, by name.
const BUILT_IN: [(&str, &str); 7] = [
    ("clean", include_str!("../scenarios/clean.toml")),
    ("rtt150", include_str!("../scenarios/rtt150.toml")),
    ("rtt60-loss5", include_str!("../scenarios/rtt60-loss5.toml")),
    ("narrow-12kB", include_str!("../scenarios/narrow-12kB.toml")),
    ("narrow-2kB", include_str!("../scenarios/narrow-2kB.toml")),
    ("blackout-5s", include_str!("../scenarios/blackout-5s.toml")),
    ("wifi-bursts", include_str!("../scenarios/wifi-bursts.toml")),
];

impl Scenario {
    /// Reads a scenario's text. `name` is for its errors and reports.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        table::read(name, text)
    }
    fn read(path: &Path) -> Result<Self, ScenarioError> {
        let unreadable = |error: std::io::Error| ScenarioError::Unreadable {
            file: path.to_owned(),
            reason: error.to_string(),
        };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let scenario = Self::parse(&path.display().to_string(), &text)?;
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self { name, ..scenario })
    }
    /// The names of those that come with the program.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

/// From the command line: the name of one that comes with the program, or a file.
impl FromStr for Scenario {
    type Err = ScenarioError;
    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        match BUILT_IN.iter().find(|(name, _)| *name == text) {
            Some((name, scenario)) => Self::parse(name, scenario),
            None if !text.contains(['/', '.']) => Err(ScenarioError::Unknown { name: text.to_owned() }),
            None => Self::read(Path::new(text)),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {} ({})", self.name, self.seed, self.about)
    }
}

#[cfg(test)]
mod tests;
