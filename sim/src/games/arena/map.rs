//! Walls and obstacles: a square world with boxes in it, laid out by the room's seed.
//!
//! Boxes are axis-aligned, and movement is checked one axis after the other over the whole distance. So
//! nothing tunnels, a body slides along what it hits, and it is never pushed farther than it tried to go.

use super::{
    cells::Cells,
    rules::{MAX_WORLD_SIZE, UNITS, WORLD_SIZE},
};
use crate::{Rng, Simulation as _, Snapshot, Table, ZoneId};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Boxes per 100 m by 100 m, at most.
const BOXES: usize = 16;
/// Boxes that are tried there: those too close to an existing one are left out.
const TRIES: usize = 48;
/// Range of a box's sides, cm. At least as long as a projectile flies in one move.
const SIDES: std::ops::Range<i32> = 250..900;
/// Free space between boxes and along the walls, cm, so that no box traps anybody.
const GAP: i32 = 300;

/// Cells with sides of 2^11 cm.
const SHIFT: u32 = 11;
/// Id under which a snapshot shows a world that is larger than [`WORLD_SIZE`], as if it were an obstacle.
/// Boxes have others.
const WORLD_ID: u32 = 0;

/// The world: its size, and the obstacles.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub struct Map {
    side: i32,
    boxes: Vec<Obstacle>,
    /// The boxes, by their lower edges.
    #[serde(skip)]
    cells: Cells,
    /// The longest side of a box.
    #[serde(skip)]
    longest: i32,
    /// What a snapshot shows of a large one, by zone, once it has been shown.
    #[serde(skip)]
    shown: OnceLock<Box<[(ZoneId, Table)]>>,
}

/// A map without what follows from it.
#[derive(Deserialize)]
struct Saved {
    side: i32,
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
    /// The map with this side, cm, that a seeded generator produces.
    pub fn generate(rng: &mut Rng, side: i32) -> Self {
        let on_area = |n: usize| {
            n * (side / 100).pow(2).unsigned_abs() as usize
                / (WORLD_SIZE / 100).pow(2).unsigned_abs() as usize
        };
        let most = on_area(BOXES);
        let mut map = Self::new(side, Vec::with_capacity(most));
        for _ in 0..on_area(TRIES) {
            let (width, height) = (rng.range(SIDES), rng.range(SIDES));
            let x = rng.range(GAP..side - GAP - width);
            let y = rng.range(GAP..side - GAP - height);
            let new = Obstacle { x, y, width, height };
            let around = ((x - GAP, y - GAP), (x + width + GAP, y + height + GAP));
            if map.boxes.len() < most && map.near(around.0, around.1).all(|old| old.is_apart(&new, GAP)) {
                map.add(new);
            }
        }
        map
    }

