//! Quantised entity tables: a room's state at one tick.

use crate::schema::Schema;

/// A room's state at one tick: a table for each kind of its schema. Reusable: `clear` keeps the memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    tick: u32,
    tables: Vec<Table>,
}

/// The entities of one kind: ids in ascending order, and one column of integers for each field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    ids: Vec<u32>,
    columns: Vec<Vec<i32>>,
}

impl Snapshot {
    /// An empty snapshot of tick 0 with the tables of `schema`.
    pub fn new(_schema: &Schema) -> Self {
        todo!()
    }
    /// Empties all tables, keeps their memory, and sets the tick.
    pub fn clear(&mut self, _tick: u32) {
        todo!()
    }
    /// The tick this is the state of.
    pub fn tick(&self) -> u32 {
        self.tick
    }
    /// The tables, in the order of the schema's kinds.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }
    /// The table of one kind, to fill.
    pub fn table_mut(&mut self, kind: usize) -> &mut Table {
        &mut self.tables[kind]
    }
    /// CRC-32C over the canonical bytes (documented in this file), the same on every machine.
    pub fn checksum(&self) -> u32 {
        todo!()
    }
    /// Makes this a copy of `other`, reusing memory.
    pub fn copy_from(&mut self, _other: &Snapshot) {
        todo!()
    }
}

impl Table {
    /// Adds an entity. Ids may come in any order; one that is there already is replaced.
    /// (Ascending order is the fast path.)
    ///
    /// # Panics
    /// If `values` are not as many as the kind has columns.
    pub fn push(&mut self, _id: u32, _values: &[i32]) {
        todo!()
    }
    /// The ids, ascending.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
    /// The values of one column, in the order of `ids`.
    pub fn column(&self, column: usize) -> &[i32] {
        &self.columns[column]
    }
    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }
    /// Whether there is no entity.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
    /// The row of an id.
    pub fn row(&self, id: u32) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }
    /// The value of an entity in a column.
    pub fn value(&self, id: u32, column: usize) -> Option<i32> {
        self.row(id).map(|r| self.columns[column][r])
    }
}
