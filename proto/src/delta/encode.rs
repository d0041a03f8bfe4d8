//! Writes deltas.

use super::{
    References,
    bits::BitWriter,
    columns::{Residuals, zigzag},
    dense, packed, predict,
    predict::Horizon,
    protobuf::{bytes_field_len, number_field_len, put_bytes, put_bytes_head, put_number, put_varint},
    rice, row_set,
    survivors::Survivors,
    texts::TextEncoder,
};
use crate::{
    schema::{Kind, Schema},
    snapshot::{Snapshot, Table},
    wire::ColumnCoding,
};
use bytes::BufMut;

/// Writes deltas. Keeps its scratch memory, so it does not allocate in steady state.
#[derive(Debug, Default)]
pub struct Encoder {
    rows: RowMatch,
    changes: Changes,
    scratch: Scratch,
    coder: Coder,
    texts: TextEncoder,
    /// The `TableDelta` being written.
    table: Vec<u8>,
}

impl Encoder {
    /// Writes the shared fields of a `State` message that turn `references` into `current`: 8, the checksum,
    /// if `checksum` is given; the tables, 9, or 15 in the DENSE coding; and 14, the texts.
    ///
    /// The baseline must be older than `current` and the prior older than the baseline, each by at most
    /// [`MAX_AGE`] ticks, because no [`StateHead`](crate::state::StateHead) could name others.
    ///
    /// [`MAX_AGE`]: super::MAX_AGE
    ///
    /// # Panics
    /// If a snapshot belongs to another schema.
    pub fn encode(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        current: &Snapshot,
        coding: ColumnCoding,
        checksum: Option<u32>,
        out: &mut impl BufMut,
    ) {
        assert!(current.is_of(schema) && references.are_of(schema), "a snapshot is of another schema");
        debug_assert_eq!(
            current.unknown_text(schema, |_| true),
            None,
            "a row's text was not added this tick"
        );
        if let Some(checksum) = checksum {
            out.put_u8(8 << 3 | 5);
            out.put_u32_le(checksum);
        }
        let had = references.baseline.map(Snapshot::texts_by_number);
        if coding == ColumnCoding::Dense {
            self.texts.write(had, current.texts_by_number(), out);
            self.write_dense(schema, references, current, out);
        } else {
            self.write_tables(schema, references, current, coding, out);
            self.texts.write(had, current.texts_by_number(), out);
        }
    }

    /// Writes each table in which something differs from the prediction.
    fn write_tables(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        current: &Snapshot,
        coding: ColumnCoding,
        out: &mut impl BufMut,
    ) {
        let horizon = Horizon::of(references, current.tick());
        let empty = Table::default();
        for (index, kind) in schema.kinds().iter().enumerate() {
            let baseline = references.baseline.map_or(&empty, |s| &s.tables()[index]);
            let prior = horizon.and(references.prior).map(|s| &s.tables()[index]);
            let current = &current.tables()[index];
            if current.is_shared_with(baseline) && prior.is_none_or(|prior| prior.is_shared_with(baseline)) {
                continue; // it is as predicted
            }
            self.table.clear();
            self.write_table(kind, horizon, baseline, prior, current, coding);
            if self.table.is_empty() {
                continue;
            }
            let body = number_field_len(index as u64) + self.table.len();
            self.scratch.head.clear();
            put_bytes_head(&mut self.scratch.head, 9, body);
            put_number(&mut self.scratch.head, 1, index as u64);
            out.put_slice(&self.scratch.head);
            out.put_slice(&self.table);
        }
    }

