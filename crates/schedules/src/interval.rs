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
    /// The variance `sigma_from^2 - scale^2 sigma_to^2` keeps full relative precision for the two levels
    /// at hand, however short the step: it is written with the differences of their alphas and of their
    /// sigmas, which are exact where they are small. What rounding did to the levels themselves stays.
    #[must_use]
    pub fn transition(&self) -> Transition {
        let (noisy, clean) = (self.from.level, self.to.level);
        // Ho et al. 2020, eq. 2, between any two times (docs/derivations/forward-marginal.md)
        let scale = noisy.alpha / clean.alpha;
        // sigma_from^2 - (scale sigma_to)^2 as a product of difference and sum
        let lost = (clean.alpha - noisy.alpha) / clean.alpha;
        let difference = (noisy.sigma - clean.sigma) + lost * clean.sigma;
        Transition { scale, variance: difference * (noisy.sigma + scale * clean.sigma) }
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

    /// Levels near `alpha = e^-1`, near the data and of a variance-exploding schedule.
    #[test]
    fn a_short_step_keeps_its_variance() {
        let level = |(alpha, sigma)| TimePoint { t: 0.0, level: NoiseLevel { alpha, sigma } };
        let middle = (0.36787944117144233, 0.9298734950321937);
        let clean = (0.9999000049998333, 0.014141428546411663);
        // sigma_from^2 - (alpha_from / alpha_to)^2 sigma_to^2 of these very numbers, computed in 60 digits
        for (from, to, variance) in [
            ((0.3678426550666611, 0.9298880476237499), middle, 0.00019998000133325677),
            ((0.36787940438350003, 0.929873509586353), middle, 1.9999998017835073e-7),
            ((0.3678794411346544, 0.929873495046748), middle, 2.0000024185441063e-10),
            ((0.3678794411714056, 0.9298734950322083), middle, 1.9979498456587662e-13),
            ((0.9998999950008334, 0.01414213552945476), clean, 1.9999999799933654e-8),
            ((0.9999000049898343, 0.014141429253412368), clean, 1.9999999990645636e-11),
            ((0.9999000049998233, 0.014141428547118664), clean, 1.999998894158957e-14),
            ((1.0, 50.000000001), (1.0, 50.0), 9.999965300366921e-8),
        ] {
            let got = Interval { from: level(from), to: level(to) }.transition().variance;
            assert!((got / variance - 1.0).abs() < 1e-15, "{got} against {variance}");
        }
    }

    #[test]
    fn a_step_from_pure_noise_has_its_whole_variance() {
        let from = TimePoint { t: 1.0, level: NoiseLevel { alpha: 0.0, sigma: 1.0 } };
        let step = Interval { from, to: interval(1.0, 0.4).to };
        let Transition { scale, variance } = step.transition();
        assert!(scale == 0.0 && (variance - 1.0).abs() < 1e-15, "{variance}");
    }
}
