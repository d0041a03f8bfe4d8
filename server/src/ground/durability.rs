//! What of a room survives a failure of its server.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// What of a room survives when its server is killed, or its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing: the room is gone with its server.
    #[default]
    None,
    /// The newest checkpoint: the room goes back to it, and its players are told how far.
    Checkpoint,
    /// Every tick: the room goes on where it was.
    Journal,
}

/// The durability of rooms whose makers do not say, by kind of game: `checkpoint`, or with exceptions
/// `checkpoint, arena=journal`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durabilities {
    all: Durability,
    by_kind: Vec<(String, Durability)>,
}

impl Durability {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::Checkpoint => "checkpoint",
            Durability::Journal => "journal",
        }
    }
}

impl FromStr for Durability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Durability::None, Durability::Checkpoint, Durability::Journal];
        all.into_iter().find(|one| one.name() == text).ok_or(())
    }
}

impl Durabilities {
    /// That of a kind.
    pub fn of(&self, kind: &str) -> Durability {
        let found = self.by_kind.iter().find(|(of, _)| of == kind);
        found.map_or(self.all, |(_, durability)| *durability)
    }

    /// The kinds that are named.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.by_kind.iter().map(|(kind, _)| kind.as_str())
    }

    /// Whether anything is to survive.
    pub fn is_any(&self) -> bool {
        self.all != Durability::None || self.by_kind.iter().any(|(_, one)| *one != Durability::None)
    }
}

impl From<Durability> for Durabilities {
    fn from(all: Durability) -> Self {
        Self { all, by_kind: Vec::new() }
    }
}

impl FromStr for Durabilities {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut durabilities = Self::default();
        for (n, part) in text.split(',').map(str::trim).enumerate() {
            match part.split_once('=') {
                Some((kind, word)) if !kind.trim().is_empty() => {
                    durabilities.by_kind.push((kind.trim().to_owned(), word.trim().parse()?));
                }
                Some(_) => return Err(()),
                None if n == 0 => durabilities.all = part.parse()?,
                None => return Err(()),
            }
        }
        Ok(durabilities)
    }
}

impl fmt::Display for Durabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.all.name())?;
        self.by_kind.iter().try_for_each(|(kind, one)| write!(f, ", {kind}={}", one.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_own_durability_or_that_of_all() {
        let some: Durabilities = "checkpoint,arena = journal, cursors=none".parse().unwrap();
        assert_eq!(some.of("arena"), Durability::Journal);
        assert_eq!(some.of("cursors"), Durability::None);
        assert_eq!(some.of("hands"), Durability::Checkpoint);
        assert_eq!(some.to_string().parse(), Ok(some));
        assert_eq!("arena=journal".parse::<Durabilities>().unwrap().of("hands"), Durability::None);
        for text in ["", "sometimes", "arena=", "=journal", "journal,checkpoint", "none,arena=always"] {
            assert_eq!(text.parse::<Durabilities>(), Err(()), "{text:?}");
        }
    }
}
