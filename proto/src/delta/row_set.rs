//! Sets of rows, as gaps (varints or Rice codes) or as bits.

use super::{
    DeltaError,
    columns::Residuals,
    protobuf::{put_varint, take_varint, varint_len},
    rice,
};

/// Bytes that `put_gaps` writes for ascending `rows`.
pub(super) fn gaps_len(rows: &[u32]) -> usize {
    let mut next = 0;
    rows.iter().map(|&row| varint_len(u64::from(row - std::mem::replace(&mut next, row + 1)))).sum()
}

/// Writes ascending `rows`, each as the number of rows skipped since the previous one.
pub(super) fn put_gaps(out: &mut Vec<u8>, rows: &[u32]) {
    let mut next = 0;
    for &row in rows {
        put_varint(out, u64::from(row - next));
        next = row + 1;
    }
}

/// Bytes that `put_bits` writes for ascending `rows`. Trailing zero bytes are omitted.
pub(super) fn bits_len(rows: &[u32]) -> usize {
    rows.last().map_or(0, |&last| last as usize / 8 + 1)
}

/// Writes ascending `rows` as bits, bit n from the lowest bit of the first byte.
pub(super) fn put_bits(out: &mut Vec<u8>, rows: &[u32]) {
    let start = out.len();
    out.resize(start + bits_len(rows), 0);
    let bits = &mut out[start..];
    for &row in rows {
        bits[row as usize / 8] |= 1 << (row % 8);
    }
}

/// Writes the count of ascending `rows` and their gaps, Rice-coded. `gaps` and `seen` are scratch memory.
pub(super) fn put_rice(out: &mut Vec<u8>, rows: &[u32], gaps: &mut Vec<u32>, seen: &mut Vec<u32>) {
    let mut next = 0;
    gaps.clear();
    gaps.extend(rows.iter().map(|&row| row - std::mem::replace(&mut next, row + 1)));
    put_varint(out, rows.len() as u64);
    rice::put(out, &Residuals::new(gaps, rows.len(), 1), seen);
}

/// Reads what `put_rice` wrote and calls `row` for each row, in ascending order, all below `rows`. `seen` is
/// scratch memory.
pub(super) fn take_rice(
    mut coded: &[u8],
    rows: usize,
    field: &'static str,
    seen: &mut Vec<u32>,
    mut row: impl FnMut(u32),
) -> Result<(), DeltaError> {
    let past_end = DeltaError::Row { field, rows };
    let count = take_varint(&mut coded)?;
    if count > rows as u64 {
        return Err(past_end);
    }
    let mut next = 0;
    let mut fits = true;
    rice::take(coded, count as usize, 1, seen, |_, _, gap| {
        let at = next + u64::from(gap);
        fits &= at < rows as u64;
        if fits {
            row(at as u32);
            next = at + 1;
        }
    })?;
    if fits { Ok(()) } else { Err(past_end) }
}

/// Reads gaps and calls `row` for each row, in ascending order, all below `rows`.
pub(super) fn take_gaps(
    mut gaps: &[u8],
    rows: usize,
    field: &'static str,
    mut row: impl FnMut(u32),
) -> Result<(), DeltaError> {
    let mut next = 0;
    while !gaps.is_empty() {
        let gap = take_varint(&mut gaps)?;
        // There are fewer than 2^32 rows, so neither sum overflows.
        let at =
            gap.checked_add(next).filter(|&at| at < rows as u64).ok_or(DeltaError::Row { field, rows })?;
        row(at as u32);
        next = at + 1;
    }
    Ok(())
}

/// Reads bits and calls `row` for each row, in ascending order, all below `rows`. Missing bytes are 0.
pub(super) fn take_bits(
    bits: &[u8],
    rows: usize,
    field: &'static str,
    mut row: impl FnMut(u32),
) -> Result<(), DeltaError> {
    let past_end = || DeltaError::Row { field, rows };
    if bits.len() > rows.div_ceil(8) {
        return Err(past_end());
    }
    for (n, &byte) in bits.iter().enumerate() {
        let mut byte = byte;
        while byte != 0 {
            let at = 8 * n + byte.trailing_zeros() as usize;
            if at >= rows {
                return Err(past_end());
            }
            row(at as u32);
            byte &= byte - 1;
        }
    }
    Ok(())
}
