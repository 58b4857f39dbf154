//! The decoder of the bound: how likely a normal variable is to fall into the bin of a value.

use super::Normal;
use crate::LossError;

/// How the distribution function of the normal distribution is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormalCdf {
    /// By the error function, exact to rounding, also for the difference of two values far from the mean.
    #[default]
    Exact,
    /// By a hyperbolic tangent, off by up to 2e-4: what the published bounds were computed with.
    Tanh,
}

impl NormalCdf {
    /// The probability that a standard normal variable lies below `x`.
    pub(super) fn below(self, x: f64) -> f64 {
        match self {
            Self::Exact => 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            Self::Tanh => {
                let argument = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * (1.0 + argument.tanh())
            }
        }
    }

    fn above(self, x: f64) -> f64 {
        match self {
            Self::Exact => self.below(-x),
            Self::Tanh => 1.0 - self.below(x),
        }
    }

    fn between(self, lower: f64, upper: f64) -> f64 {
        if self == Self::Exact && lower > 0.0 {
            return self.above(lower) - self.above(upper); // of small numbers, where those below are near 1
        }
        self.below(upper) - self.below(lower)
    }

    /// The least probability that a bin is given, so that no value costs infinitely much.
    pub(super) const fn floor(self) -> f64 {
        match self {
            Self::Exact => 1e-30, // within single precision
            Self::Tanh => 1e-12,
        }
    }
}

/// The values that data can take, equally spaced: each stands for the bin of all that is nearer to it than
/// to its neighbours. The bins of the outermost two reach to infinity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bins {
    low: f64,
    high: f64,
    /// Half the distance of two neighbours.
    pub(super) half: f64,
    pub(super) cdf: NormalCdf,
}

impl Default for Bins {
    /// 8-bit values scaled to `[-1, 1]`.
    fn default() -> Self {
        Self { low: -1.0, high: 1.0, half: 1.0 / 255.0, cdf: NormalCdf::Exact }
    }
}

impl Bins {
    /// The bins of `levels` values from `low` to `high`.
    ///
    /// # Errors
    /// When there are fewer than two levels, or `low` is not below `high`.
    pub fn new(levels: usize, low: f64, high: f64) -> Result<Self, LossError> {
        let width = high - low;
        if levels < 2 || !(width.is_finite() && width > 0.0) {
            return Err(LossError::ImpossibleBins { levels, low, high });
        }
        let half = 0.5 * width / (levels - 1) as f64;
        Ok(Self { low, high, half, cdf: NormalCdf::Exact })
    }

    /// The same with another way to compute probabilities.
    #[must_use]
    pub const fn with_cdf(self, cdf: NormalCdf) -> Self {
        Self { cdf, ..self }
    }

    /// Bounds below and above which a value is one of the outermost two.
    pub(super) fn edges(&self) -> (f64, f64) {
        let near = 0.255 * self.half; // 0.001 for 8-bit values, as published
        (self.low + near, self.high - near)
    }

    /// The log probability, in nats, that a normal variable falls into the bin of `x`.
    ///
    /// No less than that of probability 1e-30, or 1e-12 with [`NormalCdf::Tanh`].
    #[must_use]
    pub fn log_probability(&self, x: f64, normal: Normal) -> f64 {
        let per_std = (-0.5 * normal.log_variance).exp();
        let upper = (x - normal.mean + self.half) * per_std;
        let lower = (x - normal.mean - self.half) * per_std;
        let (lowest, highest) = self.edges();
        // Ho et al. 2020, eq. 13
        let probability = if x < lowest {
            self.cdf.below(upper)
        } else if x > highest {
            self.cdf.above(lower)
        } else {
            self.cdf.between(lower, upper)
        };
        // NaN, which `max` would take for the smaller one, must not become a probability
        let floor = self.cdf.floor();
        if probability < floor { floor.ln() } else { probability.ln() }
    }
}

/// The log probability, in nats, that a normal variable falls into the bin of `x`, an 8-bit value
/// scaled to `[-1, 1]`.
#[must_use]
pub fn discretized_normal_log_likelihood(x: f64, normal: Normal, cdf: NormalCdf) -> f64 {
    Bins::default().with_cdf(cdf).log_probability(x, normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(mean: f64, std: f64) -> Normal {
        Normal { mean, log_variance: 2.0 * std.ln() }
    }

    #[test]
    fn the_probabilities_of_all_values_add_up_to_one() {
        for (levels, low, high) in [(256, -1.0, 1.0), (17, -1.0, 1.0), (2, 0.0, 1.0)] {
            for cdf in [NormalCdf::Exact, NormalCdf::Tanh] {
                let bins = Bins::new(levels, low, high).unwrap().with_cdf(cdf);
                let value = |k: usize| low + (high - low) * k as f64 / (levels - 1) as f64;
                let at = |k| bins.log_probability(value(k), normal(0.35, 0.5)).exp();
                let total: f64 = (0..levels).map(at).sum();
                assert!((total - 1.0).abs() < 1e-12, "{levels} {cdf:?}: {total}");
            }
        }
    }

    #[test]
    fn eight_bits_are_256_levels_with_the_published_edges() {
        let bins = Bins::new(256, -1.0, 1.0).unwrap();
        assert_eq!(bins, Bins::default());
        let (lowest, highest) = bins.edges();
        assert!((lowest + 0.999).abs() < 1e-15 && (highest - 0.999).abs() < 1e-15);
    }

    #[test]
    fn the_approximation_is_as_close_as_stated() {
        let off = |k: i32| {
            let x = f64::from(k) / 100.0;
            (NormalCdf::Exact.below(x) - NormalCdf::Tanh.below(x)).abs()
        };
        let worst = (-600..=600).map(off).fold(0.0, f64::max);
        assert!(worst < 2e-4 && worst > 1e-4, "{worst}");
    }

    #[test]
    fn far_from_the_mean_both_sides_are_equally_exact() {
        // 9 to 10 deviations off, the probability is 1.1e-19
        let (bins, std) = (Bins::new(21, -1.0, 1.0).unwrap(), 0.1);
        let above = bins.log_probability(0.95 - 0.05, normal(-0.05, std));
        let below = bins.log_probability(-0.95 + 0.05, normal(0.05, std));
        assert!((above - below).abs() < 1e-12, "{above}, {below}");
        let expected = (NormalCdf::Exact.below(-9.0) - NormalCdf::Exact.below(-10.0)).ln();
        assert!((above - expected).abs() < 1e-9, "{above}, expected {expected}");
    }

    #[test]
    fn an_impossible_value_has_the_least_probability() {
        for (cdf, least) in [(NormalCdf::Exact, 1e-30_f64), (NormalCdf::Tanh, 1e-12)] {
            let log = discretized_normal_log_likelihood(0.9, normal(-0.9, 0.01), cdf);
            assert_eq!(log, least.ln());
        }
        let unknown =
            discretized_normal_log_likelihood(0.9, normal(f64::NAN, 0.1), NormalCdf::Exact);
        assert!(unknown.is_nan());
    }

    #[test]
    fn bins_that_cannot_be_are_refused() {
        let error = Bins::new(1, -1.0, 1.0).unwrap_err();
        let expected =
            "1 levels from -1 to 1, expected at least two from a lower to a higher value";
        assert_eq!(error.to_string(), expected);
        assert!(Bins::new(256, 1.0, 1.0).is_err() && Bins::new(256, 0.0, f64::NAN).is_err());
    }
}
