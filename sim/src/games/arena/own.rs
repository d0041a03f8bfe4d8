//! The client's own player, as predicted: see [`Predict`].

use super::{Arena, ArenaInput, Body, Drive, Map, PLAYERS, Player};
use crate::{Predict, Seen};
use std::sync::Arc;

/// A living player, and what it can run into. Shots, hits and respawning are not predicted.
///
/// Exact as long as every tick of the server gets one input of this player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPlayer {
    body: Body,
    /// Sector of its aim.
    aim: i32,
    /// How often it has spawned.
    spawns: i32,
    map: Arc<Map>,
}

impl Predict for Arena {
    type Own = OwnPlayer;
    const OWN: usize = PLAYERS;

    fn own(seen: &Seen<'_>, predicted: Option<&OwnPlayer>) -> Option<OwnPlayer> {
        let [x, y, aim, health, _score, spawns] = seen.row(PLAYERS)?;
        let map = match predicted {
            Some(own) if own.map.is_in(seen.state) => own.map.clone(),
            _ => Arc::new(Map::from_snapshot(seen.state)),
        };
        // If the position is as predicted, so is what a snapshot does not contain: the speed, and fractions
        // of a quantum.
        let body = match predicted {
            Some(own) if own.spawns == spawns => own.body.corrected(x, y),
            _ => Body::at(x, y),
        };
        (health > 0).then_some(OwnPlayer { body, aim, spawns, map })
    }

    fn predict(own: &mut OwnPlayer, input: &ArenaInput, tick_rate: u32) {
        own.body.advance(&own.map, Drive::of(input), tick_rate);
        own.aim = Player::aim(input).map_or(own.aim, super::sector);
    }

    fn shown(own: &OwnPlayer, row: &mut [i32]) {
        let (x, y) = own.body.place();
        row[..3].copy_from_slice(&[x, y, own.aim]);
    }
}
