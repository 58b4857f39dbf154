//! The variance-exploding SDEs: the signal stays, noise is added to it.
//!
//! `dx = sqrt(d sigma^2 / dt) dw`. Song et al. 2021, eq. 9.

use super::Sde;
use tweedie_schedules::{Edm, NoiseSchedule, VeGeometric};

impl Sde for VeGeometric {
    fn drift(&self, _: f64) -> f64 {
        0.0
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * self.level(t).sigma.powi(2) * self.log_growth() // Song et al. 2021, eq. 30
    }

    fn prior_std(&self) -> f64 {
        self.sigma_max()
    }
}

impl Sde for Edm {
    fn drift(&self, _: f64) -> f64 {
        0.0
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * t // Karras et al. 2022, eq. 6, with sigma = t
    }

    fn prior_std(&self) -> f64 {
        self.time_range().1
    }
}
