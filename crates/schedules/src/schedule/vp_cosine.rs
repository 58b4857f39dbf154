//! The variance-preserving cosine schedule in continuous time.
//!
//! `alpha_bar(t) = f(t) / f(0)` with `f(t) = cos^2((t + s) / (1 + s) pi / 2)`.
//! Nichol and Dhariwal 2021, eq. 17.

use super::time_range::TimeRange;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError};
use std::f64::consts::{FRAC_PI_2, PI};

/// The cosine schedule; defined on `[0, 1]`, where `alpha` reaches 0 at `t = 1`.
///
/// Its rate grows without bound towards `t = 1`. So it is used, unless told otherwise, from 0.001 to
/// the time at which the rate reaches `max_beta`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VpCosine {
    offset: f64,
    range: TimeRange,
}

impl Default for VpCosine {
    /// Offset 0.008, used until the rate reaches 999 (`t` about 0.998).
    fn default() -> Self {
        Self { offset: 0.008, range: TimeRange::known(1e-3, time_at_rate(0.008, 999.0)) }
    }
}

impl VpCosine {
    /// The schedule with offset `s` (published with 0.008), used until its rate, the variance added
    /// per unit of time, reaches `max_beta`; infinity uses it to the very end, where `alpha = 0`.
    ///
    /// # Errors
    /// When `offset` is not positive and finite, or `max_beta` is reached before time 0.001.
    pub fn new(offset: f64, max_beta: f64) -> Result<Self, ScheduleError> {
        if !(offset > 0.0 && offset.is_finite()) {
            let allowed = "a finite value above 0";
            return Err(ScheduleError::ParameterOutOfRange {
                name: "offset",
                value: offset,
                allowed,
            });
        }
        Ok(Self { offset, range: TimeRange::new(1e-3, time_at_rate(offset, max_beta), 1.0)? })
    }

    /// The same schedule used from time `clean` to time `noisy`.
    ///
    /// # Errors
    /// When not `0 <= clean < noisy <= 1`.
    pub fn with_time_range(self, clean: f64, noisy: f64) -> Result<Self, ScheduleError> {
        Ok(Self { range: TimeRange::new(clean, noisy, 1.0)?, ..self })
    }

    /// The offset `s`, which keeps the first steps from being too small.
    #[must_use]
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// Rate at time `t`: `-2 d ln alpha / dt`, infinite at `t = 1`.
    #[must_use]
    pub fn beta(&self, t: f64) -> f64 {
        // the tangent of the angle, as the cotangent of what is left of a right angle
        2.0 * self.angle_per_time() / (self.angle_left(t)).tan()
    }

    /// How fast the angle of the cosine grows.
    fn angle_per_time(&self) -> f64 {
        FRAC_PI_2 / (1.0 + self.offset)
    }

    /// The angle at `t = 0`.
    fn first_angle(&self) -> f64 {
        self.offset * self.angle_per_time()
    }

    /// What the angle at `t` lacks to `pi / 2`; exactly 0 at `t = 1`.
    fn angle_left(&self, t: f64) -> f64 {
        (1.0 - t) * self.angle_per_time()
    }
}

/// The time at which the rate of the schedule with this offset is `beta`.
fn time_at_rate(offset: f64, beta: f64) -> f64 {
    // beta = pi / (1 + s) cot(angle left); no angle is left when beta is infinite
    1.0 - (PI / (beta * (1.0 + offset))).atan() / FRAC_PI_2 * (1.0 + offset)
}

impl NoiseSchedule for VpCosine {
    fn time_range(&self) -> (f64, f64) {
        self.range.ends()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        let (first, grown) = (self.first_angle(), t * self.angle_per_time());
        let scale = first.cos();
        NoiseLevel {
            // Nichol and Dhariwal 2021, eq. 17: the cosine as the sine of what is left, exact near 0
            alpha: (self.angle_left(t).sin() / scale).min(1.0),
            // cos^2 a - cos^2 b = sin(b - a) sin(b + a) does not cancel near the data
            sigma: (grown.sin() * (2.0 * first + grown).sin()).sqrt() / scale,
        }
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        let level = NoiseLevel::variance_preserving_at_lambda(lambda);
        let (sin_first, cos_first) = self.first_angle().sin_cos();
        let cos_now = level.alpha * cos_first;
        let sin_now = sin_first.hypot(level.sigma * cos_first);
        // sin(b - a) = sin^2 b - sin^2 a over sin(b + a): the angle grown, without cancellation
        let sin_sum = sin_now * cos_first + cos_now * sin_first;
        let sin_grown = (level.sigma * cos_first).powi(2) / sin_sum;
        let cos_grown = cos_now * cos_first + sin_now * sin_first;
        sin_grown.atan2(cos_grown) / self.angle_per_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_formula_between_data_and_pure_noise() {
        let schedule = VpCosine::default();
        let f = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
        for t in [0.0, 0.01, 0.4, 0.9, 0.9999] {
            let level = schedule.level(t);
            assert!((level.alpha.powi(2) - f(t) / f(0.0)).abs() < 1e-15, "alpha at {t}");
            assert!(
                (level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15,
                "sigma at {t}"
            );
        }
        assert_eq!(schedule.level(0.0).sigma, 0.0);
        assert_eq!(schedule.level(1.0), NoiseLevel { alpha: 0.0, sigma: 1.0 });
    }

    #[test]
    fn it_is_used_until_the_rate_reaches_its_maximum() {
        let schedule = VpCosine::default();
        let (_, noisy) = schedule.time_range();
        assert!((noisy - 0.998).abs() < 1e-5);
        assert!((schedule.beta(noisy) / 999.0 - 1.0).abs() < 1e-10);
        assert_eq!(VpCosine::new(0.008, f64::INFINITY).unwrap().time_range().1, 1.0);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(VpCosine::new(0.0, 999.0).is_err());
        assert!(VpCosine::new(0.008, 0.0).is_err());
        assert!(VpCosine::new(0.008, f64::NAN).is_err());
    }
}
