//! What a shooter's screen shows, and a shot that flies on it. Metres and seconds.
//!
//! Between two pictures everything is taken to move evenly, so that what is hit does not depend on how many
//! pictures there are.

use driftless_client::interpolation::{Entity, View};
use driftless_sim::{
    Moment, PlayerId,
    games::arena::{Obstacle, PLAYERS, rules},
};

/// Quanta of the arena's snapshots in a metre.
pub const PER_METRE: f64 = 100.0;
/// Half of what a player is wide.
pub const RADIUS: f64 = rules::PLAYER_RADIUS as f64 / PER_METRE;
/// Of a projectile.
pub const SPEED: f64 = rules::PROJECTILE_SPEED as f64 / PER_METRE;
/// How long one flies.
pub const LIFE: f64 = rules::PROJECTILE_LIFE_MS as f64 / 1000.0;

/// A place, or a way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vector {
    pub x: f64,
    pub y: f64,
}

/// What is shown at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The moment.
    pub moment: Moment,
    /// The same, counted from tick 0.
    pub seconds: f64,
    /// Whom one can hit.
    pub targets: Vec<Target>,
}

/// A living player, not one's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    pub player: PlayerId,
    pub place: Vector,
}

/// A shot in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flight {
    /// Where it is at `seconds`.
    pub place: Vector,
    pub seconds: f64,
    /// A second's way.
    pub velocity: Vector,
    /// When it ends.
    pub end: f64,
}

/// What became of a shot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It hit this player.
    Hit(PlayerId),
    /// It met a box, or its end.
    Ended,
}

impl Picture {
    /// At a moment of a room of so many ticks a second.
    pub fn at(moment: Moment, tick_rate: u32, targets: Vec<Target>) -> Self {
        let parts = f64::from(driftless_proto::moment::PARTS) * f64::from(tick_rate);
        Self { moment, seconds: moment.parts() as f64 / parts, targets }
    }

    /// Where a player is.
    pub fn place(&self, player: PlayerId) -> Option<Vector> {
        self.targets.iter().find(|target| target.player == player).map(|target| target.place)
    }
}

impl Target {
    /// All in a view but the player whose view it is.
    pub fn in_view(view: &View<'_>, own: PlayerId) -> Vec<Self> {
        let living = view.entities(PLAYERS).filter(|player| player.id() != own && player.quanta(3) > 0);
        let target = |player: Entity<'_>| {
            let [x, y] = [0, 1].map(|column| player.units(column).into());
            Self { player: player.id(), place: Vector { x, y } }
        };
        living.map(target).collect()
    }
}

impl Flight {
    /// Goes on from one picture to a later one. None: it still flies.
    pub fn go_on(&mut self, before: &Picture, now: &Picture, boxes: &[Obstacle]) -> Option<Fate> {
        let until = now.seconds.min(self.end);
        if until <= self.seconds {
            return (self.end <= self.seconds).then_some(Fate::Ended);
        }
        let from = self.place;
        let way = self.velocity * (until - self.seconds);
        let span = now.seconds - before.seconds;
        let at = |a: Vector, b: Vector, seconds: f64| a + (b - a) * ((seconds - before.seconds) / span);
        let hits = now.targets.iter().filter_map(|target| {
            let was = before.place(target.player)?;
            let [first, last] = [self.seconds, until].map(|seconds| at(was, target.place, seconds));
            // As seen from the shot.
            Some((meets(first - from, (last - first) - way)?, target.player))
        });
        let hit = hits.min_by(|a, b| a.0.total_cmp(&b.0));
        let wall = boxes.iter().filter_map(|obstacle| enters(from, way, obstacle)).min_by(f64::total_cmp);
        (self.place, self.seconds) = (from + way, until);
        match (hit, wall) {
            (Some((at, player)), wall) if wall.is_none_or(|wall| at < wall) => Some(Fate::Hit(player)),
            (_, Some(_)) => Some(Fate::Ended),
            _ => (until >= self.end).then_some(Fate::Ended),
        }
    }
}

/// When something at `place` that moves by `way` in the time from 0 to 1 comes within a player's radius of
/// the origin.
fn meets(place: Vector, way: Vector) -> Option<f64> {
    let (a, b, c) = (way.dot(way), place.dot(way), place.dot(place) - RADIUS * RADIUS);
    if c <= 0.0 {
        return Some(0.0);
    }
    let root = b * b - a * c;
    let time = (root >= 0.0 && a > 0.0).then(|| (-b - root.sqrt()) / a)?;
    (0.0..=1.0).contains(&time).then_some(time)
}

