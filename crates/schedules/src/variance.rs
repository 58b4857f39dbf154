//! The variance of the reverse Gaussian, between its two published bounds.

use crate::Interval;

/// The variance of the reverse Gaussian, between its two published bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// That of the posterior `q(x_s | x_t, x_0)`: exact when the data is a single point.
    #[default]
    FixedSmall,
    /// That of the forward transition, `beta`: exact when the data is standard normal.
    FixedLarge,
}

impl Variance {
    /// The variance of the step over `interval`.
    #[must_use]
    pub fn of(self, interval: Interval) -> f64 {
        match self {
            Self::FixedSmall => interval.posterior().variance, // Ho et al. 2020, eq. 7
            Self::FixedLarge => interval.transition().variance, // Ho et al. 2020, sec. 3.2
        }
    }

    /// The logarithm of [`of`](Self::of), which does not underflow; -infinity for no variance.
    ///
    /// Half of it is the logarithm of the noise a step adds: the `fixed_small_log` and `fixed_large_log`
    /// of other code are these same variances, carried as logarithms.
    #[must_use]
    pub fn log_of(self, interval: Interval) -> f64 {
        let large = interval.transition().variance.ln();
        match self {
            Self::FixedSmall => {
                2.0 * (interval.to.level.sigma.ln() - interval.from.level.sigma.ln()) + large
            }
            Self::FixedLarge => large,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoiseLevel, TimePoint};

    fn interval(clean: NoiseLevel) -> Interval {
        let noisy = NoiseLevel::variance_preserving(-0.7);
        Interval {
            from: TimePoint { t: 0.7, level: noisy },
            to: TimePoint { t: 0.2, level: clean },
        }
    }

    #[test]
    fn a_logarithm_is_that_of_the_variance_even_where_the_variance_underflows() {
        for variance in [Variance::FixedSmall, Variance::FixedLarge] {
            let interval = interval(NoiseLevel::variance_preserving(-0.2));
            let expected = variance.of(interval).ln();
            assert!((variance.log_of(interval) - expected).abs() < 1e-14, "{variance:?}");
        }
        let almost_clean = interval(NoiseLevel { alpha: 1.0, sigma: 1e-170 });
        assert_eq!(Variance::FixedSmall.of(almost_clean), 0.0);
        assert!((Variance::FixedSmall.log_of(almost_clean) + 340.0 * 10.0_f64.ln()).abs() < 1.0);
        assert_eq!(Variance::FixedSmall.log_of(interval(NoiseLevel::CLEAN)), f64::NEG_INFINITY);
    }
}
