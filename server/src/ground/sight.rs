//! Who watches a room, and what it is shown.

use super::identity::Role;
use driftless_proto::wire;
use serde::{Deserialize, Serialize};

/// What a client is shown of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What its player sees.
    Player,
    /// What the game shows to spectators, as long ago as the room says.
    Spectator,
    /// All zones, as fresh as for players.
    Everything,
}

impl Sight {
    /// What somebody in this role who sends this join is shown.
    pub fn wanted(join: &wire::Join, role: Role) -> Self {
        match role {
            _ if !join.spectate => Self::Player,
            Role::Player | Role::Spectator => Self::Spectator,
            Role::Admin => Self::Everything,
        }
    }

    /// Whether the client takes a seat and plays.
    pub fn plays(self) -> bool {
        self == Self::Player
    }
}

/// Whom a room lets watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spectating {
    /// Most spectators.
    pub max: u32,
    /// How long ago what they are shown was, milliseconds.
    pub delay_ms: u32,
}

impl Spectating {
    /// Longest delay, milliseconds.
    pub const MAX_DELAY_MS: u32 = 5 * 60 * 1_000;

    /// The delay in ticks, rounded up.
    pub fn delay_ticks(self, tick_rate: u32) -> u32 {
        let ticks = (u64::from(self.delay_ms) * u64::from(tick_rate)).div_ceil(1_000);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}
