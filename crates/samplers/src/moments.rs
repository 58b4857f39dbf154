//! The second moment of the noise prediction: what Analytic-DPM needs to know about the data.
//!
//! `m = E |eps_hat(x_t)|^2 / d`, one number for each noise level. The best prediction of the noise
//! is its conditional mean, so `m` lies between 0 (the state says nothing about its noise) and 1 (it
//! says everything), and what is missing to 1 is the variance left open. [`MomentEstimator`] measures
//! it from data, [`EstimatedMoments`] keeps it with its standard error in a file.

mod estimated;
mod estimator;

pub use estimated::{EstimatedMoments, MOMENTS_FILE};
pub use estimator::{MomentEstimator, estimate_moments};

use crate::SampleError;
use tweedie_schedules::NoiseLevel;

/// The second moment of the noise prediction as a function of the noise level.
///
/// Between two levels it is linear in lambda. It is unknown (NaN) outside the range of the levels,
/// so that a sampler is refused when planned instead of running on a guess.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseMoments {
    /// lambda, strictly falling.
    lambdas: Vec<f64>,
    values: Vec<f64>,
}

/// Share by which a level may lie outside the range and still be taken for its end.
const ROUNDING: f64 = 1e-9;

impl NoiseMoments {
    /// Moments `values` at `levels`, cleanest first.
    ///
    /// Values above 1 are allowed: estimates come out so at high noise.
    ///
    /// # Errors
    /// When there is none, there is not one value for each level, the noise does not rise strictly,
    /// or a value is negative or not finite.
    pub fn new(levels: &[NoiseLevel], values: &[f64]) -> Result<Self, SampleError> {
        if levels.is_empty() || levels.len() != values.len() {
            let (levels, values) = (levels.len(), values.len());
            return Err(SampleError::MomentCount { levels, values });
        }
        let lambdas: Vec<f64> = levels.iter().map(|level| level.lambda()).collect();
        let falls = |pair: &[f64]| pair[1] < pair[0];
        if let Some(index) = lambdas.windows(2).position(|pair| !falls(pair)) {
            let (from, to) = (lambdas[index], lambdas[index + 1]);
            return Err(SampleError::MomentOrder { index, from, to });
        }
        if let Some(index) = values.iter().position(|value| !(value.is_finite() && *value >= 0.0)) {
            return Err(SampleError::MomentOutOfRange { index, value: values[index] });
        }
        Ok(Self { lambdas, values: values.to_vec() })
    }

    /// The moment at a level; NaN outside the range.
    #[must_use]
    pub fn at(&self, level: NoiseLevel) -> f64 {
        let lambda = level.lambda();
        let (first, last) = (self.lambdas[0], self.lambdas[self.lambdas.len() - 1]);
        let near = |end: f64| lambda == end || (lambda - end).abs() <= ROUNDING * (1.0 + end.abs());
        let right = self.lambdas.partition_point(|known| *known > lambda);
        match right {
            0 if near(first) => self.values[0],
            right if right == self.lambdas.len() => {
                if near(last) {
                    self.values[right - 1]
                } else {
                    f64::NAN
                }
            }
            0 => f64::NAN,
            right => self.between(right, lambda),
        }
    }

    fn between(&self, right: usize, lambda: f64) -> f64 {
        let (a, b) = (self.lambdas[right - 1], self.lambdas[right]);
        // from pure noise, at lambda = -inf, every level is infinitely far
        let share = if b == lambda {
            1.0
        } else if b.is_finite() {
            (lambda - a) / (b - a)
        } else {
            0.0
        };
        self.values[right - 1] * (1.0 - share) + self.values[right] * share
    }

    /// The mean variance that a state at `level` leaves open in each value of the data,
    /// `tr Cov(x_0 | x_t) / d`; infinite for pure noise, which says nothing about the data.
    #[must_use]
    pub fn data_variance(&self, level: NoiseLevel) -> f64 {
        if level.alpha == 0.0 {
            return f64::INFINITY;
        }
        // Bao et al. 2022, theorem 1: x_0 = (x - sigma eps) / alpha, and eps has variance 1
        (1.0 - self.at(level)).clamp(0.0, 1.0) * (level.sigma / level.alpha).powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(log_alpha: f64) -> NoiseLevel {
        NoiseLevel::variance_preserving(log_alpha)
    }

    fn moments() -> NoiseMoments {
        NoiseMoments::new(&[level(-0.1), level(-1.0), level(-3.0)], &[0.2, 0.6, 1.1]).unwrap()
    }

    #[test]
    fn moments_are_exact_at_their_levels_and_rise_between_them() {
        let moments = moments();
        for (log_alpha, value) in [(-0.1, 0.2), (-1.0, 0.6), (-3.0, 1.1)] {
            assert_eq!(moments.at(level(log_alpha)), value);
        }
        let between = moments.at(level(-0.5));
        assert!(0.2 < between && between < 0.6, "{between}");
    }

    #[test]
    fn outside_its_range_a_moment_is_unknown() {
        let moments = moments();
        assert!(moments.at(level(-0.01)).is_nan() && moments.at(level(-4.0)).is_nan());
        assert!(moments.data_variance(level(-4.0)).is_nan());
        // a level that differs from an end by rounding alone is that end
        assert_eq!(moments.at(level(-3.0 - 1e-13)), 1.1);
        assert_eq!(moments.at(level(-0.1 + 1e-14)), 0.2);
    }

    #[test]
    fn the_variance_left_open_is_never_negative() {
        assert_eq!(moments().data_variance(level(-3.0)), 0.0);
    }

    #[test]
    fn pure_noise_leaves_everything_open() {
        let nothing = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        let moments = NoiseMoments::new(&[level(-1.0), nothing], &[0.6, 1.0]).unwrap();
        assert_eq!(moments.at(nothing), 1.0);
        assert_eq!(moments.at(level(-2.0)), 0.6);
        assert_eq!(moments.data_variance(nothing), f64::INFINITY);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let levels = [level(-0.1), level(-1.0)];
        let error = NoiseMoments::new(&levels, &[0.1]).unwrap_err();
        assert_eq!(error.to_string(), "1 moments for 2 noise levels, expected one for each");
        let error = NoiseMoments::new(&levels, &[0.1, f64::NAN]).unwrap_err();
        assert_eq!(error.to_string(), "moment[1] is NaN, expected a finite value from 0");
        assert!(NoiseMoments::new(&[levels[1], levels[0]], &[0.1, 0.2]).is_err());
        assert!(NoiseMoments::new(&[], &[]).is_err());
    }
}
