//! Makes metrics, each of which is told to scrapers from then on.

use super::{ByReason, DurationHistogram};
use prometheus_client::registry::{Metric, Registry, Unit};

/// Where metrics are made.
pub(super) struct Scope<'a>(pub &'a mut Registry);

impl Scope<'_> {
    /// A counter or a gauge, or a family of them.
    pub(super) fn count<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.put(name, help, None, &metric);
        metric
    }

    /// One for each reason, with these at zero.
    pub(super) fn by_reason(
        &mut self,
        name: &str,
        help: &str,
        key: &'static str,
        reasons: impl IntoIterator<Item = &'static str>,
    ) -> ByReason {
        let metric = ByReason::new(key, reasons);
        self.put(name, help, None, &metric.family);
        metric
    }

    /// One of bytes.
    pub(super) fn bytes<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.put(name, help, Some(Unit::Bytes), &metric);
        metric
    }

    /// Durations, with these bounds.
    pub(super) fn durations(&mut self, name: &str, help: &str, bounds: &'static [u64]) -> DurationHistogram {
        let metric = DurationHistogram::new(bounds);
        self.put(name, help, Some(Unit::Seconds), &metric);
        metric
    }

    pub(super) fn put<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Option<Unit>, metric: &M) {
        // The library appends a full stop to the help.
        let (help, metric) = (help.trim_end_matches('.'), metric.clone());
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, metric),
            None => self.0.register(name, help, metric),
        }
    }
}
