//! Whether a series grows: a straight line through it, with a confidence interval for its slope.
//!
//! Samples of a server's memory depend on those before them, so the usual interval of least squares is far
//! too narrow. It is made in two steps:
//!
//! 1. The samples are averaged in [`BLOCKS`] blocks of equal length, as in the method of batch means (B.
//!    Schmeiser, "Batch Size Effects in the Analysis of Simulation Output", Operations Research 30, 1982, who
//!    advises 10 to 30). What depends only on its neighbours is gone after that.
//! 2. What correlation is left between neighbouring blocks (lag 1, of the residuals) reduces the number of
//!    independent values from n to n (1 − r) / (1 + r), for the variance and for the degrees of freedom (B.
//!    Santer et al., "Statistical significance of trends and trend differences in layer-average atmospheric
//!    temperature time series", Journal of Geophysical Research 105, 2000, section 4). A series that wanders
//!    so slowly that hardly any are left has no interval: it needs a longer run.

use serde::Serialize;

/// Averages that a series is cut into, at most.
const BLOCKS: usize = 30;
/// Fewer averages than this are no series.
const FEWEST: usize = 8;
/// Quantile of the normal distribution for an interval of 95 %.
const NORMAL: f64 = 1.959_963_985;
/// Fewest degrees of freedom for which [`student`] is exact enough.
const LEAST_FREEDOM: f64 = 3.0;

/// One value of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, hours.
    pub hours: f64,
    /// What.
    pub value: f64,
}

/// The line through a series.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trend {
    /// Mean of all samples.
    pub mean: f64,
    /// Slope, per hour.
    pub slope: f64,
    /// Half of its interval of 95 %. None: the series depends too much on itself to tell.
    pub within: Option<f64>,
}

/// What a slope means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is below the tolerance.
    Flat,
    /// The whole interval is above it.
    Grows,
    /// The tolerance is within the interval, or there is none: a longer run would tell.
    Unclear,
}

impl Trend {
    /// The line through these samples, ascending and at equal distances. None: there are too few.
    pub fn fit(samples: &[Sample]) -> Option<Self> {
        let blocks = block_means(samples);
        let count = blocks.len() as f64;
        if blocks.len() < FEWEST {
            return None;
        }
        let mean = |of: fn(&Sample) -> f64| blocks.iter().map(of).sum::<f64>() / count;
        let (centre, level) = (mean(|block| block.hours), mean(|block| block.value));
        let spread: f64 = blocks.iter().map(|block| (block.hours - centre).powi(2)).sum();
        let product = |block: &Sample| (block.hours - centre) * (block.value - level);
        let slope = blocks.iter().map(product).sum::<f64>() / spread;
        let residuals: Vec<f64> =
            blocks.iter().map(|block| block.value - level - slope * (block.hours - centre)).collect();
        let squares: f64 = residuals.iter().map(|residual| residual * residual).sum();
        // A straight line has no residuals but those of rounding.
        let within = if squares <= (level.abs() * 1e-12).powi(2) * count {
            Some(0.0)
        } else {
            let neighbours: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
            let correlation = (neighbours / squares).clamp(0.0, 1.0);
            let freedom = count * (1.0 - correlation) / (1.0 + correlation) - 2.0;
            (freedom >= LEAST_FREEDOM).then(|| student(freedom) * (squares / freedom / spread).sqrt())
        };
        Some(Self { mean: level, slope, within })
    }
    /// Holds it against the growth that is tolerated, per hour.
    pub fn verdict(&self, tolerance: f64) -> Verdict {
        match self.within {
            Some(within) if self.slope + within <= tolerance => Verdict::Flat,
            Some(within) if self.slope - within > tolerance => Verdict::Grows,
            _ => Verdict::Unclear,
        }
    }
}

/// The means of blocks of as many samples each. The first few samples are left out if they fill no block.
fn block_means(samples: &[Sample]) -> Vec<Sample> {
    let size = samples.len().div_ceil(BLOCKS).max(1);
    let blocks = samples[samples.len() % size..].chunks_exact(size);
    let mean = |block: &[Sample], of: fn(&Sample) -> f64| block.iter().map(of).sum::<f64>() / size as f64;
    blocks
        .map(|block| Sample { hours: mean(block, |one| one.hours), value: mean(block, |one| one.value) })
        .collect()
}

