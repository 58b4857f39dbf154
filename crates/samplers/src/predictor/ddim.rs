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

impl Ddim {
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
}

impl Predictor for Ddim {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let (from, to) = (interval.from.level, interval.to.level);
        // Song et al. 2021a, eq. 16
        let noise = self.eta * interval.posterior().variance.sqrt();
        // sigma_s^2 - c^2, with both factors computed so that eta = 1 does not cancel below zero
        let kept = ((to.sigma - noise) * (to.sigma + noise)).max(0.0).sqrt();
        let x = kept / from.sigma;
        StepCoefficients { x, data: to.alpha - x * from.alpha, noise } // Song et al. 2021a, eq. 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eta_outside_its_range_is_refused() {
        let error = Ddim::new(1.5).unwrap_err();
        assert_eq!(error.to_string(), "eta is 1.5, expected a value in [0, 1]");
        assert!(Ddim::new(f64::NAN).is_err());
    }
}
