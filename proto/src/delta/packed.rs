//! The PACKED coding: residuals as protobuf varints, one or several to a number.
//!
//! A varint takes at least a byte. Small residuals of an entity (the x and y of a move) fit into one byte
//! together, so a number may hold two or three of them, interleaved bit by bit (Morton order). Its length is
//! then that of its longest part, and any protobuf library can read it. The bit spreading follows Fabian
//! Giesen, "Decoding Morton codes", 2009, <https://fgiesen.wordpress.com/2009/12/13/decoding-morton-codes/>.

use super::{DeltaError, columns::Residuals, protobuf::take_varint};

/// How many residuals share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interleave {
    One,
    Two,
    Three,
}

/// Bits that a part of a triple may have.
const TRIPLE_BITS: u32 = 21;

impl Interleave {
    /// From `GroupDelta.interleave`.
    pub(super) fn from_wire(value: u64) -> Result<Self, DeltaError> {
        match value {
            0 => Ok(Self::One),
            1 => Ok(Self::Two),
            2 => Ok(Self::Three),
            _ => Err(DeltaError::Interleave(value)),
        }
    }

    /// To `GroupDelta.interleave`.
    pub(super) fn to_wire(self) -> u64 {
        self.fields() as u64 - 1
    }

    /// How many residuals share a number.
    fn fields(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// The interleave that takes the fewest bytes, and how many bytes. Among equals, the one with the fewest
/// numbers.
pub(super) fn cheapest(residuals: &Residuals<'_>) -> (Interleave, usize) {
    let fields = residuals.fields();
    let mut best = (Interleave::One, len(residuals, Interleave::One));
    let others = [Interleave::Two, Interleave::Three];
    for interleave in others.into_iter().filter(|i| i.fields() <= fields) {
        if interleave == Interleave::Three && !fits_triples(residuals) {
            break;
        }
        let len = len(residuals, interleave);
        // Every interleave but the first has a two-byte field that names it.
        let own = |way: Interleave| if way == Interleave::One { 0 } else { 2 };
        if len + own(interleave) <= best.1 + own(best.0) {
            best = (interleave, len);
        }
    }
    best
}

/// Whether every residual that would be part of a triple fits.
fn fits_triples(residuals: &Residuals<'_>) -> bool {
    let in_triples = residuals.fields() / 3 * 3;
    (0..in_triples).all(|f| residuals.column(f).iter().fold(0, |all, &r| all | r) >> TRIPLE_BITS == 0)
}

/// Bytes of all numbers.
fn len(residuals: &Residuals<'_>, interleave: Interleave) -> usize {
    let mut sum = 0;
    let mut field = 0;
    while field < residuals.fields() {
        let column = |n| residuals.column(field + n);
        let parts = interleave.fields().min(residuals.fields() - field);
        sum += match parts {
            1 => column(0).iter().map(|&a| number_len([a])).sum::<u32>(),
            2 => column(0).iter().zip(column(1)).map(|(&a, &b)| number_len([a, b])).sum(),
            _ => {
                let rows = column(0).iter().zip(column(1)).zip(column(2));
                rows.map(|((&a, &b), &c)| number_len([a, b, c])).sum()
            }
        } as usize;
        field += parts;
    }
    sum
}

/// Bytes of one number. Uses shifts and compares instead of counting bits, because the compiler vectorizes
/// them.
#[inline(always)]
fn number_len<const PARTS: usize>(parts: [u32; PARTS]) -> u32 {
    let mut len = 1;
    for bytes in 1..10 {
        // Bit i of part n is bit i * PARTS + n of the number, which needs another byte from bit 7 * bytes on.
        let mut above = 0;
        for (n, part) in parts.into_iter().enumerate() {
            let shift = (7 * bytes - n).div_ceil(PARTS) as u32;
            above |= if shift < u32::BITS { part >> shift } else { 0 };
        }
        len += u32::from(above != 0);
    }
    len
}

/// Writes all numbers, row after row. `len` is the length that `cheapest` returned.
pub(super) fn put(out: &mut Vec<u8>, residuals: &Residuals<'_>, interleave: Interleave, len: usize) {
    let start = out.len();
    out.resize(start + len, 0);
    let mut rest = &mut out[start..];
    let fields = residuals.fields();
    // Whole columns at a time if each row is one number, as in most groups.
    match (fields, interleave) {
        (1, _) => {
            for &a in residuals.column(0) {
                rest = put_number(rest, a.into());
            }
        }
        (2, Interleave::Two) => {
            for (&a, &b) in residuals.column(0).iter().zip(residuals.column(1)) {
                rest = put_number(rest, pair(a, b));
            }
        }
        (3, Interleave::Three) => {
            let rows = residuals.column(0).iter().zip(residuals.column(1)).zip(residuals.column(2));
            for ((&a, &b), &c) in rows {
                rest = put_number(rest, triple(a, b, c));
            }
        }
        _ => {
            for row in 0..residuals.rows() {
                let mut field = 0;
                while field < fields {
                    let at = |n| residuals.column(field + n)[row];
                    let parts = interleave.fields().min(fields - field);
                    let number = match parts {
                        1 => at(0).into(),
                        2 => pair(at(0), at(1)),
                        _ => triple(at(0), at(1), at(2)),
                    };
                    rest = put_number(rest, number);
                    field += parts;
                }
            }
        }
    }
    debug_assert!(rest.is_empty(), "{} bytes too many", rest.len());
}

/// Writes a varint to the front of `out`, which has the right length, and returns the rest.
#[inline]
fn put_number(out: &mut [u8], mut number: u64) -> &mut [u8] {
    let mut at = 0;
    while number >= 0x80 {
        out[at] = number as u8 | 0x80;
        number >>= 7;
        at += 1;
    }
    out[at] = number as u8;
    &mut out[at + 1..]
}

/// Reads `rows` rows of `fields` residuals, which must use up `values`, and calls `residual(row, field,
/// zigzag)` for each.
pub(super) fn take(
    mut values: &[u8],
    rows: usize,
    fields: usize,
    interleave: Interleave,
    mut residual: impl FnMut(usize, usize, u32),
) -> Result<(), DeltaError> {
    let numbers = fields.div_ceil(interleave.fields());
    // A number has one to ten bytes. Checked before anything is read.
    let bytes = rows * numbers;
    if values.len() < bytes || values.len() > bytes.saturating_mul(10) {
        return Err(DeltaError::ValueCount);
    }
    for row in 0..rows {
        let mut field = 0;
        while field < fields {
            let number = take_number(&mut values)?;
            let parts = interleave.fields().min(fields - field);
            match parts {
                1 => residual(row, field, u32::try_from(number).map_err(|_| DeltaError::Residual)?),
                2 => {
                    residual(row, field, gather_pair(number));
                    residual(row, field + 1, gather_pair(number >> 1));
                }
                _ => {
                    if number >> (3 * TRIPLE_BITS) != 0 {
                        return Err(DeltaError::Residual);
                    }
                    residual(row, field, gather_triple(number));
                    residual(row, field + 1, gather_triple(number >> 1));
                    residual(row, field + 2, gather_triple(number >> 2));
                }
            }
            field += parts;
        }
    }
    if values.is_empty() { Ok(()) } else { Err(DeltaError::ValueCount) }
}

/// If the values end within a number, there are too few of them: the message itself is not truncated.
#[inline]
fn take_number(values: &mut &[u8]) -> Result<u64, DeltaError> {
    if values.is_empty() { Err(DeltaError::ValueCount) } else { take_varint(values) }
}

/// Interleaves the bits of two numbers, `a` lowest.
#[inline]
fn pair(a: u32, b: u32) -> u64 {
    spread_pair(a) | spread_pair(b) << 1
}

/// Interleaves the bits of three numbers of 21 bits, `a` lowest.
#[inline]
fn triple(a: u32, b: u32, c: u32) -> u64 {
    spread_triple(a) | spread_triple(b) << 1 | spread_triple(c) << 2
}

/// Inserts a 0 above each bit.
#[inline]
fn spread_pair(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// Takes every second bit, from the lowest.
#[inline]
fn gather_pair(bits: u64) -> u32 {
    let mut x = bits & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// Inserts two 0s above each of 21 bits.
#[inline]
fn spread_triple(bits: u32) -> u64 {
    let mut x = u64::from(bits) & 0x1f_ffff;
    x = (x | x << 32) & 0x001f_0000_0000_ffff;
    x = (x | x << 16) & 0x001f_0000_ff00_00ff;
    x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
    x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
    (x | x << 2) & 0x1249_2492_4924_9249
}

/// Takes every third bit, from the lowest: 21 bits.
#[inline]
fn gather_triple(bits: u64) -> u32 {
    let mut x = bits & 0x1249_2492_4924_9249;
    x = (x | x >> 2) & 0x10c3_0c30_c30c_30c3;
    x = (x | x >> 4) & 0x100f_00f0_0f00_f00f;
    x = (x | x >> 8) & 0x001f_0000_ff00_00ff;
    x = (x | x >> 16) & 0x001f_0000_0000_ffff;
    ((x | x >> 32) & 0x1f_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn interleaved_residuals_come_back(rows in 0usize..5, fields in 1usize..=8, seed: [u32; 40], bits in 0u32..=32) {
            let values: Vec<u32> = seed[..rows * fields].iter().map(|&v| (u64::from(v) & ((1 << bits) - 1)) as u32).collect();
            let residuals = Residuals::new(&values, rows, fields);
            for interleave in [Interleave::One, Interleave::Two, Interleave::Three] {
                if interleave == Interleave::Three && !fits_triples(&residuals) {
                    continue;
                }
                let mut out = Vec::new();
                let len = len(&residuals, interleave);
                put(&mut out, &residuals, interleave, len);
                prop_assert_eq!(out.len(), len);
                let mut back = vec![0; rows * fields];
                take(&out, rows, fields, interleave, |row, field, v| back[field * rows + row] = v).unwrap();
                prop_assert_eq!(&back, &values);
                prop_assert!(out.len() + 2 >= cheapest(&residuals).1);
            }
        }
    }
}
