//! What the maker of an arena can choose.

use super::rules;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Seconds from death to the next life that a room may have.
const RESPAWN_S: RangeInclusive<u32> = 1..=60;

/// Seconds of a round that a room with rounds may have.
const ROUND_S: RangeInclusive<u32> = 10..=3_600;

/// What the maker of an arena can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArenaOptions {
    /// Time from death to the next life, seconds, 1 to 60. Default: 3.
    pub respawn_s: u32,
    /// Time of a round, seconds, 10 to 3,600. When it is over, the winner is told, and ten seconds later the next begins. 0, the
    /// default: no rounds.
    pub round_s: u32,
}

impl Default for ArenaOptions {
    fn default() -> Self {
        Self { respawn_s: rules::RESPAWN_MS / 1_000, round_s: 0 }
    }
}

impl ArenaOptions {
    /// Itself, if all is within its range.
    pub(super) fn checked(self) -> Result<Self, String> {
        in_range("respawn_s", self.respawn_s, RESPAWN_S)?;
        if self.round_s > 0 {
            in_range("round_s", self.round_s, ROUND_S)?;
        }
        Ok(self)
    }

    pub(super) fn respawn_ms(&self) -> u32 {
        self.respawn_s * 1_000
    }
}

fn in_range(name: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), String> {
    if range.contains(&value) { Ok(()) } else { Err(format!("{name} is {value}, outside {range:?}")) }
}
