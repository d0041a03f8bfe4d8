//! The DENSE coding: everything that differs in a content, in one string of bits. The documentation of
//! [`delta`](super) defines the format.
//!
//! A zone has few entities, so what its tables and groups cost before any residual (tags, lengths, row sets,
//! parameters) is as much as the residuals themselves. Here a table costs some bits, and the parameter of a
//! code follows from the numbers before it, so that none is written and the encoder needs one pass.
//!
//! A range coder would take 4 to 11 % less in a zone of the arena, if its models were fitted to the arena,
//! and a tenth more on tumbling cubes, at six binary decisions an entity.

use super::{
    DeltaError,
    bits::{BitReader, BitWriter},
    columns::{unzigzag, zigzag},
    rice::{CLASSES, class, put_code, take_code},
    survivors::Rows,
};
use crate::schema::MAX_FIELDS;

/// Parameter of the codes of despawned rows' gaps, and of the number of changed rows.
const GAP: u32 = 3;
/// Bits of the length of a number of which nothing is known.
const LENGTH_BITS: u32 = 6;
/// Survivors whose values tell how far apart those of new entities may be.
const NEIGHBOURS: usize = 9;

/// What is known of the size of some numbers, from those before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    count: u32,
    sum: u32,
    /// The parameter: the largest with a mean of at least 2^(k + 1), or 0.
    k: u32,
}

impl Scale {
    /// A number counts as at most this much, so that a sum stays below 2^28.
    const MOST: u32 = 1 << 24;
    /// With so many, half of them are forgotten.
    const FULL: u32 = 8;
    /// Of the ids of new entities.
    const ID: Self = Self::new(1, 64, 5);
    /// Of the gaps between changed rows.
    const GAP: Self = Self::new(1, 8, 2);
    /// Of residuals, by class.
    const RESIDUALS: [Self; CLASSES] = [Self::new(2, 2, 0), Self::new(2, 4, 0), Self::new(2, 32, 3)];
    /// Of a new entity's values, before their neighbours.
    const VALUE: Self = Self::new(1, 1, 0);

    const fn new(count: u32, sum: u32, k: u32) -> Self {
        Self { count, sum, k }
    }

    /// After a first number of which nothing was known.
    fn of(first: u32) -> Self {
        let mut scale = Self::new(0, 0, 0);
        scale.add(first);
        scale
    }

    #[inline]
    fn add(&mut self, number: u32) {
        self.sum += number.min(Self::MOST);
        self.count += 1;
        if self.count == Self::FULL {
            self.count /= 2;
            self.sum /= 2;
        }
        while self.sum >> (self.k + 2) >= self.count {
            self.k += 1;
        }
        while self.k > 0 && self.sum >> (self.k + 1) < self.count {
            self.k -= 1;
        }
    }

    #[inline]
    fn put(&mut self, bits: &mut BitWriter<'_>, number: u32) {
        put_code(bits, number, self.k);
        self.add(number);
    }

    #[inline]
    fn take(&mut self, bits: &mut BitReader<'_>) -> Result<u32, DeltaError> {
        let number = take_code(bits, self.k)?;
        self.add(number);
        Ok(number)
    }
}

/// The scales of a group's residuals: those of each field, by the class of the row.
struct Scales([[Scale; CLASSES]; MAX_FIELDS]);

impl Scales {
    fn new() -> Self {
        Self([Scale::RESIDUALS; MAX_FIELDS])
    }
}

/// Writes the despawned rows of the baseline.
pub(super) fn put_despawned(bits: &mut BitWriter<'_>, rows: &[u32]) {
    let mut next = 0;
    for &row in rows {
        bits.put(1, 1);
        put_code(bits, row - next, GAP);
        next = row + 1;
    }
    bits.put(0, 1);
}

