//! One step in time: its two ends, and the Gaussians that join them.

use crate::NoiseLevel;

/// A time and the noise level a schedule gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimePoint {
    /// Time, in the units of the schedule.
    pub t: f64,
    /// Level at that time.
    pub level: NoiseLevel,
}

/// One step of sampling, from a noisier time to a cleaner one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The noisier end, where the step starts.
    pub from: TimePoint,
    /// The cleaner end, where the step lands.
    pub to: TimePoint,
}

/// The forward Gaussian `q(x_from | x_to) = N(scale x_to, variance I)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// Factor on the cleaner state.
    pub scale: f64,
    /// Variance added on the way to the noisier one.
    pub variance: f64,
}

/// The reverse Gaussian `q(x_to | x_from, x_0) = N(x x_from + data x_0, variance I)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// Coefficient of the noisier state in the mean.
    pub x: f64,
    /// Coefficient of the data in the mean.
    pub data: f64,
    /// Variance.
    pub variance: f64,
}

impl Interval {
    /// The (negative) change in time over the step.
    #[must_use]
    pub fn dt(&self) -> f64 {
        self.to.t - self.from.t
    }

    /// The (positive) change in lambda over the step; infinite when it ends clean.
    #[must_use]
    pub fn h(&self) -> f64 {
        self.to.level.lambda() - self.from.level.lambda()
    }

    /// The forward transition that leads from the cleaner end to the noisier one.
    ///
    /// # Precision
    /// `sigma_from^2 - scale^2 sigma_to^2` loses all digits for short steps; the same number written
    /// with `expm1` of the change in lambda does not.
    #[must_use]
    pub fn transition(&self) -> Transition {
        let (noisy, clean) = (self.from.level, self.to.level);
        Transition {
            // Ho et al. 2020, eq. 2, between any two times (docs/derivations/forward-marginal.md)
            scale: noisy.alpha / clean.alpha,
            variance: noisy.sigma.powi(2) * -(-2.0 * self.h()).exp_m1(),
        }
    }

    /// The posterior of the cleaner end given the noisier one and the data.
    #[must_use]
    pub fn posterior(&self) -> Posterior {
        let Transition { scale, variance } = self.transition();
        let (noisy, clean) = (self.from.level, self.to.level);
        let shrink = (clean.sigma / noisy.sigma).powi(2);
        Posterior {
            // Ho et al. 2020, eq. 7, between any two times (docs/derivations/posterior.md)
            x: scale * shrink,
            data: clean.alpha * variance / noisy.sigma.powi(2),
            variance: shrink * variance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval(noisy: f64, clean: f64) -> Interval {
        let point = |log_alpha: f64| TimePoint {
            t: -log_alpha,
            level: NoiseLevel::variance_preserving(log_alpha),
        };
        Interval { from: point(-noisy), to: point(-clean) }
    }

    proptest! {
        #[test]
        fn transition_carries_the_clean_marginal_to_the_noisy_one(a in 1e-6..8.0, share in 0.0..0.999) {
            let step = interval(a, a * share);
            let Transition { scale, variance } = step.transition();
            let (noisy, clean) = (step.from.level, step.to.level);
            prop_assert!((scale * clean.alpha - noisy.alpha).abs() < 1e-12);
            let total = scale.powi(2) * clean.sigma.powi(2) + variance;
            prop_assert!((total - noisy.sigma.powi(2)).abs() < 1e-12);
        }

        #[test]
        fn posterior_preserves_the_marginal(a in 1e-6..8.0, share in 0.0..0.999) {
            let step = interval(a, a * share);
            let Posterior { x, data, variance } = step.posterior();
            let (noisy, clean) = (step.from.level, step.to.level);
            prop_assert!((x * noisy.alpha + data - clean.alpha).abs() < 1e-12);
            let total = x.powi(2) * noisy.sigma.powi(2) + variance;
            prop_assert!((total - clean.sigma.powi(2)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_step_that_ends_clean_lands_on_the_data() {
        let step = Interval {
            from: TimePoint { t: 0.1, level: NoiseLevel::variance_preserving(-0.2) },
            to: TimePoint { t: 0.0, level: NoiseLevel::CLEAN },
        };
        assert_eq!(step.posterior(), Posterior { x: 0.0, data: 1.0, variance: 0.0 });
    }

    #[test]
    fn a_short_step_keeps_its_variance() {
        let variance = interval(1.0 + 1e-13, 1.0).transition().variance;
        let beta = 2.0 * ((1.0_f64 + 1e-13) - 1.0);
        assert!((variance / beta - 1.0).abs() < 1e-2, "{variance} against {beta}");
    }
}
