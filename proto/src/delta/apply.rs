//! Reads deltas.

use super::{
    DeltaError, References,
    bits::BitReader,
    columns::unzigzag,
    dense, message,
    message::{GroupDelta, TableDelta, Values},
    packed, predict,
    predict::Horizon,
    protobuf::take_varint,
    rice, row_set,
    survivors::{Rows, Survivors},
    texts::TextDecoder,
};
use crate::{
    schema::{Kind, Schema},
    snapshot::{Columns, Snapshot, Table},
};
use std::ops::Range;

/// Reads deltas. Keeps its scratch memory, so it does not allocate in steady state.
#[derive(Debug, Default)]
pub struct Decoder {
    survivors: Survivors,
    /// Rows of the new table: those of the survivors, of the spawned, of the changed, and of those that have
    /// a group.
    survivor_rows: Rows,
    spawned_rows: Vec<u32>,
    changed_rows: Rows,
    group_rows: Vec<u32>,
    spawned_ids: Vec<u32>,
    /// All ids of the new table.
    ids: Vec<u32>,
    /// Scratch memory of the RICE coding.
    seen: Vec<u32>,
    predicted: Vec<i32>,
    texts: TextDecoder,
    /// Rows of the baseline that are despawned.
    despawned: Vec<u32>,
    /// What the DENSE coding knows of the spawned entities' values.
    spawned_values: dense::Values,
}

impl Decoder {
    /// Applies the shared fields of a `State` message, as `Encoder` wrote them, and makes `out` the state at
    /// `tick`. `references` must be those named in the message's head. Returns the checksum that the message
    /// carried, already verified.
    ///
    /// Memory use grows only with the references and the length of `body`, never with a count in it.
    ///
    /// # Errors
    /// What is wrong with the message. `out` is then in an unspecified but valid state, and decoding may
    /// continue with the next message.
    pub fn apply(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        tick: u32,
        body: &[u8],
        out: &mut Snapshot,
    ) -> Result<Option<u32>, DeltaError> {
        let horizon = Horizon::of(references, tick);
        self.apply_over(schema, references, horizon, tick, body, out)
    }

    /// Like `apply`, but the references are the contents of a zone at these ticks, which they may have had
    /// for longer.
    pub(crate) fn apply_at(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        ticks: (Option<u32>, Option<u32>),
        tick: u32,
        body: &[u8],
        out: &mut Snapshot,
    ) -> Result<(), DeltaError> {
        let horizon = Horizon::new(ticks.0, ticks.1, tick);
        self.apply_over(schema, references, horizon, tick, body, out).map(|_| ())
    }

    fn apply_over(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        horizon: Option<Horizon>,
        tick: u32,
        body: &[u8],
        out: &mut Snapshot,
    ) -> Result<Option<u32>, DeltaError> {
        out.reset(schema, tick);
        if !references.are_of(schema) {
            return Err(DeltaError::References);
        }
        let mut shared = message::Shared::new(body);
        let result = self.apply_tables(schema, references, horizon, &mut shared, out);
        if let Err(error) = result {
            // The values may be unspecified now.
            out.clear(tick);
            return Err(error);
        }
        let checksum = shared.checksum();
        if let Some(expected) = checksum {
            let actual = out.checksum();
            if actual != expected {
                return Err(DeltaError::Checksum { expected, actual });
            }
        }
        Ok(checksum)
    }

