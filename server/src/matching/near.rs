//! The regions that are near enough for somebody, or for all of a group.

/// Regions, by number. None: any.
#[derive(Debug, Clone)]
pub(super) struct Near {
    /// Ascending.
    regions: Option<Vec<u32>>,
    /// A bit for each of them, which regions may share: most of those who have none in common are told apart
    /// by these.
    bits: u64,
}

impl Near {
    /// Any region.
    pub(super) fn anywhere() -> Self {
        Self { regions: None, bits: u64::MAX }
    }

    /// These.
    pub(super) fn only(mut regions: Vec<u32>) -> Self {
        regions.sort_unstable();
        let bits = regions.iter().fold(0, |bits, region| bits | 1 << (region % u64::BITS));
        Self { regions: Some(regions), bits }
    }

    /// Those of them, if not any will do.
    pub(super) fn regions(&self) -> Option<&[u32]> {
        self.regions.as_deref()
    }

    pub(super) fn contains(&self, region: u32) -> bool {
        self.regions().is_none_or(|regions| regions.binary_search(&region).is_ok())
    }

    /// Whether one of them is near enough for others, too.
    pub(super) fn meets(&self, others: &Self) -> bool {
        self.bits & others.bits != 0
            && self.regions().is_none_or(|regions| regions.iter().any(|region| others.contains(*region)))
    }

    /// Leaves those that are near enough for others, too.
    pub(super) fn narrow(&mut self, others: &Self) {
        let Some(theirs) = others.regions() else { return };
        *self = Self::only(theirs.iter().copied().filter(|region| self.contains(*region)).collect());
    }
}
