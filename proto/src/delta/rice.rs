//! The RICE coding: residuals in a bit string. The documentation of [`delta`](super) defines the format.
//!
//! The size of one field's residual says something about the next one's: a body that moves fast along x is
//! probably not at rest along y. So the rows of a field are divided into classes by the residuals already
//! known, and each class has its own parameter. For moving bodies this saves a tenth compared with one
//! parameter per field.

use super::{
    DeltaError,
    bits::{BitReader, BitWriter},
    columns::Residuals,
};

/// Bits of a parameter.
const PARAMETER_BITS: u32 = 4;
/// Number of row classes, from the second field on.
pub(super) const CLASSES: usize = 3;

/// The class of a row; `seen` is the bitwise or of its residuals in the fields so far.
#[inline]
pub(super) fn class(seen: u32) -> usize {
    match seen {
        0..4 => 0,
        4..32 => 1,
        _ => 2,
    }
}

/// Writes all fields. `seen` is scratch memory.
pub(super) fn put(out: &mut Vec<u8>, residuals: &Residuals<'_>, seen: &mut Vec<u32>) {
    seen.clear();
    seen.resize(residuals.rows(), 0);
    let mut bits = BitWriter::new(out);
    for field in 0..residuals.fields() {
        let column = residuals.column(field);
        let mut lengths = [[0; 33]; CLASSES];
        for (&z, &seen) in column.iter().zip(&*seen) {
            lengths[class(seen)][(u32::BITS - z.leading_zeros()) as usize] += 1;
        }
        let mut parameters = [0; CLASSES];
        for (parameter, lengths) in parameters.iter_mut().zip(&lengths) {
            if lengths.iter().any(|&count| count != 0) {
                *parameter = best_parameter(lengths);
                bits.put((*parameter).into(), PARAMETER_BITS);
            }
        }
        for (&z, seen) in column.iter().zip(&mut *seen) {
            put_code(&mut bits, z, parameters[class(*seen)]);
            *seen |= z;
        }
    }
    bits.finish();
}

/// Reads `rows` codes for each of `fields`, which must use up `values`, and calls `residual(row, field,
/// zigzag)` for each. `seen` is scratch memory.
pub(super) fn take(
    values: &[u8],
    rows: usize,
    fields: usize,
    seen: &mut Vec<u32>,
    mut residual: impl FnMut(usize, usize, u32),
) -> Result<(), DeltaError> {
    // A code has at least one bit. Checked before memory is reserved.
    if values.len() < (fields * rows).div_ceil(8) {
        return Err(DeltaError::ValueCount);
    }
    seen.clear();
    seen.resize(rows, 0);
    let mut bits = BitReader::new(values);
    for field in 0..fields {
        let mut used = [false; CLASSES];
        seen.iter().for_each(|&seen| used[class(seen)] = true);
        let mut parameters = [0; CLASSES];
        for (parameter, _) in parameters.iter_mut().zip(used).filter(|(_, used)| *used) {
            *parameter = bits.take(PARAMETER_BITS) as u32;
        }
        for (row, seen) in seen.iter_mut().enumerate() {
            let z = take_code(&mut bits, parameters[class(*seen)])?;
            *seen |= z;
            residual(row, field, z);
        }
    }
    if bits.is_used_up() { Ok(()) } else { Err(DeltaError::ValueCount) }
}

/// With w = z + 2^k and m the number of its bits minus 1: m - k ones, a zero, and the m low bits of w.
#[inline]
pub(super) fn put_code(bits: &mut BitWriter<'_>, z: u32, k: u32) {
    let w = u64::from(z) + (1 << k);
    let m = w.ilog2();
    let ones = m - k;
    let low = w ^ 1 << m;
    if ones + 1 + m <= BitWriter::MOST {
        bits.put(((1 << ones) - 1) | low << (ones + 1), ones + 1 + m);
    } else {
        bits.put((1 << ones) - 1, ones + 1);
        bits.put(low, m);
    }
}

#[inline]
pub(super) fn take_code(bits: &mut BitReader<'_>, k: u32) -> Result<u32, DeltaError> {
    let code = bits.peek();
    let ones = code.trailing_ones();
    let m = ones + k;
    if m > u32::BITS {
        return Err(DeltaError::Residual);
    }
    let low = if ones + 1 + m <= BitReader::LEAST {
        bits.skip(ones + 1 + m);
        code >> (ones + 1) & ((1 << m) - 1)
    } else {
        bits.skip(ones + 1);
        bits.take(m)
    };
    u32::try_from((low | 1 << m) - (1 << k)).map_err(|_| DeltaError::Residual)
}

/// The parameter that takes the fewest bits. `lengths` counts residuals by their number of bits; those of one
/// length are assumed to be spread evenly.
fn best_parameter(lengths: &[u32; 33]) -> u32 {
    // In units of 2^-16 bits. Adding 2^k carries into the next length for 2^k of the 2^(length - 1) residuals
    // of a length.
    let code = |length: u32, k: u32| match length.checked_sub(k + 1) {
        None => u64::from(k + 1) << 16,
        Some(above) => (u64::from(2 * length - 1 - k) << 16) + ((2 << 16) >> above),
    };
    let shortest = lengths.iter().position(|&count| count != 0).unwrap_or(0) as u32;
    let longest = lengths.iter().rposition(|&count| count != 0).unwrap_or(0) as u32;
    let used = &lengths[shortest as usize..=longest as usize];
    let cost = |k: &u32| -> u64 {
        (shortest..).zip(used).map(|(length, &count)| u64::from(count) * code(length, *k)).sum()
    };
    // A parameter below the shortest or above the longest length is never better than these.
    let most = (1 << PARAMETER_BITS) - 1;
    (shortest.saturating_sub(1).min(most)..=longest.min(most)).min_by_key(cost).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn residuals_come_back(rows in 0usize..9, fields in 1usize..=8, seed: [u32; 64], bits: [u8; 8]) {
            let rows = rows.min(64 / fields);
            let small = |(n, &v): (usize, &u32)| (u64::from(v) & ((1 << (bits[n % 8] % 33)) - 1)) as u32;
            let values: Vec<u32> = seed[..rows * fields].iter().enumerate().map(small).collect();
            let residuals = Residuals::new(&values, rows, fields);
            let mut out = Vec::new();
            put(&mut out, &residuals, &mut Vec::new());
            let mut back = vec![0; rows * fields];
            let seen = &mut Vec::new();
            take(&out, rows, fields, seen, |row, field, v| back[field * rows + row] = v).unwrap();
            prop_assert_eq!(&back, &values);
            for len in 0..out.len() {
                prop_assert!(take(&out[..len], rows, fields, seen, |_, _, _| ()).is_err());
            }
            out.push(0);
            prop_assert!(take(&out, rows, fields, seen, |_, _, _| ()).is_err());
        }
    }

    #[test]
    fn the_largest_residual_fits_every_parameter() {
        for k in 0..16 {
            let mut out = Vec::new();
            let mut bits = BitWriter::new(&mut out);
            put_code(&mut bits, u32::MAX, k);
            bits.finish();
            assert_eq!(take_code(&mut BitReader::new(&out), k), Ok(u32::MAX));
        }
    }
}
