//! Quantised entity tables: a room's state at one tick.
//!
//! A [`Snapshot`] has one [`Table`] for each kind of its schema. A table holds its entities' ids in ascending
//! order and one column of signed 32-bit integers for each field, so the values that a delta compares are
//! adjacent in memory.
//!
//! A clone shares the memory of the original, table by table, until one of them changes. So what never
//! changes in a room (its map) is stored once, however many of its states are kept, and a delta need not
//! compare it.
//!
//! The tables of a snapshot are those of zone 0, which all players see. Other [zones](Snapshot::zone), which
//! only some players see, are snapshots within it: cells of a large world, a team's secrets, a player's hand.

use crate::{limits::MAX_TEXT, schema::Schema, texts::Texts};
use std::{fmt, sync::Arc};

/// Number of a zone: whatever the game likes. 0 is the zone that all players see.
pub type ZoneId = u32;

/// A room's state at one tick, or the content of a zone: a table for each kind of its schema. Reusable:
/// `clear` keeps the memory.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    tick: u32,
    tables: Vec<Table>,
    texts: Texts,
    /// The other zones, ascending.
    zones: Vec<(ZoneId, Snapshot)>,
}

/// The entities of one kind: ids in ascending order, and one column of integers for each field.
#[derive(Clone, Default)]
pub struct Table {
    /// None: it has never held an entity.
    rows: Option<Arc<Rows>>,
    /// How many of the rows are in use.
    len: usize,
    width: usize,
}

/// Memory of a table, with room for as many entities as there are ids.
#[derive(Clone)]
struct Rows {
    ids: Box<[u32]>,
    /// The columns, concatenated.
    values: Box<[i32]>,
}

/// The columns of a table, to fill.
pub(crate) struct Columns<'a> {
    values: &'a mut [i32],
    room: usize,
    len: usize,
}

