//! The variance-exploding schedule with geometric noise.
//!
//! `alpha = 1`, `sigma(t) = sigma_min (sigma_max / sigma_min)^t`. Song et al. 2021, eq. 31.

use super::check_sigmas;
use super::time_range::TimeRange;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError};

/// The VE schedule; defined on `[0, 1]`, used from 0.00001 to 1 unless told otherwise.
///
/// Its state at `t = 0` still holds noise of deviation `sigma_min`, as in the published code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VeGeometric {
    sigma_min: f64,
    sigma_max: f64,
    range: TimeRange,
}

impl VeGeometric {
    /// The schedule whose noise grows from `sigma_min` at `t = 0` to `sigma_max` at `t = 1`
    /// (published with 0.01 and 50).
    ///
    /// # Errors
    /// When not `0 < sigma_min < sigma_max`, both finite.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self, ScheduleError> {
        check_sigmas(sigma_min, sigma_max)?;
        Ok(Self { sigma_min, sigma_max, range: TimeRange::known(1e-5, 1.0) })
    }

    /// The same schedule used from time `clean` to time `noisy`.
    ///
    /// # Errors
    /// When not `0 <= clean < noisy <= 1`.
    pub fn with_time_range(self, clean: f64, noisy: f64) -> Result<Self, ScheduleError> {
        Ok(Self { range: TimeRange::new(clean, noisy, 1.0)?, ..self })
    }

    /// Noise deviation at `t = 0`.
    #[must_use]
    pub fn sigma_min(&self) -> f64 {
        self.sigma_min
    }

    /// Noise deviation at `t = 1`.
    #[must_use]
    pub fn sigma_max(&self) -> f64 {
        self.sigma_max
    }

    /// `ln(sigma_max / sigma_min)`: the growth of `ln sigma` over the whole of `[0, 1]`.
    #[must_use]
    pub fn log_growth(&self) -> f64 {
        (self.sigma_max / self.sigma_min).ln()
    }
}

impl NoiseSchedule for VeGeometric {
    fn time_range(&self) -> (f64, f64) {
        self.range.ends()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        // Song et al. 2021, eq. 31
        let sigma = self.sigma_min * (self.sigma_max / self.sigma_min).powf(t);
        NoiseLevel { alpha: 1.0, sigma }
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        (-lambda - self.sigma_min.ln()) / self.log_growth()
    }
}
