//! How many bots a room has: enough to fill up a small group, and none when nobody is there.

use super::{npc::Npc, player::Player, rules};
use crate::PlayerId;
use serde::{Deserialize, Serialize};

/// Shortest time between two changes, ms. By then a requested seat is there, or was refused.
const PATIENCE_MS: u32 = 300;
/// Their names.
const NAMES: [&str; 12] = [
    "Bolt", "Pixel", "Rivet", "Gizmo", "Turbo", "Cog", "Sprocket", "Widget", "Dynamo", "Ratchet", "Fuse",
    "Servo",
];

/// The bots of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bots {
    /// The number with one person; each further person replaces a bot.
    most: u32,
    tick_rate: u32,
    /// Ticks until the next change.
    wait: u32,
    named: u32,
    /// By id, ascending.
    bots: Vec<Npc>,
}

/// How their number has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Add one with this name.
    Seat(String),
    /// Remove this one.
    Remove(PlayerId),
}

impl Bots {
    /// At most `most` of them, 1 or more.
    pub fn new(most: u32, tick_rate: u32) -> Self {
        Self { most, tick_rate, wait: 0, named: 0, bots: Vec::new() }
    }

    /// A bot has its seat.
    pub fn join(&mut self, id: PlayerId) {
        if let Err(at) = self.find(id) {
            self.bots.insert(at, Npc::new(id));
        }
    }

    /// A player's seat ends; the player may be a bot.
    pub fn leave(&mut self, id: PlayerId) {
        if let Ok(at) = self.find(id) {
            self.bots.remove(at);
        }
    }

    /// The bots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Npc> {
        self.bots.iter_mut()
    }

    /// One tick. Returns the next change, one bot at a time.
    pub fn step(&mut self, players: &[Player]) -> Option<Change> {
        self.wait = self.wait.saturating_sub(1);
        if self.wait > 0 {
            return None;
        }
        let bots = players.iter().filter(|player| player.npc);
        let people = players.len() - bots.clone().count();
        let wanted = if people == 0 { 0 } else { (self.most as usize + 1).saturating_sub(people) };
        let change = match bots.clone().count() {
            count if count < wanted => {
                let name = NAMES[self.named as usize % NAMES.len()];
                let name = match self.named as usize / NAMES.len() {
                    0 => name.to_owned(),
                    lap => format!("{name} {}", lap + 1),
                };
                self.named = self.named.wrapping_add(1);
                Change::Seat(name)
            }
            count if count > wanted => {
                // The one that is missed least: the dead first, then those with the fewest points.
                let least = bots.min_by_key(|bot| (bot.is_alive(), bot.score, std::cmp::Reverse(bot.id)))?;
                Change::Remove(least.id)
            }
            _ => return None,
        };
        self.wait = rules::ticks(PATIENCE_MS, self.tick_rate);
        Some(change)
    }

    fn find(&self, id: PlayerId) -> Result<usize, usize> {
        self.bots.binary_search_by_key(&id, |bot| bot.id)
    }
}
