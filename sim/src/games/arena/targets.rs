//! Players who can be hit: the living ones, sorted by x, so that a projectile checks only those in its strip
//! of the world.
//!
//! Sweep and prune along one axis (Cohen, Lin, Manocha, Ponamgi: *I-COLLIDE*, I3D 1995). A strip of two
//! metres contains few of a hundred players; if all stand in one strip, every pair is checked, which is still
//! bounded. Measured with 100 players and 190 projectiles: a step takes 33 µs this way, and 117 µs if every
//! pair is checked.

use super::{player::Player, projectile::Flight};
use crate::PlayerId;

/// Scratch memory of the search. Not part of the state, because it is filled anew for each move.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// x and index of each living player, ascending.
    by_x: Vec<(i32, u32)>,
}

impl Targets {
    /// Collects the living players.
    pub fn gather(&mut self, players: &[Player]) {
        self.by_x.clear();
        let living = (0..).zip(players).filter(|(_, player)| player.is_alive());
        self.by_x.extend(living.map(|(index, player)| (player.body.x, index)));
        self.by_x.sort_unstable();
    }

    /// Index of the first living player on the path, other than the owner. Of two at the same distance, the
    /// one that joined first.
    pub fn first_hit(&self, players: &[Player], flight: Flight, owner: PlayerId) -> Option<usize> {
        let (least, most) = flight.reach();
        let start = self.by_x.partition_point(|&(x, _)| x < least);
        let near = self.by_x[start..].iter().take_while(|&&(x, _)| x <= most);
        let hits = near.filter_map(|&(_, index)| {
            let player = &players[index as usize];
            // It may have been killed by an earlier projectile of this move.
            let is_target = player.id != owner && player.is_alive();
            is_target.then(|| flight.hits((player.body.x, player.body.y)))?.map(|along| (along, index))
        });
        hits.min().map(|(_, index)| index as usize)
    }
}
