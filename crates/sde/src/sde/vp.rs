//! The variance-preserving SDEs: what the signal loses, the noise gains.
//!
//! `dx = -beta/2 x dt + sqrt(beta) dw`. Song et al. 2021, eq. 11.

use super::Sde;
use tweedie_schedules::{DiscreteTable, VpCosine, VpLinear};

impl Sde for VpLinear {
    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.beta(t) // Song et al. 2021, eq. 11
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        self.beta(t) // Song et al. 2021, eq. 11
    }

    fn prior_std(&self) -> f64 {
        1.0
    }
}

impl Sde for VpCosine {
    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.beta(t) // Song et al. 2021, eq. 11
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        self.beta(t) // Song et al. 2021, eq. 11
    }

    fn prior_std(&self) -> f64 {
        1.0
    }
}

impl Sde for DiscreteTable {
    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.beta(t) // Song et al. 2021, eq. 11
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        self.beta(t) // Song et al. 2021, eq. 11
    }

    fn prior_std(&self) -> f64 {
        1.0
    }
}
