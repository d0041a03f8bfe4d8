//! Projectiles: points that fly straight until they hit a box, a wall or a player, or expire.

use super::{
    Body,
    body::length,
    map::Map,
    player::Player,
    rules::{self, UNITS},
};
use crate::PlayerId;
use driftless_proto::moment::PARTS;
use serde::{Deserialize, Serialize};

/// A projectile. Positions are in units, speeds in units per second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Projectile {
    /// Ascending, never reused in the room.
    pub id: u32,
    pub owner: PlayerId,
    /// Of its owner, when it was fired.
    pub team: u8,
    /// As of players.
    pub is_spotted: bool,
    x: i32,
    y: i32,
    vx: i32,
    vy: i32,
    /// Remaining ticks of its flight.
    life: u32,
    /// How far it was rewound, ms.
    pub rewound_ms: u32,
}

/// The path of a projectile in one move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    from: (i32, i32),
    to: (i32, i32),
    /// How much of the move it takes, of [`WHOLE`]: less, if it ends at a box or a wall.
    part: i32,
}

/// A whole move.
const WHOLE: i32 = 128;

impl Projectile {
    /// The projectile that `shooter` shoots now.
    pub fn new(id: u32, shooter: &Player, aim: (i32, i32), tick_rate: u32) -> Self {
        let aim = (i64::from(aim.0), i64::from(aim.1));
        let speed = i64::from(rules::PROJECTILE_SPEED * UNITS);
        let length = length(aim).max(1);
        Self {
            id,
            owner: shooter.id,
            team: shooter.team,
            is_spotted: false,
            x: shooter.body.x,
            y: shooter.body.y,
            vx: (aim.0 * speed / length) as i32,
            vy: (aim.1 * speed / length) as i32,
            life: rules::ticks(rules::PROJECTILE_LIFE_MS, tick_rate),
            rewound_ms: 0,
        }
    }

    /// Its path in `1/rate` seconds.
    pub fn flight(&self, map: &Map, rate: i32) -> Flight {
        Flight::new(map, (self.x, self.y), (self.vx / rate, self.vy / rate))
    }

    /// Its path in so many 1/128 of a tick.
    pub fn flight_of(&self, map: &Map, parts: u64, tick_rate: u32) -> Flight {
        let far = |speed: i32| {
            let rate = i64::from(tick_rate) * i64::from(PARTS);
            (i64::from(speed) * parts as i64 / rate) as i32
        };
        Flight::new(map, (self.x, self.y), (far(self.vx), far(self.vy)))
    }

    /// Whether it can hit a player: a living one, other than its owner and those of its team.
    pub fn is_for(&self, player: &Player) -> bool {
        let is_friend = self.team != 0 && player.team == self.team;
        player.is_alive() && player.id != self.owner && !is_friend
    }

    /// Whether it is not farther than so many units from a body, on either axis.
    pub fn is_within(&self, body: Body, reach: i32) -> bool {
        self.x.abs_diff(body.x).max(self.y.abs_diff(body.y)) <= reach.unsigned_abs()
    }

    /// It was fired so many 1/128 of a tick ago. Whether it still flies.
    pub fn is_rewound(&mut self, parts: u64, tick_rate: u32) -> bool {
        let per_tick = u64::from(PARTS);
        self.rewound_ms = (parts * 1_000 / (per_tick * u64::from(tick_rate))) as u32;
        self.life = self.life.saturating_sub((parts / per_tick) as u32);
        self.life > 0
    }

    /// Where it is, cm, and where it flies, cm a second.
    pub fn course(&self) -> ((i32, i32), (i64, i64)) {
        (self.place(), (i64::from(self.vx / UNITS), i64::from(self.vy / UNITS)))
    }

    /// Where it is, cm, rounded down.
    pub fn place(&self) -> (i32, i32) {
        (self.x.div_euclid(UNITS), self.y.div_euclid(UNITS))
    }

    /// Where it is, units.
    pub fn units(&self) -> (i32, i32) {
        (self.x, self.y)
    }

    /// It has flown along this path.
    pub fn arrive(&mut self, flight: Flight) {
        (self.x, self.y) = flight.to;
    }

    /// Ends a tick. Returns whether it keeps flying.
    pub fn end_tick(&mut self) -> bool {
        self.life = self.life.saturating_sub(1);
        self.life > 0
    }

    /// The columns of its row in a snapshot.
    pub fn columns(&self) -> [i32; 3] {
        let (x, y) = self.place();
        [x, y, self.owner as i32]
    }
}

impl Flight {
    /// From a place by this way, or as far as there is neither a box nor a wall.
    fn new(map: &Map, from: (i32, i32), way: (i32, i32)) -> Self {
        let part = map.free_part(from, way, WHOLE);
        Self { from, to: (from.0 + way.0 * part / WHOLE, from.1 + way.1 * part / WHOLE), part }
    }

