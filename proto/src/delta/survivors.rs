//! The rows of the baseline whose entities still exist, and their rows in the prior.

/// The entities of a baseline that still exist, in ascending order of id.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    /// Rows of the baseline.
    baseline: Rows,
    /// Rows of the prior; `ABSENT` for entities that it does not have.
    prior: Rows,
}

/// Row numbers. Most tables gain and lose no entity within a tick, so the identity mapping has a form of its
/// own.
#[derive(Debug, Default)]
pub(super) struct Rows {
    len: usize,
    /// Row n is n, for all of them.
    straight: bool,
    /// The numbers, unless `straight`.
    list: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Survivors {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.baseline.len
    }

    /// The rows of the baseline.
    pub(super) fn baseline(&mut self) -> &mut Rows {
        &mut self.baseline
    }

    /// Finds the survivors' rows in the prior.
    pub(super) fn match_prior(&mut self, baseline: &[u32], prior: &[u32]) {
        if self.baseline.straight && self.baseline.len == prior.len() && baseline == prior {
            self.prior.set_straight(prior.len());
            return;
        }
        self.prior.begin();
        let mut at = 0;
        for n in 0..self.baseline.len {
            let id = baseline[self.baseline.get(n)];
            while at < prior.len() && prior[at] < id {
                at += 1;
            }
            let found = at < prior.len() && prior[at] == id;
            self.prior.push(if found { at as u32 } else { ABSENT });
        }
    }

    /// Copies the survivors' values of a baseline column to `out`, which has one for each.
    pub(super) fn gather(&self, column: &[i32], out: &mut [i32]) {
        if self.baseline.straight {
            out.copy_from_slice(&column[..self.baseline.len]);
        } else {
            for (value, &row) in out.iter_mut().zip(&self.baseline.list) {
                *value = column[row as usize];
            }
        }
    }

    /// Combines the survivors' values with those of a column of the prior, where it has them.
    #[inline(always)]
    pub(super) fn with_prior(&self, column: &[i32], values: &mut [i32], f: impl Fn(i32, i32) -> i32) {
        if self.prior.straight {
            for (value, &prior) in values.iter_mut().zip(column) {
                *value = f(*value, prior);
            }
        } else {
            for (value, &row) in values.iter_mut().zip(&self.prior.list) {
                if row != ABSENT {
                    *value = f(*value, column[row as usize]);
                }
            }
        }
    }
}

impl Rows {
    /// The rows 0 to `len` - 1.
    pub(super) fn set_straight(&mut self, len: usize) {
        self.list.clear();
        self.len = len;
        self.straight = true;
    }

    /// Starts an empty list, to push to.
    pub(super) fn begin(&mut self) {
        self.list.clear();
        self.len = 0;
        self.straight = false;
    }

    /// Adds a row, after `begin`.
    #[inline]
    pub(super) fn push(&mut self, row: u32) {
        self.list.push(row);
        self.len += 1;
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether row n is n, for all of them.
    pub(super) fn is_straight(&self) -> bool {
        self.straight
    }

    /// The n-th row.
    #[inline]
    pub(super) fn get(&self, n: usize) -> usize {
        if self.straight { n } else { self.list[n] as usize }
    }

    /// The rows, in order; only valid when not straight.
    pub(super) fn list(&self) -> &[u32] {
        &self.list
    }
}
