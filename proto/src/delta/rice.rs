//! The RICE coding: residuals as Rice codes in a bit string. The format is on the page of [`delta`](super).

use super::{DeltaError, columns::Residuals};

/// Bits of the parameter before each field's codes.
const PARAMETER_BITS: u32 = 5;
/// So many ones in front: the whole residual follows.
const ESCAPE: u32 = 24;
/// Bits of an escaped residual.
const WHOLE_BITS: u32 = u32::BITS;

/// Writes all fields.
pub(super) fn put(out: &mut Vec<u8>, residuals: &Residuals<'_>) {
    let mut bits = BitWriter { out, pending: 0, count: 0 };
    for field in 0..residuals.fields() {
        let column = residuals.column(field);
        let k = parameter(column);
        bits.put(k.into(), PARAMETER_BITS);
        for &z in column {
            let q = z >> k;
            if q < ESCAPE {
                let low = u64::from(z & ((1 << k) - 1));
                bits.put(ones(q) | low << (q + 1), q + 1 + k);
            } else {
                bits.put(ones(ESCAPE) | u64::from(z) << ESCAPE, ESCAPE + WHOLE_BITS);
            }
        }
    }
    bits.finish();
}

/// Reads `rows` codes for each of `fields` off all of `values`, calling `residual(row, field, zigzag)` for each.
pub(super) fn take(
    values: &[u8],
    rows: usize,
    fields: usize,
    mut residual: impl FnMut(usize, usize, u32),
) -> Result<(), DeltaError> {
    // A code has at least a bit: checked before anything is read.
    if values.len() < (fields * (PARAMETER_BITS as usize + rows)).div_ceil(8) {
        return Err(DeltaError::ValueCount);
    }
    let mut bits = BitReader { bytes: values, at: 0 };
    for field in 0..fields {
        let k = bits.peek() as u32 & 31;
        bits.at += PARAMETER_BITS as usize;
        for row in 0..rows {
            let code = bits.peek();
            let q = code.trailing_ones().min(ESCAPE);
            let (z, len) = if q == ESCAPE {
                ((code >> ESCAPE) as u32, ESCAPE + WHOLE_BITS)
            } else {
                let low = (code >> (q + 1)) & ((1 << k) - 1);
                let z = u64::from(q) << k | low;
                (u32::try_from(z).map_err(|_| DeltaError::Residual)?, q + 1 + k)
            };
            bits.at += len as usize;
            residual(row, field, z);
        }
    }
    bits.finish()
}

/// The parameter that takes the fewest bits: from a guess by the mean, downhill.
fn parameter(column: &[u32]) -> u32 {
    let sum: u64 = column.iter().map(|&z| u64::from(z)).sum();
    let mean = sum / column.len().max(1) as u64;
    let mut k = (u64::BITS - mean.leading_zeros()).saturating_sub(1).min(31);
    let mut best = cost(column, k);
    while k > 0 && cost(column, k - 1) < best {
        k -= 1;
        best = cost(column, k);
    }
    while k < 31 && cost(column, k + 1) < best {
        k += 1;
        best = cost(column, k);
    }
    k
}

/// Bits of a column's codes.
fn cost(column: &[u32], k: u32) -> u64 {
    let code = |&z: &u32| if z >> k < ESCAPE { (z >> k) + 1 + k } else { ESCAPE + WHOLE_BITS };
    column.iter().map(|z| u64::from(code(z))).sum()
}

/// `count` ones; at most 63.
fn ones(count: u32) -> u64 {
    (1 << count) - 1
}

struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    /// Bits pending, at most 7 between codes.
    count: u32,
}

impl BitWriter<'_> {
    /// At most 56 bits.
    #[inline]
    fn put(&mut self, bits: u64, len: u32) {
        self.pending |= bits << self.count;
        self.count += len;
        let whole = self.count / 8;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..whole as usize]);
        // Two steps: all 64 bits may go, and a shift by 64 is none.
        self.pending = self.pending >> (4 * whole) >> (4 * whole);
        self.count %= 8;
    }

    fn finish(self) {
        if self.count > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bit to read next. May run past the end, where zeros are read: `finish` looks once.
    at: usize,
}

impl BitReader<'_> {
    /// At least the next 57 bits, lowest first.
    #[inline]
    fn peek(&self) -> u64 {
        let start = self.at / 8;
        let word = match self.bytes.get(start..).and_then(|b| b.first_chunk()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => {
                let tail = self.bytes.get(start..).unwrap_or_default();
                tail.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
            }
        };
        word >> (self.at % 8)
    }

    /// All bytes are used, and the last one's free bits are 0.
    fn finish(self) -> Result<(), DeltaError> {
        let used = self.at.div_ceil(8);
        let exact = used == self.bytes.len() && (self.at % 8 == 0 || self.peek() == 0);
        if exact { Ok(()) } else { Err(DeltaError::ValueCount) }
    }
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
            put(&mut out, &residuals);
            let mut back = vec![0; rows * fields];
            take(&out, rows, fields, |row, field, v| back[field * rows + row] = v).unwrap();
            prop_assert_eq!(&back, &values);
            for len in 0..out.len() {
                prop_assert!(take(&out[..len], rows, fields, |_, _, _| ()).is_err());
            }
            out.push(0);
            prop_assert!(take(&out, rows, fields, |_, _, _| ()).is_err());
        }
    }
}
