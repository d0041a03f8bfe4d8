//! A histogram of durations that many threads update without a lock.
//!
//! `prometheus_client`'s own takes a mutex for every observation, and rooms and encoders observe on the hot
//! path.

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Counts durations by bucket. Clones share their counts.
#[derive(Debug, Clone)]
pub struct DurationHistogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds, nanoseconds, ascending, inclusive.
    bounds: &'static [u64],
    /// One per bound, and one for values above them all.
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl DurationHistogram {
    /// An empty histogram with these upper bounds: nanoseconds, ascending, inclusive.
    pub fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted());
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_ns: AtomicU64::new(0) }))
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.0.bounds.partition_point(|bound| *bound < ns);
        self.0.counts[bucket].fetch_add(1, Relaxed);
        self.0.sum_ns.fetch_add(ns, Relaxed);
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|c| c.load(Relaxed)).sum()
    }

    /// Number of observations above this many nanoseconds, which must be one of the bounds.
    pub fn count_above(&self, bound: u64) -> u64 {
        debug_assert!(self.0.bounds.contains(&bound));
        let first = self.0.bounds.partition_point(|other| *other <= bound);
        self.0.counts.iter().skip(first).map(|c| c.load(Relaxed)).sum()
    }

    /// Upper bound of the bucket in which the quantile `q` (0 to 1) lies. None: nothing was observed, or it
    /// lies above the last bound.
    pub fn quantile_bound(&self, q: f64) -> Option<Duration> {
        self.bound_of(&self.counts(), q)
    }

    /// Number of observations by bucket; the last one is above all bounds.
    pub fn counts(&self) -> Vec<u64> {
        self.0.counts.iter().map(|c| c.load(Relaxed)).collect()
    }

    /// Like `quantile_bound`, for other counts of the same buckets: what was observed between two looks.
    pub fn bound_of(&self, counts: &[u64], q: f64) -> Option<Duration> {
        let rank = (counts.iter().sum::<u64>() as f64 * q).ceil().max(1.0) as u64;
        let mut below = 0;
        for (bound, count) in self.0.bounds.iter().zip(counts) {
            below += count;
            if below >= rank {
                return Some(Duration::from_nanos(*bound));
            }
        }
        None
    }
}

impl TypedMetric for DurationHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        // The total is computed from the buckets, so that both agree even while others observe.
        let buckets: Vec<(f64, u64)> = self
            .0
            .bounds
            .iter()
            .map(|ns| *ns as f64 / 1e9)
            .chain([f64::INFINITY])
            .zip(self.0.counts.iter().map(|c| c.load(Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum_ns.load(Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_inclusive() {
        let h = DurationHistogram::new(&[1_000, 2_000]);
        for ns in [0, 1_000, 1_001, 2_000, 2_001] {
            h.observe(Duration::from_nanos(ns));
        }
        let counts: Vec<u64> = h.0.counts.iter().map(|c| c.load(Relaxed)).collect();
        assert_eq!(counts, [2, 2, 1]);
        assert_eq!(h.count(), 5);
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let h = DurationHistogram::new(&[1_000, 2_000]);
        assert_eq!(h.quantile_bound(0.5), None, "nothing counted");
        for ns in [500, 600, 700, 1_500] {
            h.observe(Duration::from_nanos(ns));
        }
        assert_eq!(h.quantile_bound(0.75), Some(Duration::from_micros(1)));
        assert_eq!(h.quantile_bound(0.99), Some(Duration::from_micros(2)));
        h.observe(Duration::from_secs(1));
        assert_eq!(h.quantile_bound(1.0), None, "above the last bound");
    }
}
