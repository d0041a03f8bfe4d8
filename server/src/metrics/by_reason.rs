//! Counters with a label.

use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family},
};

/// A counter for each reason. Not for the hot path: `inc` looks the reason up.
#[derive(Debug, Clone)]
pub struct ByReason {
    key: &'static str,
    pub(super) family: Family<Label, Counter>,
}

impl ByReason {
    /// With these reasons at zero, so that their first occurrence shows as an increase.
    pub(super) fn new(key: &'static str, reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let new = Self { key, family: Family::default() };
        for reason in reasons {
            new.counter(reason);
        }
        new
    }

    /// Counts one. Reasons are words in the program, never text from a peer: one of those that it began with.
    pub fn inc(&self, reason: &'static str) {
        debug_assert!(self.get_known(reason).is_some(), "{reason:?} is not listed among the reasons");
        self.counter(reason).inc();
    }

    fn get_known(&self, reason: &'static str) -> Option<u64> {
        self.family.get(&Label { key: self.key, value: reason }).map(|counter| counter.get())
    }

    /// The count for this reason.
    pub fn get(&self, reason: &'static str) -> u64 {
        self.counter(reason).get()
    }

    /// The counter of a reason, to keep.
    pub fn counter(&self, reason: &'static str) -> Counter {
        self.family.get_or_create_owned(&Label { key: self.key, value: reason })
    }
}

/// A label whose value is a word in the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Label {
    pub(super) key: &'static str,
    pub(super) value: &'static str,
}

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        (self.key, self.value).encode(encoder.encode_label())
    }
}
