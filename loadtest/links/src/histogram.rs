//! Times in histograms (HDR): two or three digits of value, microseconds, 1 µs to 10 minutes.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// Longest time that is recorded as such.
const MAX_US: u64 = 600_000_000;

/// A histogram of times.
#[derive(Debug, Clone)]
pub struct Micros(Histogram<u64>);

/// Quantiles of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Quantiles {
    /// Half are at most this.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// All.
    pub max: f64,
}

impl Default for Micros {
    fn default() -> Self {
        Self::fine()
    }
}

impl Micros {
    /// Three digits, for what is reported.
    pub fn fine() -> Self {
        Self::with_digits(3)
    }
    /// Two digits: less memory.
    pub fn coarse() -> Self {
        Self::with_digits(2)
    }
    fn with_digits(digits: u8) -> Self {
        #[allow(clippy::expect_used)] // constants that the library documents as valid
        Self(Histogram::new_with_bounds(1, MAX_US, digits).expect("bounds 1..10 min, 2 or 3 digits"))
    }
    /// Takes a time. Above 10 minutes it counts as 10 minutes.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record((time.as_micros() as u64).min(MAX_US));
    }
    /// Takes a time in microseconds. One that is negative, by clock error, counts as 0.
    pub fn record_us(&mut self, us: i64) {
        self.0.saturating_record(us.clamp(0, MAX_US as i64) as u64);
    }
    /// Adds another's values.
    pub fn add(&mut self, other: &Micros) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }
    /// The quantile at this share, milliseconds. None: there are no values.
    pub fn at_ms(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share) as f64 / 1000.0)
    }
    /// The quantiles, milliseconds. None: there are no values.
    pub fn quantiles_ms(&self) -> Option<Quantiles> {
        Some(Quantiles {
            p50: self.at_ms(0.5)?,
            p99: self.at_ms(0.99)?,
            p999: self.at_ms(0.999)?,
            max: self.0.max() as f64 / 1000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds_and_absent_without_values() {
        let mut micros = Micros::fine();
        assert_eq!(micros.quantiles_ms(), None);
        (1..=1000).for_each(|ms| micros.record(Duration::from_millis(ms)));
        let q = micros.quantiles_ms().unwrap();
        let near = |is: f64, want: f64| (is - want).abs() / want < 2e-3;
        assert!(
            near(q.p50, 500.0) && near(q.p99, 990.0) && near(q.p999, 999.0) && near(q.max, 1000.0),
            "{q:?}"
        );
    }

    #[test]
    fn a_negative_age_counts_as_none_and_a_giant_as_the_most() {
        let mut micros = Micros::fine();
        micros.record_us(-5);
        micros.record(Duration::from_secs(86_400));
        let q = micros.quantiles_ms().unwrap();
        assert_eq!(q.p50, 0.0);
        assert!((q.max - 600_000.0).abs() < 700.0, "{q:?}");
    }
}