/// Reads the despawned rows into `gone`.
pub(super) fn take_despawned(
    bits: &mut BitReader<'_>,
    rows: usize,
    gone: &mut Vec<u32>,
) -> Result<(), DeltaError> {
    let mut next = 0;
    while bits.take(1) != 0 {
        let row = next + u64::from(take_code(bits, GAP)?);
        if row >= rows as u64 {
            return Err(DeltaError::Row { field: "despawned", rows });
        }
        gone.push(row as u32);
        next = row + 1;
    }
    Ok(())
}

/// Writes the ids of new entities, `baseline` being those of the baseline.
pub(super) fn put_ids(bits: &mut BitWriter<'_>, ids: impl Iterator<Item = u32>, baseline: &[u32]) {
    // Most games count their ids up, so new ones are above all others.
    let above = baseline.last().map_or(0, |&last| u64::from(last) + 1);
    let mut scale = Scale::ID;
    let mut next = 0;
    for id in ids.map(u64::from) {
        bits.put(1, 1);
        if next < above {
            bits.put((id >= above).into(), 1);
            if id >= above {
                next = above;
            }
        }
        scale.put(bits, (id - next) as u32);
        next = id + 1;
    }
    bits.put(0, 1);
}

/// Reads the ids of new entities, with `columns` values each, into `ids`.
pub(super) fn take_ids(
    bits: &mut BitReader<'_>,
    baseline: &[u32],
    columns: usize,
    ids: &mut Vec<u32>,
) -> Result<(), DeltaError> {
    let above = baseline.last().map_or(0, |&last| u64::from(last) + 1);
    let mut scale = Scale::ID;
    let mut next = 0;
    while bits.take(1) != 0 {
        if next < above && bits.take(1) != 0 {
            next = above;
        }
        let id = u32::try_from(next + u64::from(scale.take(bits)?)).map_err(|_| DeltaError::SpawnedRange)?;
        ids.push(id);
        next = u64::from(id) + 1;
        // A value has at least one bit. Checked before memory is reserved.
        if ids.len() * columns > bits.len() {
            return Err(DeltaError::ValueCount);
        }
    }
    Ok(())
}

/// Writes which of the survivors have a group.
pub(super) fn put_rows(bits: &mut BitWriter<'_>, rows: &[u32], survivors: usize) {
    bits.put((!rows.is_empty()).into(), 1);
    if rows.is_empty() {
        return;
    }
    bits.put((rows.len() < survivors).into(), 1);
    if rows.len() == survivors {
        return;
    }
    let few = rows.len() < survivors / 4;
    bits.put(few.into(), 1);
    let mut next = 0;
    if few {
        put_code(bits, rows.len() as u32 - 1, GAP);
        let mut scale = Scale::GAP;
        for &row in rows {
            scale.put(bits, row - next);
            next = row + 1;
        }
        return;
    }
    for &row in rows {
        put_zeros(bits, row - next);
        bits.put(1, 1);
        next = row + 1;
    }
    put_zeros(bits, survivors as u32 - next);
}

fn put_zeros(bits: &mut BitWriter<'_>, mut count: u32) {
    while count > 0 {
        let now = count.min(BitWriter::MOST);
        bits.put(0, now);
        count -= now;
    }
}

/// Reads which of the survivors have a group, and whether any has.
pub(super) fn take_rows(
    bits: &mut BitReader<'_>,
    survivors: usize,
    rows: &mut Rows,
) -> Result<bool, DeltaError> {
    if bits.take(1) == 0 {
        return Ok(false);
    }
    if bits.take(1) == 0 {
        rows.set_straight(survivors);
        return Ok(true);
    }
    rows.begin();
    if bits.take(1) == 0 {
        let mut at = 0;
        while at < survivors {
            let now = (survivors - at).min(BitReader::LEAST as usize);
            let mut set = bits.take(now as u32);
            while set != 0 {
                rows.push((at + set.trailing_zeros() as usize) as u32);
                set &= set - 1;
            }
            at += now;
        }
        return Ok(rows.len() > 0);
    }
    let past_end = DeltaError::Row { field: "dense", rows: survivors };
    let count = u64::from(take_code(bits, GAP)?) + 1;
    if count > survivors as u64 {
        return Err(past_end);
    }
    let mut scale = Scale::GAP;
    let mut next = 0;
    for _ in 0..count {
        let row = next + u64::from(scale.take(bits)?);
        if row >= survivors as u64 {
            return Err(past_end);
        }
        rows.push(row as u32);
        next = row + 1;
    }
    Ok(true)
}

