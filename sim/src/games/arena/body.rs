//! A player's position and movement: the code that the server runs and clients predict with.
//!
//! Positions are fixed point, in units of 1/1024 cm; speeds are in 1/1024 cm per second, so that they mean
//! the same at any tick rate. A constant speed moves a body by the same amount each tick, which is what the
//! delta codec predicts.

use super::{
    ArenaInput,
    map::Map,
    rules::{self, UNITS},
};
use serde::{Deserialize, Serialize};

/// A moving player: position and speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Body {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) vx: i32,
    pub(super) vy: i32,
}

/// What moves a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Drive {
    /// Nothing: friction slows it down.
    #[default]
    Rest,
    /// The stick, at most `FULL_STICK` long.
    Stick {
        /// To the right.
        x: i32,
        /// Up.
        y: i32,
    },
    /// A place to go to, cm, within the largest world.
    Goto {
        /// To the right.
        x: i32,
        /// Up.
        y: i32,
    },
}

impl Drive {
    /// The drive that an input asks for, with every number clamped to its range.
    pub fn of(input: &ArenaInput) -> Self {
        if let (Some(x), Some(y)) = (input.goto_x, input.goto_y) {
            return Self::Goto { x: x.clamp(0, rules::MAX_WORLD_SIZE), y: y.clamp(0, rules::MAX_WORLD_SIZE) };
        }
        let full = rules::FULL_STICK;
        match (input.move_x.clamp(-full, full), input.move_y.clamp(-full, full)) {
            (0, 0) => Self::Rest,
            (x, y) => {
                let (x, y) = shorten((x.into(), y.into()), full.into());
                Self::Stick { x: x as i32, y: y as i32 }
            }
        }
    }
}

impl Body {
    /// A body at rest, cm; a position outside the world is moved to its edge.
    pub fn at(x: i32, y: i32) -> Self {
        let units = |cm: i32| cm.clamp(0, rules::MAX_WORLD_SIZE) * UNITS;
        Self { x: units(x), y: units(y), vx: 0, vy: 0 }
    }

    /// Its position in quanta of the snapshot, cm, rounded down.
    pub fn place(&self) -> (i32, i32) {
        (self.x.div_euclid(UNITS), self.y.div_euclid(UNITS))
    }

    /// At this place as a snapshot says it, cm: as it is if that is where it is. Its speed stays.
    pub(super) fn corrected(self, x: i32, y: i32) -> Self {
        if self.place() == (x, y) { self } else { Self { vx: self.vx, vy: self.vy, ..Self::at(x, y) } }
    }

    /// Moves for one tick of a room with `tick_rate` ticks per second (1 to 128).
    pub fn advance(&mut self, map: &Map, drive: Drive, tick_rate: u32) {
        let tick_rate = tick_rate.clamp(1, 128);
        let moves = rules::moves_per_tick(tick_rate);
        for _ in 0..moves {
            self.advance_once(map, drive, rules::MAX_SPEED, i64::from(tick_rate * moves));
        }
    }

    /// Moves for `1/rate` seconds; when it is sent to a place, at most so fast, cm per second.
    pub(super) fn advance_once(&mut self, map: &Map, drive: Drive, fastest: i32, rate: i64) {
        let before = (i64::from(self.vx), i64::from(self.vy));
        let (dx, dy) = match drive {
            Drive::Goto { x, y } => {
                let inside = |cm: i32| i64::from(cm.min(map.side()) * UNITS);
                let way = (inside(x) - i64::from(self.x), inside(y) - i64::from(self.y));
                let step = shorten(way, i64::from(fastest * UNITS) / rate);
                (self.vx, self.vy) = ((step.0 * rate) as i32, (step.1 * rate) as i32);
                step
            }
            Drive::Stick { x, y } => {
                let speed = i64::from(rules::RUN_SPEED * UNITS);
                let full = i64::from(rules::FULL_STICK);
                let wanted = (i64::from(x) * speed / full, i64::from(y) * speed / full);
                self.accelerate(wanted, i64::from(rules::ACCELERATION * UNITS) / rate);
                self.mean_step(before, rate)
            }
            Drive::Rest => {
                self.accelerate((0, 0), i64::from(rules::FRICTION * UNITS) / rate);
                self.mean_step(before, rate)
            }
        };
        let radius = rules::PLAYER_RADIUS * UNITS;
        let x = map.slide_x((self.x, self.y), self.x.saturating_add(dx as i32), radius);
        if i64::from(x) - i64::from(self.x) != dx {
            self.vx = 0;
        }
        self.x = x;
        let y = map.slide_y((self.x, self.y), self.y.saturating_add(dy as i32), radius);
        if i64::from(y) - i64::from(self.y) != dy {
            self.vy = 0;
        }
        self.y = y;
    }

    /// Brings the speed closer to `wanted`, by at most `most`.
    fn accelerate(&mut self, wanted: (i64, i64), most: i64) {
        let change = (wanted.0 - i64::from(self.vx), wanted.1 - i64::from(self.vy));
        let change = shorten(change, most);
        self.vx += change.0 as i32;
        self.vy += change.1 as i32;
    }

    /// The distance covered in `1/rate` seconds at the mean of the previous and the current speed: exact
    /// under constant acceleration, so that the tick rate hardly matters.
    fn mean_step(&self, before: (i64, i64), rate: i64) -> (i64, i64) {
        ((before.0 + i64::from(self.vx)) / (2 * rate), (before.1 + i64::from(self.vy)) / (2 * rate))
    }
}

/// The vector, shortened to at most `most`.
pub(super) fn shorten((x, y): (i64, i64), most: i64) -> (i64, i64) {
    let length = length((x, y));
    if length <= most { (x, y) } else { (x * most / length, y * most / length) }
}

/// Length of a vector, rounded up, so that a quotient is never too long.
pub(super) fn length((x, y): (i64, i64)) -> i64 {
    let square = x * x + y * y;
    let root = square.isqrt();
    if root * root == square { root } else { root + 1 }
}