    fn apply_tables(
        &mut self,
        schema: &Schema,
        references: References<'_>,
        horizon: Option<Horizon>,
        shared: &mut message::Shared<'_>,
        out: &mut Snapshot,
    ) -> Result<(), DeltaError> {
        let empty = Table::default();
        let mut next = shared.next_table(schema.kinds())?;
        let mut differ = 0_u32; // bit n: there is a delta of kind n
        let mut dense = None;
        if next.is_none() {
            dense = shared.dense().map(BitReader::new);
        }
        for (index, kind) in schema.kinds().iter().enumerate() {
            let from = From {
                horizon,
                baseline: references.baseline.map_or(&empty, |s| &s.tables()[index]),
                prior: horizon.and(references.prior).map(|s| &s.tables()[index]),
            };
            let out = out.table_mut(index);
            if let Some(bits) = &mut dense
                && bits.take(1) != 0
            {
                differ |= 1 << index;
                self.apply_dense(kind, from, bits, out)?;
                continue;
            }
            let delta = match &next {
                Some(delta) if delta.kind == index => *delta,
                _ => TableDelta::unchanged(index),
            };
            if next.as_ref().is_some_and(|delta| delta.kind == index) {
                differ |= 1 << index;
                next = shared.next_table(schema.kinds())?;
            }
            self.apply_table(kind, from, &delta, out)?;
        }
        match dense {
            Some(bits) if !bits.is_used_up() => return Err(DeltaError::ValueCount),
            None if shared.dense().is_some() => return Err(DeltaError::TwoCodings),
            _ => {}
        }
        let baseline = references.baseline.map(Snapshot::texts_by_number);
        let some_are_gone = self.texts.apply(baseline, shared.texts(), out.texts_by_number_mut())?;
        // In the other tables, rows refer to the same texts as in the baseline.
        match out.unknown_text(schema, |kind| some_are_gone || differ >> kind & 1 != 0) {
            None => Ok(()),
            Some(number) => Err(DeltaError::UnknownText(number)),
        }
    }

    fn apply_table(
        &mut self,
        kind: &Kind,
        from: From<'_>,
        delta: &TableDelta<'_>,
        out: &mut Table,
    ) -> Result<(), DeltaError> {
        let baseline = from.baseline.ids();
        self.despawned.clear();
        let Self { despawned, spawned_ids, .. } = self;
        row_set::take_gaps(delta.despawned, baseline.len(), "despawned", |row| despawned.push(row))?;
        take_spawned(delta.spawned, spawned_ids)?;
        if delta.spawned_groups().len() != if spawned_ids.is_empty() { 0 } else { kind.groups().len() } {
            return Err(DeltaError::SpawnedGroups);
        }
        let mut columns = self.begin(kind, from, out)?;
        self.read_spawned(kind, delta, &mut columns)?;
        self.read_changed(kind, delta, &mut columns)
    }

    /// Reads a table in the DENSE coding.
    fn apply_dense(
        &mut self,
        kind: &Kind,
        from: From<'_>,
        bits: &mut BitReader<'_>,
        out: &mut Table,
    ) -> Result<(), DeltaError> {
        let baseline = from.baseline.ids();
        self.despawned.clear();
        self.spawned_ids.clear();
        if !baseline.is_empty() {
            dense::take_despawned(bits, baseline.len(), &mut self.despawned)?;
        }
        dense::take_ids(bits, baseline, kind.columns(), &mut self.spawned_ids)?;
        let mut columns = self.begin(kind, from, out)?;
        let Self { survivor_rows, spawned_rows, changed_rows, spawned_values, .. } = self;
        let mut first = 0;
        for group in kind.groups() {
            let fields = group.fields().len();
            if survivor_rows.len() > 0 && dense::take_rows(bits, survivor_rows.len(), changed_rows)? {
                dense::take_residuals(bits, changed_rows.len(), fields, |n, field, residual| {
                    let row = survivor_rows.get(changed_rows.get(n));
                    let value = &mut columns.column(first + field)[row];
                    *value = value.wrapping_add(unzigzag(residual));
                })?;
            }
            first += fields;
        }
        if spawned_rows.is_empty() {
            return Ok(());
        }
        spawned_values.begin();
        for index in 0..kind.columns() {
            let column = columns.column(index);
            spawned_values.add_column(survivor_rows.list().iter().map(|&row| column[row as usize]));
        }
        for &row in &*spawned_rows {
            for index in 0..kind.columns() {
                let column = columns.column(index);
                let before = (row as usize).checked_sub(1).map_or(0, |before| column[before]);
                column[row as usize] = spawned_values.take(bits, index, before)?;
            }
        }
        Ok(())
    }

