//! Which games have a queue, and how many play: `arena=2x4, chess=2x1`.

use std::{fmt, str::FromStr};

/// Most players of a match.
const MOST: u32 = 1_000;

/// The games that have a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueSizes(Vec<QueueSize>);

/// How many play a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSize {
    /// The kind of game.
    pub kind: String,
    /// Teams.
    pub teams: u32,
    /// Players of a team.
    pub team_size: u32,
}

impl QueueSizes {
    /// The sizes of all kinds.
    pub fn iter(&self) -> impl Iterator<Item = &QueueSize> {
        self.0.iter()
    }
}

impl FromStr for QueueSizes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "none" {
            return Ok(Self::default());
        }
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for QueueSize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, size) = text.split_once('=').ok_or(())?;
        let (teams, team_size) = size.trim().split_once('x').ok_or(())?;
        let [teams, team_size] = [teams, team_size].map(|n| n.parse::<u32>().ok().filter(|n| *n > 0));
        let (teams, team_size) = (teams.ok_or(())?, team_size.ok_or(())?);
        let possible = !kind.trim().is_empty() && teams.checked_mul(team_size).is_some_and(|all| all <= MOST);
        possible.then(|| Self { kind: kind.trim().to_owned(), teams, team_size }).ok_or(())
    }
}

impl fmt::Display for QueueSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (n, QueueSize { kind, teams, team_size }) in self.0.iter().enumerate() {
            write!(f, "{}{kind}={teams}x{team_size}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        for text in ["none", "arena=2x4", "arena=2x4, chess=2x1"] {
            assert_eq!(text.parse::<QueueSizes>().unwrap().to_string(), text);
        }
        for bad in
            ["", "arena", "arena=2", "=2x2", "arena=0x2", "arena=2x0", "arena=100x100", "a=2x2,", "a=-1x2"]
        {
            assert!(bad.parse::<QueueSizes>().is_err(), "{bad}");
        }
    }
}