    /// The map that a client sees, from the table `obstacle` of a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        Self::new(side_in(snapshot), boxes_in(snapshot).collect())
    }

    /// Whether it is the map that a snapshot shows.
    pub(super) fn is_in(&self, snapshot: &Snapshot) -> bool {
        self.side == side_in(snapshot) && boxes_in(snapshot).eq(self.boxes.iter().copied())
    }

    /// Writes it into a snapshot: each box to the zone that it belongs to, which is always the same.
    pub(super) fn show(&self, out: &mut Snapshot, zone_of: impl Fn(&Obstacle) -> ZoneId) {
        if self.side <= WORLD_SIZE {
            return self.write(out, zone_of); // sixteen boxes are no work
        }
        for (zone, boxes) in self.shown.get_or_init(|| self.tables(zone_of)) {
            out.zone(*zone).table_mut(super::OBSTACLES).share(boxes);
        }
    }

    fn write(&self, out: &mut Snapshot, zone_of: impl Fn(&Obstacle) -> ZoneId) {
        if self.side > WORLD_SIZE {
            out.table_mut(super::OBSTACLES).push(WORLD_ID, &[0, 0, self.side, self.side]);
        }
        for (id, b) in (WORLD_ID + 1..).zip(&self.boxes) {
            out.zone(zone_of(b)).table_mut(super::OBSTACLES).push(id, &[b.x, b.y, b.width, b.height]);
        }
    }

    /// The boxes of each zone.
    fn tables(&self, zone_of: impl Fn(&Obstacle) -> ZoneId) -> Box<[(ZoneId, Table)]> {
        let mut all = Snapshot::new(&super::Arena::schema());
        self.write(&mut all, zone_of);
        let boxes = |content: &Snapshot| content.tables()[super::OBSTACLES].clone();
        let zones = all.zones().map(|(zone, content)| (zone, boxes(content)));
        std::iter::once((0, boxes(&all))).chain(zones).collect()
    }

    /// The boxes in the world.
    pub fn obstacles(&self) -> &[Obstacle] {
        &self.boxes
    }

    /// Side of the world, cm.
    pub fn side(&self) -> i32 {
        self.side
    }

    /// Whether a square with half-side `radius` around a position touches nothing. Units.
    pub(super) fn is_free(&self, (x, y): (i32, i32), radius: i32) -> bool {
        let inside = |at: i32| at >= radius && at <= self.side * UNITS - radius;
        inside(x)
            && inside(y)
            && !self.within((x, y), (x, y), radius).any(|b| b.spans_x(x, radius) && b.spans_y(y, radius))
    }

    /// How far a point at `from` gets on its way until it meets a box or a wall: so many of `whole` parts of
    /// it. Units; corners count, however little of them is in the way.
    pub(super) fn free_part(&self, from: (i32, i32), way: (i32, i32), whole: i32) -> i32 {
        let world = self.side * UNITS;
        let inside = |from: i32, way: i32| match from.saturating_add(way) {
            to if (0..=world).contains(&to) => whole,
            to => parts(to.clamp(0, world) - from, way, whole) as i32,
        };
        let to = (from.0.saturating_add(way.0), from.1.saturating_add(way.1));
        let boxes = self.within(from, to, 0).filter_map(|b| b.enters(from, way, whole));
        boxes.chain([inside(from.0, way.0), inside(from.1, way.1)]).min().unwrap_or(whole)
    }

    /// How far a body at `from` gets on its way to `to` along x. Units.
    pub(super) fn slide_x(&self, from: (i32, i32), to: i32, radius: i32) -> i32 {
        let in_the_way = self.within(from, (to, from.1), radius).filter(|b| b.spans_y(from.1, radius));
        self.slide(from.0, to, radius, in_the_way.map(|b| (b.x, b.width)))
    }

    /// How far a body at `from` gets on its way to `to` along y. Units.
    pub(super) fn slide_y(&self, from: (i32, i32), to: i32, radius: i32) -> i32 {
        let in_the_way = self.within(from, (from.0, to), radius).filter(|b| b.spans_x(from.0, radius));
        self.slide(from.1, to, radius, in_the_way.map(|b| (b.y, b.height)))
    }

    /// Where the path along one axis ends: at `to`, at a wall, or at the first of `spans` (start and extent,
    /// cm).
    fn slide(&self, from: i32, to: i32, radius: i32, spans: impl Iterator<Item = (i32, i32)>) -> i32 {
        let mut end = to.clamp(radius, self.side * UNITS - radius);
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

    /// The boxes that may be as near as `radius` to a way between two places. Units.
    fn within(&self, a: (i32, i32), b: (i32, i32), radius: i32) -> impl Iterator<Item = &Obstacle> {
        let low = |a: i32, b: i32| (a.min(b).saturating_sub(radius)).div_euclid(UNITS);
        let high = |a: i32, b: i32| (a.max(b).saturating_add(radius)).div_euclid(UNITS);
        self.near((low(a.0, b.0), low(a.1, b.1)), (high(a.0, b.0), high(a.1, b.1)))
    }

    /// The boxes that may touch a rectangle, cm.
    fn near(&self, low: (i32, i32), high: (i32, i32)) -> impl Iterator<Item = &Obstacle> {
        let low = (low.0.saturating_sub(self.longest), low.1.saturating_sub(self.longest));
        self.cells.near(low, high).map(|at| &self.boxes[at as usize])
    }

    fn new(side: i32, boxes: Vec<Obstacle>) -> Self {
        let mut map = Self {
            side,
            boxes: Vec::with_capacity(boxes.capacity()),
            cells: Cells::default(),
            longest: 0,
            shown: OnceLock::new(),
        };
        map.cells.clear(side, SHIFT);
        boxes.into_iter().for_each(|b| map.add(b));
        map
    }

    fn add(&mut self, new: Obstacle) {
        self.longest = self.longest.max(new.width).max(new.height);
        self.cells.add(self.boxes.len() as u32, (new.x, new.y));
        self.boxes.push(new);
    }
}

