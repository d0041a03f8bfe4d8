//! A world cut into square cells, each a zone: what is near is seen, what is far is not.

use crate::{View, ZoneId, view::DEFAULT_PRIORITY};

/// Priority of the farthest cells; those around the player have the [`DEFAULT_PRIORITY`].
const FAR_PRIORITY: u8 = DEFAULT_PRIORITY / 4;
/// How far is seen at most, in cells: a circle of this radius touches fewer than
/// [`MAX_ZONES_IN_VIEW`](crate::MAX_ZONES_IN_VIEW) of them.
const FARTHEST: i64 = 17;

/// Square cells over a square world, numbered as zones row by row.
///
/// Coordinates are integers of any unit, from 0 to the world's side. What is outside belongs to the nearest
/// cell. Choose cells about as large as the radius that players see, or twice that: a player then sees four
/// of them, more or less. Smaller cells show less of what is beyond the radius, and cost more.
///
/// ```
/// use driftless_sim::{View, grid::Grid};
///
/// // A world of 1,000 m, in centimetres, in cells of 80 m: the zones from 1 to 169.
/// let grid = Grid::new(1, 100_000, 8_000);
/// assert_eq!(grid.zones(), 1..170);
/// assert_eq!([(0, 0), (8_000, 0), (0, 8_000)].map(|place| grid.zone(place)), [1, 2, 14]);
///
/// let mut seen = Vec::new();
/// grid.see((7_000, 7_000), 4_000, 1_000, &mut View::new(&[], &mut seen));
/// assert_eq!(seen.iter().map(|seen| seen.zone).collect::<Vec<_>>(), [1, 2, 14, 15]);
/// // What has been seen stays in view for another 10 m.
/// let mut next = Vec::new();
/// grid.see((3_500, 3_500), 4_000, 1_000, &mut View::new(&seen, &mut next));
/// assert_eq!(next.iter().map(|seen| seen.zone).collect::<Vec<_>>(), [1, 2, 14]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    first: ZoneId,
    cell: i32,
    /// Cells along a side.
    along: i32,
}

impl Grid {
    /// Cells with sides of `cell` over a world with sides of `side`; the last of a row may reach beyond it.
    /// Their zones are numbered from `first`.
    ///
    /// # Panics
    /// If `first`, `side` or `cell` is not at least 1, or there are more cells than numbers of zones.
    pub fn new(first: ZoneId, side: i32, cell: i32) -> Self {
        assert!(
            first > 0 && side > 0 && cell > 0,
            "zones from {first}, cells of {cell} over a side of {side}"
        );
        let along = (side - 1) / cell + 1;
        let cells = i64::from(along) * i64::from(along);
        assert!(i64::from(first) + cells <= i64::from(u32::MAX), "{cells} cells, numbered from {first}");
        Self { first, cell, along }
    }

    /// The numbers of its zones.
    pub fn zones(&self) -> std::ops::Range<ZoneId> {
        self.first..self.number(self.along - 1, self.along - 1) + 1
    }

    /// The zone of a place.
    pub fn zone(&self, (x, y): (i32, i32)) -> ZoneId {
        self.number(self.column(x.into()), self.column(y.into()))
    }

    /// A player at `place` sees all within `radius`: the cells that are so near, the farther the lower their
    /// priority. Those that it saw the tick before stay in view until they are farther away than `radius` and
    /// `hysteresis` together. So nothing is seen that is farther away than that and the diagonal of a cell.
    ///
    /// Nothing is seen beyond 17 times the side of a cell, however large `radius` and `hysteresis` are: so
    /// the nearest cells are those that come within the most zones that can be in view.
    pub fn see(&self, place: (i32, i32), radius: u32, hysteresis: u32, view: &mut View<'_>) {
        // Their squares are numbers of 64 bits.
        let [near, far] = [radius.into(), i64::from(radius) + i64::from(hysteresis)]
            .map(|most: i64| most.min(FARTHEST * i64::from(self.cell)).min(i64::MAX.isqrt()));
        let inside = |at: i32| i64::from(at).clamp(0, i64::from(self.along) * i64::from(self.cell) - 1);
        let (x, y) = (inside(place.0), inside(place.1));
        for row in self.column(y - far)..=self.column(y + far) {
            let off_y = self.gap(y, row);
            for column in self.column(x - far)..=self.column(x + far) {
                let off_x = self.gap(x, column);
                let square = off_x * off_x + off_y * off_y;
                let zone = self.number(column, row);
                if square <= near * near || square <= far * far && view.had(zone) {
                    view.see_with(zone, priority(square.isqrt(), far));
                }
            }
        }
    }