impl Snapshot {
    /// An empty snapshot of tick 0 with the tables of `schema`.
    pub fn new(schema: &Schema) -> Self {
        let mut snapshot = Self::default();
        snapshot.reset(schema, 0);
        snapshot
    }
    /// Empties all tables, forgets all texts, keeps their memory, and sets the tick. Zones that are empty
    /// already are forgotten.
    pub fn clear(&mut self, tick: u32) {
        self.tick = tick;
        self.tables.iter_mut().for_each(|table| table.len = 0);
        self.texts.clear();
        self.zones.retain_mut(|(_, content)| {
            let is_used = !content.is_empty();
            content.clear(tick);
            is_used
        });
    }
    /// The content of a zone, to fill. Zone 0 is this snapshot itself. An entity is in one zone; which, may
    /// change from tick to tick.
    ///
    /// ```
    /// use driftless_proto::{schema::Schema, snapshot::Snapshot};
    ///
    /// let schema = Schema::new().kind("card", |kind| kind.hold("face", &["rank", "suit"], 1));
    /// let mut state = Snapshot::new(&schema);
    /// state.clear(7);
    /// state.table_mut(0).push(1, &[12, 3]); // on the table, for everybody
    /// state.zone(4).table_mut(0).push(2, &[1, 0]); // in the hand of player 4
    /// assert_eq!(state.zones().map(|(zone, hand)| (zone, hand.tick())).collect::<Vec<_>>(), [(4, 7)]);
    /// assert_eq!(state.content(4).unwrap().tables()[0].ids(), [2]);
    /// ```
    pub fn zone(&mut self, zone: ZoneId) -> &mut Snapshot {
        if zone == 0 {
            return self;
        }
        let at = match self.zones.binary_search_by_key(&zone, |(id, _)| *id) {
            Ok(at) => at,
            Err(at) => {
                let tables = self.tables.iter().map(|table| Table { width: table.width, ..Table::default() });
                let content = Self { tick: self.tick, tables: tables.collect(), ..Self::default() };
                self.zones.insert(at, (zone, content));
                at
            }
        };
        &mut self.zones[at].1
    }
    /// The zones with entities, other than zone 0, in ascending order.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Snapshot)> {
        self.zones.iter().filter(|(_, content)| !content.is_empty()).map(|(zone, content)| (*zone, content))
    }
    /// The content of a zone: this snapshot for zone 0. None: the zone is empty.
    pub fn content(&self, zone: ZoneId) -> Option<&Snapshot> {
        if zone == 0 {
            return Some(self);
        }
        let at = self.zones.binary_search_by_key(&zone, |(id, _)| *id).ok()?;
        Some(&self.zones[at].1).filter(|content| !content.is_empty())
    }
    /// Whether there is no entity in its tables. (Other zones do not count.)
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Table::is_empty)
    }
    /// Whether both have the same entities and texts, whatever their ticks. (Other zones do not count.)
    pub fn has_content_of(&self, other: &Snapshot) -> bool {
        self.tables == other.tables && self.texts == other.texts
    }
    /// The tick of this state.
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
    /// The number of a text, to push as the value of a [text field](crate::schema::Kind::text). The snapshot
    /// has the text until it is cleared, so a game asks for the number anew each tick; a text that was there
    /// before costs no allocation. A row and its texts belong in the same zone. Texts longer than
    /// [`MAX_TEXT`] are truncated. 0: the text is empty, or there are already
    /// [`MAX_TEXTS`](crate::limits::MAX_TEXTS).
    ///
    /// ```
    /// use driftless_proto::{schema::Schema, snapshot::Snapshot};
    ///
    /// let schema = Schema::new().kind("player", |k| k.linear("place", &["x"], 1).text("name", &["name"]));
    /// let mut state = Snapshot::new(&schema);
    /// let name = state.text("Ada");
    /// state.table_mut(0).push(7, &[30, name]);
    /// assert_eq!(state.text_of(state.tables()[0].column(1)[0]), "Ada");
    /// ```
    pub fn text(&mut self, text: &str) -> i32 {
        let end = (0..=text.len().min(MAX_TEXT)).rev().find(|&end| text.is_char_boundary(end));
        self.bytes(&text.as_bytes()[..end.unwrap_or(0)])
    }
    /// The same for a [field of bytes](crate::schema::Kind::bytes).
    pub fn bytes(&mut self, bytes: &[u8]) -> i32 {
        self.texts.add(bytes) as i32 // far below 2^31
    }
    /// The text of a number. Empty: the number is 0, or there is no such text, or it is not UTF-8.
    pub fn text_of(&self, number: i32) -> &str {
        std::str::from_utf8(self.bytes_of(number)).unwrap_or_default()
    }
    /// The bytes of a number. Empty: the number is 0, or there are no such bytes.
    pub fn bytes_of(&self, number: i32) -> &[u8] {
        u32::try_from(number).ok().and_then(|number| self.texts.get(number)).unwrap_or_default()
    }
    /// The numbers and bytes of all texts, ascending by number. Added to an empty snapshot in this order,
    /// they get the same numbers.
    pub fn texts(&self) -> impl Iterator<Item = (i32, &[u8])> {
        self.texts.iter().map(|(number, bytes)| (number as i32, &**bytes))
    }
    /// Sets to 0, in all zones, what a text field has that is not the number of a text, because the game
    /// asked for it in another tick or zone: peers would refuse such a state. Returns the kind and the column
    /// of the first. With a schema without texts it costs next to nothing.
    pub fn clear_unknown_texts(&mut self, schema: &Schema) -> Option<(usize, usize)> {
        let Self { tables, texts, zones, .. } = self;
        let is_unknown =
            |&number: &i32| number != 0 && !u32::try_from(number).is_ok_and(|n| texts.get(n).is_some());
        let mut first = None;
        for (index, (table, kind)) in tables.iter_mut().zip(schema.kinds()).enumerate() {
            for column in kind.text_columns() {
                if table.column(column).iter().any(is_unknown) {
                    first.get_or_insert((index, column));
                    let values = table.column_mut(column).iter_mut();
                    values.filter(|number| is_unknown(number)).for_each(|number| *number = 0);
                }
            }
        }
        let of_zones = zones.iter_mut().map(|(_, content)| content.clear_unknown_texts(schema));
        of_zones.fold(first, Option::or)
    }
    /// CRC-32C (Castagnoli, as in RFC 3720 section 12.1) over the canonical bytes; the same on every machine.
    /// Other zones are not in it: each has its own.
    ///
    /// The canonical bytes are 32-bit little-endian numbers: the tick; then for each table, in the schema's
    /// order, the number of entities, the ids in ascending order, and each column's values in the order of
    /// the ids; then, if there are texts, how many, and for each, in ascending order of number, its number,
    /// its length in bytes, and its bytes with zeros after them up to a multiple of four.
    pub fn checksum(&self) -> u32 {
        let mut crc = Checksum::default();
        crc.add([self.tick]);
        for table in &self.tables {
            crc.add([table.len() as u32]);
            crc.add(table.ids().iter().copied());
            for column in table.columns() {
                crc.add(column.iter().map(|&v| v as u32));
            }
        }
        if self.texts.len() > 0 {
            crc.add([self.texts.len() as u32]);
        }
        for (number, bytes) in self.texts.iter() {
            crc.add([number, bytes.len() as u32]);
            crc.add(bytes.chunks(4).map(|word| word.iter().rev().fold(0, |w, &b| w << 8 | u32::from(b))));
        }
        crc.0
    }
    /// Makes this a copy of `other`, reusing memory.
    pub fn copy_from(&mut self, other: &Snapshot) {
        self.tick = other.tick;
        self.tables.resize_with(other.tables.len(), Table::default);
        for (to, from) in self.tables.iter_mut().zip(&other.tables) {
            to.reset(from.width);
            let mut columns = to.fill(from.ids());
            for (index, column) in from.columns().enumerate() {
                columns.column(index).copy_from_slice(column);
            }
        }
        self.texts.copy_from(&other.texts);
        self.zones.retain(|(zone, _)| other.content(*zone).is_some());
        for (zone, content) in other.zones() {
            self.zone(zone).copy_from(content);
        }
    }

    /// Empties this and gives it the tables of `schema`.
    pub(crate) fn reset(&mut self, schema: &Schema, tick: u32) {
        let kinds = schema.kinds().len();
        self.tables.reserve_exact(kinds.saturating_sub(self.tables.len()));
        self.tables.resize_with(kinds, Table::default);
        for (table, kind) in self.tables.iter_mut().zip(schema.kinds()) {
            table.reset(kind.columns());
        }
        self.texts.clear();
        self.zones.clear();
        self.tick = tick;
    }

    /// The texts.
    pub(crate) fn texts_by_number(&self) -> &Texts {
        &self.texts
    }

    /// The texts, to change.
    pub(crate) fn texts_by_number_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// The first number in a text field of these kinds' tables that is not that of a text.
    pub(crate) fn unknown_text(&self, schema: &Schema, of_kind: impl Fn(usize) -> bool) -> Option<i32> {
        let tables = self.tables.iter().zip(schema.kinds()).enumerate().filter(|(kind, _)| of_kind(*kind));
        let numbers =
            tables.flat_map(|(_, (table, kind))| kind.text_columns().flat_map(|column| table.column(column)));
        numbers.copied().find(|&number| number != 0 && self.bytes_of(number).is_empty())
    }

    /// Whether this has the tables of `schema`.
    pub(crate) fn is_of(&self, schema: &Schema) -> bool {
        self.tables.len() == schema.kinds().len()
            && self.tables.iter().zip(schema.kinds()).all(|(t, k)| t.width() == k.columns())
    }
}