/// When a point that moves by `way` in the time from 0 to 1 enters a box.
fn enters(from: Vector, way: Vector, obstacle: &Obstacle) -> Option<f64> {
    let span =
        |start: i32, extent: i32| (f64::from(start) / PER_METRE, f64::from(start + extent) / PER_METRE);
    let within = |from: f64, way: f64, (low, high): (f64, f64)| {
        if way == 0.0 {
            return if from > low && from < high { (0.0, 1.0) } else { (1.0, 0.0) };
        }
        let (a, b) = ((low - from) / way, (high - from) / way);
        (a.min(b), a.max(b))
    };
    let along_x = within(from.x, way.x, span(obstacle.x, obstacle.width));
    let along_y = within(from.y, way.y, span(obstacle.y, obstacle.height));
    let (first, last) = (along_x.0.max(along_y.0).max(0.0), along_x.1.min(along_y.1).min(1.0));
    (first < last).then_some(first)
}

impl Vector {
    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }
    pub fn length(self) -> f64 {
        self.dot(self).sqrt()
    }
}

impl std::ops::Add for Vector {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { x: self.x + other.x, y: self.y + other.y }
    }
}

impl std::ops::Sub for Vector {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl std::ops::Mul<f64> for Vector {
    type Output = Self;
    fn mul(self, by: f64) -> Self {
        Self { x: self.x * by, y: self.y * by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(x: f64, y: f64) -> Vector {
        Vector { x, y }
    }

    fn picture(seconds: f64, targets: &[(PlayerId, Vector)]) -> Picture {
        let targets = targets.iter().map(|&(player, place)| Target { player, place });
        Picture { moment: Moment::at(0), seconds, targets: targets.collect() }
    }

    fn flight() -> Flight {
        Flight { place: v(0.0, 0.0), seconds: 0.0, velocity: v(SPEED, 0.0), end: LIFE }
    }

    /// What becomes of a shot to the right in 0.4 s (10 m), in so many pictures, if players run from one
    /// place to another meanwhile.
    fn fate(players: &[(PlayerId, Vector, Vector)], boxes: &[Obstacle], pictures: u32) -> Option<Fate> {
        let shown = |n: u32| {
            let part = f64::from(n) / f64::from(pictures);
            let at = players.iter().map(|&(player, from, to)| (player, from + (to - from) * part));
            picture(0.4 * part, &at.collect::<Vec<_>>())
        };
        let mut flight = flight();
        (0..pictures).find_map(|n| flight.go_on(&shown(n), &shown(n + 1), boxes))
    }

    #[test]
    fn whoever_runs_into_a_shot_is_hit_however_many_pictures_there_are() {
        // At 5 m after 0.2 s, 7 m/s: where the target was first, and where it is at last, it is missed.
        let crosses = (2, v(5.0, -1.4), v(5.0, 1.4));
        let behind = (3, v(8.0, -2.0), v(8.0, 0.0));
        for pictures in [1, 2, 7, 24] {
            assert_eq!(fate(&[behind, crosses], &[], pictures), Some(Fate::Hit(2)), "{pictures}");
            assert_eq!(fate(&[(2, v(5.0, -1.4), v(5.0, -1.4))], &[], pictures), None);
            assert_eq!(fate(&[(2, v(5.0, 0.0), v(5.0, 6.0))], &[], pictures), None, "gone before");
        }
    }

    #[test]
    fn a_box_ends_a_shot_and_hides_who_is_behind_it() {
        let obstacle = Obstacle { x: 300, y: -100, width: 200, height: 200 };
        let stands = |x| (2, v(x, 0.0), v(x, 0.0));
        for pictures in [1, 24] {
            assert_eq!(fate(&[stands(7.0)], &[obstacle], pictures), Some(Fate::Ended));
            assert_eq!(fate(&[stands(2.0)], &[obstacle], pictures), Some(Fate::Hit(2)));
            let beside = Obstacle { y: 1, ..obstacle };
            assert_eq!(fate(&[stands(7.0)], &[beside], pictures), Some(Fate::Hit(2)));
        }
    }

    #[test]
    fn a_shot_ends_after_its_life() {
        let mut flight = flight();
        let [first, late] = [0.0, 9.0].map(|seconds| picture(seconds, &[]));
        assert_eq!(flight.go_on(&first, &late, &[]), Some(Fate::Ended));
        assert_eq!(flight.place, v(SPEED * LIFE, 0.0));
    }
}
