//! The sub-VP schedule: the signal of [`VpLinear`], with less noise than preserves variance.
//!
//! `alpha` as VP, `sigma = 1 - alpha^2`. Song et al. 2021, eq. 29.

use crate::{NoiseLevel, NoiseSchedule, ScheduleError, VpLinear};

/// The sub-VP schedule with linear rate; defined on `[0, 1]`, used from 0.001 to 1 unless told
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubVpLinear {
    signal: VpLinear,
}

impl SubVpLinear {
    /// The schedule whose rate grows from `beta_min` at `t = 0` to `beta_max` at `t = 1`
    /// (published with 0.1 and 20).
    ///
    /// # Errors
    /// When not `0 < beta_min <= beta_max`, both finite.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ScheduleError> {
        Ok(Self { signal: VpLinear::new(beta_min, beta_max)? })
    }

    /// The same schedule used from time `clean` to time `noisy`.
    ///
    /// # Errors
    /// When not `0 <= clean < noisy <= 1`.
    pub fn with_time_range(self, clean: f64, noisy: f64) -> Result<Self, ScheduleError> {
        Ok(Self { signal: self.signal.with_time_range(clean, noisy)? })
    }

    /// Rate at `t = 0`.
    #[must_use]
    pub fn beta_min(&self) -> f64 {
        self.signal.beta_min()
    }

    /// Rate at `t = 1`.
    #[must_use]
    pub fn beta_max(&self) -> f64 {
        self.signal.beta_max()
    }

    /// Rate at time `t`, that of the signal's decay: `d ln alpha / dt = -beta / 2`.
    #[must_use]
    pub fn beta(&self, t: f64) -> f64 {
        self.signal.beta(t)
    }

    /// `ln alpha` at time `t`.
    #[must_use]
    pub fn log_alpha(&self, t: f64) -> f64 {
        self.signal.log_alpha(t)
    }
}

impl NoiseSchedule for SubVpLinear {
    fn time_range(&self) -> (f64, f64) {
        self.signal.time_range()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        let log_alpha = self.signal.log_alpha(t);
        // Song et al. 2021, eq. 29: 1 - alpha^2 is the deviation here, not the variance
        NoiseLevel { alpha: log_alpha.exp(), sigma: -(2.0 * log_alpha).exp_m1() }
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        // alpha / (1 - alpha^2) = 1 / (2 sinh(-ln alpha))
        let log_alpha = -(0.5 * (-lambda).exp()).asinh();
        self.signal.time_at_log_alpha(log_alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_signal_of_vp_and_the_square_of_its_noise() {
        let (sub, vp) = (SubVpLinear::new(0.1, 20.0).unwrap(), VpLinear::new(0.1, 20.0).unwrap());
        for t in [1e-5, 0.1, 0.5, 1.0] {
            let (a, b) = (sub.level(t), vp.level(t));
            assert_eq!(a.alpha, b.alpha);
            assert!((a.sigma / b.sigma.powi(2) - 1.0).abs() < 1e-14);
        }
    }
}