    /// Writes all tables in the DENSE coding, unless everything is as predicted.
    fn write_dense(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        current: &Snapshot,
        out: &mut impl BufMut,
    ) {
        let horizon = Horizon::of(references, current.tick());
        let empty = Table::default();
        let Self { rows, changes, scratch, coder, table, .. } = self;
        table.clear();
        let mut differs = false;
        let mut bits = BitWriter::new(table);
        for (index, kind) in schema.kinds().iter().enumerate() {
            let baseline = references.baseline.map_or(&empty, |s| &s.tables()[index]);
            let prior = horizon.and(references.prior).map(|s| &s.tables()[index]);
            let current = &current.tables()[index];
            if current.is_shared_with(baseline) && prior.is_none_or(|prior| prior.is_shared_with(baseline)) {
                bits.put(0, 1); // it is as predicted
                continue;
            }
            rows.find(baseline.ids(), current.ids());
            if let Some(prior) = prior {
                rows.survivors.match_prior(baseline.ids(), prior.ids());
            }
            let survive = rows.survivors.len() > 0;
            if survive {
                changes.find(kind, horizon, rows, baseline, prior, current);
            }
            let changed = survive && !changes.changed.is_empty();
            let same = rows.despawned.is_empty() && rows.spawned.is_empty() && !changed;
            bits.put((!same).into(), 1);
            if same {
                continue;
            }
            differs = true;
            if !baseline.is_empty() {
                dense::put_despawned(&mut bits, &rows.despawned);
            }
            let ids = rows.spawned.iter().map(|&row| current.ids()[row as usize]);
            dense::put_ids(&mut bits, ids, baseline.ids());
            if survive {
                changes.write_dense(kind, &mut scratch.rows, &mut bits);
            }
            if !rows.spawned.is_empty() {
                rows.write_spawned(current, &mut coder.spawned, &mut bits);
            }
        }
        bits.finish();
        if differs {
            scratch.head.clear();
            put_bytes_head(&mut scratch.head, 15, table.len());
            out.put_slice(&scratch.head);
            out.put_slice(table);
        }
    }

    fn write_table(
        &mut self,
        kind: &Kind,
        horizon: Option<Horizon>,
        baseline: &Table,
        prior: Option<&Table>,
        current: &Table,
        coding: ColumnCoding,
    ) {
        self.rows.find(baseline.ids(), current.ids());
        if let Some(prior) = prior {
            self.rows.survivors.match_prior(baseline.ids(), prior.ids());
        }
        if !self.rows.despawned.is_empty() {
            put_bytes_head(&mut self.table, 2, row_set::gaps_len(&self.rows.despawned));
            row_set::put_gaps(&mut self.table, &self.rows.despawned);
        }
        if !self.rows.spawned.is_empty() {
            self.write_spawned(kind, current, coding);
        }
        if self.rows.survivors.len() > 0 {
            self.changes.find(kind, horizon, &self.rows, baseline, prior, current);
            self.write_changed(kind, coding);
        }
    }

    fn write_spawned(&mut self, kind: &Kind, current: &Table, coding: ColumnCoding) {
        let rows = &self.rows.spawned;
        // Each id minus the one before, minus 1, like the gaps of a row set.
        let ids = &mut self.scratch.head;
        ids.clear();
        let mut next = 0;
        for &row in rows {
            let id = u64::from(current.ids()[row as usize]);
            put_varint(ids, id - next);
            next = id + 1;
        }
        put_bytes(&mut self.table, 3, ids);
        let mut columns = 0..;
        for (index, group) in kind.groups().iter().enumerate() {
            self.scratch.residuals.clear();
            for column in columns.by_ref().take(group.fields().len()) {
                let values = current.column(column);
                self.scratch.residuals.extend(rows.iter().map(|&row| zigzag(values[row as usize])));
            }
            let residuals = Residuals::new(&self.scratch.residuals, rows.len(), group.fields().len());
            self.coder.write_group(&mut self.table, coding, 4, index, &[], &residuals);
        }
    }

