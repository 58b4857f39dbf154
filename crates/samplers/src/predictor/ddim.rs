//! DDIM: the sampler that keeps every marginal and lets the noise be chosen.
//!
//! `x_s = alpha_s x0_hat + sqrt(sigma_s^2 - c^2) eps_hat + c z` with `c = eta` times the deviation of
//! the posterior. Song et al. 2021a, eq. 12. One evaluation a step; first order at `eta = 0`, where it
//! is deterministic; `eta = 1` is ancestral sampling. Any sub-sequence of times.
//! Derivation: docs/derivations/ddim.md.

use super::{Predictor, StepCoefficients};
use crate::SampleError;
use crate::error::why_not_finite;
use tweedie_schedules::Interval;

/// DDIM with a share `eta` of the posterior's noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ddim {
    eta: f64,
}

/// A step in the form of the paper, `data * x0_hat + eps * eps_hat + noise * z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DdimParts {
    pub(crate) data: f64,
    pub(crate) eps: f64,
    pub(crate) noise: f64,
}

impl Ddim {
    /// DDIM without noise.
    pub const DETERMINISTIC: Self = Self { eta: 0.0 };

    /// DDIM with noise `eta`: 0 for none (deterministic), 1 for that of ancestral sampling.
    ///
    /// More than 1 suits short steps alone: a step is refused when planned if it would add more noise
    /// than there is at its end, which is where `eta^2 (1 - exp(-2h))` exceeds 1.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn new(eta: f64) -> Result<Self, SampleError> {
        if eta >= 0.0 && eta.is_finite() {
            Ok(Self { eta })
        } else {
            let allowed = "a finite value of at least 0";
            Err(SampleError::ParameterOutOfRange { name: "eta", value: eta, allowed })
        }
    }

    pub(crate) fn parts(&self, interval: Interval) -> DdimParts {
        let to = interval.to.level;
        if self.eta == 0.0 || to.sigma == 0.0 {
            // where there is no noise to share out, and also where the interval leads to more noise
            // and has no posterior: encoding
            return DdimParts { data: to.alpha, eps: to.sigma, noise: 0.0 };
        }
        // Song et al. 2021a, eq. 16: c^2 = eta^2 sigma_s^2 (1 - exp(-2h)). With eta up to 1, no digits
        // are lost: not those of c in a short step, nor those of sigma_s^2 - c^2 in a long one
        let (eta, h) = (self.eta, interval.h());
        let noise = eta * to.sigma * (-(-2.0 * h).exp_m1()).sqrt();
        let kept = (1.0 - eta) * (1.0 + eta) + eta * eta * (-2.0 * h).exp();
        let eps = to.sigma * kept.sqrt();
        DdimParts { data: to.alpha, eps, noise } // Song et al. 2021a, eq. 12
    }
}

impl Predictor for Ddim {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let DdimParts { data, eps, noise } = self.parts(interval);
        // eps_hat = (x_t - alpha_t x0_hat) / sigma_t
        let x = eps / interval.from.level.sigma;
        StepCoefficients { x, data: data - x * interval.from.level.alpha, noise }
    }

    fn why_not(&self, interval: Interval) -> &'static str {
        if self.eta > 1.0 && self.parts(interval).eps.is_nan() {
            "it would add more noise than there is at its end: eta^2 (1 - exp(-2h)) exceeds 1, h being \
             the step in lambda; take shorter steps, or eta up to 1, which suits any step"
        } else {
            why_not_finite(interval)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OneStep;
    use tweedie_schedules::{NoiseLevel, TimeGrid, TimePoint};

    /// A step whose sigma falls from 1 to `sigma`, where alpha is 1 throughout: `exp(-h)` is `sigma`.
    fn down_to(sigma: f64) -> Interval {
        let point = |sigma| TimePoint { t: sigma, level: NoiseLevel { alpha: 1.0, sigma } };
        Interval { from: point(1.0), to: point(sigma) }
    }

    #[test]
    fn eta_outside_its_range_is_refused() {
        let error = Ddim::new(-0.5).unwrap_err();
        assert_eq!(error.to_string(), "eta is -0.5, expected a finite value of at least 0");
        assert!(Ddim::new(f64::NAN).is_err() && Ddim::new(f64::INFINITY).is_err());
    }

    #[test]
    fn eta_above_one_takes_short_steps_and_is_refused_long_ones() {
        let plan = |eta, sigma| {
            let interval = down_to(sigma);
            let grid = TimeGrid::through(&[interval.from, interval.to]).unwrap();
            OneStep(Ddim::new(eta).unwrap()).coefficients(&grid)
        };
        // eta^2 (1 - sigma^2) is 0.5184 and 1.0816
        let step = plan(1.2, 0.8).unwrap()[0];
        assert!((step.noise - 1.2 * 0.8 * 0.6).abs() < 1e-15, "{step:?}");
        assert!((step.x.powi(2) + step.noise.powi(2) - 0.64).abs() < 1e-15, "{step:?}");
        let error = plan(1.3, 0.6).unwrap_err().to_string();
        assert!(error.contains("more noise than there is at its end"), "{error}");
        assert!(plan(1.3, 0.0).is_ok(), "no noise is left at the data, whatever its share");
    }

    #[test]
    fn neither_a_short_step_nor_a_long_one_loses_digits() {
        let (tiny, eta) = (0.5_f64.powi(30), 0.7);
        // the noise of a short step: 1 - exp(-2h) = tiny (2 - tiny)
        let noise = Ddim::new(eta).unwrap().parts(down_to(1.0 - tiny)).noise;
        let expected = eta * (1.0 - tiny) * (tiny * (2.0 - tiny)).sqrt();
        assert!((noise / expected - 1.0).abs() < 1e-14, "{noise}, expected {expected}");
        // what eta = 1 keeps over a long step: sigma exp(-h)
        let eps = Ddim::new(1.0).unwrap().parts(down_to(tiny)).eps;
        assert!((eps / (tiny * tiny) - 1.0).abs() < 1e-14, "{eps}");
        // with eta a little below 1: 1 - eta^2 = tiny (2 - tiny)
        let eps = Ddim::new(1.0 - tiny).unwrap().parts(down_to(tiny)).eps;
        let expected = tiny * (tiny * (2.0 - tiny) + ((1.0 - tiny) * tiny).powi(2)).sqrt();
        assert!((eps / expected - 1.0).abs() < 1e-14, "{eps}, expected {expected}");
    }

    #[test]
    fn from_pure_noise_eta_one_keeps_none_of_it() {
        let point = |t, alpha: f64| TimePoint {
            t,
            level: NoiseLevel { alpha, sigma: (1.0 - alpha * alpha).sqrt() },
        };
        for alpha in [0.03, 0.2, 0.9] {
            let interval = Interval { from: point(1.0, 0.0), to: point(0.5, alpha) };
            let step = Ddim::new(1.0).unwrap().coefficients(interval);
            assert_eq!((step.x, step.data, step.noise), (0.0, alpha, interval.to.level.sigma));
        }
    }
}
