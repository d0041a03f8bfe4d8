//! Players who can be hit: the living ones, by where they were before the move, so that a projectile checks
//! only those near its path.
//!
//! With 5,000 players in a world of 1 km a cell has half a player. If all stand in one, every pair is
//! checked, which is still bounded.

use super::{
    Body,
    cells::Cells,
    player::Player,
    projectile::{Flight, Projectile},
    rules::{MAX_SPEED, UNITS},
};

/// Cells with sides of 2^20 units, 10.24 m.
const SHIFT: u32 = 20;
/// The farthest that anybody gets in a move, which takes 1/20 s at most; units.
const MOVE: i32 = MAX_SPEED * UNITS / 20;

/// Scratch memory of the search. Not part of the state, because it is filled anew for each move.
#[derive(Debug, Default)]
pub(super) struct Targets {
    cells: Cells,
    /// Where each player was, dead or alive.
    were: Vec<(i32, i32)>,
}

impl Targets {
    /// Collects the living players of a world with this side, units.
    pub fn gather(&mut self, players: &[Player], side: i32) {
        self.cells.clear(side, SHIFT);
        self.were.clear();
        self.were.extend(players.iter().map(|player| (player.body.x, player.body.y)));
        (0..)
            .zip(players)
            .filter(|(_, player)| player.is_alive())
            .for_each(|(at, player)| self.add(at, player.body));
    }

    /// A player lives, or was placed elsewhere.
    pub fn add(&mut self, at: u32, body: Body) {
        self.cells.add(at, (body.x, body.y));
    }

    /// Those of the players who are not farther than `reach` from a place on either axis, and some others,
    /// who may have died since they were collected. Units.
    pub fn near<'a>(
        &'a self,
        players: &'a [Player],
        (x, y): (i32, i32),
        reach: i32,
    ) -> impl Iterator<Item = (u32, &'a Player)> {
        let reach = reach.saturating_add(MOVE);
        let low = (x.saturating_sub(reach), y.saturating_sub(reach));
        let high = (x.saturating_add(reach), y.saturating_add(reach));
        self.cells.near(low, high).map(|at| (at, &players[at as usize]))
    }

    /// Index of the first living player on the path whom the projectile can hit, after a move of all since
    /// they were collected. Of two at the same distance, the one that joined first.
    pub fn first_hit(&self, players: &[Player], flight: Flight, shot: &Projectile) -> Option<usize> {
        let (low, high) = flight.reach(MOVE);
        let hits = self.cells.near(low, high).filter_map(|at| {
            let (player, was) = (&players[at as usize], self.were[at as usize]);
            // It may have been killed by an earlier projectile of this move.
            let along = shot.is_for(player).then(|| flight.hits(was, (player.body.x, player.body.y)))??;
            Some((along, at))
        });
        hits.min().map(|(_, at)| at as usize)
    }
}
