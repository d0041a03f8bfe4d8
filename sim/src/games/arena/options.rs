//! What the maker of an arena room can choose.

use super::rules;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Allowed seconds from death to respawn.
const RESPAWN_S: RangeInclusive<u32> = 1..=60;

/// Allowed seconds of a round, in rooms with rounds.
const ROUND_S: RangeInclusive<u32> = 10..=3_600;

/// Bots that a room may have.
const BOTS: RangeInclusive<u32> = 0..=63;

/// Sides that the world may have, m.
const SIDE_M: RangeInclusive<u32> =
    (rules::WORLD_SIZE / 100).unsigned_abs()..=(rules::MAX_WORLD_SIZE / 100).unsigned_abs();

/// How far shots may be rewound.
pub(super) const REWIND_MS: RangeInclusive<u32> = 0..=500;

/// Bots of a match that players start.
const MATCH_BOTS: RangeInclusive<u32> = 0..=7;

/// What the maker of an arena room can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArenaOptions {
    /// Time from death to respawn, seconds, 1 to 60. Default: 3.
    pub respawn_s: u32,
    /// Length of a round, seconds, 10 to 3,600. When it is over, the winner is announced, and ten seconds
    /// later the next begins. 0: no rounds. Not given, the default: none until a player's command starts a
    /// match.
    pub round_s: Option<u32>,
    /// Bots that play with one person, 0 to 63; each further person takes the place of one, and they leave
    /// with the last. Default: as with `round_s`. A bot costs the server about as much as a player, without a
    /// connection.
    pub bots: Option<u32>,
    /// Shots hit what their shooter was shown, as far as that is not longer ago than this, milliseconds, 0 to
    /// 500. So nobody is hit where he has not been for longer. 0: shots hit what is there now. Default: 250.
    pub rewind_ms: u32,
    /// Side of the world, m, 100 to 2,000. In a world larger than 100 m players see what is within 40 m, and
    /// the kills there. Default: 100.
    pub side_m: u32,
    /// Two teams, to which players are assigned as they join, and who have the colours 1 and 8. Nobody hits
    /// those of the same team. Enemies, and their shots, are seen only if a living member of the team is
    /// within 40 m. Kills are told as without teams: by whom, and not from where. Default: false.
    pub teams: bool,
}

impl Default for ArenaOptions {
    fn default() -> Self {
        Self {
            respawn_s: rules::RESPAWN_MS / 1_000,
            round_s: None,
            bots: None,
            rewind_ms: 250,
            side_m: *SIDE_M.start(),
            teams: false,
        }
    }
}

impl ArenaOptions {
    /// Itself, if everything is within its range.
    pub(super) fn checked(self) -> Result<Self, String> {
        in_range("respawn_s", self.respawn_s, RESPAWN_S)?;
        if let Some(seconds) = self.round_s.filter(|&seconds| seconds > 0) {
            in_range("round_s", seconds, ROUND_S)?;
        }
        if let Some(bots) = self.bots {
            in_range("bots", bots, BOTS)?;
        }
        in_range("rewind_ms", self.rewind_ms, REWIND_MS)?;
        in_range("side_m", self.side_m, SIDE_M)?;
        Ok(self)
    }

    /// Whether players may start a match: the maker left it to them.
    pub(super) fn is_open(&self) -> bool {
        self.round_s.is_none() && self.bots.is_none()
    }

    /// Takes what a match brings, if all is within its range.
    pub(super) fn start_match(&mut self, round_s: u32, bots: u32) -> Result<(), String> {
        in_range("round_s", round_s, ROUND_S)?;
        in_range("bots", bots, MATCH_BOTS)?;
        (self.round_s, self.bots) = (Some(round_s), Some(bots));
        Ok(())
    }

    /// Side of the world, cm.
    pub(super) fn side(&self) -> i32 {
        (self.side_m * 100) as i32
    }

    /// Whether players see only a part of the world.
    pub(super) fn is_large(&self) -> bool {
        self.side() > rules::WORLD_SIZE
    }

    pub(super) fn respawn_ms(&self) -> u32 {
        self.respawn_s * 1_000
    }
}

fn in_range(name: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), String> {
    if range.contains(&value) { Ok(()) } else { Err(format!("{name} is {value}, outside {range:?}")) }
}
