//! EDM's law of times: the logarithm of the noise is normal.
//!
//! `ln(sigma / alpha) ~ N(mean, deviation^2)`. Karras et al. 2022, table 1.

use super::{DrawnTime, TimeSampler};
use crate::LossError;
use std::f64::consts::FRAC_1_SQRT_2;
use tweedie_schedules::NoiseSchedule;

/// Times at which `ln(sigma / alpha)` is normal; the loss meant is the mean under this law.
///
/// A level beyond the schedule's time range is drawn at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormalTime<N> {
    schedule: N,
    mean: f64,
    deviation: f64,
}

impl<N: NoiseSchedule> LogNormalTime<N> {
    /// The law with this mean and standard deviation of the logarithm (published with -1.2 and 1.2).
    ///
    /// # Errors
    /// When a number is not finite, or `deviation` is not positive.
    pub fn new(schedule: N, mean: f64, deviation: f64) -> Result<Self, LossError> {
        LossError::check("mean", mean, mean.is_finite(), "a finite value")?;
        let positive = deviation > 0.0 && deviation.is_finite();
        LossError::check("deviation", deviation, positive, "a finite value above 0")?;
        Ok(Self { schedule, mean, deviation })
    }
}

impl<N: NoiseSchedule + std::fmt::Debug> TimeSampler for LogNormalTime<N> {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        let (first, last) = self.schedule.time_range();
        // infinite lambda would ask the schedule for the level of no noise, or of no data
        let (clean, noisy) =
            (self.schedule.level(first).lambda(), self.schedule.level(last).lambda());
        let time = |u: &f64| {
            let log_sigma = self.mean + self.deviation * normal_quantile(*u); // Karras et al. 2022, table 1
            let t = match -log_sigma {
                lambda if lambda >= clean => first,
                lambda if lambda <= noisy => last,
                lambda => self.schedule.time_at_lambda(lambda),
            };
            DrawnTime { t, weight: 1.0 }
        };
        uniform.iter().map(time).collect()
    }
}

/// The value below which a standard normal variable lies with this probability.
///
/// # Precision
/// Full relative precision in the lower tail; in the upper one that of `1 - probability`.
fn normal_quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        return -normal_quantile(1.0 - probability);
    }
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let below = |z: f64| 0.5 * libm::erfc(-z * FRAC_1_SQRT_2) < probability;
    let (mut low, mut high) = (-38.5, 0.0); // the least positive number is that of -38.5
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{Edm, VpLinear};

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        // to the digits that tables of the normal distribution give
        for (probability, z) in
            [(0.975, 1.959_963_984_540_054), (0.5, 0.0), (1e-20, -9.262_340_089_798_408)]
        {
            assert!((normal_quantile(probability) - z).abs() < 1e-13, "{probability}");
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn the_median_and_one_deviation_are_where_they_belong() {
        let sampler = LogNormalTime::new(Edm::new(0.002, 80.0).unwrap(), -1.2, 1.2).unwrap();
        let one_up = 0.841_344_746_068_542_9;
        let drawn = sampler.draw(&[0.5, one_up]);
        assert!((drawn[0].t.ln() + 1.2).abs() < 1e-13 && drawn[0].weight == 1.0);
        assert!(drawn[1].t.ln().abs() < 1e-13);
    }

    #[test]
    fn a_level_beyond_the_schedule_is_drawn_at_its_end() {
        let vp = VpLinear::new(0.1, 20.0).unwrap();
        let sampler = LogNormalTime::new(vp, 0.0, 20.0).unwrap();
        let drawn = sampler.draw(&[0.0, 0.5, 1.0 - 1e-16]);
        assert_eq!((drawn[0].t, drawn[2].t), vp.time_range());
        assert!((vp.level(drawn[1].t).lambda()).abs() < 1e-12);
    }

    #[test]
    fn nonsense_is_refused() {
        let edm = Edm::new(0.002, 80.0).unwrap();
        let error = LogNormalTime::new(edm, -1.2, 0.0).unwrap_err();
        assert_eq!(error.to_string(), "deviation is 0, expected a finite value above 0");
        assert!(LogNormalTime::new(edm, f64::NAN, 1.0).is_err());
    }
}