/// Writes the residuals of a group in these rows. `columns` holds the group's residuals of all survivors,
/// field after field.
pub(super) fn put_residuals(bits: &mut BitWriter<'_>, rows: &[u32], columns: &[u32], survivors: usize) {
    let Scales(mut scales) = Scales::new();
    let fields = columns.len() / survivors;
    for &row in rows {
        let mut seen = 0;
        let residuals = columns[row as usize..].iter().step_by(survivors);
        for ((n, &z), scales) in (1..).zip(residuals).zip(&mut scales) {
            // A row whose residuals are all 0 does not have the group.
            let known = n == fields && seen == 0;
            scales[class(seen)].put(bits, z - u32::from(known));
            seen |= z;
        }
    }
}

/// Reads the residuals of a group in `rows` rows and calls `residual(n, field, zigzag)` for each.
pub(super) fn take_residuals(
    bits: &mut BitReader<'_>,
    rows: usize,
    fields: usize,
    mut residual: impl FnMut(usize, usize, u32),
) -> Result<(), DeltaError> {
    let Scales(mut scales) = Scales::new();
    for row in 0..rows {
        let mut seen = 0;
        for (field, scales) in scales.iter_mut().enumerate().take(fields) {
            let z = scales[class(seen)].take(bits)?;
            let known = field + 1 == fields && seen == 0;
            let z = z.checked_add(known.into()).ok_or(DeltaError::Residual)?;
            seen |= z;
            residual(row, field, z);
        }
    }
    Ok(())
}

/// The scales of new entities' values.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Of each column. None: nothing is known.
    scales: Vec<Option<Scale>>,
}

impl Values {
    /// Starts with the columns of a kind.
    pub(super) fn begin(&mut self) {
        self.scales.clear();
    }

    /// Learns from a column, of which `values` are those of the survivors.
    pub(super) fn add_column(&mut self, values: impl DoubleEndedIterator<Item = i32>) {
        let mut last = values.rev().take(NEIGHBOURS);
        let Some(mut below) = last.next() else { return self.scales.push(None) };
        let mut scale = None;
        for value in last {
            scale.get_or_insert(Scale::VALUE).add(zigzag(below.wrapping_sub(value)));
            below = value;
        }
        self.scales.push(scale);
    }

    /// Writes a value, of which `before` is the one in the row before.
    pub(super) fn put(&mut self, bits: &mut BitWriter<'_>, column: usize, value: i32, before: i32) {
        let z = zigzag(value.wrapping_sub(before));
        match &mut self.scales[column] {
            Some(scale) => scale.put(bits, z),
            unknown => {
                let len = u32::BITS - z.leading_zeros();
                bits.put(len.into(), LENGTH_BITS);
                bits.put(u64::from(z) & !(1_u64 << len >> 1), len.saturating_sub(1));
                *unknown = Some(Scale::of(z));
            }
        }
    }

    /// Reads a value.
    pub(super) fn take(
        &mut self,
        bits: &mut BitReader<'_>,
        column: usize,
        before: i32,
    ) -> Result<i32, DeltaError> {
        let z = match &mut self.scales[column] {
            Some(scale) => scale.take(bits)?,
            unknown => {
                let len = bits.take(LENGTH_BITS) as u32;
                if len > u32::BITS {
                    return Err(DeltaError::Residual);
                }
                let z = (bits.take(len.saturating_sub(1)) | 1_u64 << len >> 1) as u32;
                *unknown = Some(Scale::of(z));
                z
            }
        };
        Ok(before.wrapping_add(unzigzag(z)))
    }
}
