//! The variance-preserving SDEs: what the signal loses, the noise gains.
//!
//! `dx = -beta/2 x dt + sqrt(beta) dw`. Song et al. 2021, eq. 11.

use super::Sde;
use tweedie_schedules::{DiscreteTable, VpCosine, VpLinear};

macro_rules! variance_preserving {
    ($schedule:ty) => {
        impl Sde for $schedule {
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
    };
}

variance_preserving!(VpLinear);
variance_preserving!(VpCosine);
variance_preserving!(DiscreteTable);
