//! Ancestral sampling: one draw from the reverse Gaussian in each step, as in DDPM.
//!
//! `x_s ~ N(mean of q(x_s | x_t, x0_hat), v I)`. Ho et al. 2020, algorithm 2, between any two times.
//! One evaluation a step, stochastic. Derivation: docs/derivations/ancestral-sampling.md.

use super::{Predictor, StepCoefficients};
use tweedie_schedules::{Interval, NoiseLevel, Variance};

/// DDPM's sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancestral {
    /// The variance of each step. A step that ends clean adds no noise with either.
    pub variance: Variance,
}

impl Predictor for Ancestral {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let posterior = interval.posterior();
        let ends_clean = interval.to.level == NoiseLevel::CLEAN;
        let noise = if ends_clean { 0.0 } else { self.variance.of(interval).sqrt() };
        StepCoefficients { x: posterior.x, data: posterior.data, noise }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::TimePoint;

    fn interval(clean: NoiseLevel) -> Interval {
        let noisy = NoiseLevel::variance_preserving(-0.7);
        Interval {
            from: TimePoint { t: 0.7, level: noisy },
            to: TimePoint { t: 0.2, level: clean },
        }
    }

    #[test]
    fn large_variance_is_exact_for_standard_normal_data() {
        // E[x_0 | x_t] = alpha x_t: the state keeps unit variance
        let interval = interval(NoiseLevel::variance_preserving(-0.2));
        let step = Ancestral { variance: Variance::FixedLarge }.coefficients(interval);
        let kept = step.x + step.data * interval.from.level.alpha;
        assert!((kept.powi(2) + step.noise.powi(2) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_last_step_returns_the_data_estimate() {
        for variance in [Variance::FixedSmall, Variance::FixedLarge] {
            let step = Ancestral { variance }.coefficients(interval(NoiseLevel::CLEAN));
            assert_eq!(step, StepCoefficients { x: 0.0, data: 1.0, noise: 0.0 });
        }
    }
}
