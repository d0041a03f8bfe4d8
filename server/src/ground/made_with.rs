//! What a room was made with, wherever it goes on.

use super::{durability::Durability, source::Source};
use driftless_sim::Setup;
use serde::{Deserialize, Serialize};

/// What a room was made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeWith {
    /// What its game began with.
    pub setup: Setup<String>,
    /// Who has made it.
    pub maker: Maker,
    /// What of it survives a failure of the server.
    pub durability: Durability,
}

/// The originator of a room.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Maker {
    /// An operator. The room lingers before anybody has played in it.
    Operator,
    /// Somebody who joins it.
    Joiner(Source),
}
