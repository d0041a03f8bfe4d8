//! Things in the square world, found by their place: so that what each one meets costs the same however large
//! the world is.

/// Ends a list.
const NONE: u32 = u32::MAX;

/// Square cells, each with a list of the things in it. Filled anew, it keeps its memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Cells {
    /// A cell's side is 2 to this power.
    shift: u32,
    /// Cells along a side of the world.
    along: i32,
    /// The first entry of each cell.
    heads: Vec<u32>,
    /// Things, and the next entry of the same cell.
    entries: Vec<(u32, u32)>,
}

impl Cells {
    /// Nothing, in a world with sides of `side` and cells with sides of 2^`shift`.
    pub fn clear(&mut self, side: i32, shift: u32) {
        self.shift = shift;
        self.along = (side.max(0) >> shift) + 1;
        self.heads.clear();
        self.heads.resize((self.along * self.along).unsigned_abs() as usize, NONE);
        self.entries.clear();
    }

    /// Adds a thing. One that has moved may be added again: then it is found at both places.
    pub fn add(&mut self, thing: u32, (x, y): (i32, i32)) {
        let cell = self.number(self.column(x), self.column(y));
        let entry = self.entries.len() as u32;
        self.entries.push((thing, std::mem::replace(&mut self.heads[cell], entry)));
    }

    /// The things in all cells that a rectangle touches, in no order that means anything.
    pub fn near(&self, low: (i32, i32), high: (i32, i32)) -> impl Iterator<Item = u32> {
        let columns = self.column(low.0)..=self.column(high.0);
        // Before `clear` there are no cells.
        let rows = self.column(low.1)..=self.column(high.1).min(self.along - 1);
        rows.flat_map(move |row| columns.clone().map(move |column| self.number(column, row))).flat_map(
            |cell| {
                let entry = |at: u32| self.entries.get(at as usize);
                std::iter::successors(entry(self.heads[cell]), move |&&(_, next)| entry(next))
                    .map(|(thing, _)| *thing)
            },
        )
    }

    /// The column, or row, of a coordinate; of the nearest one in the world.
    fn column(&self, at: i32) -> i32 {
        (at >> self.shift).clamp(0, (self.along - 1).max(0))
    }

    fn number(&self, column: i32, row: i32) -> usize {
        (row * self.along + column).unsigned_abs() as usize
    }
}
