//! The variance-preserving SDEs: what the signal loses, the noise gains.
//!
//! `dx = -beta/2 x dt + sqrt(beta) dw`. Song et al. 2021, eq. 11.

use super::Sde;
use tweedie_schedules::{DiscreteTable, NoiseLevel, NoiseSchedule, VpCosine, VpLinear};

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

    /// `sqrt(-ln alpha)`, by which the rates do not jump and noise grows linearly near the data.
    fn clock(&self, t: f64) -> f64 {
        let NoiseLevel { alpha, sigma } = self.level(t);
        (0.5 * (sigma / alpha).powi(2).ln_1p()).sqrt()
    }

    fn time_at_clock(&self, clock: f64) -> f64 {
        self.time_at_lambda(-0.5 * (2.0 * clock * clock).exp_m1().ln())
    }

    fn clock_rate(&self, t: f64) -> f64 {
        0.25 * self.beta(t) / self.clock(t)
    }
}
