//! The variance-preserving schedule whose rate grows linearly, in continuous time.
//!
//! `beta(t) = beta_min + t (beta_max - beta_min)`, `ln alpha = -1/2 integral of beta`,
//! `sigma^2 = 1 - alpha^2`. Song et al. 2021, eq. 33.

use super::check_rates;
use super::time_range::TimeRange;
use crate::level::log_alpha_at_lambda;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError};

/// The VP schedule with linear rate; defined on `[0, 1]`, used from 0.001 to 1 unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VpLinear {
    beta_min: f64,
    beta_max: f64,
    range: TimeRange,
}

impl VpLinear {
    /// The schedule whose rate grows from `beta_min` at `t = 0` to `beta_max` at `t = 1`
    /// (published with 0.1 and 20).
    ///
    /// # Errors
    /// When not `0 < beta_min <= beta_max`, both finite.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self, ScheduleError> {
        check_rates(beta_min, beta_max)?;
        Ok(Self { beta_min, beta_max, range: TimeRange::known(1e-3, 1.0) })
    }

    /// The same schedule used from time `clean` to time `noisy`.
    ///
    /// # Errors
    /// When not `0 <= clean < noisy <= 1`.
    pub fn with_time_range(self, clean: f64, noisy: f64) -> Result<Self, ScheduleError> {
        Ok(Self { range: TimeRange::new(clean, noisy, 1.0)?, ..self })
    }

    /// Rate at `t = 0`.
    #[must_use]
    pub fn beta_min(&self) -> f64 {
        self.beta_min
    }

    /// Rate at `t = 1`.
    #[must_use]
    pub fn beta_max(&self) -> f64 {
        self.beta_max
    }

    /// Rate at time `t`: the variance added per unit of time.
    #[must_use]
    pub fn beta(&self, t: f64) -> f64 {
        self.beta_min + t * (self.beta_max - self.beta_min) // Song et al. 2021, eq. 32
    }

    /// `ln alpha` at time `t`.
    #[must_use]
    pub fn log_alpha(&self, t: f64) -> f64 {
        // Song et al. 2021, eq. 33
        -0.25 * t * t * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
    }

    /// The time at which `ln alpha` has a given value: the root of a quadratic, in the form that
    /// does not cancel near `t = 0`.
    #[must_use]
    pub fn time_at_log_alpha(&self, log_alpha: f64) -> f64 {
        let growth = self.beta_max - self.beta_min;
        let half = 0.5 * self.beta_min;
        // Lu et al. 2022, appendix D.4
        -2.0 * log_alpha / (half + (half * half - growth * log_alpha).sqrt())
    }
}

impl NoiseSchedule for VpLinear {
    fn time_range(&self) -> (f64, f64) {
        self.range.ends()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel::variance_preserving(self.log_alpha(t))
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.time_at_log_alpha(log_alpha_at_lambda(lambda))
    }
}