    /// The column, or row, of a coordinate.
    fn column(&self, at: i64) -> i32 {
        (at / i64::from(self.cell)).clamp(0, i64::from(self.along) - 1) as i32
    }

    /// How far a coordinate is from the nearest of a column, or row.
    fn gap(&self, at: i64, column: i32) -> i64 {
        let first = i64::from(column) * i64::from(self.cell);
        let last = first + i64::from(self.cell) - 1;
        (first - at).max(at - last).max(0)
    }

    fn number(&self, column: i32, row: i32) -> ZoneId {
        let [row, along, column] = [row, self.along, column].map(i32::unsigned_abs);
        self.first + row * along + column
    }
}

/// Falls with the distance, 0 to `most`.
fn priority(distance: i64, most: i64) -> u8 {
    let fall = i64::from(DEFAULT_PRIORITY - FAR_PRIORITY);
    DEFAULT_PRIORITY - (fall * distance / most.max(1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InView;
    use driftless_proto::limits::MAX_ZONES_IN_VIEW;
    use proptest::prelude::*;

    const SIDE: i32 = 10_000;

    fn grid(cell: i32) -> Grid {
        Grid::new(1, SIDE, cell)
    }

    fn see(grid: Grid, place: (i32, i32), radius: u32, hysteresis: u32, had: &[InView]) -> Vec<InView> {
        let mut seen = Vec::new();
        grid.see(place, radius, hysteresis, &mut View::new(had, &mut seen));
        seen
    }

    fn distance(a: (i32, i32), b: (i32, i32)) -> f64 {
        (f64::from(a.0) - f64::from(b.0)).hypot(f64::from(a.1) - f64::from(b.1))
    }

    fn place() -> impl Strategy<Value = (i32, i32)> {
        // Some outside.
        (-2_000..SIDE + 2_000, -2_000..SIDE + 2_000)
    }

    /// A coordinate, within the world.
    fn inside((x, y): (i32, i32)) -> (i32, i32) {
        (x.clamp(0, SIDE), y.clamp(0, SIDE))
    }

    proptest! {
        #[test]
        fn all_within_the_radius_is_in_a_zone_that_is_seen(
            cell in 250..SIDE, at in place(), radius in 0..3_000_u32, hysteresis in 0..1_000_u32,
            angle in 0.0..std::f64::consts::TAU, part in 0.0..1.0_f64,
        ) {
            let seen = see(grid(cell), at, radius, hysteresis, &[]);
            let far = f64::from(radius) * part;
            // Rounded towards the player.
            let other = (at.0 + (angle.cos() * far) as i32, at.1 + (angle.sin() * far) as i32);
            let zone = grid(cell).zone(other);
            prop_assert!(seen.iter().any(|seen| seen.zone == zone), "{other:?}, {zone} of {seen:?}");
        }

        #[test]
        fn nothing_is_seen_beyond_the_radius_the_hysteresis_and_the_diagonal_of_a_cell(
            cell in 250..SIDE, at in place(), radius in 0..3_000_u32, hysteresis in 0..1_000_u32,
            others in prop::collection::vec(place(), 100),
        ) {
            let grid = grid(cell);
            let all: Vec<_> = grid.zones().map(|zone| InView { zone, priority: 1 }).collect();
            let at = inside(at);
            for (had, slack) in [(&[][..], 0), (&all[..], hysteresis)] {
                let seen = see(grid, at, radius, hysteresis, had);
                let most = f64::from(radius + slack) + f64::from(cell) * 2_f64.sqrt();
                for other in others.iter().copied().map(inside) {
                    let is_seen = seen.iter().any(|seen| seen.zone == grid.zone(other));
                    prop_assert!(!is_seen || distance(at, other) <= most, "{other:?} from {at:?}");
                }
            }
        }

        #[test]
        fn to_and_fro_within_the_hysteresis_nothing_comes_and_goes(
            cell in 250..SIDE, at in place(), radius in 0..3_000_u32, hysteresis in 0..1_000_u32,
            steps in prop::collection::vec((-1.0..1.0_f64, -1.0..1.0_f64), 20),
        ) {
            // Anywhere in a circle whose diameter is the hysteresis.
            let arm = f64::from(hysteresis) / 2.0 / 2_f64.sqrt();
            let path: Vec<_> = steps.iter().map(|step| (at.0 + (step.0 * arm) as i32, at.1 + (step.1 * arm) as i32)).collect();
            let mut had = Vec::new();
            for &place in &path {
                had = see(grid(cell), place, radius, hysteresis, &had);
            }
            let zones = |seen: &[InView]| seen.iter().map(|seen| seen.zone).collect::<Vec<_>>();
            for &place in &path {
                let seen = see(grid(cell), place, radius, hysteresis, &had);
                prop_assert_eq!(zones(&seen), zones(&had));
                had = seen;
            }
        }
    }

    #[test]
    fn the_farther_a_cell_the_lower_its_priority() {
        let seen = see(grid(1_000), (4_500, 4_500), 4_000, 0, &[]);
        let of =
            |x, y| seen.iter().find(|seen| seen.zone == grid(1_000).zone((x, y))).map(|seen| seen.priority);
        let row: Vec<_> = (4..10).map(|column| of(column * 1_000, 4_500)).collect();
        assert_eq!(row, [Some(128), Some(116), Some(92), Some(68), Some(44), None]);
        assert!(seen.iter().all(|seen| (FAR_PRIORITY..=DEFAULT_PRIORITY).contains(&seen.priority)));
    }

    #[test]
    fn extreme_places_and_radii_do_not_overflow() {
        for at in [i32::MIN, -1, 0, SIDE, i32::MAX] {
            let seen = see(grid(100), (at, at), 0, 0, &[]);
            assert_eq!(seen, [InView { zone: grid(100).zone((at, at)), priority: DEFAULT_PRIORITY }]);
            let all = see(grid(1_000), (at, at), u32::MAX, u32::MAX, &[]);
            assert_eq!(all.len(), 100);
        }
        let large = Grid::new(1, i32::MAX, i32::MAX / 1_000);
        assert_eq!(large.zone((i32::MAX, i32::MAX)), large.zones().end - 1);
    }

    #[test]
    fn as_many_cells_as_there_are_numbers_for_are_numbered() {
        let most = Grid::new(1, 65_535, 1);
        assert_eq!(most.zone((i32::MAX, i32::MAX)), 65_535 * 65_535);
        assert_eq!(most.zones(), 1..65_535 * 65_535 + 1);
    }

    #[test]
    fn of_more_cells_than_can_be_in_view_the_nearest_are_seen() {
        for at in [(5_000, 5_000), (5_050, 5_099), (5_025, 5_075), (9_999, 9_999), (0, 5_000)] {
            let seen = see(grid(100), at, u32::MAX, u32::MAX, &[]);
            assert!(seen.len() < MAX_ZONES_IN_VIEW, "{} cells from {at:?}", seen.len());
            let near = see(grid(100), at, 1_700, 0, &[]);
            assert_eq!(seen, near, "{at:?}");
        }
    }

    #[test]
    #[should_panic(expected = "cells, numbered from")]
    fn more_cells_than_numbers_are_refused() {
        Grid::new(1, i32::MAX, 10_000);
    }
}
