//! The noise of one reverse step, fixed or learned: what the variance of `p(x_s | x_t)` is.

use crate::{Elementwise, ScoreError};
use tweedie_schedules::{Interval, NoiseLevel, Posterior, Variance};

/// What the values beside the prediction say about the variance of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learned {
    /// They place its logarithm between those of its bounds: -1 is the small variance, 1 the large one.
    #[default]
    Range,
    /// They are its natural logarithm.
    LogVariance,
    /// They are the variance.
    Variance,
}

/// The deviation of the noise in one step, which may follow the network's values `v`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deviation {
    /// The same for every value.
    Fixed(f64),
    /// `factor * exp(rate * v)`.
    Exponential {
        /// The deviation where `v` is 0.
        factor: f64,
        /// Growth of its logarithm with `v`.
        rate: f64,
    },
    /// `sqrt(v)`.
    Root,
}

/// The noise of a reverse process: the posterior's mean, and noise of some deviation.
pub trait ReverseNoise {
    /// The deviation over `interval`; `None` where the step adds no noise.
    fn deviation(&self, interval: Interval) -> Option<Deviation>;

    /// The deviation of a step that ends clean, read as the decoder of a likelihood. `floor` is a
    /// variance that stands for the small one, which is zero there.
    fn decoder_deviation(&self, interval: Interval, floor: f64) -> Deviation {
        self.deviation(interval).unwrap_or(Deviation::Fixed(floor.sqrt()))
    }

    /// The posterior of the forward process that the steps reverse.
    fn posterior(&self, interval: Interval) -> Posterior {
        interval.posterior()
    }
}

/// Fixed at one of its bounds; a step that ends clean adds no noise.
impl ReverseNoise for Variance {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let ends_clean = interval.to.level == NoiseLevel::CLEAN;
        let deviation = self.of(interval).sqrt();
        (!ends_clean && deviation != 0.0).then_some(Deviation::Fixed(deviation))
    }
}

/// As the network says; a step that ends clean adds no noise.
impl ReverseNoise for Learned {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let ends_clean = interval.to.level == NoiseLevel::CLEAN;
        (!ends_clean).then(|| self.between(Variance::FixedSmall.log_of(interval), interval))
    }

    fn decoder_deviation(&self, interval: Interval, floor: f64) -> Deviation {
        self.between(floor.ln(), interval)
    }
}

impl Learned {
    /// The deviation over `interval`, whose small variance has the logarithm `log_small`.
    fn between(self, log_small: f64, interval: Interval) -> Deviation {
        match self {
            Self::Variance => Deviation::Root,
            Self::LogVariance => Deviation::Exponential { factor: 1.0, rate: 0.5 },
            Self::Range => {
                // Nichol and Dhariwal 2021, eq. 15, with its v in [0, 1] written (1 + v) / 2
                let log_large = Variance::FixedLarge.log_of(interval);
                let factor = (0.25 * (log_large + log_small)).exp();
                Deviation::Exponential { factor, rate: 0.25 * (log_large - log_small) }
            }
        }
    }
}

impl Deviation {
    /// Whether its coefficients are finite.
    #[must_use]
    pub fn is_finite(self) -> bool {
        match self {
            Self::Fixed(deviation) => deviation.is_finite(),
            Self::Exponential { factor, rate } => factor.is_finite() && rate.is_finite(),
            Self::Root => true,
        }
    }

    /// Natural logarithm of the variance where the network says `v`.
    #[must_use]
    pub fn log_variance(self, v: f64) -> f64 {
        match self {
            Self::Fixed(deviation) => 2.0 * deviation.ln(),
            Self::Exponential { factor, rate } => 2.0 * (factor.ln() + rate * v),
            Self::Root => v.ln(),
        }
    }

    /// The deviation times `z`, as a state and a factor that is the same for all of it.
    ///
    /// # Errors
    /// When the deviation follows `values` and there are none.
    pub fn times<S: Elementwise>(self, z: &S, values: Option<&S>) -> Result<(f64, S), ScoreError> {
        let values = || values.ok_or(ScoreError::NoVariance);
        Ok(match self {
            Self::Fixed(deviation) => (deviation, S::combine(&[(1.0, z)])),
            Self::Exponential { factor, rate } => {
                (factor, S::combine(&[(rate, values()?)]).exp().mul(z))
            }
            Self::Root => (1.0, values()?.sqrt().mul(z)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::TimePoint;

    fn step(clean: NoiseLevel) -> Interval {
        let point = |level| TimePoint { t: 0.5, level };
        Interval { from: point(NoiseLevel::variance_preserving(-0.7)), to: point(clean) }
    }

    #[test]
    fn the_log_variance_lies_between_its_bounds_as_the_network_says() {
        let step = step(NoiseLevel::variance_preserving(-0.2));
        let log = |noise: &dyn ReverseNoise, v| noise.deviation(step).unwrap().log_variance(v);
        let (small, large) = (Variance::FixedSmall.log_of(step), Variance::FixedLarge.log_of(step));
        let cases = [
            (log(&Learned::Range, -1.0), small),
            (log(&Learned::Range, 1.0), large),
            (log(&Learned::Range, 0.5), small + 0.75 * (large - small)),
            (log(&Learned::LogVariance, -3.2), -3.2),
            (log(&Learned::Variance, 0.25), 0.25_f64.ln()),
            (log(&Variance::FixedSmall, 7.0), small),
            (log(&Variance::FixedLarge, 7.0), large),
        ];
        for (got, want) in cases {
            assert!((got - want).abs() < 1e-12, "{got}, expected {want}");
        }
    }

    #[test]
    fn a_decoder_puts_the_floor_in_the_place_of_the_small_variance() {
        let last = step(NoiseLevel::CLEAN);
        let large = Variance::FixedLarge.log_of(last);
        for fixed in [Variance::FixedSmall, Variance::FixedLarge] {
            assert_eq!(fixed.deviation(last), None);
            let floor = fixed.decoder_deviation(last, 1e-4).log_variance(0.0);
            assert!((floor - 1e-4_f64.ln()).abs() < 1e-12);
        }
        assert_eq!(Learned::Range.deviation(last), None);
        let range = Learned::Range.decoder_deviation(last, 1e-4);
        assert!((range.log_variance(-1.0) - 1e-4_f64.ln()).abs() < 1e-12);
        assert!((range.log_variance(1.0) - large).abs() < 1e-12);
    }
}
