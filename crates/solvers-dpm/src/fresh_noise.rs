//! Fresh noise around a solver of the ODE: how far down to go, and how much to put back.

use crate::multistep::check_not_negative;
use tweedie_samplers::SampleError;
use tweedie_schedules::{Interval, NoiseLevel, TimePoint};

/// Where a single-step method adds noise beyond what its algorithm does.
///
/// The share `eta` is of the posterior's standard deviation, as in DDIM: at 0 none is added, at 1 the
/// first order is ancestral sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum FreshNoise {
    /// Nowhere.
    #[default]
    Never,
    /// At the end of each step, which first goes below the level of its end: ancestral sampling
    /// around a solver of the ODE, whose inner states hold no fresh noise. No step goes below the end
    /// of the grid, so the last one adds none.
    EachStep {
        /// Share of the posterior's standard deviation, at least 0.
        eta: f64,
    },
    /// At each inner state and at the end of the step, each of which is gone below first.
    EachStage {
        /// Share of the posterior's standard deviation, at least 0.
        eta: f64,
    },
}

impl FreshNoise {
    /// The share, checked.
    pub(crate) fn eta(self) -> Result<f64, SampleError> {
        match self {
            Self::Never => Ok(0.0),
            Self::EachStep { eta } | Self::EachStage { eta } => {
                check_not_negative("eta", eta)?;
                Ok(eta)
            }
        }
    }
}

/// A level to step down to without noise, and the noise that leads back up from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Renoised {
    /// Where the deterministic part lands; `alpha` is that of the end.
    pub(crate) down: TimePoint,
    /// Standard deviation of the noise added there.
    pub(crate) up: f64,
}

impl Renoised {
    /// A step without noise.
    pub(crate) fn without(to: TimePoint) -> Self {
        Self { down: to, up: 0.0 }
    }

    /// The step over `interval` with `eta` times the posterior's deviation of noise.
    ///
    /// The deterministic part goes no further than the signal-to-noise ratio of `cleanest`.
    pub(crate) fn split(interval: Interval, eta: f64, cleanest: NoiseLevel) -> Self {
        let to = interval.to.level;
        if eta == 0.0 {
            return Self::without(interval.to);
        }
        // Song et al. 2021a, eq. 16, but no more than all the noise there is
        let up = (eta * interval.posterior().variance.max(0.0).sqrt()).min(to.sigma);
        let least = (to.alpha * cleanest.sigma / cleanest.alpha).min(to.sigma);
        let sigma = ((to.sigma - up) * (to.sigma + up)).sqrt().max(least);
        let level = NoiseLevel { alpha: to.alpha, sigma };
        Self {
            down: TimePoint { level, ..interval.to },
            up: ((to.sigma - sigma) * (to.sigma + sigma)).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval(noisy: f64, clean: f64) -> Interval {
        let point = |log: f64| TimePoint { t: log, level: NoiseLevel::variance_preserving(-log) };
        Interval { from: point(noisy), to: point(clean) }
    }

    proptest! {
        #[test]
        fn noise_leads_back_to_the_level_of_the_end(
            noisy in 1e-3..6.0, share in 0.0..0.999, eta in 0.0..=1.5, floor in 0.0..1.0,
        ) {
            let interval = interval(noisy, noisy * share);
            let cleanest = NoiseLevel::variance_preserving(-noisy * share * floor);
            let Renoised { down, up } = Renoised::split(interval, eta, cleanest);
            let (to, down) = (interval.to.level, down.level);
            prop_assert!((down.sigma.hypot(up) - to.sigma).abs() < 1e-12);
            prop_assert!(down.sigma / down.alpha >= cleanest.sigma / cleanest.alpha * (1.0 - 1e-12));
        }
    }

    #[test]
    fn at_eta_one_the_noise_is_the_posteriors() {
        let interval = interval(0.5, 0.2);
        let split = Renoised::split(interval, 1.0, NoiseLevel::CLEAN);
        assert!((split.up.powi(2) - interval.posterior().variance).abs() < 1e-15);
        assert_eq!(Renoised::split(interval, 0.0, NoiseLevel::CLEAN).up, 0.0);
    }
}
