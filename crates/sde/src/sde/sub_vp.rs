//! The sub-VP SDE: the drift of VP with less diffusion, so that the variance stays below that of VP.
//!
//! `dx = -beta/2 x dt + sqrt(beta (1 - exp(-2 integral of beta))) dw`. Song et al. 2021, eq. 12.

use super::Sde;
use tweedie_schedules::SubVpLinear;

impl Sde for SubVpLinear {
    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.beta(t) // Song et al. 2021, eq. 12
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        // Song et al. 2021, eq. 12; the integral of beta is -2 ln alpha
        -self.beta(t) * (4.0 * self.log_alpha(t)).exp_m1()
    }

    fn prior_std(&self) -> f64 {
        1.0
    }
}