impl Table {
    /// Adds an entity, or replaces the one with this id. Ids may come in any order. (Ascending order is the
    /// fast path.)
    ///
    /// # Panics
    /// If the number of `values` is not the kind's number of columns.
    pub fn push(&mut self, id: u32, values: &[i32]) {
        assert_eq!(values.len(), self.width, "values of entity {id}");
        let len = self.len;
        let (row, is_new) = match self.ids().last() {
            Some(&last) if last >= id => match self.ids().binary_search(&id) {
                Ok(row) => (row, false),
                Err(row) => (row, true),
            },
            _ if self.had(len, id, values) => {
                self.len += 1;
                return;
            }
            _ => (len, true),
        };
        let rows = Rows::own(&mut self.rows, len, self.width, len + usize::from(is_new));
        if is_new && row < len {
            rows.ids.copy_within(row..len, row + 1);
            rows.columns_mut().for_each(|column| column.copy_within(row..len, row + 1));
        }
        rows.set(row, id, values);
        self.len += usize::from(is_new);
    }
    /// Makes this the same as `other` without copying it, whatever it was: for what never changes (a map), of
    /// which a game keeps a table. Nothing compares or encodes it again until one of them changes. Of a kind
    /// without texts, because these belong to a snapshot.
    ///
    /// # Panics
    /// If `other` is of a kind with another number of columns.
    ///
    /// ```
    /// # use driftless_proto::{schema::Schema, snapshot::Snapshot};
    /// let schema = Schema::new().kind("wall", |kind| kind.hold("place", &["x"], 1));
    /// let mut walls = Snapshot::new(&schema);
    /// walls.table_mut(0).push(1, &[700]);
    /// let mut state = Snapshot::new(&schema);
    /// state.zone(4).table_mut(0).share(&walls.tables()[0]);
    /// assert_eq!(state.content(4).unwrap().tables(), walls.tables());
    /// ```
    pub fn share(&mut self, other: &Table) {
        assert_eq!(other.width, self.width, "columns of another kind");
        if !self.rows.as_ref().zip(other.rows.as_ref()).is_some_and(|(own, other)| Arc::ptr_eq(own, other)) {
            self.rows.clone_from(&other.rows);
        }
        self.len = other.len;
    }
    /// The ids, ascending.
    pub fn ids(&self) -> &[u32] {
        self.rows.as_ref().map_or(&[], |rows| &rows.ids[..self.len])
    }
    /// The values of one column, in the order of `ids`.
    ///
    /// # Panics
    /// If the kind has no such column.
    pub fn column(&self, column: usize) -> &[i32] {
        assert!(column < self.width, "column {column} of {}", self.width);
        self.rows.as_ref().map_or(&[], |rows| &rows.values[column * rows.ids.len()..][..self.len])
    }
    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.width
    }
    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no entity.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// The row of an id.
    pub fn row(&self, id: u32) -> Option<usize> {
        self.ids().binary_search(&id).ok()
    }
    /// The value of an entity in a column.
    pub fn value(&self, id: u32, column: usize) -> Option<i32> {
        self.row(id).map(|row| self.column(column)[row])
    }

    /// Whether both have the same content because they share memory; does not compare the content.
    pub(crate) fn is_shared_with(&self, other: &Table) -> bool {
        match (&self.rows, &other.rows) {
            (Some(rows), Some(others)) => self.len == other.len && Arc::ptr_eq(rows, others),
            _ => false,
        }
    }

    /// Gives it these ids, which must ascend. The values are unspecified.
    pub(crate) fn fill(&mut self, ids: &[u32]) -> Columns<'_> {
        self.len = ids.len();
        let Rows { ids: own, values } = Rows::own(&mut self.rows, 0, self.width, self.len);
        own[..ids.len()].copy_from_slice(ids);
        Columns { values, room: own.len(), len: ids.len() }
    }

    /// Makes it these rows, with the values column by column. If they are what its memory has anyway, that
    /// stays shared.
    pub(crate) fn set(&mut self, ids: &[u32], values: &[i32]) {
        let count = ids.len();
        let is_same = self.rows.as_ref().is_some_and(|rows| {
            rows.ids.get(..count) == Some(ids)
                && values
                    .chunks_exact(count.max(1))
                    .zip(rows.values.chunks_exact(rows.ids.len().max(1)))
                    .all(|(new, old)| old[..count] == *new)
        });
        if is_same {
            self.len = count;
            return;
        }
        let mut columns = self.fill(ids);
        for (column, values) in values.chunks_exact(count.max(1)).enumerate() {
            columns.column(column).copy_from_slice(values);
        }
    }

    /// The values of one column, to change.
    fn column_mut(&mut self, column: usize) -> &mut [i32] {
        let rows = Rows::own(&mut self.rows, self.len, self.width, self.len);
        let room = rows.ids.len();
        &mut rows.values[column * room..][..self.len]
    }

    /// All columns, in order.
    fn columns(&self) -> impl Iterator<Item = &[i32]> {
        (0..self.width).map(|column| self.column(column))
    }

    /// Empties it and sets its number of columns.
    fn reset(&mut self, width: usize) {
        self.len = 0;
        if self.width != width {
            *self = Self { width, ..Self::default() };
        }
    }

    /// Whether this entity was in this row before the table was cleared, so that nothing has to be written.
    fn had(&self, row: usize, id: u32, values: &[i32]) -> bool {
        let Some(rows) = &self.rows else { return false };
        let room = rows.ids.len();
        rows.ids.get(row) == Some(&id)
            && values.iter().zip(0..).all(|(value, column)| rows.values[column * room + row] == *value)
    }
}