    /// Whether it ends at a box or a wall.
    pub fn ends(&self) -> bool {
        self.part < WHOLE
    }

    /// The smallest and greatest coordinates, before the move, of a body that it can hit, if bodies move by
    /// at most `most` units.
    pub fn reach(&self, most: i32) -> ((i32, i32), (i32, i32)) {
        let far = rules::PLAYER_RADIUS * UNITS + most;
        let low = |from: i32, to: i32| from.min(to) - far;
        let high = |from: i32, to: i32| from.max(to) + far;
        let (from, to) = (self.from, self.to);
        ((low(from.0, to.0), low(from.1, to.1)), (high(from.0, to.0), high(from.1, to.1)))
    }

    /// How far along the path it passes within a player's radius of somebody who goes evenly from `was` to
    /// `is` in this move, as a number that can be compared between the targets of one flight. None: it does
    /// not.
    pub fn hits(&self, was: (i32, i32), is: (i32, i32)) -> Option<i64> {
        let minus =
            |a: (i32, i32), b: (i32, i32)| (i64::from(a.0) - i64::from(b.0), i64::from(a.1) - i64::from(b.1));
        let (way, run) = (minus(self.to, self.from), minus(is, was));
        // As seen by the target.
        let ran = |run: i64| run * i64::from(self.part) / i64::from(WHOLE);
        let way = (way.0 - ran(run.0), way.1 - ran(run.1));
        let target = minus(was, self.from);
        let square = (way.0 * way.0 + way.1 * way.1).max(1);
        let along = (way.0 * target.0 + way.1 * target.1).clamp(0, square);
        // From the nearest point of the path to the centre.
        let off = (target.0 - way.0 * along / square, target.1 - way.1 * along / square);
        let radius = i64::from(rules::PLAYER_RADIUS * UNITS);
        (off.0 * off.0 + off.1 * off.1 <= radius * radius).then_some((along << 16) / square)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cm(x: i32, y: i32) -> (i32, i32) {
        (x * UNITS, y * UNITS)
    }

    #[test]
    fn a_flight_hits_what_it_passes_nearer_than_the_radius() {
        let flight = Flight::new(&Map::default(), cm(100, 100), cm(125, 0));
        let hits = |x, y| flight.hits(cm(x, y), cm(x, y));
        let r = rules::PLAYER_RADIUS;
        assert!(hits(160, 100 + r).is_some());
        assert!(hits(160, 101 + r).is_none());
        assert!(hits(225 + r, 100).is_some());
        assert!(hits(226 + r, 100).is_none());
        assert!(hits(99 - r, 100).is_none());
        assert!(hits(150, 100) < hits(200, 100));
    }

    #[test]
    fn a_flight_hits_whoever_runs_into_it_and_not_who_was_there_before() {
        let flight = Flight::new(&Map::default(), cm(100, 100), cm(125, 0));
        // Beside the path at the start and at the end, in it when the projectile comes by.
        assert!(flight.hits(cm(162, 40), cm(162, 160)).is_some());
        // In the path at the start, gone when the projectile comes by; and the other way about.
        assert!(flight.hits(cm(220, 110), cm(220, 210)).is_none());
        assert!(flight.hits(cm(110, 210), cm(110, 110)).is_none());
    }

    #[test]
    fn a_flight_ends_at_a_box_and_hits_who_is_before_it() {
        let mut rng = crate::Rng::new(1);
        let map = Map::generate(&mut rng, rules::WORLD_SIZE);
        let obstacle = map.obstacles()[0];
        let (x, y) = (obstacle.x, obstacle.y + obstacle.height / 2);
        let flight = Flight::new(&map, cm(x - 110, y), cm(125, 0));
        assert!(flight.ends() && flight.to.0 <= x * UNITS && flight.to.0 > (x - 2) * UNITS, "{flight:?}");
        // Nor does it cut a corner.
        let above = obstacle.y + obstacle.height + 10;
        let over = Flight::new(&map, cm(x - 60, above - 60), cm(100, 100));
        assert!(!over.ends(), "it passes the corner: {over:?}");
        let through = Flight::new(&map, cm(x - 40, above - 60), cm(100, 100));
        assert!(through.ends() && through.to.0 <= x * UNITS, "{through:?}");
        let r = rules::PLAYER_RADIUS;
        assert!(flight.hits(cm(x - r, y), cm(x - r, y)).is_some());
        assert!(flight.hits(cm(x + r + 1, y), cm(x + r + 1, y)).is_none());
    }

    #[test]
    fn the_longest_flight_past_the_farthest_target_does_not_overflow() {
        let step = rules::PROJECTILE_SPEED / 20;
        let flight = Flight::new(&Map::default(), (0, 0), cm(step, step));
        let far = cm(rules::WORLD_SIZE, rules::WORLD_SIZE);
        assert!(flight.hits(far, far).is_none());
    }
}
