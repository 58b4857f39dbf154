//! DDIM: the sampler that keeps every marginal and lets the noise be chosen.
//!
//! `x_s = alpha_s x0_hat + sqrt(sigma_s^2 - c^2) eps_hat + c z` with `c = eta` times the deviation of
//! the posterior. Song et al. 2021a, eq. 12. One evaluation a step; first order at `eta = 0`, where it
//! is deterministic; `eta = 1` is ancestral sampling. Any sub-sequence of times.
//! Derivation: docs/derivations/ddim.md.

use super::{Predictor, StepCoefficients};
use crate::SampleError;
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
    /// # Errors
    /// When `eta` lies outside `[0, 1]`.
    pub fn new(eta: f64) -> Result<Self, SampleError> {
        if (0.0..=1.0).contains(&eta) {
            Ok(Self { eta })
        } else {
            let allowed = "a value in [0, 1]";
            Err(SampleError::ParameterOutOfRange { name: "eta", value: eta, allowed })
        }
    }

    pub(crate) fn parts(&self, interval: Interval) -> DdimParts {
        let to = interval.to.level;
        if self.eta == 0.0 {
            // also where the interval leads to more noise and has no posterior: encoding
            return DdimParts { data: to.alpha, eps: to.sigma, noise: 0.0 };
        }
        // Song et al. 2021a, eq. 16: c^2 = eta^2 sigma_s^2 (1 - exp(-2h)), so that neither c^2 nor
        // sigma_s^2 - c^2 is a difference of near equals
        let (eta_squared, h) = (self.eta * self.eta, interval.h());
        let noise = self.eta * to.sigma * (-(-2.0 * h).exp_m1()).sqrt();
        let eps = to.sigma * ((1.0 - eta_squared) + eta_squared * (-2.0 * h).exp()).sqrt();
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{NoiseLevel, TimePoint};

    #[test]
    fn eta_outside_its_range_is_refused() {
        let error = Ddim::new(1.5).unwrap_err();
        assert_eq!(error.to_string(), "eta is 1.5, expected a value in [0, 1]");
        assert!(Ddim::new(f64::NAN).is_err());
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