    fn write_changed(&mut self, kind: &Kind, coding: ColumnCoding) {
        let Changes { residuals, flags, changed, .. } = &self.changes;
        let survivors = flags.len();
        if changed.is_empty() {
            return;
        }
        if changed.len() < survivors {
            let Coder { values, seen, .. } = &mut self.coder;
            let (gaps, bits) = (row_set::gaps_len(changed), row_set::bits_len(changed));
            values.clear();
            if coding == ColumnCoding::Rice {
                row_set::put_rice(values, changed, &mut self.scratch.residuals, seen);
            }
            if !values.is_empty() && values.len() < gaps.min(bits) {
                put_bytes(&mut self.table, 8, values);
            } else if gaps < bits {
                put_bytes_head(&mut self.table, 5, gaps);
                row_set::put_gaps(&mut self.table, changed);
            } else {
                put_bytes_head(&mut self.table, 6, bits);
                row_set::put_bits(&mut self.table, changed);
            }
        }
        let mut first = 0;
        for (index, group) in kind.groups().iter().enumerate() {
            let fields = group.fields().len();
            let columns = &residuals[first * survivors..(first + fields) * survivors];
            first += fields;
            let Scratch { rows, bits, residuals, .. } = &mut self.scratch;
            // Rows of this group, as indices into the changed rows.
            rows.clear();
            let has = |&(_, &row): &(u32, &u32)| flags[row as usize] >> index & 1 != 0;
            rows.extend((0..).zip(changed).filter(has).map(|(n, _)| n));
            if rows.is_empty() {
                continue;
            }
            bits.clear();
            if rows.len() < changed.len() {
                row_set::put_bits(bits, rows);
            }
            let chosen = if rows.len() == survivors {
                columns
            } else {
                residuals.clear();
                for column in columns.chunks_exact(survivors) {
                    residuals.extend(rows.iter().map(|&n| column[changed[n as usize] as usize]));
                }
                residuals
            };
            let chosen = Residuals::new(chosen, rows.len(), fields);
            self.coder.write_group(&mut self.table, coding, 7, index, bits, &chosen);
        }
    }
}

/// Writes the residuals of groups.
#[derive(Debug, Default)]
struct Coder {
    /// The values, which follow their length.
    values: Vec<u8>,
    /// Scratch memory of the RICE coding.
    seen: Vec<u32>,
    /// What the DENSE coding knows of new entities' values.
    spawned: dense::Values,
}

impl Coder {
    /// Writes a `GroupDelta` as field number `field` of the table.
    fn write_group(
        &mut self,
        table: &mut Vec<u8>,
        coding: ColumnCoding,
        field: u32,
        index: usize,
        row_bits: &[u8],
        residuals: &Residuals<'_>,
    ) {
        let index = index as u64;
        let rows_len = if row_bits.is_empty() { 0 } else { bytes_field_len(row_bits.len()) };
        let head_len = number_field_len(index) + rows_len;
        match coding {
            ColumnCoding::Packed => {
                let (interleave, len) = packed::cheapest(residuals);
                let interleave_field = interleave.to_wire();
                let group_len = head_len + number_field_len(interleave_field) + bytes_field_len(len);
                put_bytes_head(table, field, group_len);
                put_number(table, 1, index);
                put_bytes(table, 2, row_bits);
                put_number(table, 3, interleave_field);
                put_bytes_head(table, 4, len);
                packed::put(table, residuals, interleave, len);
            }
            ColumnCoding::Rice | ColumnCoding::Dense => {
                self.values.clear();
                rice::put(&mut self.values, residuals, &mut self.seen);
                put_bytes_head(table, field, head_len + bytes_field_len(self.values.len()));
                put_number(table, 1, index);
                put_bytes(table, 2, row_bits);
                put_bytes(table, 5, &self.values);
            }
        }
    }
}

/// Scratch memory for what is being written.
#[derive(Debug, Default)]
struct Scratch {
    /// Numbers whose total length must be known before they are written.
    head: Vec<u8>,
    /// The changed rows that have a group, and the same as bits.
    rows: Vec<u32>,
    bits: Vec<u8>,
    /// Their residuals, field after field.
    residuals: Vec<u32>,
}

/// How rows of the baseline correspond to rows of the current table.
#[derive(Debug, Default)]
struct RowMatch {
    survivors: Survivors,
    /// The survivors' rows in the current table, in their order; not filled when both tables have the same
    /// ids.
    current: Vec<u32>,
    same_ids: bool,
    /// Rows of the baseline that have no entity in the current table.
    despawned: Vec<u32>,
    /// Rows of the current table that have no entity in the baseline.
    spawned: Vec<u32>,
}

