//! Ancestral sampling of any forward chain: one draw from the reverse Gaussian in each step.
//!
//! `x_s = (x_t + v score) / a + noise` for the chain's step `x_t = a x_s + sqrt(v) z`: Tweedie's
//! formula for a single transition. Ho et al. 2020, algorithm 2 (VP); Song et al. 2021, eq. 47 (VE).
//! One evaluation a step, first order, stochastic.

use super::{Predictor, StepCoefficients};
use tweedie_schedules::{Interval, Variance};
use tweedie_sde::Discretization;

/// DDPM's sampler for the chain of a [`Discretization`], and so for every linear SDE.
///
/// The published VP sampler takes [`Variance::FixedLarge`], the published VE sampler
/// [`Variance::FixedSmall`]. The last step adds its noise like every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AncestralChain<D> {
    /// The forward chain.
    pub chain: D,
    /// The variance of each step.
    pub variance: Variance,
}

impl<D: Discretization> Predictor for AncestralChain<D> {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let posterior = self.chain.posterior(interval);
        let variance = match self.variance {
            Variance::FixedSmall => posterior.variance,
            Variance::FixedLarge => self.chain.transition(interval).variance,
        };
        StepCoefficients { x: posterior.x, data: posterior.data, noise: variance.sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ancestral;
    use tweedie_schedules::{NoiseSchedule, VpLinear};
    use tweedie_sde::{Exact, SongTable};

    fn interval() -> Interval {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        Interval { from: schedule.point(0.6), to: schedule.point(0.5) }
    }

    #[test]
    fn the_exact_chain_gives_ddpm() {
        for variance in [Variance::FixedSmall, Variance::FixedLarge] {
            let chain = AncestralChain { chain: Exact, variance };
            assert_eq!(
                chain.coefficients(interval()),
                Ancestral { variance }.coefficients(interval())
            );
        }
    }

    #[test]
    fn the_published_vp_step_is_the_mean_over_the_root_of_what_is_left() {
        let table = SongTable::variance_preserving(0.1, 20.0, 50).unwrap();
        let interval = interval();
        let beta = 0.1 / 50.0 + (20.0 - 0.1) / 50.0 * 29.0 / 49.0; // floor(0.6 * 49) is 29
        let chain = AncestralChain { chain: &table, variance: Variance::FixedLarge };
        let got = chain.coefficients(interval);
        let (x, x0_hat) = (0.8, -0.3);
        let level = interval.from.level;
        let score = (level.alpha * x0_hat - x) / level.sigma.powi(2);
        let mean = (x + beta * score) / (1.0 - beta).sqrt();
        assert!((got.x * x + got.data * x0_hat - mean).abs() < 1e-12);
        assert!((got.noise - beta.sqrt()).abs() < 1e-14);
    }
}