/// The quantile of Student's distribution for an interval of 95 %: the expansion of M. Abramowitz and I.
/// Stegun, "Handbook of Mathematical Functions", 26.7.5. Off by less than 0.5 % from 3 degrees of freedom on.
fn student(freedom: f64) -> f64 {
    let z = NORMAL;
    let power = |exponent| z.powi(exponent);
    z + (power(3) + z) / (4.0 * freedom)
        + (5.0 * power(5) + 16.0 * power(3) + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * power(7) + 19.0 * power(5) + 17.0 * power(3) - 15.0 * z) / (384.0 * freedom.powi(3))
        + (79.0 * power(9) + 776.0 * power(7) + 1482.0 * power(5) - 1920.0 * power(3) - 945.0 * z)
            / (92_160.0 * freedom.powi(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour, sampled every five seconds: 200 million, and noise of this standard deviation, of which
    /// `memory` stays from one sample to the next.
    fn hour(noise: f64, memory: f64, seed: u64, grown: impl Fn(f64) -> f64) -> Vec<Sample> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut kept = 0.0;
        (0..720)
            .map(|index| {
                let fresh = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0; // about normal
                kept = memory * kept + (1.0 - memory * memory).sqrt() * fresh;
                let hours = f64::from(index) / 720.0;
                Sample { hours, value: 200e6 * (1.0 + noise * kept) + grown(hours) }
            })
            .collect()
    }
    fn trends(noise: f64, memory: f64, grown: fn(f64) -> f64) -> Vec<Trend> {
        (0..200).map(|seed| Trend::fit(&hour(noise, memory, seed, grown)).unwrap()).collect()
    }
    fn share(trends: &[Trend], of: impl Fn(&Trend) -> bool) -> f64 {
        trends.iter().filter(|trend| of(trend)).count() as f64 / trends.len() as f64
    }
    fn verdicts(trends: &[Trend], verdict: Verdict) -> f64 {
        share(trends, |trend| trend.verdict(1e6) == verdict)
    }

    #[test]
    fn a_flat_series_with_noise_does_not_grow() {
        for (noise, memory) in [(0.01, 0.0), (0.002, 0.9)] {
            assert!(verdicts(&trends(noise, memory, |_| 0.0), Verdict::Flat) > 0.9, "{memory} of it is kept");
        }
        for memory in [0.0, 0.5, 0.9, 0.98] {
            let grow = verdicts(&trends(0.01, memory, |_| 0.0), Verdict::Grows);
            assert!(grow <= 0.02, "{grow} grow, with {memory} of the noise kept");
        }
    }

    #[test]
    fn a_leak_of_one_percent_an_hour_is_found_in_noise() {
        for (noise, memory) in [(0.01, 0.0), (0.002, 0.9)] {
            let found = verdicts(&trends(noise, memory, |hours| 2e6 * hours), Verdict::Grows);
            assert!(found > 0.9, "{found} are found, with {memory} of the noise kept");
        }
    }

    #[test]
    fn the_interval_holds_the_slope_as_often_as_it_says_although_samples_depend_on_each_other() {
        for memory in [0.0, 0.9, 0.98] {
            let trends = trends(0.01, memory, |hours| 3e6 * hours);
            let within =
                |trend: &Trend| trend.within.is_none_or(|within| (trend.slope - 3e6).abs() <= within);
            let holds = share(&trends, within);
            assert!(holds > 0.9, "{holds} hold it, with {memory} of the noise kept");
        }
    }

    #[test]
    fn what_goes_its_own_way_for_long_has_no_verdict() {
        let wave = |hours: f64| 20e6 * (hours * std::f64::consts::TAU).sin();
        let trend = Trend::fit(&hour(0.01, 0.0, 7, wave)).unwrap();
        assert_eq!((trend.within, trend.verdict(1e6)), (None, Verdict::Unclear));
    }

    #[test]
    fn a_straight_line_is_its_own_trend() {
        let line = |slope: f64| -> Vec<_> {
            (0..100)
                .map(f64::from)
                .map(|at| Sample { hours: at / 100.0, value: 7.0 + slope * at / 100.0 })
                .collect()
        };
        let constant = Trend::fit(&line(0.0)).unwrap();
        assert_eq!(constant, Trend { mean: 7.0, slope: 0.0, within: Some(0.0) });
        assert_eq!(constant.verdict(0.0), Verdict::Flat);
        let grows = Trend::fit(&line(2.0)).unwrap();
        assert!((grows.slope - 2.0).abs() < 1e-9, "{grows:?}");
        assert_eq!(grows.verdict(1.9), Verdict::Grows);
        assert_eq!(grows.verdict(2.1), Verdict::Flat);
    }

    #[test]
    fn a_few_samples_are_no_series() {
        assert_eq!(Trend::fit(&[]), None);
        assert_eq!(Trend::fit(&hour(0.01, 0.0, 1, |_| 0.0)[..FEWEST - 1]), None);
    }

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        for (freedom, quantile) in [(3.0, 3.182), (4.0, 2.776), (8.0, 2.306), (28.0, 2.048), (1e6, 1.960)] {
            assert!((student(freedom) / quantile - 1.0).abs() < 0.005, "{freedom}: {}", student(freedom));
        }
    }
}