    /// Makes `out` a table in which only the ids have changed, as `despawned` and `spawned_ids` say; spawned
    /// entities are 0.
    fn begin<'a>(
        &mut self,
        kind: &Kind,
        from: From<'_>,
        out: &'a mut Table,
    ) -> Result<Columns<'a>, DeltaError> {
        let From { horizon, baseline, prior } = from;
        self.find_survivors(baseline.len());
        if let Some(prior) = prior {
            self.survivors.match_prior(baseline.ids(), prior.ids());
        }
        self.merge_ids(baseline.ids())?;
        let mut columns = out.fill(&self.ids);
        self.predict(kind, horizon, baseline, prior, &mut columns);
        Ok(columns)
    }

    fn find_survivors(&mut self, baseline: usize) {
        let rows = self.survivors.baseline();
        if self.despawned.is_empty() {
            rows.set_straight(baseline);
            return;
        }
        rows.begin();
        let mut next = 0;
        for &row in &self.despawned {
            (next..row).for_each(|row| rows.push(row));
            next = row + 1;
        }
        (next..baseline as u32).for_each(|row| rows.push(row));
    }

    /// Determines the ids of the new table, of survivors and spawned alike, and the rows of both in it.
    fn merge_ids(&mut self, baseline: &[u32]) -> Result<(), DeltaError> {
        let (ids, survivors) = (&mut self.ids, self.survivors.baseline());
        ids.clear();
        self.spawned_rows.clear();
        if self.spawned_ids.is_empty() {
            self.survivor_rows.set_straight(survivors.len());
            if survivors.is_straight() {
                ids.extend_from_slice(baseline);
            } else {
                ids.extend(survivors.list().iter().map(|&row| baseline[row as usize]));
            }
            return Ok(());
        }
        self.survivor_rows.begin();
        let mut spawned = self.spawned_ids.iter().copied().peekable();
        for n in 0..survivors.len() {
            let id = baseline[survivors.get(n)];
            while let Some(new) = spawned.next_if(|&new| new <= id) {
                if new == id {
                    return Err(DeltaError::SpawnedTwice(id));
                }
                self.spawned_rows.push(ids.len() as u32);
                ids.push(new);
            }
            self.survivor_rows.push(ids.len() as u32);
            ids.push(id);
        }
        for new in spawned {
            self.spawned_rows.push(ids.len() as u32);
            ids.push(new);
        }
        Ok(())
    }

    /// Fills all columns as if only the ids had changed; spawned entities are 0.
    fn predict(
        &mut self,
        kind: &Kind,
        horizon: Option<Horizon>,
        baseline: &Table,
        prior: Option<&Table>,
        columns: &mut Columns<'_>,
    ) {
        let predictors = kind.groups().iter().flat_map(|g| g.fields().iter().map(|_| g.predictor()));
        self.predicted.resize(self.survivors.len(), 0);
        for (index, predictor) in predictors.enumerate() {
            let column = columns.column(index);
            if self.survivors.len() == 0 {
                column.fill(0);
                continue;
            }
            let before = prior.map(|p| p.column(index));
            let base = baseline.column(index);
            if self.survivor_rows.is_straight() {
                predict::column(predictor, horizon, &self.survivors, base, before, column);
                continue;
            }
            predict::column(predictor, horizon, &self.survivors, base, before, &mut self.predicted);
            column.fill(0);
            for (&row, &value) in self.survivor_rows.list().iter().zip(&self.predicted) {
                column[row as usize] = value;
            }
        }
    }

    fn read_spawned(
        &mut self,
        kind: &Kind,
        delta: &TableDelta<'_>,
        columns: &mut Columns<'_>,
    ) -> Result<(), DeltaError> {
        let mut first = 0;
        for (index, (bytes, group)) in delta.spawned_groups().iter().zip(kind.groups()).enumerate() {
            let values = GroupDelta::read(bytes)?;
            if values.group as usize != index || !values.rows.is_empty() {
                return Err(DeltaError::SpawnedGroups);
            }
            let group_columns = first..first + group.fields().len();
            first = group_columns.end;
            let rows = &self.spawned_rows;
            add(values.values, rows.len(), |n| rows[n] as usize, columns, group_columns, &mut self.seen)?;
        }
        Ok(())
    }

    fn read_changed(
        &mut self,
        kind: &Kind,
        delta: &TableDelta<'_>,
        columns: &mut Columns<'_>,
    ) -> Result<(), DeltaError> {
        let survivors = self.survivors.len();
        let (gaps, bits, rice) = (delta.changed_gaps, delta.changed_bits, delta.changed_rice);
        let sets = [gaps, bits, rice].into_iter().filter(|set| !set.is_empty()).count();
        if sets > usize::from(!delta.groups().is_empty()) {
            return Err(DeltaError::ChangedRows);
        }
        let Self { survivor_rows, changed_rows, group_rows, seen, .. } = self;
        if sets == 0 {
            std::mem::swap(survivor_rows, changed_rows);
        } else {
            changed_rows.begin();
            let changed = |n| changed_rows.push(survivor_rows.get(n as usize) as u32);
            if !gaps.is_empty() {
                row_set::take_gaps(gaps, survivors, "changed_gaps", changed)?;
            } else if !bits.is_empty() {
                row_set::take_bits(bits, survivors, "changed_bits", changed)?;
            } else {
                row_set::take_rice(rice, survivors, "changed_rice", seen, changed)?;
            }
        }
        let mut before = None;
        let mut group_start = 0;
        let mut first_column = 0;
        for bytes in delta.groups() {
            let values = GroupDelta::read(bytes)?;
            let index = values.group as usize;
            let group = kind.groups().get(index).ok_or(DeltaError::UnknownGroup(values.group))?;
            if before.is_some_and(|before| before >= index) {
                return Err(DeltaError::GroupOrder(values.group));
            }
            before = Some(index);
            first_column += kind.groups()[group_start..index].iter().map(|g| g.fields().len()).sum::<usize>();
            group_start = index;
            let group_columns = first_column..first_column + group.fields().len();
            if values.rows.is_empty() {
                if changed_rows.is_straight() {
                    add(values.values, changed_rows.len(), |n| n, columns, group_columns, seen)?;
                } else {
                    let rows = changed_rows.list();
                    add(values.values, rows.len(), |n| rows[n] as usize, columns, group_columns, seen)?;
                }
            } else {
                group_rows.clear();
                row_set::take_bits(values.rows, changed_rows.len(), "rows", |n| {
                    group_rows.push(changed_rows.get(n as usize) as u32);
                })?;
                add(
                    values.values,
                    group_rows.len(),
                    |n| group_rows[n] as usize,
                    columns,
                    group_columns,
                    seen,
                )?;
            }
        }
        Ok(())
    }
}

