//! What to show at one moment.

use super::Column;
use driftless_proto::snapshot::{Snapshot, Table};

/// The world at one moment, between two states or a little past the last.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) columns: &'a [Vec<Column>],
    pub(super) lives: &'a [Option<usize>],
    pub(super) base: &'a Snapshot,
    pub(super) other: Option<&'a Snapshot>,
    pub(super) offset_us: i64,
    pub(super) span_us: i64,
    pub(super) jump: Option<u32>,
}

impl<'a> View<'a> {
    /// The entities of a kind (its index in the schema), in ascending order of id.
    pub fn entities(&self, kind: usize) -> impl Iterator<Item = Entity<'a>> + use<'a> {
        let view = *self;
        let base = view.base.tables().get(kind);
        let other = view.other.and_then(|o| o.tables().get(kind));
        let columns = view.columns.get(kind).map_or(&[][..], Vec::as_slice);
        let mut near = 0; // both tables are sorted: traverse them together
        base.into_iter().flat_map(move |table| {
            (0..table.len()).map(move |row| {
                let id = table.ids()[row];
                let there = other.and_then(|other| {
                    near += other.ids().get(near..)?.partition_point(|&o| o < id);
                    (other.ids().get(near) == Some(&id)).then_some((other, near))
                });
                let there = there.filter(|&there| view.is_same_life(kind, (table, row), there));
                Entity { view, columns, id, base: (table, row), other: there }
            })
        })
    }

    /// One entity.
    pub fn entity(&self, kind: usize, id: u32) -> Option<Entity<'a>> {
        let find = |s: &'a Snapshot| {
            let table = s.tables().get(kind)?;
            Some((table, table.row(id)?))
        };
        let columns = self.columns.get(kind)?;
        let base = find(self.base)?;
        let other = self.other.and_then(find).filter(|&other| self.is_same_life(kind, base, other));
        Some(Entity { view: *self, columns, id, base, other })
    }

    /// Whether an entity has not been placed elsewhere between two states.
    fn is_same_life(&self, kind: usize, base: (&Table, usize), other: (&Table, usize)) -> bool {
        let life = self.lives.get(kind).copied().flatten();
        life.is_none_or(|life| base.0.column(life)[base.1] == other.0.column(life)[other.1])
    }

    /// Tick of the state that determines which entities exist.
    pub fn tick(&self) -> u32 {
        self.base.tick()
    }
}

/// One entity of a [`View`].
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    view: View<'a>,
    columns: &'a [Column],
    id: u32,
    base: (&'a Table, usize),
    other: Option<(&'a Table, usize)>,
}

impl<'a> Entity<'a> {
    /// The entity's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// A column's value, in quanta, rounded towards the state that it starts from.
    ///
    /// # Panics
    /// If the kind has no such column, as for a slice.
    pub fn quanta(&self, column: usize) -> i32 {
        let (base, change) = self.parts(column);
        // 33 bits times a time of a few seconds in microseconds: far from 64 bits.
        let value = i64::from(base) + change.saturating_mul(self.view.offset_us) / self.view.span_us;
        value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }

    /// A column's value in units of the game's measure.
    ///
    /// # Panics
    /// Like [`quanta`](Self::quanta).
    pub fn units(&self, column: usize) -> f32 {
        let (base, change) = self.parts(column);
        let part = self.view.offset_us as f64 / self.view.span_us as f64;
        let quanta = f64::from(base) + change as f64 * part;
        (quanta / f64::from(self.columns[column].quanta_per_unit)) as f32
    }

    /// The text of a column of texts. Empty if it is no such column.
    ///
    /// # Panics
    /// Like [`quanta`](Self::quanta).
    pub fn text(&self, column: usize) -> &'a str {
        self.view.base.text_of(self.parts(column).0)
    }

    /// The bytes of a column of bytes.
    ///
    /// # Panics
    /// Like [`quanta`](Self::quanta).
    pub fn bytes(&self, column: usize) -> &'a [u8] {
        self.view.base.bytes_of(self.parts(column).0)
    }

    /// The value in the state that it starts from, and the change to the other one (0 if it is not
    /// interpolated).
    fn parts(&self, column: usize) -> (i32, i64) {
        let (table, row) = self.base;
        let base = table.column(column)[row];
        let change = match self.other {
            Some((other, there)) if self.columns[column].linear => {
                i64::from(other.column(column)[there]) - i64::from(base)
            }
            _ => 0,
        };
        let jumped = self.view.jump.is_some_and(|jump| change.unsigned_abs() > u64::from(jump));
        (base, if jumped { 0 } else { change })
    }
}