/// Side of the world that a snapshot shows, cm.
fn side_in(snapshot: &Snapshot) -> i32 {
    let world = snapshot.tables().get(super::OBSTACLES).and_then(|table| table.value(WORLD_ID, 2));
    world.unwrap_or(WORLD_SIZE).clamp(WORLD_SIZE, MAX_WORLD_SIZE)
}

/// The boxes that a snapshot shows.
fn boxes_in(snapshot: &Snapshot) -> impl Iterator<Item = Obstacle> {
    snapshot.tables().get(super::OBSTACLES).into_iter().flat_map(|table| {
        let rows = table.ids().iter().enumerate().filter(|(_, id)| **id != WORLD_ID);
        rows.map(|(row, _)| {
            let [x, y, width, height] = std::array::from_fn(|column| table.column(column)[row]);
            Obstacle { x, y, width, height }
        })
    })
}

impl Default for Map {
    /// The smallest world, without obstacles.
    fn default() -> Self {
        Self::new(WORLD_SIZE, Vec::new())
    }
}

impl From<Saved> for Map {
    fn from(Saved { side, boxes }: Saved) -> Self {
        Self::new(side.clamp(WORLD_SIZE, MAX_WORLD_SIZE), boxes)
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.side == other.side && self.boxes == other.boxes
    }
}

impl Eq for Map {}

impl Obstacle {
    fn is_apart(&self, other: &Self, gap: i32) -> bool {
        self.x >= other.x + other.width + gap
            || other.x >= self.x + self.width + gap
            || self.y >= other.y + other.height + gap
            || other.y >= self.y + self.height + gap
    }

    /// After how many of `whole` parts of its way a point is about to enter. None: it does not.
    fn enters(&self, from: (i32, i32), way: (i32, i32), whole: i32) -> Option<i32> {
        let (x, y) = ((self.x, self.width), (self.y, self.height));
        let [x, y] = [(from.0, way.0, x), (from.1, way.1, y)].map(|(from, way, (start, extent))| {
            let near = start.saturating_mul(UNITS);
            let far = start.saturating_add(extent).saturating_mul(UNITS);
            let to = from.saturating_add(way);
            // Most boxes are elsewhere.
            let is_near = from.min(to) < far && from.max(to) > near;
            is_near.then(|| match way {
                0 => (0, i64::from(whole)),
                _ => {
                    let at = [near, far].map(|edge| parts(edge.saturating_sub(from), way, whole));
                    (at[0].min(at[1]), at[0].max(at[1]))
                }
            })
        });
        let ((x_in, x_out), (y_in, y_out)) = (x?, y?);
        let (enters, leaves) = (x_in.max(y_in).max(0), x_out.min(y_out));
        (enters < leaves && enters < i64::from(whole)).then_some(enters as i32)
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

/// How many of `whole` parts of its way something takes for a distance, rounded towards 0.
fn parts(distance: i32, way: i32, whole: i32) -> i64 {
    i64::from(distance) * i64::from(whole) / i64::from(way)
}
