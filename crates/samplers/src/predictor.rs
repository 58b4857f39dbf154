//! One-step methods: three numbers an interval.

mod analytic;
mod ancestral;
mod ancestral_chain;
mod ddim;
mod noise_cap;
mod reverse_diffusion;

pub use analytic::AnalyticDpm;
pub use ancestral::Ancestral;
pub use ancestral_chain::AncestralChain;
pub use ddim::Ddim;
pub(crate) use ddim::DdimParts;
pub use noise_cap::NoiseCap;
pub use reverse_diffusion::{EulerMaruyama, ReverseDiffusion};

use crate::error::why_not_finite;
use tweedie_schedules::Interval;

/// Coefficients of one step, `x' = x * state + data * x0_hat + noise * z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCoefficients {
    /// Coefficient of the state.
    pub x: f64,
    /// Coefficient of the estimate of the data.
    pub data: f64,
    /// Standard deviation of the noise added; no noise is drawn when it is 0.
    pub noise: f64,
}

/// A one-step method: a pure function of an interval.
pub trait Predictor {
    /// The coefficients of the step over `interval`; not finite where the method has none.
    fn coefficients(&self, interval: Interval) -> StepCoefficients;

    /// Why the coefficients over `interval` are not finite, and what would do, in words.
    fn why_not(&self, interval: Interval) -> &'static str {
        why_not_finite(interval)
    }
}

impl<P: Predictor + ?Sized> Predictor for Box<P> {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        (**self).coefficients(interval)
    }

    fn why_not(&self, interval: Interval) -> &'static str {
        (**self).why_not(interval)
    }
}

impl<P: Predictor + ?Sized> Predictor for &P {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        (**self).coefficients(interval)
    }

    fn why_not(&self, interval: Interval) -> &'static str {
        (**self).why_not(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::{NoiseLevel, TimePoint, Variance};

    fn interval(noisy: f64, clean: f64) -> Interval {
        let point = |log: f64| TimePoint { t: log, level: NoiseLevel::variance_preserving(-log) };
        Interval { from: point(noisy), to: point(clean) }
    }

    /// Mean and variance that a step gives when the data is known.
    fn defect(step: StepCoefficients, interval: Interval) -> (f64, f64) {
        let (from, to) = (interval.from.level, interval.to.level);
        let mean = step.x * from.alpha + step.data - to.alpha;
        let variance = (step.x * from.sigma).powi(2) + step.noise.powi(2) - to.sigma.powi(2);
        (mean, variance)
    }

    proptest! {
        #[test]
        fn every_marginal_preserving_predictor_preserves_mean_and_variance(
            noisy in 1e-5..6.0, share in 0.0..0.999, eta in 0.0..=1.0,
        ) {
            let interval = interval(noisy, noisy * share);
            let methods: [&dyn Predictor; 2] =
                [&Ddim::new(eta).unwrap(), &Ancestral { variance: Variance::FixedSmall }];
            for method in methods {
                let (mean, variance) = defect(method.coefficients(interval), interval);
                prop_assert!(mean.abs() < 1e-12 && variance.abs() < 1e-12, "{mean} {variance}");
            }
        }

        #[test]
        fn ddim_at_eta_one_is_ancestral(noisy in 1e-5..6.0, share in 0.0..0.999) {
            let interval = interval(noisy, noisy * share);
            let ddim = Ddim::new(1.0).unwrap().coefficients(interval);
            let ancestral = Ancestral { variance: Variance::FixedSmall }.coefficients(interval);
            for (a, b) in [(ddim.x, ancestral.x), (ddim.data, ancestral.data), (ddim.noise, ancestral.noise)] {
                prop_assert!((a - b).abs() < 1e-12, "{ddim:?} {ancestral:?}");
            }
        }
    }
}
