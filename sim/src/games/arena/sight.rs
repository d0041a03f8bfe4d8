//! Who sees what: the zones of a room with a large world or with teams. A room with neither has none, and all
//! see all.
//!
//! A large world is cut into cells ([`Grid`]), and a player sees those near it. Teams have a fog of war: a
//! player, and what it shoots, is in one of two zones of its cell and team. In the *hidden* one it is seen by
//! its own team alone; if a living enemy is within [`SIGHT`], it is in the *spotted* one, which both teams
//! see. So all of a team see what one of them sees, as far as it is near enough to be shown, and not a byte
//! of anybody else reaches them. Spectators see what is near whoever leads, and of teams those who are
//! spotted. Boxes do not hide what is behind them, and all see them.

use super::{Obstacle, cells::Cells, map::Map, player::Player, projectile::Projectile, rules};
use crate::{Grid, View, ZoneId};

/// How far players see, cm: to the cells of a large world, and through the fog.
pub const SIGHT: i32 = 4_000;
/// A cell that a player sees is seen until it is this much farther away, cm.
const HYSTERESIS: i32 = 1_000;
/// Sides of the cells, cm.
const CELL: i32 = 8_000;
/// Cells for the search of enemies in sight: sides of 2^12 cm.
const SHIFT: u32 = 12;
/// Grids of a room with teams: what all see, then for each team what is hidden and what is spotted.
const LAYERS: u32 = 5;

/// The zones of a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zones {
    /// Cells of what all see. None: all is in zone 0.
    common: Option<Grid>,
    /// For each team, the cells of who is hidden and of who is spotted.
    teams: Option<[[Grid; 2]; 2]>,
}

impl Zones {
    /// Of a world with this side, cm.
    pub fn new(side: i32, teams: bool) -> Self {
        let is_large = side > rules::WORLD_SIZE;
        let cell = if is_large { CELL } else { side };
        let cells = Grid::new(1, side, cell).zones().end - 1;
        let layer = |layer: u32| Grid::new(1 + layer.min(LAYERS - 1) * cells, side, cell);
        Self {
            common: is_large.then(|| layer(0)),
            teams: teams.then(|| [[layer(1), layer(2)], [layer(3), layer(4)]]),
        }
    }

    /// Where an obstacle is: in the cell of its centre.
    pub fn of_obstacle(&self, b: &Obstacle) -> ZoneId {
        let centre = (b.x.saturating_add(b.width / 2), b.y.saturating_add(b.height / 2));
        self.common.map_or(0, |grid| grid.zone(centre))
    }

    /// Where somebody of a team is, or something of its; team 0: of none.
    pub fn of(&self, place: (i32, i32), team: u8, is_spotted: bool) -> ZoneId {
        match self.teams {
            Some(teams) => teams[usize::from(team == 2)][usize::from(is_spotted)].zone(place),
            None => self.common.map_or(0, |grid| grid.zone(place)),
        }
    }

    /// What a player sees, dead or alive.
    pub fn see(&self, player: &Player, view: &mut View<'_>) {
        let place = player.body.place();
        let mut see = |grid: &Grid| grid.see(place, SIGHT.unsigned_abs(), HYSTERESIS.unsigned_abs(), view);
        self.common.iter().for_each(&mut see);
        if let Some(teams) = &self.teams {
            let [own, enemy] = if player.team == 2 { [1, 0] } else { [0, 1] };
            teams[own].iter().for_each(&mut see);
            see(&teams[enemy][1]);
        }
    }

    /// What spectators see, of what is near this place: in a room with teams nobody who is hidden, because
    /// whoever watches may know somebody who plays.
    pub fn show(&self, place: (i32, i32), view: &mut View<'_>) {
        let mut see = |grid: &Grid| grid.see(place, SIGHT.unsigned_abs(), HYSTERESIS.unsigned_abs(), view);
        self.common.iter().for_each(&mut see);
        self.teams.iter().flatten().for_each(|[_, spotted]| see(spotted));
    }
}

/// Which enemies of each team are in sight. Scratch memory: the result is in the players and projectiles.
#[derive(Debug, Default)]
pub(super) struct Fog {
    cells: Cells,
    spotters: Vec<(i32, i32)>,
}

impl Fog {
    /// Notes who is spotted, and what.
    pub fn lift(&mut self, map: &Map, players: &mut [Player], projectiles: &mut [Projectile]) {
        for team in [1, 2] {
            self.gather(map, players, team);
            for player in players.iter_mut().filter(|player| player.team != team) {
                player.is_spotted = self.is_seen(player.body.place());
            }
            for shot in projectiles.iter_mut().filter(|shot| shot.team != team) {
                shot.is_spotted = self.is_seen(shot.place());
            }
        }
    }

    /// The living of a team.
    fn gather(&mut self, map: &Map, players: &[Player], team: u8) {
        self.cells.clear(map.side(), SHIFT);
        self.spotters.clear();
        for player in players.iter().filter(|player| player.team == team && player.is_alive()) {
            let place = player.body.place();
            self.cells.add(self.spotters.len() as u32, place);
            self.spotters.push(place);
        }
    }

    fn is_seen(&self, (x, y): (i32, i32)) -> bool {
        let near = self.cells.near((x - SIGHT, y - SIGHT), (x + SIGHT, y + SIGHT));
        let off = |at: u32| {
            let (other_x, other_y) = self.spotters[at as usize];
            (i64::from(x - other_x), i64::from(y - other_y))
        };
        near.map(off).any(|(x, y)| x * x + y * y <= i64::from(SIGHT).pow(2))
    }
}
