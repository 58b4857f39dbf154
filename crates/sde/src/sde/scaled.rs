//! The SDE of a schedule given by its relative noise and its scaling.
//!
//! `dx = (s' / s) x dt + s sqrt(2 sigma sigma') dw`. Karras et al. 2022, app. B.

use super::Sde;
use tweedie_schedules::{NoiseSchedule, ScaledSigma, Scaling};

impl Sde for ScaledSigma {
    fn drift(&self, t: f64) -> f64 {
        match self.scaling() {
            Scaling::None => 0.0,
            // s = (1 + sigma^2)^(-1/2), so s' / s = -sigma sigma' s^2
            Scaling::VariancePreserving => -self.level(t).sigma.powi(2) * self.sigma().growth(t),
        }
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * self.level(t).sigma.powi(2) * self.sigma().growth(t)
    }

    fn prior_std(&self) -> f64 {
        self.level(self.time_range().1).sigma
    }
}
