//! Residuals of a group, and how they become differences of columns.

/// Residuals of a group in zigzag form, field after field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residuals<'a> {
    values: &'a [u32],
    rows: usize,
    fields: usize,
}

impl<'a> Residuals<'a> {
    /// `values` holds `fields` columns of `rows` values each.
    pub(super) fn new(values: &'a [u32], rows: usize, fields: usize) -> Self {
        debug_assert_eq!(values.len(), rows * fields);
        Self { values, rows, fields }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many fields there are.
    pub(super) fn fields(&self) -> usize {
        self.fields
    }

    /// One field's residuals.
    #[inline]
    pub(super) fn column(&self, field: usize) -> &'a [u32] {
        &self.values[field * self.rows..][..self.rows]
    }
}

/// Maps signed numbers to unsigned ones and keeps small ones small: 0, -1, 1, -2 become 0, 1, 2, 3.
#[inline]
pub(super) fn zigzag(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

/// The inverse of `zigzag`.
#[inline]
pub(super) fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}
