//! EDM's schedule: time is the noise deviation itself.
//!
//! `alpha = 1`, `sigma(t) = t`. Karras et al. 2022, table 1.

use super::check_sigmas;
use super::time_range::TimeRange;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError};

/// The schedule `sigma = t`; defined for every `t >= 0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edm {
    range: TimeRange,
}

impl Edm {
    /// The schedule used from noise `sigma_min` to `sigma_max` (published with 0.002 and 80).
    ///
    /// # Errors
    /// When not `0 < sigma_min < sigma_max`, both finite.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self, ScheduleError> {
        check_sigmas(sigma_min, sigma_max)?;
        Ok(Self { range: TimeRange::known(sigma_min, sigma_max) })
    }

    /// The same schedule used from noise `clean` to noise `noisy`.
    ///
    /// # Errors
    /// When not `0 <= clean < noisy`, both finite.
    pub fn with_time_range(self, clean: f64, noisy: f64) -> Result<Self, ScheduleError> {
        Ok(Self { range: TimeRange::new(clean, noisy, f64::INFINITY)? })
    }
}

impl NoiseSchedule for Edm {
    fn time_range(&self) -> (f64, f64) {
        self.range.ends()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel { alpha: 1.0, sigma: t } // Karras et al. 2022, table 1
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        (-lambda).exp()
    }
}
