//! Walls and obstacles: a square world with boxes in it, laid out by the room's seed.
//!
//! Boxes are axis-aligned, and movement is checked one axis after the other over the whole distance. So
//! nothing tunnels, a body slides along what it hits, and it is never pushed farther than it tried to go.

use super::rules::{UNITS, WORLD_SIZE};
use crate::{Rng, Snapshot};
use serde::{Deserialize, Serialize};

/// Boxes in a world, at most.
const BOXES: usize = 16;
/// Boxes that are tried: those too close to an existing one are left out.
const TRIES: usize = 48;
/// Range of a box's sides, cm. At least as long as a projectile flies in one move.
const SIDES: std::ops::Range<i32> = 250..900;
/// Free space between boxes and along the walls, cm, so that no box traps anybody.
const GAP: i32 = 300;

/// The obstacles.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Map {
    boxes: Vec<Obstacle>,
}

/// A box, cm. It contains its lower edges and not its upper ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Smallest x.
    pub x: i32,
    /// Smallest y.
    pub y: i32,
    /// Extent along x.
    pub width: i32,
    /// Extent along y.
    pub height: i32,
}

impl Map {
    /// The map that a seeded generator produces.
    pub fn generate(rng: &mut Rng) -> Self {
        let mut boxes: Vec<Obstacle> = Vec::with_capacity(BOXES);
        for _ in 0..TRIES {
            let (width, height) = (rng.range(SIDES), rng.range(SIDES));
            let x = rng.range(GAP..WORLD_SIZE - GAP - width);
            let y = rng.range(GAP..WORLD_SIZE - GAP - height);
            let new = Obstacle { x, y, width, height };
            if boxes.len() < BOXES && boxes.iter().all(|old| old.is_apart(&new, GAP)) {
                boxes.push(new);
            }
        }
        Self { boxes }
    }

    /// The map that a client sees, from the table `obstacle` of a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let Some(table) = snapshot.tables().get(super::OBSTACLES) else { return Self::default() };
        let boxes = (0..table.len()).map(|row| Obstacle {
            x: table.column(0)[row],
            y: table.column(1)[row],
            width: table.column(2)[row],
            height: table.column(3)[row],
        });
        Self { boxes: boxes.collect() }
    }

    /// Whether it is the map that a snapshot shows.
    pub(super) fn is_in(&self, snapshot: &Snapshot) -> bool {
        let Some(table) = snapshot.tables().get(super::OBSTACLES) else { return self.boxes.is_empty() };
        let is_same = |(row, b): (usize, &Obstacle)| {
            [b.x, b.y, b.width, b.height].iter().enumerate().all(|(n, &side)| table.column(n)[row] == side)
        };
        table.len() == self.boxes.len() && self.boxes.iter().enumerate().all(is_same)
    }

    /// The boxes in the world.
    pub fn obstacles(&self) -> &[Obstacle] {
        &self.boxes
    }

    /// Whether a square with half-side `radius` around a position touches nothing. Units.
    pub(super) fn is_free(&self, (x, y): (i32, i32), radius: i32) -> bool {
        let inside = |at: i32| at >= radius && at <= WORLD_SIZE * UNITS - radius;
        inside(x) && inside(y) && !self.boxes.iter().any(|b| b.spans_x(x, radius) && b.spans_y(y, radius))
    }

    /// How far a body at `from` gets on its way to `to` along x. Units.
    pub(super) fn slide_x(&self, from: (i32, i32), to: i32, radius: i32) -> i32 {
        let in_the_way = self.boxes.iter().filter(|b| b.spans_y(from.1, radius));
        slide(from.0, to, radius, in_the_way.map(|b| (b.x, b.width)))
    }

    /// How far a body at `from` gets on its way to `to` along y. Units.
    pub(super) fn slide_y(&self, from: (i32, i32), to: i32, radius: i32) -> i32 {
        let in_the_way = self.boxes.iter().filter(|b| b.spans_x(from.0, radius));
        slide(from.1, to, radius, in_the_way.map(|b| (b.y, b.height)))
    }
}

impl Obstacle {
    fn is_apart(&self, other: &Self, gap: i32) -> bool {
        self.x >= other.x + other.width + gap
            || other.x >= self.x + self.width + gap
            || self.y >= other.y + other.height + gap
            || other.y >= self.y + self.height + gap
    }

    fn spans_x(&self, x: i32, radius: i32) -> bool {
        x > self.x.saturating_mul(UNITS).saturating_sub(radius)
            && x < self.x.saturating_add(self.width).saturating_mul(UNITS).saturating_add(radius)
    }

    fn spans_y(&self, y: i32, radius: i32) -> bool {
        y > self.y.saturating_mul(UNITS).saturating_sub(radius)
            && y < self.y.saturating_add(self.height).saturating_mul(UNITS).saturating_add(radius)
    }
}

/// Where the path along one axis ends: at `to`, at a wall, or at the first of `spans` (start and extent, cm).
fn slide(from: i32, to: i32, radius: i32, spans: impl Iterator<Item = (i32, i32)>) -> i32 {
    let mut end = to.clamp(radius, WORLD_SIZE * UNITS - radius);
    for (start, extent) in spans {
        let near = start.saturating_mul(UNITS).saturating_sub(radius);
        let far = start.saturating_add(extent).saturating_mul(UNITS).saturating_add(radius);
        if from <= near && end > near {
            end = near;
        } else if from >= far && end < far {
            end = far;
        }
    }
    end
}