impl RowMatch {
    /// One pass over both, as both are sorted.
    fn find(&mut self, baseline: &[u32], current: &[u32]) {
        self.despawned.clear();
        self.spawned.clear();
        self.current.clear();
        let survivors = self.survivors.baseline();
        self.same_ids = baseline == current;
        if self.same_ids {
            survivors.set_straight(baseline.len());
            return;
        }
        survivors.begin();
        let (mut b, mut c) = (0, 0);
        while let (Some(&was), Some(&is)) = (baseline.get(b), current.get(c)) {
            match was.cmp(&is) {
                std::cmp::Ordering::Less => {
                    self.despawned.push(b as u32);
                    b += 1;
                }
                std::cmp::Ordering::Greater => {
                    self.spawned.push(c as u32);
                    c += 1;
                }
                std::cmp::Ordering::Equal => {
                    survivors.push(b as u32);
                    self.current.push(c as u32);
                    b += 1;
                    c += 1;
                }
            }
        }
        self.despawned.extend(b as u32..baseline.len() as u32);
        self.spawned.extend(c as u32..current.len() as u32);
    }

    /// Writes the spawned entities' values in the DENSE coding.
    fn write_spawned(&self, current: &Table, values: &mut dense::Values, bits: &mut BitWriter<'_>) {
        values.begin();
        for index in 0..current.width() {
            let column = current.column(index);
            values.add_column(self.current.iter().map(|&row| column[row as usize]));
        }
        for &row in &self.spawned {
            let row = row as usize;
            for index in 0..current.width() {
                let column = current.column(index);
                let before = row.checked_sub(1).map_or(0, |before| column[before]);
                values.put(bits, index, column[row], before);
            }
        }
    }
}

/// Values of the survivors that differ from the prediction.
#[derive(Debug, Default)]
struct Changes {
    /// Scratch memory: a column's predictions.
    predicted: Vec<i32>,
    /// Residuals of all columns, concatenated, each in the survivors' order.
    residuals: Vec<u32>,
    /// For each survivor, bit g: group g differs from the prediction.
    flags: Vec<u32>,
    /// The survivors with a flag.
    changed: Vec<u32>,
}

impl Changes {
    fn find(
        &mut self,
        kind: &Kind,
        horizon: Option<Horizon>,
        rows: &RowMatch,
        baseline: &Table,
        prior: Option<&Table>,
        current: &Table,
    ) {
        let Self { predicted, residuals, flags, changed } = self;
        residuals.clear();
        flags.clear();
        flags.resize(rows.survivors.len(), 0);
        predicted.resize(rows.survivors.len(), 0);
        let mut columns = 0..;
        for (index, group) in kind.groups().iter().enumerate() {
            for column in columns.by_ref().take(group.fields().len()) {
                let before = prior.map(|p| p.column(column));
                let base = baseline.column(column);
                predict::column(group.predictor(), horizon, &rows.survivors, base, before, predicted);
                let start = residuals.len();
                let now = current.column(column);
                let residual = |(&now, &predicted): (&i32, &i32)| zigzag(now.wrapping_sub(predicted));
                if rows.same_ids {
                    residuals.extend(now.iter().zip(&*predicted).map(residual));
                } else {
                    let now = rows.current.iter().map(|&row| &now[row as usize]);
                    residuals.extend(now.zip(&*predicted).map(residual));
                }
                for (flags, &residual) in flags.iter_mut().zip(&residuals[start..]) {
                    *flags |= u32::from(residual != 0) << index;
                }
            }
        }
        changed.clear();
        changed.extend((0..).zip(&*flags).filter(|&(_, &f)| f != 0).map(|(row, _)| row));
    }

    /// Writes them in the DENSE coding. `rows` is scratch memory.
    fn write_dense(&self, kind: &Kind, rows: &mut Vec<u32>, bits: &mut BitWriter<'_>) {
        let survivors = self.flags.len();
        let mut first = 0;
        for (index, group) in kind.groups().iter().enumerate() {
            let columns = first * survivors..(first + group.fields().len()) * survivors;
            first += group.fields().len();
            rows.clear();
            rows.extend(
                self.changed.iter().copied().filter(|&row| self.flags[row as usize] >> index & 1 != 0),
            );
            dense::put_rows(bits, rows, survivors);
            dense::put_residuals(bits, rows, &self.residuals[columns], survivors);
        }
    }
}