/// What a table is predicted from.
#[derive(Debug, Clone, Copy)]
struct From<'a> {
    horizon: Option<Horizon>,
    baseline: &'a Table,
    prior: Option<&'a Table>,
}

/// Reads the ids of new entities.
fn take_spawned(mut spawned: &[u8], ids: &mut Vec<u32>) -> Result<(), DeltaError> {
    ids.clear();
    let mut next = 0_u64;
    while !spawned.is_empty() {
        let id = take_varint(&mut spawned)?.checked_add(next).and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or(DeltaError::SpawnedRange)?;
        ids.push(id);
        next = u64::from(id) + 1;
    }
    Ok(())
}

/// Adds a group's residuals to the columns `of_group`, in the `count` rows that `row` gives.
fn add(
    values: Values<'_>,
    count: usize,
    row: impl Fn(usize) -> usize,
    columns: &mut Columns<'_>,
    of_group: Range<usize>,
    seen: &mut Vec<u32>,
) -> Result<(), DeltaError> {
    let fields = of_group.len();
    let add = |n: usize, field: usize, residual: u32| {
        let value = &mut columns.column(of_group.start + field)[row(n)];
        *value = value.wrapping_add(unzigzag(residual));
    };
    match values {
        Values::Packed { values, interleave } => packed::take(values, count, fields, interleave, add),
        Values::Rice(values) => rice::take(values, count, fields, seen, add),
    }
}
