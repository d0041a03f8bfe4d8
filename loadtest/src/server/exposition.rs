//! The text of `/metrics` (OpenMetrics or Prometheus), as far as this program needs it.

use driftless_links::Quantiles;
use std::collections::BTreeMap;

/// Samples by name; each with its labels as they were written.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    samples: BTreeMap<String, Vec<(String, f64)>>,
}

/// A histogram's cumulative counts: how many values are at most each edge. Ascending; the last edge is
/// infinite.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Buckets(Vec<(f64, f64)>);

impl Exposition {
    /// Reads a text. Lines that are not samples are skipped: the text is another program's, and grows.
    pub fn parse(text: &str) -> Self {
        let mut samples: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // A label's value may contain spaces and braces, so the labels end at the last brace before an
            // exemplar.
            let sample = line.split(" # ").next().unwrap_or(line);
            let (series, rest) = match sample.rfind('}') {
                Some(end) => sample.split_at(end + 1),
                None => sample.split_at(sample.find(' ').unwrap_or(sample.len())),
            };
            let Some(value) = rest.split_whitespace().next().and_then(|value| value.parse().ok()) else {
                continue;
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            samples
                .entry(name.to_owned())
                .or_default()
                .push((labels.trim_end_matches('}').to_owned(), value));
        }
        Self { samples }
    }
    /// The sum of a metric over all its labels. None: it is not there.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.samples.get(name).map(|samples| samples.iter().map(|(_, value)| value).sum())
    }
    /// The sum of those samples of a metric whose label has this value. None: it is not there.
    pub fn of(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let samples = self.samples.get(name)?.iter();
        Some(samples.filter(|(labels, _)| text(labels, label) == Some(value)).map(|(_, value)| value).sum())
    }
    /// A histogram, summed over all labels but `le`. None: it is not there.
    pub fn buckets(&self, name: &str) -> Option<Buckets> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (labels, count) in self.samples.get(&format!("{name}_bucket"))? {
            let edge = label(labels, "le")?;
            match buckets.iter_mut().find(|(other, _)| *other == edge) {
                Some(bucket) => bucket.1 += count,
                None => buckets.push((edge, *count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Some(Buckets(buckets))
    }
}

impl Buckets {
    /// What was added since an earlier scrape of the same histogram.
    pub fn since(&self, earlier: &Buckets) -> Self {
        let before =
            |edge: f64| earlier.0.iter().find(|(other, _)| *other == edge).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|&(edge, count)| (edge, (count - before(edge)).max(0.0))).collect())
    }
    /// The value at which this share of all values lies: interpolated within its bucket, as Prometheus's
    /// `histogram_quantile` does. The last finite edge for a value above it. None: there is no value.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.0.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut low, mut below) = (0.0, 0.0);
        for &(edge, count) in &self.0 {
            if count >= rank && count > below {
                let within = (rank - below) / (count - below);
                return Some(if edge.is_finite() { low + (edge - low) * within } else { low });
            }
            (low, below) = (edge, count);
        }
        Some(low)
    }
    /// The upper edge of the last bucket with a value in it; the last finite edge if that bucket has none.
    pub fn max(&self) -> Option<f64> {
        let total = self.0.last().filter(|(_, count)| *count > 0.0)?.1;
        let at = self.0.iter().position(|(_, count)| *count >= total)?;
        let edge = self.0[at].0;
        if edge.is_finite() { Some(edge) } else { at.checked_sub(1).map(|before| self.0[before].0) }
    }
    /// All of them, values multiplied by `scale`.
    pub fn quantiles(&self, scale: f64) -> Option<Quantiles> {
        let at = |share| self.quantile(share).map(|value| value * scale);
        Some(Quantiles { p50: at(0.5)?, p99: at(0.99)?, p999: at(0.999)?, max: self.max()? * scale })
    }
}

/// The number in a label.
fn label(labels: &str, name: &str) -> Option<f64> {
    text(labels, name)?.parse().ok()
}

/// What stands in a label.
fn text<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let value = labels.split(',').find_map(|label| label.trim().strip_prefix(name)?.strip_prefix("=\""))?;
    value.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE driftless_late_seconds histogram
driftless_late_seconds_sum 1.5
driftless_late_seconds_bucket{le="0.001",room="a"} 90
driftless_late_seconds_bucket{le="0.002",room="a"} 100
driftless_late_seconds_bucket{le="+Inf",room="a"} 100 # {trace="x}"} 0.1
driftless_late_seconds_bucket{room="b c",le="0.001"} 0
driftless_late_seconds_bucket{room="b c",le="0.002"} 99
driftless_late_seconds_bucket{room="b c",le="+Inf"} 100
driftless_dropped_total{reason="a}b"} 3
driftless_dropped_total{reason="c d"} 4 1700000000
driftless_up 1
nonsense
# EOF
"#;

    #[test]
    fn samples_are_summed_over_their_labels() {
        let exposition = Exposition::parse(TEXT);
        assert_eq!(exposition.sum("driftless_dropped_total"), Some(7.0));
        assert_eq!(exposition.sum("driftless_up"), Some(1.0));
        assert_eq!(exposition.sum("driftless_none"), None);
        assert_eq!(exposition.of("driftless_dropped_total", "reason", "c d"), Some(4.0));
        assert_eq!(exposition.of("driftless_dropped_total", "reason", "e"), Some(0.0));
        assert_eq!(exposition.buckets("driftless_none"), None);
        let buckets = exposition.buckets("driftless_late_seconds").unwrap();
        assert_eq!(buckets, Buckets(vec![(0.001, 90.0), (0.002, 199.0), (f64::INFINITY, 200.0)]));
    }

    #[test]
    fn quantiles_are_interpolated_in_their_bucket() {
        let buckets = Buckets(vec![(1.0, 50.0), (2.0, 100.0), (4.0, 100.0), (f64::INFINITY, 100.0)]);
        assert_eq!(buckets.quantile(0.5), Some(1.0));
        assert_eq!(buckets.quantile(0.25), Some(0.5));
        assert_eq!(buckets.quantile(0.75), Some(1.5));
        assert_eq!(buckets.max(), Some(2.0));
        assert_eq!(buckets.quantiles(1000.0).unwrap().max, 2000.0);
    }

    #[test]
    fn what_is_above_the_last_edge_counts_as_the_last_edge() {
        let buckets = Buckets(vec![(1.0, 1.0), (f64::INFINITY, 10.0)]);
        assert_eq!(buckets.quantile(0.99), Some(1.0));
        assert_eq!(buckets.max(), Some(1.0));
    }

    #[test]
    fn an_empty_histogram_has_no_quantiles() {
        let buckets = Buckets(vec![(1.0, 0.0), (f64::INFINITY, 0.0)]);
        assert_eq!((buckets.quantile(0.5), buckets.max(), buckets.quantiles(1.0)), (None, None, None));
        assert_eq!(Buckets::default().quantile(0.5), None);
    }

    #[test]
    fn only_what_came_since_the_first_scrape_counts() {
        let first = Buckets(vec![(1.0, 5.0), (2.0, 9.0), (f64::INFINITY, 9.0)]);
        let second = Buckets(vec![(1.0, 5.0), (2.0, 19.0), (f64::INFINITY, 19.0)]);
        assert_eq!(second.since(&first), Buckets(vec![(1.0, 0.0), (2.0, 10.0), (f64::INFINITY, 10.0)]));
        assert_eq!(second.since(&first).quantile(0.5), Some(1.5));
    }
}
