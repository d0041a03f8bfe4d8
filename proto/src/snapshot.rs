//! Quantised entity tables: a room's state at one tick.
//!
//! A [`Snapshot`] has one [`Table`] for each kind of its schema. A table holds its entities' ids in ascending order and
//! one column of signed 32-bit integers for each field, so what a delta walks lies side by side in memory.

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
    pub fn new(schema: &Schema) -> Self {
        let mut snapshot = Self::default();
        snapshot.reset(schema, 0);
        snapshot
    }
    /// Empties all tables, keeps their memory, and sets the tick.
    pub fn clear(&mut self, tick: u32) {
        self.tick = tick;
        for table in &mut self.tables {
            table.ids.clear();
            table.columns.iter_mut().for_each(Vec::clear);
        }
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
    ///
    /// # Panics
    /// If the schema has no such kind.
    pub fn table_mut(&mut self, kind: usize) -> &mut Table {
        &mut self.tables[kind]
    }
    /// CRC-32C (Castagnoli, as in RFC 3720 section 12.1) over the canonical bytes, the same on every machine.
    ///
    /// The canonical bytes are numbers of 32 bits, little-endian: the tick; then for each table, in the schema's
    /// order: the number of entities, the ids in ascending order, and each column's values in the order of the ids.
    pub fn checksum(&self) -> u32 {
        let mut crc = Checksum::default();
        crc.add([self.tick]);
        for table in &self.tables {
            crc.add([table.ids.len() as u32]);
            crc.add(table.ids.iter().copied());
            for column in &table.columns {
                crc.add(column.iter().map(|&v| v as u32));
            }
        }
        crc.0
    }
    /// Makes this a copy of `other`, reusing memory.
    pub fn copy_from(&mut self, other: &Snapshot) {
        self.tick = other.tick;
        self.tables.resize_with(other.tables.len(), Table::default);
        for (to, from) in self.tables.iter_mut().zip(&other.tables) {
            to.ids.clone_from(&from.ids);
            to.columns.resize_with(from.columns.len(), Vec::new);
            for (to, from) in to.columns.iter_mut().zip(&from.columns) {
                to.clone_from(from);
            }
        }
    }

    /// Empties this and gives it the tables of `schema`.
    pub(crate) fn reset(&mut self, schema: &Schema, tick: u32) {
        self.tables.resize_with(schema.kinds().len(), Table::default);
        for (table, kind) in self.tables.iter_mut().zip(schema.kinds()) {
            table.columns.resize_with(kind.columns(), Vec::new);
        }
        self.clear(tick);
    }

    /// Whether this has the tables of `schema`.
    pub(crate) fn is_of(&self, schema: &Schema) -> bool {
        self.tables.len() == schema.kinds().len()
            && self.tables.iter().zip(schema.kinds()).all(|(t, k)| t.width() == k.columns())
    }
}

impl Table {
    /// Adds an entity. Ids may come in any order; one that is there already is replaced.
    /// (Ascending order is the fast path.)
    ///
    /// # Panics
    /// If `values` are not as many as the kind has columns.
    pub fn push(&mut self, id: u32, values: &[i32]) {
        assert_eq!(values.len(), self.columns.len(), "values of entity {id}");
        if self.ids.last().is_none_or(|&last| last < id) {
            self.ids.push(id);
            for (column, &value) in self.columns.iter_mut().zip(values) {
                column.push(value);
            }
            return;
        }
        match self.ids.binary_search(&id) {
            Ok(row) => {
                for (column, &value) in self.columns.iter_mut().zip(values) {
                    column[row] = value;
                }
            }
            Err(row) => {
                self.ids.insert(row, id);
                for (column, &value) in self.columns.iter_mut().zip(values) {
                    column.insert(row, value);
                }
            }
        }
    }
    /// The ids, ascending.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
    /// The values of one column, in the order of `ids`.
    ///
    /// # Panics
    /// If the kind has no such column.
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

    /// Ids and columns, to fill by whole columns. Ids must stay ascending and columns as long as the ids.
    pub(crate) fn parts_mut(&mut self) -> (&mut Vec<u32>, &mut [Vec<i32>]) {
        (&mut self.ids, &mut self.columns)
    }
}

/// A CRC-32C over 32-bit numbers, through a small buffer: the accelerated implementation wants long runs of bytes.
#[derive(Default)]
struct Checksum(u32);

impl Checksum {
    fn add(&mut self, words: impl IntoIterator<Item = u32>) {
        let mut buffer = [0; 1024];
        let mut words = words.into_iter();
        loop {
            let mut filled = 0;
            for (slot, word) in buffer.chunks_exact_mut(4).zip(&mut words) {
                slot.copy_from_slice(&word.to_le_bytes());
                filled += 4;
            }
            self.0 = crc32c::crc32c_append(self.0, &buffer[..filled]);
            if filled < buffer.len() {
                return;
            }
        }
    }
}
