//! Time run backwards: the reverse-time SDE and the probability flow as one family.
//!
//! From noise to data, `dx = (f x - (1 + eta^2)/2 g^2 score) dt + eta g dw`, in time that runs
//! downward. Every `eta` has the same marginals: the noise that is added in a step is what the
//! stronger pull of the score takes away. `eta = 1` is the reverse-time SDE of Anderson 1982, `eta = 0`
//! the probability flow. Song et al. 2021, eqs. 6 and 13, and appendix D.1.

use crate::{Sde, SdeError};

/// An SDE run backwards in time with noise `eta`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseSde<N> {
    sde: N,
    eta: f64,
}

impl<N> ReverseSde<N> {
    /// The member of the family that adds `eta` times the noise of the forward process: 0 is the
    /// probability flow, 1 the reverse-time SDE.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn new(sde: N, eta: f64) -> Result<Self, SdeError> {
        let eta = checked_eta(eta)?;
        Ok(Self { sde, eta })
    }

    /// Anderson's reverse-time SDE, `eta = 1`.
    #[must_use]
    pub const fn anderson(sde: N) -> Self {
        Self { sde, eta: 1.0 }
    }

    /// The probability flow, an ordinary differential equation: `eta = 0`.
    #[must_use]
    pub const fn probability_flow(sde: N) -> Self {
        Self { sde, eta: 0.0 }
    }

    /// The share of the forward process's noise that is added.
    #[must_use]
    pub const fn eta(&self) -> f64 {
        self.eta
    }

    /// The forward SDE.
    #[must_use]
    pub const fn sde(&self) -> &N {
        &self.sde
    }
}

impl<N: Sde> ReverseSde<N> {
    /// The drift at time `t`, as coefficients `(of x, of the score)`.
    #[must_use]
    pub fn drift(&self, t: f64) -> (f64, f64) {
        let pull = 0.5 * (1.0 + self.eta * self.eta);
        // Song et al. 2021, eqs. 6 and 13
        (self.sde.drift(t), -pull * self.sde.diffusion_squared(t))
    }

    /// The diffusion at time `t`: noise of variance `diffusion^2 |dt|` is added in a step.
    #[must_use]
    pub fn diffusion(&self, t: f64) -> f64 {
        self.eta * self.sde.diffusion_squared(t).sqrt()
    }
}

/// `eta`, when it is a share of noise at all.
fn checked_eta(eta: f64) -> Result<f64, SdeError> {
    let holds = eta >= 0.0 && eta.is_finite();
    SdeError::check("eta", eta, holds, "a finite value of at least 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::VpLinear;

    #[test]
    fn the_two_ends_of_the_family_are_the_published_ones() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let beta = sde.beta(0.3);
        let reverse = ReverseSde::anderson(sde);
        assert_eq!(reverse.drift(0.3), (-0.5 * beta, -beta));
        assert_eq!(reverse.diffusion(0.3), beta.sqrt());
        let flow = ReverseSde::probability_flow(sde);
        assert_eq!((flow.drift(0.3), flow.diffusion(0.3)), ((-0.5 * beta, -0.5 * beta), 0.0));
    }

    #[test]
    fn nonsense_is_refused() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let error = ReverseSde::new(sde, -0.5).unwrap_err();
        assert_eq!(error.to_string(), "eta is -0.5, expected a finite value of at least 0");
        assert!(ReverseSde::new(sde, f64::NAN).is_err());
    }
}