impl Rows {
    /// The rows of a table, of which `len` are in use, shared with no other table from now on, and with room
    /// for `needed` entities. Not for many more, because there are thousands of tables.
    fn own(rows: &mut Option<Arc<Self>>, len: usize, width: usize, needed: usize) -> &mut Self {
        let room = rows.as_ref().map_or(0, |rows| rows.ids.len());
        if needed > room {
            let mut grown = Self::with_room(needed.max(room + room / 2), width);
            if let Some(rows) = rows {
                grown.ids[..len].copy_from_slice(&rows.ids[..len]);
                for (new, old) in grown.columns_mut().zip(rows.values.chunks_exact(room.max(1))) {
                    new[..len].copy_from_slice(&old[..len]);
                }
            }
            *rows = Some(Arc::new(grown));
        }
        Arc::make_mut(rows.get_or_insert_with(|| Arc::new(Self::with_room(0, width))))
    }

    fn with_room(room: usize, width: usize) -> Self {
        Self { ids: vec![0; room].into(), values: vec![0; room * width].into() }
    }

    fn columns_mut(&mut self) -> impl Iterator<Item = &mut [i32]> {
        self.values.chunks_exact_mut(self.ids.len().max(1))
    }

    fn set(&mut self, row: usize, id: u32, values: &[i32]) {
        self.ids[row] = id;
        let mut at = row;
        for &value in values {
            self.values[at] = value;
            at += self.ids.len();
        }
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.tick == other.tick && self.has_content_of(other) && self.zones().eq(other.zones())
    }
}

impl Eq for Snapshot {}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.width == other.width
            && (self.is_shared_with(other)
                || (self.ids() == other.ids() && self.columns().eq(other.columns())))
    }
}

impl Eq for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns().collect();
        f.debug_struct("Table").field("ids", &self.ids()).field("columns", &columns).finish()
    }
}

impl Columns<'_> {
    /// One column.
    #[inline]
    pub(crate) fn column(&mut self, index: usize) -> &mut [i32] {
        &mut self.values[index * self.room..][..self.len]
    }
}

/// A CRC-32C over 32-bit numbers, through a small buffer, because the accelerated implementation needs long
/// runs of bytes.
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
