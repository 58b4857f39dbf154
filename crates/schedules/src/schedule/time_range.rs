//! The stretch of time a schedule is used over.

use crate::ScheduleError;

/// Cleanest and noisiest time, `0 <= clean < noisy`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TimeRange {
    clean: f64,
    noisy: f64,
}

impl TimeRange {
    /// # Errors
    /// When not `0 <= clean < noisy <= last`.
    pub(crate) fn new(clean: f64, noisy: f64, last: f64) -> Result<Self, ScheduleError> {
        if clean >= 0.0 && clean < noisy && noisy <= last && noisy.is_finite() {
            Ok(Self { clean, noisy })
        } else {
            Err(ScheduleError::TimeRange { clean, noisy, last })
        }
    }

    /// A range known to be in order.
    pub(crate) const fn known(clean: f64, noisy: f64) -> Self {
        Self { clean, noisy }
    }

    pub(crate) const fn ends(self) -> (f64, f64) {
        (self.clean, self.noisy)
    }
}
